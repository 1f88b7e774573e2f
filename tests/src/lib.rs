//! Support for end-to-end tests and benchmarks: the built binary and templates, the test orders,
//! servers that stand in for providers, and temporary folders.

// A failed preparation fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test support"
)]

pub mod author;
pub mod batch_server;
pub mod bouncer;
pub mod chat_server;
pub mod crafted;
pub mod disk;
pub mod factory;
pub mod fault_server;
pub mod h2_server;
pub mod hostile;
pub mod languages;
pub mod nonconforming;
pub mod otlp_server;
pub mod postgres;
pub mod prometheus;
pub mod standins;
pub mod stream_server;
pub mod strip;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests' crate lies in the repository")
        .to_owned()
}

fn built(variable: &str, default: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(default), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not built: run `cargo xtask build --all && cargo build -p sitewright -p xtask`",
        path.display()
    );
    path
}

/// The `sitewright` binary: `TESTS_BINARY` or the debug build.
pub fn binary() -> PathBuf {
    built("TESTS_BINARY", "target/debug/sitewright")
}

/// The program of `cargo xtask`: `TESTS_XTASK` or the debug build.
pub fn xtask() -> PathBuf {
    built("TESTS_XTASK", "target/debug/xtask")
}

/// A built template of `plugins/`.
pub fn template(name: &str) -> PathBuf {
    built("TESTS_TEMPLATES_DIR", "target/templates").join(format!("{name}.wasm"))
}

/// A built template of `tests/guests/`.
pub fn guest(name: &str) -> PathBuf {
    built("TESTS_GUESTS_DIR", "target/test-templates").join(format!("{name}.wasm"))
}

/// Cache of compiled templates, shared by all tests because compiling dominates their time.
pub fn compile_cache() -> PathBuf {
    root().join("target/test-cache")
}

/// The compiled templates in a cache, without the notes of their languages beside them.
pub fn compiled(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_none_or(|end| end != "languages")).collect()
}

/// Names of the five test orders in `tests/orders`.
pub const ORDERS: [&str; 5] = [
    "01-restaurant-ptbr-full",
    "02-dentist-us-minimal",
    "03-plumber-us-premium",
    "04-other-hostile-text",
    "05-lawyer-bad-colours",
];

/// Reads one of the test orders.
pub fn order(name: &str) -> Value {
    let path = root().join(format!("tests/orders/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("the order is there"))
        .expect("the order is JSON")
}

/// What the entry page of a site for the order `02-dentist-us-minimal`, and for [`faulty`], must show:
/// the name of the business and a way to reach it.
pub const IMPRINT: &str = "<address>Bright Oak Dental, frontdesk@example.com</address>";

/// An order that selects `fault` of the template `guest-faulty`, see `tests/guests/faulty`.
/// `parameters` is an object with further fields, or null.
pub fn faulty(fault: &str, parameters: Value) -> Value {
    let mut order = order("02-dentist-us-minimal");
    let onboarding = order["onboarding"].as_object_mut().expect("an object");
    onboarding.insert("fault".to_owned(), json!(fault));
    // The sample's number has no country and it names no language: each report would say so.
    onboarding.insert("business_phone".to_owned(), json!("+1 208 345 0142"));
    onboarding.insert("locale".to_owned(), json!("en"));
    if let Value::Object(parameters) = parameters {
        onboarding.extend(parameters);
    }
    order
}

/// Validates a failure record against the published schema. Also rejects fields that the schema
/// does not name.
#[track_caller]
pub fn check_record(record: &Value) {
    static STRICT: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let mut schema: Value = serde_json::from_str(sitewright_failure::schema::RECORD_SCHEMA)
            .expect("the schema is JSON");
        close_objects(&mut schema);
        jsonschema::validator_for(&schema).expect("the schema is one")
    });
    let violations: Vec<String> = STRICT
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .take(5)
        .collect();
    assert!(violations.is_empty(), "the record does not match its schema: {violations:#?}");
}

/// Adds `additionalProperties: false` to every object of a schema.
fn close_objects(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            fields.values_mut().for_each(close_objects);
        }
        Value::Array(values) => values.iter_mut().for_each(close_objects),
        _ => {}
    }
}

/// Removes all `SITEWRIGHT_` variables from the environment of a command.
pub fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SITEWRIGHT_") {
            command.env_remove(name);
        }
    }
}

/// A temporary folder with a configuration, in which the binary runs.
pub struct Workbench {
    folder: TempDir,
}

/// Result of a run of the binary.
#[derive(Debug)]
pub struct Done {
    /// Exit code; -1 if a signal ended the process.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    /// Standard output as JSON; panics if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "stdout is not JSON ({error}); exit {}\n{}\n{}",
                self.code, self.stdout, self.stderr
            )
        })
    }

    /// The failure record in the JSON on standard output, validated by [`check_record`].
    pub fn failure(&self) -> Value {
        let failure = self.json()["failure"].clone();
        assert!(failure.is_object(), "there is no failure: {}", self.stdout);
        check_record(&failure);
        failure
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Scripted rules that answer every AI call with the same text.
pub const ANY_ANSWER: &str = "[[rule]]\n[rule.answer]\ntext = \"a plain answer\"\n";

impl Workbench {
    /// A workbench whose AI calls `rules` answer (see `sitewright-script`). `configuration`
    /// contains further settings.
    pub fn scripted(rules: &str, configuration: &str) -> Self {
        let ai = "[ai.providers.scripted]\nkind = \"scripted\"\nrules = \
                  \"ai.toml\"\n[ai.routes.default]\ntry = [{ provider = \"scripted\", model = \
                  \"test\" }]\n";
        let bench = Workbench::configured(&format!("{configuration}\n{ai}"));
        bench.write("ai.toml", rules);
        bench
    }

    /// A workbench with this configuration; the settings of folders are added.
    pub fn configured(configuration: &str) -> Self {
        let bench = Workbench { folder: TempDir::new().expect("a temporary folder") };
        let cache = compile_cache();
        bench.write(
            "sitewright.toml",
            format!(
                "sites = \"sites\"\ncache = {:?}\n{configuration}",
                cache.display().to_string()
            ),
        );
        bench
    }

    /// The temporary folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the sites.
    pub fn sites(&self) -> PathBuf {
        self.path().join("sites")
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("the workbench can be written");
        path
    }

    /// A command of the binary with this configuration and without `SITEWRIGHT_` variables.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        forget_settings(&mut command);
        command
            .current_dir(self.path())
            .args(["--config", "sitewright.toml"])
            .args(arguments)
            .stdin(Stdio::null());
        if arguments.contains(&"conformance") {
            disk::in_memory(&mut command);
        }
        command
    }

    /// Runs the binary and waits for its exit.
    pub fn run(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().expect("the binary starts").into()
    }

    /// Runs `sitewright --json generate`.
    pub fn generate(&self, template: &Path, order: &Value) -> Done {
        let file = self.write("order.json", order.to_string());
        self.run(&[
            "--json",
            "generate",
            "--template",
            &template.to_string_lossy(),
            "--order",
            &file.to_string_lossy(),
        ])
    }
}
