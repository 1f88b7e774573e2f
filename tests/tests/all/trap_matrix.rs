//! Records of every way a guest can stop, in every language, with all, some and none of its debug
//! information.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sitewright_tests::languages::{c_guest, python_guest};
use sitewright_tests::strip::{Strip, stripped};
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest, root};

/// The note of a record whose frames have only names.
pub(crate) const NAMES_ONLY: &str = "the template carries names and no debug information: frames \
                                     have no files and lines. Build it with `debug = \
                                     \"line-tables-only\"` (Rust) or `-g` (C), or put the \
                                     unstripped build beside it as `<name>.debug.wasm`";
/// The note of a record whose frames have no names.
pub(crate) const STRIPPED: &str = "the template carries neither names nor debug information: \
                                   functions are numbers, without files and lines. Build it \
                                   without stripping (`strip = \"none\"`) with `debug = \
                                   \"line-tables-only\"` (Rust) or `-g` (C), or put the \
                                   unstripped build beside it as `<name>.debug.wasm`";

/// The remaining part of a template's debug information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Dwarf,
    NamesOnly,
    Stripped,
}

const ALL: [Left; 3] = [Left::Dwarf, Left::NamesOnly, Left::Stripped];

/// A way to stop a guest, and the expected record.
struct Row {
    fault: &'static str,
    configuration: &'static str,
    rules: &'static str,
    kind: &'static str,
    /// The trap's code; `None` without a trap.
    code: Option<&'static str>,
    /// A part of the message.
    message: &'static str,
    /// The first frame in the template's own code: a part of its name with debug information, and
    /// without; its file; text of its line.
    own: Option<(&'static str, &'static str, &'static str, &'static str)>,
}

const ROW: Row = Row {
    fault: "",
    configuration: "",
    rules: ANY_ANSWER,
    kind: "trap",
    code: None,
    message: "",
    own: None,
};

const CPU: &str = "[limits]\ncpu_ms = 100";
const DEADLINE: &str = "[limits]\ndeadline_ms = 1500";
const MEMORY: &str = "[limits]\nmemory_bytes = 67108864";

struct Language {
    template: PathBuf,
    sources: &'static str,
    left: &'static [Left],
    rows: Vec<Row>,
}

impl Language {
    fn check(&self) {
        let wasm = std::fs::read(&self.template).unwrap();
        let name = self.template.file_name().unwrap();
        for left in self.left {
            let folder = tempfile::tempdir().unwrap();
            let template = folder.path().join(name);
            std::fs::write(
                &template,
                match left {
                    Left::Dwarf => wasm.clone(),
                    Left::NamesOnly => stripped(&wasm, Strip::Debug),
                    Left::Stripped => stripped(&wasm, Strip::All),
                },
            )
            .unwrap();
            for row in &self.rows {
                self.check_row(row, *left, &template);
            }
        }
    }

    fn check_row(&self, row: &Row, left: Left, template: &Path) {
        let what = format!("{} {left:?}", row.fault);
        let bench = Workbench::scripted(row.rules, row.configuration);
        let record = bench.generate(template, &faulty(row.fault, Value::Null)).failure();
        assert_eq!(record["kind"], row.kind, "{what}: {record:#}");
        let message = record["message"].as_str().unwrap();
        assert!(message.contains(row.message), "{what}: {message}");
        let trap = &record["trap"];
        assert_eq!(trap["code"].as_str(), row.code, "{what}: {record:#}");
        let Some((function, bare, file, marker)) = row.own else { return };
        let frames = trap["frames"].as_array().unwrap();
        let own: Vec<&Value> = frames.iter().filter(|frame| frame["own"] == true).collect();
        let python = self.sources.ends_with("python");
        match left {
            _ if python => {}
            Left::Dwarf => assert_eq!(trap["symbols_missing"], Value::Null, "{what}"),
            Left::NamesOnly => assert_eq!(trap["symbols_missing"], NAMES_ONLY, "{what}"),
            Left::Stripped => assert_eq!(trap["symbols_missing"], STRIPPED, "{what}"),
        }
        match left {
            _ if python || left == Left::Dwarf => {
                let first = own.iter().find(|frame| frame["line"].is_u64());
                let first = first.unwrap_or_else(|| panic!("{what}: no own frame: {frames:#?}"));
                let source = format!("{}/{file}", self.sources);
                assert!(first["function"].as_str().unwrap().contains(function), "{what}: {first}");
                assert!(source.ends_with(first["file"].as_str().unwrap()), "{what}: {first}");
                assert_eq!(first["line"], line_of(&source, marker), "{what}: {first}");
            }
            Left::Stripped => {
                assert_eq!(own, Vec::<&Value>::new(), "{what}: a number is nobody's own");
                let numbered =
                    |frame: &Value| frame["function"].as_str().unwrap().starts_with("function ");
                assert!(frames.iter().all(numbered), "{what}: {frames:#?}");
            }
            _ => {
                let first =
                    own.first().unwrap_or_else(|| panic!("{what}: no own frame: {frames:#?}"));
                assert!(first["function"].as_str().unwrap().contains(bare), "{what}: {first}");
                assert!(
                    frames.iter().all(|frame| frame.get("file").is_none()),
                    "{what}: {frames:#?}"
                );
            }
        }
    }
}

/// Line number of `marker`. Panics unless exactly one line contains it.
pub(crate) fn line_of(file: &str, marker: &str) -> Value {
    let source = std::fs::read_to_string(root().join(file)).unwrap();
    let mut lines = source.lines().zip(1_u64..).filter(|(line, _)| line.contains(marker));
    let (_, line) = lines.next().unwrap_or_else(|| panic!("{marker:?} is not in {file}"));
    assert!(lines.next().is_none(), "{marker:?} is in {file} more than once");
    json!(line)
}

#[test]
fn a5_the_matrix_of_traps_in_rust() {
    let trap =
        |fault, code, message, own| Row { fault, code: Some(code), message, own: Some(own), ..ROW };
    let closure = "Template>::generate::{{closure}}";
    let rows = vec![
        Row {
            kind: "panic",
            ..trap(
                "panic-str",
                "unreachable",
                "a panic with a plain text",
                (closure, closure, "lib.rs", "panic!(\"a panic with a plain text\")"),
            )
        },
        trap(
            "unreachable",
            "unreachable",
            "`unreachable` instruction",
            (
                "traps::unreachable",
                "traps::unreachable",
                "traps.rs",
                "core::arch::wasm32::unreachable()",
            ),
        ),
        trap(
            "oob",
            "out_of_bounds",
            "out of bounds memory access",
            (
                "traps::read_out_of_bounds",
                "traps::read_out_of_bounds",
                "traps.rs",
                "address.read_volatile()",
            ),
        ),
        trap(
            "stack-overflow",
            "stack_overflow",
            "call stack exhausted",
            ("traps::deeper", "traps::deeper", "traps.rs", "deeper(depth + 1)"),
        ),
        trap(
            "divide-by-zero",
            "divide_by_zero",
            "integer divide by zero",
            ("traps::divide_by_zero", "traps::divide_by_zero", "traps.rs", "/ divisor"),
        ),
        trap(
            "integer-overflow",
            "integer_overflow",
            "integer overflow",
            ("misuse::overflow", "misuse::overflow", "misuse.rs", "least / minus_one"),
        ),
        trap(
            "bad-indirect-call",
            "bad_indirect_call",
            "indirect call type mismatch",
            ("misuse::call_wrongly", "misuse::call_wrongly", "misuse.rs", "black_box(wrong)()"),
        ),
        Row {
            kind: "memory_limit",
            configuration: MEMORY,
            ..trap(
                "memory-bomb",
                "memory",
                "67108864 are allowed",
                ("traps::use_memory", "traps::use_memory", "traps.rs", "hoard.push"),
            )
        },
        Row {
            kind: "cpu_limit",
            configuration: CPU,
            // It stops on either of the loop's two lines.
            ..Row { own: None, ..trap("spin", "cpu", "100 ms are allowed", ("", "", "", "")) }
        },
        Row {
            kind: "deadline",
            configuration: DEADLINE,
            fault: "spin",
            message: "deadline of 1500 ms; its last stage was `fault`",
            ..ROW
        },
        trap(
            "host-call",
            "host_call",
            "invalid utf-8",
            (
                "misuse::call_badly",
                "misuse::call_badly",
                "misuse.rs",
                "String::from_utf8_unchecked",
            ),
        ),
    ];
    Language {
        template: guest("guest-faulty"),
        sources: "tests/guests/faulty/src",
        left: &ALL,
        rows,
    }
    .check();
}

#[test]
fn a5_the_matrix_of_traps_in_c() {
    let Some(template) = c_guest("a5_the_matrix_of_traps_in_c") else { return };
    let trap = |fault, code, message, function, marker| Row {
        fault,
        code: Some(code),
        message,
        own: Some((function, function, "template.c", marker)),
        ..ROW
    };
    let rows = vec![
        trap("unreachable", "unreachable", "`unreachable` instruction", "trap", "// unreachable"),
        trap(
            "oob",
            "out_of_bounds",
            "out of bounds memory access",
            "read_out_of_bounds",
            "// out of bounds",
        ),
        trap("stack-overflow", "stack_overflow", "call stack exhausted", "deeper", "// recursion"),
        trap(
            "divide-by-zero",
            "divide_by_zero",
            "integer divide by zero",
            "divide_by_zero",
            "// division by zero",
        ),
        trap("integer-overflow", "integer_overflow", "integer overflow", "overflow", "// overflow"),
        trap(
            "bad-call",
            "bad_indirect_call",
            "indirect call type mismatch",
            "call_wrongly",
            "// bad call",
        ),
        Row {
            kind: "memory_limit",
            configuration: MEMORY,
            ..trap("memory-bomb", "memory", "67108864 are allowed", "hoard", "// out of memory")
        },
        Row {
            kind: "cpu_limit",
            configuration: CPU,
            ..Row { own: None, ..trap("spin", "cpu", "100 ms are allowed", "", "") }
        },
        Row {
            kind: "deadline",
            configuration: DEADLINE,
            fault: "spin",
            message: "deadline of 1500 ms",
            ..ROW
        },
        trap("host-call", "host_call", "invalid utf-8", "call_badly", "// no UTF-8"),
        Row {
            own: Some((
                "kitchen::Oven::bake(int, bool) const",
                "kitchen::Oven::bake",
                "kitchen.cpp",
                "// division in C++",
            )),
            ..trap("cpp", "divide_by_zero", "integer divide by zero", "", "")
        },
        Row {
            own: Some(("portion", "serve", "template.c", "// inlined")),
            ..trap("inlined", "divide_by_zero", "integer divide by zero", "", "")
        },
    ];
    Language { template, sources: "tests/languages/c", left: &ALL, rows }.check();
}

/// Frames of the interpreter are not the author's: the traceback counts, and stripping keeps it.
#[test]
fn a5_the_matrix_of_failures_in_python() {
    let Some(template) = python_guest("a5_the_matrix_of_failures_in_python") else { return };
    let raised = |fault, message, function, file, marker| Row {
        fault,
        message,
        kind: "panic",
        code: Some("unreachable"),
        own: Some((function, function, file, marker)),
        ..ROW
    };
    let rows = vec![
        raised(
            "exception",
            "the template raised KeyError: 'bread'",
            "price_of",
            "menu.py",
            "return menu[dish]",
        ),
        raised(
            "stack-overflow",
            "the template raised RecursionError: maximum recursion depth exceeded",
            "recurse",
            "app.py",
            "return recurse(depth + 1) + 1",
        ),
        raised(
            "divide-by-zero",
            "the template raised ZeroDivisionError: division by zero",
            "fail",
            "app.py",
            "1 // len([])",
        ),
        raised(
            "overflow",
            "the template raised OverflowError: int too large to convert to float",
            "fail",
            "app.py",
            "float(10**400)",
        ),
        Row {
            fault: "abort",
            code: Some("unreachable"),
            message: "the template was stopped",
            ..ROW
        },
        Row { fault: "exit", code: Some("exit"), message: "the template ended its program", ..ROW },
        Row {
            fault: "memory-bomb",
            kind: "memory_limit",
            configuration: MEMORY,
            code: Some("memory"),
            message: "67108864 are allowed",
            own: Some(("hoard", "hoard", "app.py", "blocks.append(")),
            ..ROW
        },
        Row {
            fault: "spin",
            kind: "cpu_limit",
            // Enough to reach the loop.
            configuration: "[limits]\ncpu_ms = 1000",
            code: Some("cpu"),
            message: "1000 ms are allowed",
            own: Some(("spin", "spin", "app.py", "while True: pass")),
            ..ROW
        },
        Row {
            fault: "spin",
            kind: "deadline",
            configuration: DEADLINE,
            message: "deadline of 1500 ms",
            ..ROW
        },
        Row { fault: "error", kind: "template_error", message: "no site was made", ..ROW },
        Row {
            fault: "bad-call",
            kind: "panic",
            code: Some("unreachable"),
            message: "OverflowError",
            ..ROW
        },
    ];
    Language {
        template,
        sources: "tests/languages/python",
        left: &[Left::NamesOnly, Left::Stripped],
        rows,
    }
    .check();
}
