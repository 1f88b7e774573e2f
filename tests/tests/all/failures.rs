//! Every kind of failed attempt leaves exactly one complete and correct record.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_model::failure::FailureRecord;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, binary, faulty, guest, root};

/// Id of [`faulty`] orders.
const ORDER: &str = "102";

/// The names of all limits in records.
const LIMITS: [&str; 13] = [
    "ai_calls",
    "check_ms",
    "cpu_ms",
    "deadline_ms",
    "diagnostics",
    "file_bytes",
    "files",
    "log_bytes",
    "memory_bytes",
    "order_bytes",
    "path_bytes",
    "stderr_bytes",
    "total_bytes",
];

/// The version that the binary prints.
static HOST_BUILD: LazyLock<String> = LazyLock::new(|| {
    let output = std::process::Command::new(binary()).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().strip_prefix("sitewright ").unwrap().to_owned()
});

/// Line number of `marker` in the source of the faulty template. Panics unless exactly one line
/// contains it.
fn line_of(file: &str, marker: &str) -> u64 {
    let source = std::fs::read_to_string(root().join(file)).unwrap();
    let mut lines =
        source.lines().zip(1..).filter(|(line, _)| line.contains(marker)).map(|(_, number)| number);
    let line = lines.next().unwrap_or_else(|| panic!("{marker:?} is not in {file}"));
    assert_eq!(lines.next(), None, "{marker:?} is in {file} more than once");
    line
}

/// The record of the only attempt in a workbench. Asserts what holds for all records: it is
/// complete, it has a message, it is stored once and as printed, and no other file of the attempt
/// is left.
#[track_caller]
pub(crate) fn only_record(bench: &Workbench, done: &Done) -> Value {
    let report = done.json();
    let record = done.failure();
    assert_eq!(report["outcome"], "failed");
    assert_eq!((&report["release"], &report["files"]), (&Value::Null, &json!([])));

    for field in [
        "id",
        "time",
        "attempt",
        "trace_id",
        "host_build",
        "config_version",
        "kind",
        "message",
        "hint",
        "stage",
    ] {
        let text =
            record[field].as_str().unwrap_or_else(|| panic!("`{field}` is missing: {record:#}"));
        assert!(!text.trim().is_empty(), "a1: `{field}` is empty");
    }
    assert_eq!(record["host_build"], *HOST_BUILD, "g1");
    let kind = record["kind"].as_str().unwrap();
    let limits: Vec<&String> = record["limits"].as_object().unwrap().keys().collect();
    assert_eq!(limits, LIMITS);
    if !matches!(kind, "invalid_order" | "template_load") {
        assert_ne!(record["trail"], json!([]), "the guest ran and left no trail");
        assert_eq!(record["template"]["name"], "faulty", "g1");
        let digest =
            record["template"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        assert_eq!(digest.len(), 64, "g1: {digest}");
    }

    let order = bench.sites().join(record["order"].as_str().unwrap());
    let file = order.join("failures").join(format!("{}.json", record["id"].as_str().unwrap()));
    assert_eq!(Path::new(report["failure_file"].as_str().unwrap()), file);
    let stored = sitewright_failure::store::read(&file).unwrap();
    let printed: FailureRecord = serde_json::from_value(record.clone()).unwrap();
    assert_eq!(stored, printed, "what is stored is what was printed");
    assert_eq!(serde_json::to_value(&stored).unwrap(), record, "the type knows every field");
    assert_eq!(names_in(&order.join("failures")).len(), 1, "a5: one attempt, one record");

    assert!(
        order.join("current").symlink_metadata().is_err(),
        "a failed attempt makes nothing visible"
    );
    let public = bench.sites().join("public").join(record["order"].as_str().unwrap());
    for folder in [order.join("staging"), public.join("releases")] {
        assert_eq!(names_in(&folder), [""; 0], "{} is not empty", folder.display());
    }
    record
}

/// Sorted names of a folder's entries; empty if the folder does not exist.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A fault and the expected content of its record. Fields with their default are not checked.
struct Row {
    fault: &'static str,
    parameters: Value,
    configuration: &'static str,
    rules: &'static str,
    exit: i32,
    kind: &'static str,
    message: &'static str,
    causes: &'static [&'static str],
    code: Option<&'static str>,
    trap: Option<&'static str>,
    panic: Option<&'static str>,
    /// The first frame in the template's own code: a part of the function, the file name, and text
    /// on the line (may be empty).
    own: Option<(&'static str, &'static str, &'static str)>,
}

impl Default for Row {
    fn default() -> Self {
        Row {
            fault: "",
            parameters: Value::Null,
            configuration: "",
            rules: ANY_ANSWER,
            exit: 4,
            kind: "",
            message: "",
            causes: &[],
            code: None,
            trap: None,
            panic: None,
            own: None,
        }
    }
}

impl Row {
    fn check(&self) {
        let name = format!("{} {} {}", self.fault, self.parameters, self.configuration);
        let bench = Workbench::scripted(self.rules, self.configuration);
        let done =
            bench.generate(&guest("guest-faulty"), &faulty(self.fault, self.parameters.clone()));
        assert_eq!(done.code, self.exit, "{name}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(record["kind"], self.kind, "{name}: {record:#}");
        let message = record["message"].as_str().unwrap();
        assert!(message.contains(self.message), "{name}: {message}");
        assert_eq!(record["stage"], "fault", "{name}: the template's own last stage");
        if !self.causes.is_empty() {
            assert_eq!(record["causes"], json!(self.causes), "{name}");
        }
        if let Some(code) = self.code {
            assert_eq!(record["code"], code, "{name}");
        }
        assert_eq!(record["trap"]["code"].as_str(), self.trap, "{name}");
        assert_eq!(record["panic"].as_str(), self.panic, "{name}");
        let Some((function, file, marker)) = self.own else { return };
        let frames = record["trap"]["frames"].as_array().unwrap();
        let own = |frame: &&Value| frame["own"] == true && frame["line"].is_u64();
        let frame =
            frames.iter().find(own).unwrap_or_else(|| panic!("{name}: no own frame: {frames:#?}"));
        let file = format!("tests/guests/faulty/src/{file}");
        assert!(frame["function"].as_str().unwrap().contains(function), "{name}: {frame}");
        assert_eq!(frame["file"], file, "{name}");
        if !marker.is_empty() {
            assert_eq!(frame["line"], line_of(&file, marker), "{name}: {frame}");
        }
        if self.panic.is_some() {
            assert_eq!(record["location"]["file"], file, "{name}");
            assert_eq!(record["location"]["line"], line_of(&file, marker), "{name}");
        }
    }
}

#[test]
fn a5_every_way_a_template_can_fail_leaves_one_whole_record() {
    let rows = [
        Row {
            fault: "error",
            kind: "template_error",
            message: "no site was made",
            causes: &[
                "the services page could not be made",
                "the middle: no menu",
                "the root: no bread",
            ],
            code: Some("missing-service"),
            ..Row::default()
        },
        Row {
            fault: "never",
            kind: "template_error",
            message: "waits for something",
            code: Some("never-ends"),
            ..Row::default()
        },
        Row {
            fault: "panic-str",
            kind: "panic",
            message: "the template panicked: a panic with a plain text",
            trap: Some("unreachable"),
            panic: Some("a panic with a plain text"),
            own: Some(("guest_faulty", "lib.rs", "panic!(\"a panic with a plain text\")")),
            ..Row::default()
        },
        Row {
            fault: "panic-string",
            kind: "panic",
            message: "order 102",
            trap: Some("unreachable"),
            panic: Some("a panic that names the order 102"),
            own: Some(("guest_faulty", "lib.rs", "panic!(\"a panic that names")),
            ..Row::default()
        },
        Row {
            fault: "panic-any",
            kind: "panic",
            message: "payload is no text",
            trap: Some("unreachable"),
            panic: Some("a panic whose payload is no text"),
            own: Some(("guest_faulty", "lib.rs", "panic_any(42)")),
            ..Row::default()
        },
        Row {
            fault: "panic-empty",
            kind: "panic",
            message: "a panic without a message",
            trap: Some("unreachable"),
            panic: Some("a panic without a message"),
            own: Some(("guest_faulty", "lib.rs", "panic_any(\"\")")),
            ..Row::default()
        },
        Row {
            fault: "panic-no-hook",
            kind: "panic",
            message: "a panic that only stderr tells of",
            trap: Some("unreachable"),
            panic: Some("a panic that only stderr tells of\nin two lines"),
            own: Some(("guest_faulty", "lib.rs", "panic!(\"a panic that only stderr")),
            ..Row::default()
        },
        Row {
            fault: "unreachable",
            kind: "trap",
            message: "unreachable",
            trap: Some("unreachable"),
            own: Some(("traps::unreachable", "traps.rs", "")),
            ..Row::default()
        },
        Row {
            fault: "oob",
            kind: "trap",
            message: "out of bounds",
            trap: Some("out_of_bounds"),
            own: Some(("traps::read_out_of_bounds", "traps.rs", "address.read_volatile()")),
            ..Row::default()
        },
        Row {
            fault: "stack-overflow",
            kind: "trap",
            message: "call stack exhausted",
            trap: Some("stack_overflow"),
            own: Some(("traps::deeper", "traps.rs", "deeper(depth + 1)")),
            ..Row::default()
        },
        Row {
            fault: "divide-by-zero",
            kind: "trap",
            message: "divide by zero",
            trap: Some("divide_by_zero"),
            own: Some(("traps::divide_by_zero", "traps.rs", "/ divisor")),
            ..Row::default()
        },
        Row {
            fault: "abort",
            kind: "trap",
            message: "unreachable",
            trap: Some("unreachable"),
            own: Some(("guest_faulty", "lib.rs", "std::process::abort()")),
            ..Row::default()
        },
        Row {
            fault: "exit",
            kind: "trap",
            message: "ended its program",
            trap: Some("exit"),
            own: Some(("guest_faulty", "lib.rs", "std::process::exit(3)")),
            ..Row::default()
        },
        Row {
            fault: "spin",
            configuration: "[limits]\ncpu_ms = 100",
            kind: "cpu_limit",
            message: "100 ms are allowed",
            trap: Some("cpu"),
            own: Some(("traps::spin", "traps.rs", "")),
            ..Row::default()
        },
        Row {
            fault: "memory-bomb",
            configuration: "[limits]\nmemory_bytes = 33554432",
            kind: "memory_limit",
            message: "33554432 are allowed",
            trap: Some("memory"),
            own: Some(("traps::use_memory", "traps.rs", "hoard.push")),
            ..Row::default()
        },
        Row {
            fault: "many-files",
            configuration: "[limits]\nfiles = 3",
            kind: "output_limit",
            message: "while writing file 3",
            causes: &["a file was not written (limit): writing `files/3.txt` would make 4 files, \
                       more than the limit `files` of 3"],
            code: Some("write-limit"),
            ..Row::default()
        },
        Row {
            fault: "ignored-refusal",
            kind: "output_limit",
            message: "more than the limit `file_bytes`",
            ..Row::default()
        },
        Row {
            fault: "calls-in-turn",
            kind: "call_limit",
            message: "while writing text 64",
            causes: &["AI call failed (budget-exceeded): the run has made its 64 AI calls; \
                       `limits.ai_calls` allows no more"],
            ..Row::default()
        },
        Row {
            fault: "ai-error",
            configuration: "[limits]\ndeadline_ms = 1500",
            rules: "[[rule]]\nanswer = { fault = { hang = true } }",
            kind: "deadline",
            message: "it was waiting for ai.complete (copywriting text",
            ..Row::default()
        },
        Row {
            fault: "sleep",
            configuration: "[limits]\ndeadline_ms = 1500",
            kind: "deadline",
            message: "its last stage was `fault`, 0 of 1",
            ..Row::default()
        },
    ];
    for row in rows {
        row.check();
    }
}

/// Each row: the provider's answer and the expected record.
#[test]
fn a3_an_ai_failure_names_kind_status_and_every_attempt() {
    let rows = [
        ("status = 401, body = \"no such key\"", "auth", Some(401), Some("no such key")),
        ("status = 429, headers = { x-request-id = \"req-7\" }", "rate_limited", Some(429), None),
        ("status = 500, body = \"<h1>oops</h1>\"", "overloaded", Some(500), Some("<h1>oops</h1>")),
        ("cut = \"half a sen\"", "truncated", Some(200), Some("half a sen")),
        ("garbage = \"<html>\"", "protocol", Some(200), Some("<html>")),
        ("empty = true", "empty", Some(200), None),
        ("refused = true", "content_filtered", Some(200), None),
        ("connection = \"refused\"", "connection", None, None),
    ];
    for (fault, kind, status, excerpt) in rows {
        let bench =
            Workbench::scripted(&format!("[[rule]]\nanswer = {{ fault = {{ {fault} }} }}"), "");
        let done = bench.generate(&guest("guest-faulty"), &faulty("ai-error", Value::Null));
        assert_eq!(done.code, 5, "{fault}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(record["kind"], "ai", "{fault}");
        let message = record["message"].as_str().unwrap();
        assert!(
            message.starts_with("while writing the headline: "),
            "{fault}: the template's own words come first: {message}"
        );
        let ai = &record["ai"];
        assert_eq!((&ai["kind"], &ai["purpose"]), (&json!(kind), &json!("copywriting")), "{fault}");
        assert!(
            message.contains("the provider `scripted`"),
            "{fault}: the message tells who failed: {message}"
        );
        let attempts = ai["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{fault}");
        let attempt = &attempts[0];
        assert_eq!(
            (&attempt["provider"], &attempt["model"]),
            (&json!("scripted"), &json!("test")),
            "{fault}"
        );
        assert_eq!(attempt["outcome"], kind, "{fault}");
        assert_eq!(attempt["status"].as_u64(), status, "{fault}");
        assert!(attempt["duration_ms"].is_u64(), "{fault}");
        if let Some(excerpt) = excerpt {
            assert!(
                attempt["body_excerpt"].as_str().unwrap().contains(excerpt),
                "{fault}: {attempt}"
            );
        }
        if fault.contains("req-7") {
            assert_eq!(attempt["request_id"], "req-7");
        }
        let last = record["trail"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["call"], &last["call_id"]),
            (&json!("ai.complete"), &ai["call_id"]),
            "{fault}"
        );
        let told = kind.replace('_', "-");
        assert!(last["outcome"]["error"].as_str().unwrap().starts_with(&told), "{fault}: {last}");
    }
}

#[test]
fn a_document_that_is_not_an_order_has_a_complete_record() {
    let padded = |bytes: usize| format!("{{{}", " ".repeat(bytes)).into_bytes();
    let rows: [(Vec<u8>, &str, &str); 6] = [
        (Vec::new(), "unknown", "the document is empty"),
        (b"{\"order\": ".to_vec(), "unknown", "is not JSON"),
        (b"\xff\xfe".to_vec(), "unknown", "is not UTF-8"),
        (b"[]".to_vec(), "unknown", "is not valid"),
        (padded(1 << 20), "unknown", "at most 1048576 are allowed"),
        (
            br#"{"order": {"id": 7}, "onboarding": {"business_name": "", "color_palette": 5}}"#
                .to_vec(),
            "7",
            "is not valid",
        ),
    ];
    for (document, order, message) in rows {
        let shown = String::from_utf8_lossy(&document[..document.len().min(80)]).into_owned();
        let bench = Workbench::scripted(ANY_ANSWER, "");
        bench.write("order.json", &document);
        let template = guest("guest-faulty");
        let done = bench.run(&[
            "--json",
            "generate",
            "--template",
            &template.to_string_lossy(),
            "--order",
            "order.json",
        ]);
        assert_eq!(done.code, 3, "{shown}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(
            (&record["kind"], &record["order"]),
            (&json!("invalid_order"), &json!(order)),
            "{shown}"
        );
        assert_eq!(record["stage"], "order");
        assert!(
            record["message"].as_str().unwrap().contains(message),
            "{shown}: {}",
            record["message"]
        );
        assert_ne!(record["problems"], json!([]), "{shown}: every problem is listed");
    }
}

/// A component that imports a function that no host offers, written as bytes.
fn with_unknown_import() -> Vec<u8> {
    let name = b"nothing-like-it";
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    // One type: a function without parameters or a result.
    wasm.extend([7, 5, 1, 0x40, 0, 1, 0]);
    let mut import = vec![1, 0, name.len() as u8];
    import.extend(name);
    import.extend([1, 0]);
    wasm.extend([10, import.len() as u8]);
    wasm.extend(import);
    wasm
}

#[test]
fn a_template_that_cannot_be_run_says_why_and_what_to_do() {
    let whole = std::fs::read(guest("guest-faulty")).unwrap();
    let summary: &[u8] = b"Fails in every way a template can.";
    let at = whole.windows(summary.len()).position(|window| window == summary).unwrap();
    let mut wordless = whole.clone();
    wordless[at..at + summary.len()].fill(b' ');

    let rows: [(&str, Vec<u8>, &str); 9] = [
        ("empty.wasm", Vec::new(), "this is an empty file"),
        ("module.wasm", b"\0asm\x01\0\0\0".to_vec(), "a core WebAssembly module"),
        ("zip.wasm", b"PK\x03\x04rest".to_vec(), "a zip archive"),
        ("text.wasm", b"(component)".to_vec(), "WebAssembly text"),
        ("page.wasm", b"<html>".to_vec(), "some other file"),
        ("half.wasm", whole[..whole.len() / 2].to_vec(), "it does not compile"),
        ("hollow.wasm", b"\0asm\x0d\0\x01\0".to_vec(), "does not fit the contract"),
        ("stranger.wasm", with_unknown_import(), "nothing-like-it"),
        ("wordless.wasm", wordless, "`summary` must be one sentence"),
    ];
    for (name, bytes, cause) in rows {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        bench.write(name, bytes);
        let done = bench.generate(Path::new(name), &faulty("ok", Value::Null));
        assert_eq!(done.code, 4, "{name}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(
            (&record["kind"], &record["stage"]),
            (&json!("template_load"), &json!("template")),
            "{name}"
        );
        assert_eq!(
            (&record["order"], &record["template"]["name"]),
            (&json!(ORDER), &json!(name)),
            "{name}"
        );
        assert!(
            record["message"].as_str().unwrap().contains(name),
            "{name}: {}",
            record["message"]
        );
        let digest = record["template"]["digest"].as_str().unwrap();
        assert!(digest.starts_with("sha256:"), "g1: {name}: {digest:?}");
        let causes = record["causes"].to_string();
        assert!(causes.contains(cause), "{name}: {causes}");
    }
}

#[test]
fn a_host_that_cannot_store_says_so_and_keeps_its_record() {
    // A file is at the path of a folder that the first file too large for the staging buffer needs,
    // and the finished release.
    let large = faulty("big-file", json!({ "n": 300_000 }));
    let small = faulty("ok", Value::Null);
    for (in_the_way, order_document, stage) in
        [("102/staging", large, "fault"), ("public/102/releases", small, "release")]
    {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let file = bench.sites().join(in_the_way);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "in the way").unwrap();
        let done = bench.generate(&guest("guest-faulty"), &order_document);
        assert_eq!(done.code, 1, "{in_the_way}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(
            (&record["kind"], &record["stage"]),
            (&json!("host"), &json!(stage)),
            "{in_the_way}"
        );
        let text = format!("{} {}", record["message"], record["causes"]);
        assert!(text.contains(in_the_way), "{in_the_way}: {text}");
    }
}

#[test]
fn a5_a_record_that_cannot_be_stored_is_still_printed() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    std::fs::create_dir_all(bench.sites()).unwrap();
    std::fs::write(bench.sites().join(ORDER), "in the way").unwrap();
    let done = bench.generate(&guest("guest-faulty"), &faulty("ok", Value::Null));
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert_eq!(done.failure()["kind"], "host");
    assert_eq!(done.json()["failure_file"], Value::Null);
    assert!(done.stderr.contains("the failure record could not be stored"), "{}", done.stderr);
}

/// A running `sitewright generate`, with the lines of its stderr.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(bench: &Workbench, template: &Path, order: &Value) -> Self {
        bench.write("order.json", order.to_string());
        let mut child = bench
            .command(&[
                "--json",
                "--log",
                "sitewright=info",
                "generate",
                "--template",
                &template.to_string_lossy(),
                "--order",
                "order.json",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stderr }
    }

    fn interrupt(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    }

    /// Waits until a line of stderr contains this text.
    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(
                self.stderr.read_line(&mut line).unwrap(),
                0,
                "it ended without saying {text:?}"
            );
        }
    }

    /// Waits for the exit. Kills the process after a timeout, so that the test fails instead of
    /// hanging.
    fn done(mut self) -> Done {
        let id = rustix::process::Pid::from_child(&self.child);
        let (ended, watch) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let still_running = watch.recv_timeout(Duration::from_secs(30)).is_err();
            if still_running {
                rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
            }
            still_running
        });
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        // The child is not reaped yet, so its process id cannot be reused.
        ended.send(()).ok();
        assert!(!watchdog.join().unwrap(), "it did not end: {stdout}{stderr}");
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Done { code, stdout, stderr }
    }
}

#[test]
fn a6_an_interrupt_in_the_middle_of_a_call_leaves_a_record() {
    // A provider that accepts the request and never answers: with the connection, the call is in
    // flight.
    let provider = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let bench = Workbench::configured(&format!(
        "[ai.providers.silent]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\n\
         [ai.routes.default]\ntry = [{{ provider = \"silent\", model = \"m\" }}]\n",
        provider.local_addr().unwrap()
    ));
    let running = Running::start(&bench, &guest("guest-faulty"), &faulty("ai-error", Value::Null));
    let (mut connection, _) = provider.accept().unwrap();
    connection.read_exact(&mut [0; 4]).unwrap();
    running.interrupt();
    let done = running.done();
    assert_eq!(done.code, 7, "{}", done.stdout);
    let record = only_record(&bench, &done);
    assert_eq!((&record["kind"], &record["stage"]), (&json!("cancelled"), &json!("fault")));
    assert!(
        record["message"].as_str().unwrap().contains("its last stage was `fault`"),
        "{}",
        record["message"]
    );
    let last = record["trail"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["call"], &last["outcome"]), (&json!("ai.complete"), &json!("in_flight")));
}

#[test]
fn a_pipe_in_place_of_a_template_is_refused_and_not_waited_for() {
    // Nobody writes to it, so reading it would never end.
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let pipe: PathBuf = bench.path().join("endless.wasm");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let done = bench.generate(&pipe, &faulty("ok", Value::Null));
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stderr.contains("only regular files are read"), "{}", done.stderr);
}

#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    // The report is larger than the pipe's buffer and the test does not read it, so only the second
    // interrupt ends the process.
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = faulty("stderr-flood", json!({ "then_fail": true }));
    let mut running = Running::start(&bench, &guest("guest-faulty"), &order);
    running.wait_for("kind=\"template_error\"");
    running.interrupt();
    running.wait_for("a second Ctrl-C ends the process at once");
    assert!(running.child.try_wait().unwrap().is_none(), "one interrupt does not kill");
    running.interrupt();
    let done = running.done();
    assert_eq!(done.code, 7, "{}", done.stderr);
    assert!(
        serde_json::from_str::<Value>(&done.stdout).is_err(),
        "the report was cut: it was not waited for"
    );
}

/// What to do is said by situation: nobody checks a route because of a script or of the template.
#[test]
fn a_hint_is_that_of_the_situation() {
    let other = "[[rule]]\ncontains = [\"nothing like it\"]\nanswer = { text = \"x\" }\n";
    let refused = "[[rule]]\nanswer = { fault = { status = 401 } }\n";
    let no_copy = "[[rule]]\nanswer = { text = \"As an AI language model, I cannot write it.\" }\n";
    // (rules, parameters, parts of the hint)
    let rows = [
        (other, json!({}), &["scripted replies do not fit", "`copywriting`", "ai.toml"][..]),
        (ANY_ANSWER, json!({ "format": "json" }), &["scripted replies do not fit"]),
        (
            ANY_ANSWER,
            json!({ "purpose": "undeclared" }),
            &["bug in the template", "no model was asked", "`undeclared`"],
        ),
        (refused, json!({}), &["sitewright doctor"]),
        (no_copy, json!({}), &["The scripted reply for `copywriting`", "ai.toml"]),
    ];
    for (rules, parameters, parts) in rows {
        let bench = Workbench::scripted(rules, "[ai.retry]\nattempts = 1");
        let record =
            bench.generate(&guest("guest-faulty"), &faulty("ai-echo", parameters)).failure();
        let hint = record["hint"].as_str().unwrap();
        for part in parts {
            assert!(hint.contains(part), "{part:?} is missing in {hint}: {record:#}");
        }
    }
}

/// Log and output of a run that succeeds.
#[test]
fn what_a_template_printed_is_shown_for_a_site_too() {
    for (fault, shown) in [("log-flood", "\n  log\n"), ("stderr-flood", "\n  stderr\n")] {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let file = bench.write("order.json", faulty(fault, json!({ "n": 3 })).to_string());
        let template = guest("guest-faulty");
        let (template, file) = (template.to_string_lossy(), file.to_string_lossy());
        let arguments = ["generate", "--template", &template, "--order", &file];
        let done = bench.run(&arguments);
        assert_eq!(done.code, 0, "{fault}: {}", done.stdout);
        assert!(done.stdout.contains(shown), "{fault}: {}", done.stdout);
        let release = bench.run(&[&["--json"][..], &arguments].concat()).json()["release"].clone();
        assert!(release["printed"].to_string().len() > 3_000, "{release:#}");
    }
}
