//! The command `conformance`: our own templates, report formats, authors' cases and recorded
//! cases.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sitewright_conformance::SuiteRule;
use sitewright_conformance::report::REPORT_SCHEMA;
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::languages::plugin;
use sitewright_tests::nonconforming::{good, with_deviation};
use sitewright_tests::standins::Packages;
use sitewright_tests::{Done, Workbench, order, root, template};

/// Validates XML.
const XML_SCHEMA: Packages = Packages::of("xml-schema");

/// The templates of `plugins/`. Each has a test of its own, so that they run at the same time.
const OWN: [&str; 3] = ["landing-js", "landing-py", "local-business"];

fn keeps_every_rule(name: &str, file: &Path) {
    let source = root().join("plugins").join(name).display().to_string();
    let bench = Workbench::configured(&format!("[template.{name}]\nsource = {source:?}\n"));
    let done = bench.run(&["conformance", &file.to_string_lossy()]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    for rule in SuiteRule::all() {
        assert!(done.stdout.contains(&rule.id()), "{rule} is not told of");
    }
}

#[test]
fn our_own_template_in_rust_keeps_every_rule() {
    keeps_every_rule("local-business", &template("local-business"));
}

#[test]
fn our_own_template_in_python_keeps_every_rule() {
    let Some(file) = plugin("landing-py", "our_own_template_in_python_keeps_every_rule") else {
        return;
    };
    keeps_every_rule("landing-py", &file);
}

#[test]
fn our_own_template_in_javascript_keeps_every_rule() {
    let Some(file) = plugin("landing-js", "our_own_template_in_javascript_keeps_every_rule") else {
        return;
    };
    keeps_every_rule("landing-js", &file);
}

#[test]
fn every_template_of_a_folder_is_checked() {
    let plugins = std::fs::read_dir(root().join("plugins")).unwrap();
    let mut names: Vec<String> =
        plugins.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, OWN, "a template without a test above");
    let folder = template("local-business").parent().unwrap().to_owned();
    let bench = Workbench::configured("");
    let path = folder.display().to_string();
    let done = bench.run(&["--json", "conformance", &path, "--filter", "contract/"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let of_folder = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let built = of_folder.filter(|path| path.extension().is_some_and(|end| end == "wasm")).count();
    assert_eq!(done.json()["templates"].as_array().unwrap().len(), built);
}

/// A workbench with a template that breaks a rule, and the path of the template.
fn faulty() -> (Workbench, PathBuf) {
    let bench = Workbench::configured("");
    let file = bench.write("bakery.wasm", with_deviation(&json!({ "fault": "values" })));
    (bench, file)
}

#[test]
fn the_json_report_has_the_published_shape() {
    let (bench, file) = faulty();
    let done = bench.run(&[
        "--json",
        "conformance",
        &file.to_string_lossy(),
        "--filter",
        "behaviour/values",
    ]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    let report = done.json();
    let schema: Value = serde_json::from_str(REPORT_SCHEMA).unwrap();
    let wrong: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&report)
        .map(|e| e.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(report["version"], 2);
    let rules = report["templates"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1, "{rules:?}");
    let finding = &rules[0]["findings"][0];
    assert_eq!(finding["case"], "value: tone = premium");
    assert_eq!(finding["order"]["tone"], "premium");
    assert_eq!(finding["failure"]["code"], "disliked");
}

#[test]
fn the_report_for_people_says_where_what_and_what_to_do() {
    let (bench, file) = faulty();
    let done = bench.run(&["conformance", &file.to_string_lossy(), "--filter", "behaviour/"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    for part in [
        "✓ behaviour/minimal",
        "✗ behaviour/values",
        "value: tone = premium",
        "the template does not like this order",
        "tests/guests/nonconforming/src/faults.rs",
        "→ The schema says that such an order is good",
        "10 rules hold, 1 are broken",
    ] {
        assert!(done.stdout.contains(part), "{part:?} is missing:\n{}", done.stdout);
    }
}

#[test]
fn github_is_told_in_one_line_for_each_broken_rule() {
    let (bench, file) = faulty();
    let summary = bench.write("summary.md", "before\n");
    let mut command =
        bench.command(&["conformance", &file.to_string_lossy(), "--filter", "behaviour/"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let done = Done::from(command.output().unwrap());
    assert_eq!(done.code, 10, "{}", done.stderr);
    let lines: Vec<&str> =
        done.stdout.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(lines.len(), 1, "{}", done.stdout);
    let begin =
        format!("::error file={},title=nonconforming breaks behaviour/values::", file.display());
    assert!(lines[0].starts_with(&begin), "{}", lines[0]);
    // The summary of the job has the broken rule; what was in it stays.
    let summary = std::fs::read_to_string(summary).unwrap();
    for part in [
        "before\n## ❌ nonconforming ",
        "10 rules hold, 0 warn, 1 are broken",
        "| ❌ | behaviour/values |",
        "the template does not like this order",
    ] {
        assert!(summary.contains(part), "{part:?} is missing:\n{summary}");
    }
    // The JSON report does not change.
    let mut command = bench.command(&[
        "--json",
        "conformance",
        &file.to_string_lossy(),
        "--filter",
        "behaviour/values",
    ]);
    let done = Done::from(command.env("GITHUB_ACTIONS", "true").output().unwrap());
    assert!(done.json().is_object() && done.stderr.contains("::error "), "{}", done.stderr);
}

/// The test points of a TAP stream at one depth: number, whether it is `ok`, rest of the line.
fn points<'a>(tap: &'a str, indent: &str) -> Vec<(usize, bool, &'a str)> {
    let lines = tap.lines().filter_map(|line| line.strip_prefix(indent));
    lines
        .filter_map(|line| {
            let (ok, rest) = match line.strip_prefix("not ok ") {
                Some(rest) => (false, rest),
                None => (true, line.strip_prefix("ok ")?),
            };
            let (number, rest) = rest.split_once(" - ")?;
            Some((number.parse().ok()?, ok, rest))
        })
        .collect()
}

#[test]
fn tap_counts_every_rule_below_its_template() {
    let (bench, file) = faulty();
    let done = bench.run(&["conformance", &file.to_string_lossy(), "--tap"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    let tap = done.stdout;
    assert!(tap.starts_with("TAP version 14\n1..1\n# Subtest: nonconforming\n"), "{tap}");
    let rules = SuiteRule::all();
    assert!(tap.contains(&format!("    1..{}\n", rules.len())));
    assert_eq!(points(&tap, ""), [(1, false, "nonconforming")]);
    let inner = points(&tap, "    ");
    let numbers: Vec<usize> = inner.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=rules.len()).collect::<Vec<_>>());
    for ((_, ok, rest), rule) in inner.iter().zip(&rules) {
        assert!(rest.starts_with(&format!("{rule}: ")), "{rest}");
        assert_eq!(*ok, rule.id() != "behaviour/values", "{rest}");
    }
    assert!(inner.iter().any(|(_, _, rest)| rest.contains(" # SKIP ")));
    assert_eq!(tap.matches("      ---\n      severity: fail\n").count(), 1);
}

#[test]
fn junit_is_accepted_by_the_schema_that_ci_systems_read() {
    let (bench, file) = faulty();
    let other = bench.write("no-template.wasm", b"<&\x01 no template");
    let report = bench.path().join("report.xml");
    let run = |files: &[&Path]| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let mut line = vec!["conformance", "--junit", "report.xml"];
        line.extend(files.iter().map(String::as_str));
        bench.run(&line)
    };
    let done = run(&[&file, &other]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    let xml = std::fs::read_to_string(&report).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), 2 * SuiteRule::all().len());
    assert_eq!(xml.matches("<failure ").count(), 2);
    assert!(
        xml.contains("<testsuites name=\"sitewright conformance\" tests=\"")
            && xml.contains(" failures=\"2\"")
    );
    let Some(programs) = XML_SCHEMA.ready("junit_is_accepted_by_the_schema_that_ci_systems_read")
    else {
        return;
    };
    let valid = |file: &Path| {
        let script =
            "import sys, xmlschema; xmlschema.XMLSchema(sys.argv[1]).validate(sys.argv[2])";
        let schema = root().join("tests/junit.xsd");
        Done::from(
            Command::new(programs.join("python"))
                .args(["-c", script])
                .arg(schema)
                .arg(file)
                .output()
                .unwrap(),
        )
    };
    let judged = valid(&report);
    assert_eq!(judged.code, 0, "{}", judged.stderr);
    // The schema rejects a document that is not a report.
    let broken = bench.write("broken.xml", xml.replacen("classname=", "class=", 1));
    assert_ne!(valid(&broken).code, 0);
}

/// A workbench with a good template and one case of its author.
fn with_case(case: &str) -> (Workbench, PathBuf) {
    let bench = Workbench::configured("");
    bench.write("bakery.wasm", good());
    let folder = bench.path().join("conformance/first");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("case.toml"), case).unwrap();
    std::fs::write(folder.join("order.json"), order("03-plumber-us-premium").to_string()).unwrap();
    (bench, folder)
}

#[test]
fn a_snapshot_is_written_held_against_and_renewed() {
    let (bench, folder) = with_case("[expect]\nfiles = [\"index.html\"]\nai_calls = 3\n");
    let author = ["conformance", "bakery.wasm", "--filter", "author/"];
    let first = bench.run(&author);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.contains("- author/snapshot"), "{}", first.stdout);
    let update = bench.run(&[&author[..], &["--update"]].concat());
    assert_eq!(update.code, 0, "{}{}", update.stdout, update.stderr);
    let kept = folder.join("snapshot/index.html");
    let page = std::fs::read_to_string(&kept).unwrap();
    let again = bench.run(&author);
    assert!(again.code == 0 && again.stdout.contains("✓ author/snapshot"), "{}", again.stdout);

    // Now the template writes another site.
    std::fs::write(&kept, page.replace("A small site for tests", "A site from before")).unwrap();
    let manifest = folder.join("snapshot/snapshot.json");
    let digests: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let mut other = digests.clone();
    other["files"]["index.html"] = json!("0".repeat(64));
    std::fs::write(&manifest, other.to_string()).unwrap();
    let differs = bench.run(&author);
    assert_eq!(differs.code, 10, "{}", differs.stdout);
    for part in [
        "first · index.html",
        "--- kept",
        "+++ made now",
        "A site from before",
        "run again with `--update`",
    ] {
        assert!(differs.stdout.contains(part), "{part:?} is missing:\n{}", differs.stdout);
    }
    // The case has a row of its own.
    let junit = |broken: bool| {
        bench.run(&[&author[..], &["--junit", "report.xml"]].concat());
        let xml = std::fs::read_to_string(bench.path().join("report.xml")).unwrap();
        let row = xml.split("<testcase ").find(|row| row.starts_with("name=\"first\" ")).unwrap();
        assert!(row.contains(".case\"") && !row.contains(" time=\"0.000\""), "{row}");
        assert_eq!(row.contains("type=\"author/snapshot\""), broken, "{row}");
    };
    junit(true);
    bench.run(&[&author[..], &["--update"]].concat());
    junit(false);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), page);
    assert_eq!(
        serde_json::from_slice::<Value>(&std::fs::read(&manifest).unwrap()).unwrap(),
        digests
    );
}

#[test]
fn what_is_wrong_with_a_case_is_told_with_its_file_and_field() {
    let cases = [
        ("expects = \"site\"", "case.toml", "expects"),
        ("[expect]\noutcome = \"win\"", "case.toml", "win"),
        ("[expect]\nkind = \"misfortune\"", "case.toml", "misfortune"),
        ("order = \"other.json\"", "other.json", "cannot be read"),
        ("order = { derive = \"full\" }", "case.toml", "`order` must name a file"),
        ("ai = { script = \"no.toml\" }", "no.toml", "cannot be read"),
        ("ai = { at = [\"first\"] }", "case.toml", "`ai.at`"),
        ("rule = \"ai/slow\"", "case.toml", "`rule`"),
        ("rule = \"ai/slowest\"", "case.toml", "ai/slowest"),
        ("what? = 1", "case.toml", "line 1"),
    ];
    for (case, file, part) in cases {
        let (bench, _) = with_case(case);
        let done = bench.run(&["conformance", "bakery.wasm"]);
        assert_eq!(done.code, 2, "{case}\n{}{}", done.stdout, done.stderr);
        assert!(
            done.stderr.contains(file) && done.stderr.contains(part),
            "{case}: {}",
            done.stderr
        );
    }
    let (bench, folder) = with_case("");
    std::fs::write(folder.join("ai.toml"), "[[rule]]\nanswer = { words = \"x\" }").unwrap();
    let done = bench.run(&["conformance", "bakery.wasm"]);
    assert!(
        done.code == 2 && done.stderr.contains("ai.toml") && done.stderr.contains("rule 1"),
        "{}",
        done.stderr
    );
    std::fs::write(folder.join("ai.toml"), "[[rule]]\nanswer = { text = \"x\" }").unwrap();
    std::fs::write(bench.path().join("conformance/conformance.toml"), "extern = []").unwrap();
    let done = bench.run(&["conformance", "bakery.wasm"]);
    assert!(
        done.code == 2
            && done.stderr.contains("conformance.toml")
            && done.stderr.contains("extern"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_author_may_declare_hosts_and_expect_failures() {
    let page = "<!DOCTYPE html><html lang=\"(locale)\"><head><title>Map</title>\
                <meta name=\"description\" content=\"A map.\">\
                <meta name=\"viewport\" content=\"width=device-width\"></head>\
                <body><h1>How to find us from the station</h1>\
                <iframe title=\"Map\" src=\"https://maps.example/here\"></iframe></body></html>";
    let (bench, folder) =
        with_case("[expect]\noutcome = \"failure\"\nkind = \"ai\"\nsays = \"503\"\n");
    bench.write("bakery.wasm", with_deviation(&json!({ "files": { "map.html": page } })));
    std::fs::write(folder.join("ai.toml"), "[[rule]]\nanswer = { fault = { status = 503 } }")
        .unwrap();
    let settings = bench.path().join("conformance/conformance.toml");
    std::fs::write(&settings, "external = [\"maps.example\"]\n").unwrap();
    let done = bench.run(&["--json", "conformance", "bakery.wasm"]);
    let broken = |done: &Done| -> Vec<Value> {
        let rules = done.json()["templates"][0]["rules"].as_array().unwrap().clone();
        rules.into_iter().filter(|rule| rule["verdict"] == "failed").collect()
    };
    let rules = broken(&done);
    assert!(done.code == 0 && rules.is_empty(), "{rules:#?}");
    std::fs::write(&settings, "").unwrap();
    let undeclared =
        broken(&bench.run(&["--json", "conformance", "bakery.wasm", "--filter", "site/external"]));
    assert_eq!(undeclared.first().map(|rule| rule["rule"].clone()), Some(json!("site/external")));
}

#[test]
fn a_run_against_a_real_model_becomes_a_case_that_passes_without_it() {
    let rules =
        std::fs::read_to_string(root().join("plugins/local-business/demo/ai.toml")).unwrap();
    let server = ChatServer::start(&rules, |_| Answer::Good);
    let route = |purpose: &str| {
        format!(
            "[ai.routes.{purpose}]\ntry = [{{ provider = \"local\", model = \"{purpose}\" }}]\n"
        )
    };
    let bench = Workbench::configured(&format!(
        "default_locale = \"pt-BR\"\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{}\"\n{}{}",
        server.base_url(),
        route("strategy"),
        route("copywriting")
    ));
    let wasm = std::fs::copy(template("local-business"), bench.path().join("local-business.wasm"));
    assert!(wasm.is_ok());
    bench.write("order.json", order("01-restaurant-ptbr-full").to_string());
    let line = [
        "template",
        "record",
        "--template",
        "local-business.wasm",
        "--order",
        "order.json",
        "--out",
        "conformance/cantina",
    ];
    let done = bench.run(&line);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let asked = server.calls().len();
    assert!(asked > 2 && done.stdout.contains(&format!("{asked} AI answers")), "{}", done.stdout);
    assert!(!bench.sites().join("1001").exists());
    // A case is never overwritten.
    assert_eq!(bench.run(&line).code, 2);
    drop(server);

    // Without the model and without `default_locale`.
    let alone = |arguments: &[&str]| {
        bench.write(
            "sitewright.toml",
            format!("cache = {:?}\n", sitewright_tests::compile_cache().display().to_string()),
        );
        bench.run(
            &[&["conformance", "local-business.wasm", "--filter", "author/"], arguments].concat(),
        )
    };
    let update = alone(&["--update"]);
    assert_eq!(update.code, 0, "{}{}", update.stdout, update.stderr);
    let again = alone(&[]);
    assert!(
        again.code == 0 && again.stdout.contains("✓ author/snapshot"),
        "{}{}",
        again.stdout,
        again.stderr
    );
    // The pages contain the model's text, not one generated from a schema.
    let home =
        std::fs::read_to_string(bench.path().join("conformance/cantina/snapshot/index.html"))
            .unwrap();
    let script: toml::Table =
        std::fs::read_to_string(bench.path().join("conformance/cantina/ai.toml"))
            .unwrap()
            .parse()
            .unwrap();
    let found = script["rule"].as_array().unwrap().iter().any(|rule| {
        let answer: Value =
            serde_json::from_str(rule["answer"]["json_text"].as_str().unwrap()).unwrap();
        answer["closing_heading"].as_str().is_some_and(|heading| home.contains(heading))
    });
    assert!(found, "{home}");
}

#[test]
fn the_suite_and_its_rules_can_be_had_as_data() {
    let bench = Workbench::configured("");
    let done = bench.run(&["conformance", "--export", "suite"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for file in ["behaviour.toml", "ai.toml", "cancel.toml", "orders/known.json"] {
        let exported = std::fs::read(bench.path().join("suite/0.1.0").join(file)).unwrap();
        let ours =
            std::fs::read(root().join("host/conformance/src/suite/0.1.0").join(file)).unwrap();
        assert!(exported == ours, "{file}");
    }
    // A case can be selected by its name.
    bench.write("bakery.wasm", good());
    let one = bench
        .run(&["--json", "conformance", "bakery.wasm", "--filter", "without business_address"])
        .json();
    assert_eq!(one["templates"][0]["rules"][0]["rule"], "behaviour/optional");
    assert_eq!(one["templates"][0]["rules"][0]["test_cases"], 1);
    let rules = bench.run(&["--json", "conformance", "--rules"]).json();
    assert_eq!(rules["rules"].as_array().unwrap().len(), SuiteRule::all().len());
}

#[test]
fn usage_is_told_apart_from_broken_rules() {
    let (bench, file) = faulty();
    let file = file.to_string_lossy();
    std::fs::create_dir(bench.path().join("empty")).unwrap();
    for (arguments, part) in [
        (vec!["nowhere.wasm"], "no file or folder nowhere.wasm"),
        (vec!["empty"], "has no templates"),
        (vec![], "required"),
        (vec![&file, "--filter", "no-such-rule"], "fits no rule"),
        (vec![&file, "--cases", "nowhere"], "--cases"),
    ] {
        let done = bench.run(&[&["conformance"], arguments.as_slice()].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(part), "{arguments:?}: {}", done.stderr);
    }
}
