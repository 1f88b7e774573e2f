//! Failures of each language in records: panics of Rust, tracebacks of Python, names and inlined
//! functions of C and C++.

use serde_json::{Value, json};
use sitewright_tests::languages::{c_guest, python_guest};
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest, root};

use crate::trap_matrix::line_of;

fn record(template: &std::path::Path, fault: &str, rules: &str) -> Value {
    let bench = Workbench::scripted(rules, "");
    bench.generate(template, &faulty(fault, Value::Null)).failure()
}

fn own(record: &Value) -> Vec<String> {
    let frames = record["trap"]["frames"].as_array().unwrap();
    let own = frames.iter().filter(|frame| frame["own"] == true);
    own.map(|frame| {
        format!(
            "{} {}:{}",
            frame["function"].as_str().unwrap(),
            frame["file"].as_str().unwrap_or("-"),
            frame["line"]
        )
    })
    .collect()
}

#[test]
fn a1_a_rust_panic_is_told_wherever_it_happens() {
    let rows = [
        // (fault, message, text of the line)
        (
            "panic-str",
            "a panic with a plain text",
            ("lib.rs", "panic!(\"a panic with a plain text\")"),
        ),
        (
            "panic-string",
            "a panic that names the order 102",
            ("lib.rs", "panic!(\"a panic that names"),
        ),
        ("panic-any", "a panic whose payload is no text", ("lib.rs", "panic_any(42)")),
        (
            "panic-async",
            "a panic after the reply \"a plain answer\"",
            ("misuse.rs", "panic!(\"a panic after the reply"),
        ),
        // The first panic does not finish; the second one stops the template.
        (
            "panic-twice",
            "a panic while panicking",
            ("misuse.rs", "panic!(\"a panic while panicking\")"),
        ),
    ];
    for (fault, message, (file, marker)) in rows {
        let record = record(&guest("guest-faulty"), fault, ANY_ANSWER);
        assert_eq!(record["kind"], "panic", "{fault}: {record:#}");
        assert_eq!(record["panic"], message, "{fault}");
        assert_eq!(record["message"], format!("the template panicked: {message}"), "{fault}");
        let file = format!("tests/guests/faulty/src/{file}");
        let line = line_of(&file, marker);
        assert_eq!(
            (&record["location"]["file"], &record["location"]["line"]),
            (&json!(file), &line),
            "{fault}"
        );
        assert!(
            own(&record)[0].ends_with(&format!("{file}:{line}")),
            "{fault}: {:#?}",
            own(&record)
        );
    }
}

/// An exception and its expected record.
struct Raised {
    fault: &'static str,
    message: &'static str,
    causes: &'static [&'static str],
    /// Functions of the frames in the author's code, innermost first.
    own: &'static [&'static str],
}

#[test]
fn a2_a_python_exception_is_told_with_its_frames_and_its_chain() {
    let Some(template) =
        python_guest("a2_a_python_exception_is_told_with_its_frames_and_its_chain")
    else {
        return;
    };
    let rows = [
        Raised {
            fault: "exception",
            message: "KeyError: 'bread'",
            causes: &[],
            own: &["price_of", "fail", "generate"],
        },
        Raised {
            fault: "own-exception",
            message: "app.NoBread: there is no bread\nand no butter",
            causes: &[],
            own: &["fail", "generate"],
        },
        Raised {
            fault: "no-message",
            message: "app.NoBread",
            causes: &[],
            own: &["fail", "generate"],
        },
        Raised {
            fault: "cause",
            message: "RuntimeError: the price of the day cannot be read: four",
            causes: &["ValueError: invalid literal for int() with base 10: 'four'"],
            own: &["read_prices", "fail", "generate"],
        },
        Raised {
            fault: "during",
            message: "KeyError: 'no price'",
            causes: &["while handling ValueError: invalid literal for int() with base 10: 'four'"],
            own: &["read_again", "fail", "generate"],
        },
        Raised {
            fault: "group",
            message: "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
            causes: &["app.NoBread: no bread in a task"],
            own: &["inside_a_task", "fail", "generate"],
        },
        Raised {
            fault: "gather",
            message: "app.NoBread: no bread in a task",
            causes: &[],
            own: &["inside_a_task", "fail", "generate"],
        },
        // Nobody awaits the task.
        Raised {
            fault: "task",
            message: "app.NoBread: no bread in a task",
            causes: &[],
            own: &["inside_a_task", "generate"],
        },
        // An exception that was caught and printed before is not a cause.
        Raised {
            fault: "caught",
            message: "app.NoBread: after one that was caught",
            causes: &[],
            own: &["fail", "generate"],
        },
    ];
    // The same record before and after an `await` that gives up control.
    for (row, after) in rows.iter().flat_map(|row| [(row, "nothing"), (row, "await")]) {
        let fault = row.fault;
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let order = faulty(fault, json!({ "after": after }));
        let record = bench.generate(&template, &order).failure();
        assert_eq!(record["kind"], "panic", "{fault}: {record:#}");
        assert_eq!(record["panic"], row.message, "{fault}");
        assert_eq!(record["message"], format!("the template raised {}", row.message), "{fault}");
        assert_eq!(record["causes"], json!(row.causes), "{fault}");
        let own = own(&record);
        let functions: Vec<&str> =
            own.iter().map(|frame| frame.split(' ').next().unwrap()).collect();
        assert_eq!(functions, row.own, "{fault}: {own:#?}");
        let (_, place) = own[0].split_once(' ').unwrap();
        let location = &record["location"];
        assert_eq!(
            place,
            format!("{}:{}", location["file"].as_str().unwrap(), location["line"]),
            "{fault}"
        );
        assert_eq!(
            record["trap"].get("symbols_missing"),
            None,
            "{fault}: the author's frames have everything"
        );
        let frames = record["trap"]["frames"].as_array().unwrap();
        assert!(
            frames.iter().any(|frame| frame["offset"].is_u64() && frame["own"] == false),
            "{fault}: the interpreter's frames stand below"
        );
    }
}

/// What a template in Python does not have is said, before and after an `await`; what is imported
/// late by the usual library is there.
#[test]
fn a_python_mistake_is_told_with_what_to_do() {
    let Some(template) = python_guest("a_python_mistake_is_told_with_what_to_do") else { return };
    // (fault, kind, part of the message, part of the hint)
    let rows = [
        (
            "absent-module",
            "panic",
            "ModuleNotFoundError: No module named 'numpy'",
            "Import it at the top of a module",
        ),
        ("no-file", "panic", "FileNotFoundError: ", "read its files at the top of a module"),
        ("sleep", "panic", "NotImplementedError: templates have no timers", "bug in the template"),
        ("f-string", "panic", "TypeError: html() needs a t-string", "bug in the template"),
        ("sdk-failure", "panic", "sitewright.failure.Failure: the path `../x`", "bug in the"),
        ("bad-call", "panic", "OverflowError: ", "bug in the template"),
    ];
    for (row, after) in rows.iter().flat_map(|row| [(row, "nothing"), (row, "await")]) {
        let (fault, kind, message, hint) = row;
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let order = faulty(fault, json!({ "after": after }));
        let record = bench.generate(&template, &order).failure();
        assert_eq!(record["kind"], *kind, "{fault} {after}: {record:#}");
        for (key, part) in [("message", message), ("hint", hint)] {
            let text = record[key].as_str().unwrap();
            assert!(text.contains(part), "{fault} {after}: {part:?} is missing in {text}");
        }
        // No frame of the SDK or of the library is the author's own.
        let own = own(&record);
        assert!(own.iter().all(|frame| frame.contains(" app.py:")), "{fault} {after}: {own:#?}");
    }
    for after in ["nothing", "await"] {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let record =
            bench.generate(&template, &faulty("exit", json!({ "after": after }))).failure();
        assert_eq!(record["trap"]["code"], "exit", "{after}: {record:#}");
        let said = record["causes"][0].as_str().unwrap();
        let called = "it printed: `sys.exit('enough')` was called at app.py:";
        assert!(said.starts_with(called), "{after}: {said}");
    }
    for after in ["nothing", "await"] {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let done = bench.generate(&template, &faulty("late-import", json!({ "after": after })));
        assert_eq!(done.code, 0, "{after}: {}", done.stdout);
    }
    // The author's line is found in the interpreter's memory: nothing is said to be missing, least of
    // all a flag of Rust.
    let bench = Workbench::scripted(ANY_ANSWER, "[limits]\ncpu_ms = 1500");
    let record = bench.generate(&template, &faulty("spin", Value::Null)).failure();
    assert!(record["trap"]["symbols_missing"].is_null(), "{record:#}");
    let own = own(&record);
    assert!(own.iter().any(|frame| frame.contains(" app.py:")), "{own:#?}");
}

#[test]
fn the_authors_lines_are_shown_for_python_too() {
    let Some(template) = python_guest("the_authors_lines_are_shown_for_python_too") else { return };
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = bench.write("order.json", faulty("exception", Value::Null).to_string());
    let source = root().join("tests/languages/python");
    let done = bench.run(&[
        "generate",
        "--template",
        &template.to_string_lossy(),
        "--order",
        &order.to_string_lossy(),
        "--source",
        &source.to_string_lossy(),
    ]);
    let shown = done.stdout.lines().find(|line| line.contains('>')).unwrap_or_default();
    assert!(shown.ends_with("5      return menu[dish]"), "{}", done.stdout);
}

#[test]
fn an_inlined_function_is_shown_as_such() {
    let Some(template) = c_guest("an_inlined_function_is_shown_as_such") else { return };
    let record = record(&template, "inlined", ANY_ANSWER);
    let frames = record["trap"]["frames"].as_array().unwrap();
    let rows: Vec<_> = frames
        .iter()
        .map(|frame| {
            (frame["function"].as_str().unwrap(), frame["inlined"] == true, frame["line"].clone())
        })
        .collect();
    let line = |marker| line_of("tests/languages/c/template.c", marker);
    assert_eq!(rows[0], ("portion", true, line("// inlined")));
    assert_eq!(rows[1], ("serve", false, line("// caller")));
    assert_eq!(frames[0]["offset"], frames[1]["offset"], "one place, two functions");
    // The compiler embeds the source in the component.
    let source = &record["source"];
    assert_eq!((&source["file"], &source["line"]), (&json!("template.c"), &line("// inlined")));
    let lines = source["lines"].as_array().unwrap();
    assert!(
        lines.iter().any(|line| line.as_str().unwrap().contains("100 / (plates + zero)")),
        "{source}"
    );
}

#[test]
fn names_of_cpp_are_demangled_and_paths_begin_at_the_source() {
    let Some(template) = c_guest("names_of_cpp_are_demangled_and_paths_begin_at_the_source") else {
        return;
    };
    let record = record(&template, "cpp", ANY_ANSWER);
    let line = |file: &str, marker| line_of(&format!("tests/languages/c/{file}"), marker);
    assert_eq!(
        own(&record)[..2],
        [
            format!(
                "kitchen::Oven::bake(int, bool) const kitchen.cpp:{}",
                line("kitchen.cpp", "// division in C++")
            ),
            format!("bake_in_cpp kitchen.cpp:{}", line("kitchen.cpp", "return oven.bake")),
        ]
    );
}

/// The part of a report between its message and its calls.
fn shown(template: &std::path::Path, fault: &str, source: Option<&str>) -> String {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = bench.write("order.json", faulty(fault, Value::Null).to_string());
    let (template, order) = (template.to_string_lossy(), order.to_string_lossy());
    let mut arguments = vec!["generate", "--template", &template, "--order", &order];
    let source = source.map(|source| root().join(source).display().to_string());
    arguments.extend(source.iter().flat_map(|source| ["--source", source]));
    let report = bench.run(&arguments).stdout;
    let begin = report.find("  Where it stopped").unwrap_or_else(|| panic!("{report}"));
    let end = report.find("\n  What led to it").unwrap_or(report.len());
    // The line numbers of the faulty guest change, so they are masked.
    let lines = report[begin..end].lines();
    lines
        .map(|line| match line.split_once("src/lib.rs:") {
            Some((before, _)) => format!("{before}src/lib.rs:<line>\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn a_report_shows_the_lines_where_it_stopped() {
    let rust = shown(&guest("guest-faulty"), "oob", Some("tests/guests/faulty"));
    insta::assert_snapshot!("report_of_rust", rust);
    if let Some(template) = c_guest("a_report_shows_the_lines_where_it_stopped") {
        insta::assert_snapshot!("report_of_c", shown(&template, "inlined", None));
    }
    if let Some(template) = python_guest("a_report_shows_the_lines_where_it_stopped") {
        insta::assert_snapshot!(
            "report_of_python",
            shown(&template, "cause", Some("tests/languages/python"))
        );
    }
}
