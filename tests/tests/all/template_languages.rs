//! The templates in Python and JavaScript: the parts they share with Rust, and their failures. The
//! examples in C and Go.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::languages::{
    c_example, go_example, javascript_guest, native_python, plugin, python_guide, python_tools,
};
use sitewright_tests::standins::skipped;
use sitewright_tests::{
    ANY_ANSWER, Done, IMPRINT, Workbench, binary, faulty, forget_settings, guest, order, root,
    template,
};

const NAMES: [&str; 2] = ["landing-py", "landing-js"];

/// The rules of a template's demo, preceded by other rules.
fn rules(name: &str, before: &str) -> String {
    let demo = fs::read_to_string(root().join("plugins").join(name).join("demo/ai.toml")).unwrap();
    format!("{before}\n{demo}")
}

/// The schema of orders from a template in Rust.
fn schema() -> Value {
    let bench = Workbench::scripted("", "");
    bench
        .run(&["template", "inspect", "--schema", &template("local-business").to_string_lossy()])
        .json()
}

/// `SITEWRIGHT_UPDATE_SCHEMAS=1` rewrites the files.
#[test]
fn every_language_has_the_schema_of_orders() {
    let schema = schema();
    for file in ["guest-sdk/python/sitewright/order.schema.json", "guest-sdk/js/order.schema.json"]
    {
        let path = root().join(file);
        if std::env::var_os("SITEWRIGHT_UPDATE_SCHEMAS").is_some() {
            fs::write(&path, format!("{schema:#}\n")).unwrap();
        }
        let known: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            known, schema,
            "{file} is not the schema of orders; set SITEWRIGHT_UPDATE_SCHEMAS=1 and run this \
             again"
        );
    }
}

#[test]
fn the_order_in_python_has_every_field_of_the_schema() {
    let schema = schema();
    let text = fs::read_to_string(root().join("guest-sdk/python/sitewright/order.py")).unwrap();
    for field in schema["properties"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("\n    {field}: ")), "{field} is missing");
    }
}

/// The types of the order for TypeScript: each field is there, and optional if the schema says so.
#[test]
fn the_order_in_typescript_has_every_field_of_the_schema() {
    let schema = schema();
    let text = fs::read_to_string(root().join("guest-sdk/js/order.d.ts")).unwrap();
    let types = schema["$defs"].as_object().unwrap().iter();
    for (name, of_type) in types.chain([(&"Order".to_owned(), &schema)]) {
        let Some(fields) = of_type["properties"].as_object() else {
            assert!(text.contains(&format!("export type {name} =")), "{name} is missing");
            continue;
        };
        let (_, body) = text
            .split_once(&format!("export interface {name} {{\n"))
            .unwrap_or_else(|| panic!("{name} is missing"));
        let (body, _) = body.split_once("\n}\n").unwrap();
        let required = of_type["required"].as_array();
        for field in fields.keys() {
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == field));
            let mark = if is_required { ":" } else { "?:" };
            assert!(format!("\n{body}").contains(&format!("\n  {field}{mark} ")), "{name}.{field}");
        }
    }
}

/// Each row: AI rules, and the expected kind, message and blamed call of the record.
#[test]
fn a_call_that_fails_or_says_nothing_ends_in_a_typed_failure_that_blames_it() {
    const TEST: &str = "a_call_that_fails_or_says_nothing_ends_in_a_typed_failure_that_blames_it";
    let refused =
        "[[rule]]\ncontains = [\"part: services\\n\"]\nanswer = { fault = { status = 401 } }\n";
    let blank = "[[rule]]\ncontains = [\"part: about\\n\"]\nanswer = { json = { heading = \"About \
                 us\", paragraphs = [\"  \"] } }\n";
    let rows = [
        // (rules, kind, part of the message, call)
        (refused, "ai", "refused its key", "call-2"),
        (blank, "template_error", "the model's reply has nothing in `about.paragraphs`", "call-3"),
    ];
    for name in NAMES {
        let Some(file) = plugin(name, TEST) else { continue };
        for (before, kind, message, call) in rows {
            let bench = Workbench::scripted(&rules(name, before), "");
            let record = bench.generate(&file, &order("02-dentist-us-minimal")).failure();
            assert_eq!(record["kind"], kind, "{name}: {record:#}");
            assert!(
                record["message"].as_str().unwrap().contains(message),
                "{name}: {}",
                record["message"]
            );
            // A retry repeats these calls; the replies of the others are in the journal.
            assert_eq!(record["blamed_calls"], json!([call]), "{name}: {record:#}");
            if name == "landing-js" {
                // The file of the author, not the bundle.
                assert_eq!(record["location"]["file"], "src/copy.js", "{record:#}");
            }
        }
    }
}

#[test]
fn the_same_order_gives_the_same_bytes_in_either_language() {
    const TEST: &str = "the_same_order_gives_the_same_bytes_in_either_language";
    for name in NAMES {
        let Some(file) = plugin(name, TEST) else { continue };
        let made = || {
            let bench = Workbench::scripted(&rules(name, ""), "default_locale = \"es\"");
            let mut document = order("01-restaurant-ptbr-full");
            document["onboarding"]["locale"] = serde_json::json!("es");
            let done = bench.generate(&file, &document);
            assert_eq!(done.code, 0, "{}", done.stdout);
            let site = bench.sites().join("101/current");
            ["index.html", "style.css", "favicon.svg"]
                .map(|name| fs::read_to_string(site.join(name)).unwrap())
        };
        let (first, second) = (made(), made());
        assert_eq!(first, second, "{name}");
        assert!(
            first[0].contains("<html lang=\"es\">") && first[0].contains("Cerca de ti"),
            "{}",
            first[0]
        );
    }
}

#[test]
fn html_escapes_and_refuses_the_same_in_either_language() {
    const TEST: &str = "html_escapes_and_refuses_the_same_in_either_language";
    let table = fs::read_to_string(root().join("guest-sdk/html.json")).unwrap();
    let table: Value = serde_json::from_str(&table).unwrap();
    let expected = format!("{} cases\n", table["cases"].as_array().unwrap().len());
    let python = python_tools(TEST).map(|programs| (programs.join("python"), "py"));
    for (program, extension) in python.into_iter().chain([("node".into(), "mjs")]) {
        let script = root().join("guest-sdk/tests").join(format!("html.{extension}"));
        let mut command = Command::new(&program);
        command.arg(&script).env("PYTHONDONTWRITEBYTECODE", "1");
        match command.stdin(Stdio::null()).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let said = String::from_utf8_lossy(&output.stdout);
                assert_eq!(said, expected, "{}", script.display());
            }
            Err(error) => skipped(TEST, &format!("cannot run {}: {error}", program.display())),
        }
    }
}

/// The Rust SDK runs the same table in its own tests.
#[test]
fn the_harnesses_of_all_languages_pass_the_same_table() {
    let test = "the_harnesses_of_all_languages_pass_the_same_table";
    passes_native_table(test, "harness");
}

/// The mistakes of authors that need no component. `docs/src/author/mistakes.md` has all of them.
#[test]
fn every_mistake_of_an_author_is_told_with_its_file_and_line() {
    let test = "every_mistake_of_an_author_is_told_with_its_file_and_line";
    let table = passes_native_table(test, "mistakes");
    let book = fs::read_to_string(root().join("docs/src/author/mistakes.md")).unwrap();
    let rows: Vec<Vec<&str>> = book
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| mistake"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    for row in rows {
        assert!(row.len() == 5 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    // The book has the words that authors see, in its columns of Python and JavaScript.
    let mut said: Vec<&Value> = Vec::new();
    for case in table["cases"].as_array().unwrap() {
        said.extend([&case["python"], &case["javascript"]]);
    }
    said.extend(table["site"].as_array().unwrap().iter().map(|case| &case["says"]));
    said.push(&table["manifest"]);
    for text in said.into_iter().filter_map(Value::as_str) {
        // An excerpt within backticks cannot have any itself.
        let parts = text.split('`').map(str::trim).filter(|part| part.len() > 3);
        for part in parts {
            assert!(book.contains(part), "{part:?} is not in docs/src/author/mistakes.md");
        }
    }

    // Those of a site are found in any language.
    let faulty_guest = guest("guest-faulty");
    for case in table["site"].as_array().unwrap() {
        let text = |name: &str, default: &'static str| {
            case[name].as_str().map_or(default.to_owned(), str::to_owned)
        };
        let head = text("head", "<meta name=\"description\" content=\"Gardens in Boise\">");
        let body = text("body", "<p>We plan and plant gardens.</p>");
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
             name=\"viewport\" content=\"width=device-width\">\n<title>Green Gate \
             Gardens</title>\n{head}\n</head>\n<body>\n<h1>Green Gate \
             Gardens</h1>\n{body}\n{IMPRINT}\n</body>\n</html>\n"
        );
        let files = json!({ "files": { (text("path", "index.html")): page } });
        let record = Workbench::scripted(ANY_ANSWER, "")
            .generate(&faulty_guest, &faulty("files", files))
            .failure();
        let problem = &record["problems"][0];
        assert_eq!(problem["at"], case["at"], "{}: {record:#}", case["id"]);
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(case["says"].as_str().unwrap()), "{}: {message}", case["id"]);
    }
}

/// Runs the cases of `guest-sdk/<name>.json` with the harnesses for Python and JavaScript. Returns
/// the table.
fn passes_native_table(test: &str, name: &str) -> Value {
    let table: Value = serde_json::from_str(
        &fs::read_to_string(root().join(format!("guest-sdk/{name}.json"))).unwrap(),
    )
    .unwrap();
    let expected = format!("{} cases\n", table["cases"].as_array().unwrap().len());
    let folder = root().join("guest-sdk/tests");
    let register = root().join("guest-sdk/js/testing/register.js");
    let mut commands = vec![{
        let mut node = Command::new("node");
        node.arg("--import").arg(register).arg(folder.join(format!("{name}.mjs")));
        node
    }];
    if let Some(python) = native_python(test) {
        let newest = ["python3.14", "python3.13", "python3.12"].map(|name| python.join(name));
        let mut python = Command::new(newest.iter().find(|file| file.is_file()).unwrap());
        python.arg(folder.join(format!("{name}.py")));
        commands.push(python);
    }
    for mut command in commands {
        forget_settings(&mut command);
        command.env("SITEWRIGHT", binary()).env("PYTHONDONTWRITEBYTECODE", "1");
        let done = Done::from(command.stdin(Stdio::null()).output().unwrap());
        assert_eq!(done.code, 0, "{command:?}: {}{}", done.stdout, done.stderr);
        assert!(done.stdout.ends_with(&expected), "{command:?}: {}", done.stdout);
        // Without the program, it is said what to do.
        let done = Done::from(command.env("SITEWRIGHT", "/nowhere/sitewright").output().unwrap());
        assert_ne!(done.code, 0, "{command:?}");
        assert!(done.stderr.contains("template test --native"), "{}", done.stderr);
    }
    table
}

#[test]
fn a_javascript_exception_is_told_with_its_stack() {
    let Some(file) = javascript_guest("a_javascript_exception_is_told_with_its_stack") else {
        return;
    };
    let rules = format!(
        "[[rule]]\ncontains = [\"fail\"]\nanswer = {{ fault = {{ status = 401 }} }}\n{ANY_ANSWER}"
    );
    // (fault, kind, part of the message, part of stderr)
    let rows = [
        ("error", "panic", "the template panicked: Error: no bread today", "priceOf"),
        ("type-error", "panic", "the template panicked: TypeError: ", "generate"),
        (
            "own-error",
            "panic",
            "the template panicked: NoBread: there is no bread\nand no butter",
            "own-error",
        ),
        ("string", "panic", "the template panicked: no bread (thrown without an `Error`", ""),
        (
            "cause",
            "panic",
            "Error: no menu; caused by: TypeError: no bread; caused by: no flour",
            "cause",
        ),
        ("nothing", "panic", "the template panicked: undefined", ""),
        (
            "stack-overflow",
            "panic",
            "the template panicked: InternalError: too much recursion",
            "recurse",
        ),
        ("failure", "template_error", "no site was made", ""),
        ("ai", "ai", "refused its key", ""),
        ("path", "template_error", "has the part `..`", ""),
        // Nothing would wait for these: the site would be published without them.
        ("async", "panic", "an async function or a promise was used, and this JavaScript", ""),
        ("rejected", "panic", "this JavaScript engine has no async", "rejected"),
        ("then", "panic", "this JavaScript engine has no async", ""),
        ("promise", "panic", "`generate` is async or returned a promise", ""),
        ("timer", "panic", "`setTimeout` was called, and this JavaScript engine has no async", ""),
        ("microtask", "panic", "`queueMicrotask` was called", ""),
        ("network", "panic", "templates have no network", ""),
        ("unquoted", "panic", "TypeError: an attribute has no quotes", ""),
        ("spin", "cpu_limit", "is not known; its last call of the SDK was at ", ""),
        ("memory-bomb", "memory_limit", "is not known; its last call of the SDK was at ", ""),
        ("heap-full", "memory_limit", "the JavaScript engine ran out of memory: its own heap", ""),
    ];
    for (fault, kind, message, stderr) in rows {
        // Filling the heap of the engine takes longer than any other fault but the loop.
        let cpu_ms = if fault == "heap-full" { 10_000 } else { 2000 };
        let limits = format!("[limits]\ncpu_ms = {cpu_ms}\nmemory_bytes = 134217728");
        let bench = Workbench::scripted(&rules, &limits);
        let record = bench.generate(&file, &faulty(fault, Value::Null)).failure();
        assert_eq!(record["kind"], kind, "{fault}: {record:#}");
        let text = record["message"].as_str().unwrap();
        assert!(text.contains(message), "{fault}: {text}");
        let printed = record["stderr"].as_str().unwrap_or_default();
        assert!(printed.contains(stderr), "{fault}: {printed}");
        match fault {
            "error" | "spin" | "memory-bomb" | "heap-full" => {
                let location = &record["location"];
                assert!(
                    location["file"].as_str().unwrap().ends_with(".js")
                        && location["line"].is_u64(),
                    "{location}"
                );
            }
            "failure" => {
                assert_eq!(record["causes"], json!(["no menu", "no bread"]));
                assert!(record["location"]["line"].is_u64(), "{record:#}");
            }
            _ => {}
        }
    }
    let bench = Workbench::scripted(ANY_ANSWER, "");
    assert_eq!(bench.generate(&file, &faulty("ok", Value::Null)).code, 0);
}

/// Each example of `guest-sdk/python/GUIDE.md` makes its page or fails as the guide describes.
#[test]
fn the_examples_of_the_python_guide_do_what_it_says() {
    let Some(file) = python_guide("the_examples_of_the_python_guide_do_what_it_says") else {
        return;
    };
    let story = "[[rule]]\nanswer = { text = \"It began with bread.\" }\n";
    let schema = "[[rule]]\nanswer = { from_schema = true }\n";
    let refused = "[[rule]]\npurpose = \"copywriting\"\nanswer = { fault = { refused = true } }\n";
    let prices =
        |list: &str| format!("{refused}[[rule]]\nanswer = {{ json = {{ prices = {list} }} }}\n");
    let services = json!(["Cleaning", "Whitening"]);
    // (example, rules, file, part of its content)
    let rows = [
        ("opening-hours", story, "index.html", "<li>Whitening</li>"),
        ("questions", schema, "index.html", "<h2>"),
        (
            "services",
            story,
            "index.html",
            "<h2>Cleaning, Whitening</h2><p>It began with bread.</p>",
        ),
        ("story", story, "index.html", "<p>It began with bread.</p>"),
        (
            "pages",
            story,
            "about/index.html",
            "<img src=\"../assets/logo.svg\" alt=\"\" width=\"64\" height=\"64\">",
        ),
        (
            "price-list",
            &prices("[1.5, 20]"),
            "index.html",
            "<ul><li>Cleaning: 1.50</li><li>Whitening: 20.00</li></ul>",
        ),
    ];
    for (example, rules, page, part) in rows {
        let bench = Workbench::scripted(rules, "");
        let done = bench.generate(&file, &faulty(example, json!({ "services": services })));
        assert_eq!(done.code, 0, "{example}: {}\n{}", done.stdout, done.stderr);
        let site = fs::read_dir(bench.sites())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.join("current").exists());
        let page = fs::read_to_string(site.unwrap().join("current").join(page)).unwrap();
        assert!(page.contains(part), "{example}: {part:?} is missing in {page}");
    }

    let failure = |example: &str, rules: &str, services: &Value| {
        let bench = Workbench::scripted(rules, "");
        bench.generate(&file, &faulty(example, json!({ "services": services }))).failure()
    };
    let record = failure("price-list", &prices("[1.5]"), &services);
    assert_eq!(
        (&record["code"], &record["blamed_calls"]),
        (&json!("prices-missing"), &json!(["call-2"])),
        "{record:#}"
    );
    let record = failure("opening-hours", story, &json!([]));
    assert_eq!(record["code"], "no-services", "{record:#}");
    // A truncated reply fails the call, although deltas have arrived.
    let record =
        failure("story", "[[rule]]\nanswer = { fault = { cut = \"It began wi\" } }\n", &services);
    assert_eq!(
        (&record["kind"], &record["blamed_calls"]),
        (&json!("ai"), &json!(["call-1"])),
        "{record:#}"
    );
}

/// An example of a language without an SDK.
struct Example {
    file: PathBuf,
    /// Its source with the failure `empty-copy`, relative to the root of the repository.
    source: &'static str,
    /// The same file in failure records.
    recorded: &'static str,
    /// What the line with the failure contains.
    line: &'static str,
}

#[test]
fn the_example_in_c_keeps_every_rule_and_says_where_it_failed() {
    let Some(file) = c_example("the_example_in_c_keeps_every_rule_and_says_where_it_failed") else {
        return;
    };
    keeps_every_rule_and_says_where_it_failed(&Example {
        file,
        source: "examples/c/template.c",
        recorded: "template.c",
        line: "fail(err, \"empty-copy\"",
    });
}

#[test]
fn the_example_in_go_keeps_every_rule_and_says_where_it_failed() {
    let test = "the_example_in_go_keeps_every_rule_and_says_where_it_failed";
    let Some(file) = go_example(test) else { return };
    keeps_every_rule_and_says_where_it_failed(&Example {
        file,
        source: "examples/go/onepage/template.go",
        recorded: "onepage/template.go",
        line: "fail(\"empty-copy\"",
    });
}

/// An example keeps the rules of the conformance suite, writes the files that its page of the guide
/// names, and says in which line it failed.
fn keeps_every_rule_and_says_where_it_failed(example: &Example) {
    let file = &example.file;
    let done = Workbench::configured("").run(&["conformance", &file.to_string_lossy()]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);

    let reply = |headline: &str| {
        format!(
            "[[rule]]\nanswer = {{ json = {{ headline = {headline:?}, lead = \"You talk to the \
             people who do the work.\", description = \"Clear explanations and careful work, \
             close by. Get in touch and ask what is next.\" }} }}\n"
        )
    };
    let mut document = order("02-dentist-us-minimal");
    document["onboarding"]["site_url"] = json!("https://bright-oak.example/");
    let bench = Workbench::scripted(&reply("Close by, with time to listen"), "");
    let done = bench.generate(file, &document);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let site = fs::read_dir(bench.sites())
        .unwrap()
        .map(|entry| entry.unwrap().path().join("current"))
        .find(|path| path.exists())
        .unwrap();
    let rows = [
        ("index.html", "<link rel=\"canonical\" href=\"https://bright-oak.example/\">"),
        ("index.html", "<h1>Close by, with time to listen</h1>"),
        ("index.html", "<li>Cleanings</li>"),
        ("index.html", "<a href=\"mailto:frontdesk@example.com\">"),
        ("robots.txt", "Sitemap: https://bright-oak.example/sitemap.xml"),
        ("sitemap.xml", "<loc>https://bright-oak.example/</loc>"),
        ("style.css", "font:"),
        ("favicon.svg", "<svg"),
    ];
    for (path, part) in rows {
        let content = fs::read_to_string(site.join(path)).unwrap();
        assert!(content.contains(part), "{path}: {part:?} is missing in {content}");
    }

    let failure = |rules: &str| Workbench::scripted(rules, "").generate(file, &document).failure();
    let record = failure("[[rule]]\nanswer = { fault = { status = 401 } }\n");
    assert_eq!(
        (&record["kind"], &record["blamed_calls"]),
        (&json!("ai"), &json!(["call-1"])),
        "{record:#}"
    );
    // The schema of the reply cannot say that a text is not blank.
    let record = failure(&reply(&" ".repeat(12)));
    let source = fs::read_to_string(root().join(example.source)).unwrap();
    let line = source.lines().position(|line| line.contains(example.line)).unwrap() + 1;
    assert_eq!(
        (&record["kind"], &record["code"], &record["blamed_calls"]),
        (&json!("template_error"), &json!("empty-copy"), &json!(["call-1"])),
        "{record:#}"
    );
    let location = &record["location"];
    assert_eq!((&location["file"], &location["line"]), (&json!(example.recorded), &json!(line)));
}
