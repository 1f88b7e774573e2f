//! `cargo xtask demo --console`: the console with sample orders, failures included.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::build::{self, Compiler};
use crate::console;
use crate::demo;
use crate::guests::{self, Selection};
use crate::process;
use crate::workspace::{Group, Workspace};

/// The template of the orders that succeed.
const GOOD: &str = "local-business";
/// The guest of the tests that fails as an order asks for.
const FAULTY_GUEST: &str = "guest-faulty";
/// Its name as a template.
const FAULTY: &str = "faulty";

/// Orders that fail: the id, the business, and the fault that [`FAULTY`] is asked for.
const FAILING: [(&str, &str, &str); 7] = [
    ("demo-f1", "Quick Fix Plumbing", "panic-string"),
    ("demo-f2", "Quick Fix Plumbing", "panic-string"),
    ("demo-f3", "Harbour Dental", "panic-string"),
    ("demo-f4", "Harbour Dental", "error"),
    ("demo-f5", "North Star Cleaning", "oob"),
    ("demo-f6", "North Star Cleaning", "stack-overflow"),
    ("demo-f7", "Green Garden", "ai-error"),
];

/// Builds host and templates, adds the orders, and serves the console until it is ended.
pub(crate) fn run(workspace: &Workspace, keep: bool) -> anyhow::Result<ExitCode> {
    console::heading("templates");
    guests::build(workspace, Selection::All)?;
    console::heading("host");
    let binary = build::host(workspace, &Compiler::find(workspace)?)?;
    let folder = workspace.target.join("demo-console");
    if !keep {
        demo::remove(&folder)?;
    }
    let host = Host { binary, folder };
    let good = host.prepare(workspace)?;
    let failing = host.failing_orders()?;

    console::heading("orders");
    host.add(GOOD, &good)?;
    host.add(FAULTY, &failing)?;
    let log = host.folder.join("worker.log");
    let worker = Worker(host.worker(&log)?);
    console::line(&format!(
        "\nA worker makes {} orders, of which {} fail; its log is {}.\nCtrl-C ends worker and \
         server.",
        good.len() + failing.len(),
        failing.len(),
        log.display()
    ));
    let mut serve = host.command(&["serve", "--listen", "127.0.0.1:0", "--link"]);
    let status =
        serve.status().with_context(|| format!("cannot start {}", host.binary.display()))?;
    drop(worker);
    Ok(process::exit_code(status))
}

/// The host, and the folder with its configuration, database and sites.
struct Host {
    binary: PathBuf,
    folder: PathBuf,
}

impl Host {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(arguments);
        command
    }

    /// Writes the configuration and copies the templates. The orders that succeed.
    fn prepare(&self, workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
        let demo = workspace.root.join(Group::Templates.sources()).join(GOOD).join("demo");
        let templates = self.folder.join("templates");
        fs::create_dir_all(&templates)
            .with_context(|| format!("cannot make {}", templates.display()))?;
        for (group, guest, name) in
            [(Group::Templates, GOOD, GOOD), (Group::TestGuests, FAULTY_GUEST, FAULTY)]
        {
            let component = workspace.components(group).join(format!("{guest}.wasm"));
            copy(&component, &templates.join(format!("{name}.wasm")))?;
        }
        for file in ["sitewright.toml", "ai.toml"] {
            copy(&demo.join(file), &self.folder.join(file))?;
        }
        let mut orders = Vec::new();
        for folder in ["tests/orders", "tests/orders-real"] {
            let folder = workspace.root.join(folder);
            let reading = || format!("cannot read {}", folder.display());
            for entry in fs::read_dir(&folder).with_context(reading)? {
                let path = entry.with_context(reading)?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    orders.push(path);
                }
            }
        }
        orders.sort();
        Ok(orders)
    }

    fn failing_orders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.folder.join("orders");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        FAILING
            .iter()
            .map(|(id, business, fault)| {
                let path = folder.join(format!("{id}.json"));
                fs::write(&path, failing_order(id, business, fault))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(path)
            })
            .collect()
    }

    fn add(&self, template: &str, orders: &[PathBuf]) -> anyhow::Result<()> {
        let mut add = self.command(&["order", "add", "--template", template, "--templates"]);
        add.arg("templates").args(orders);
        let status =
            add.status().with_context(|| format!("cannot start {}", self.binary.display()))?;
        process::check("sitewright order add", status)
    }

    fn worker(&self, log: &Path) -> anyhow::Result<Child> {
        let writing = || format!("cannot write {}", log.display());
        let out = fs::File::create(log).with_context(writing)?;
        let err = out.try_clone().with_context(writing)?;
        self.command(&["worker", "--templates", "templates"])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))
    }
}

/// A worker that ends with the demo. Ctrl-C on a terminal reaches it too; its orders stay in the
/// queue whichever way it ends.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            console::line(&format!("warning: cannot end the worker: {error}"));
        }
    }
}

/// An order of a business with one way to be reached.
fn failing_order(id: &str, business: &str, fault: &str) -> String {
    format!(
        r#"{{
  "id": "{id}",
  "locale": "en",
  "business_name": "{business}",
  "business_email": "hello@example.com",
  "services": ["Repairs"],
  "extra": {{ "fault": "{fault}" }}
}}
"#
    )
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use serde_json::Value;

    use super::*;

    /// The host in a folder of its own, and the workspace of this repository.
    fn host(folder: &Path) -> (Host, Workspace) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut workspace = Workspace::at(root);
        workspace.target = folder.join("target");
        let host = Host { binary: PathBuf::from("true"), folder: folder.join("demo-console") };
        (host, workspace)
    }

    #[test]
    fn the_orders_that_fail_are_orders_with_faults_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (host, workspace) = host(folder.path());
        let faults = workspace.root.join("tests/guests/faulty/src/params.rs");
        let faults = fs::read_to_string(faults).unwrap();
        let files = host.failing_orders().unwrap();
        assert_eq!(files.len(), FAILING.len());
        let (mut ids, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for (file, (id, business, fault)) in files.iter().zip(FAILING) {
            let order: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            assert_eq!(order["id"], id);
            assert_eq!(order["business_name"], business);
            assert!(order["business_email"].is_string(), "{order}: one way to be reached");
            assert_eq!(order["extra"]["fault"], fault);
            // As its type spells it: `panic-string` is `PanicString`.
            let variant: String = fault
                .split('-')
                .map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]))
                .collect();
            assert!(faults.contains(&format!("\n    {variant},\n")), "{fault}: {variant}");
            assert!(ids.insert(id), "{id} is there twice");
            kinds.insert(fault);
        }
        assert!(kinds.len() >= 3 && kinds.len() < FAILING.len(), "several causes, one of several");
    }

    #[test]
    fn the_folder_has_templates_configuration_and_the_orders_that_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let (host, workspace) = host(folder.path());
        let error = format!("{:#}", host.prepare(&workspace).unwrap_err());
        assert!(error.contains("local-business.wasm"), "it names what is not built: {error}");
        for (group, name) in [(Group::Templates, GOOD), (Group::TestGuests, FAULTY_GUEST)] {
            let components = workspace.components(group);
            fs::create_dir_all(&components).unwrap();
            fs::write(components.join(format!("{name}.wasm")), name).unwrap();
        }
        let orders = host.prepare(&workspace).unwrap();
        for (file, has) in [("local-business.wasm", GOOD), ("faulty.wasm", FAULTY_GUEST)] {
            let template = fs::read_to_string(host.folder.join("templates").join(file)).unwrap();
            assert_eq!(template, has, "{file}");
        }
        for file in ["sitewright.toml", "ai.toml"] {
            assert!(host.folder.join(file).is_file(), "{file}");
        }
        assert!(orders.len() >= 5 && orders.is_sorted(), "{orders:?}");
        for part in ["tests/orders/", "tests/orders-real/"] {
            assert!(orders.iter().any(|path| path.to_str().unwrap().contains(part)), "{part}");
        }
    }

    #[test]
    fn the_worker_ends_with_the_demo() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        assert!(process.is_dir());
        let begin = Instant::now();
        drop(Worker(child));
        assert!(!process.exists() && begin.elapsed() < Duration::from_secs(30));
    }
}
