//! `--browser`: sites are looked at in a real Chromium before they are published, and by the
//! conformance suite. What it finds on a page: `host/browser/tests/chromium.rs`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sitewright_conformance::SuiteRule;
use sitewright_tests::nonconforming::with_pages_alone;
use sitewright_tests::standins::skipped;
use sitewright_tests::{
    ANY_ANSWER, Done, IMPRINT, ORDERS, Workbench, faulty, guest, order, root, template,
};

use crate::failures::only_record;

/// Whether this machine has the browser of CI.
fn has_browser(test: &str) -> bool {
    let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .into_iter()
        .any(|path| std::path::Path::new(path).is_file());
    if !found {
        skipped(test, "chromium is not here");
    }
    found
}

fn page(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"(locale)\"><head><meta charset=\"utf-8\">\
         <title>Extra bread</title><meta name=\"description\" content=\"One page more.\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\n\
         <body><main><h1>One page more than others have</h1>{body}</main></body></html>\n"
    )
}

/// Bodies of pages that only a browser finds fault with, and the rules that they break.
fn faults() -> [(&'static str, String); 4] {
    [
        ("browser-overflow", "<div style=\"width: 700px\">Rye</div>".to_owned()),
        ("browser-console", "<script>bake()</script>".to_owned()),
        ("browser-request", "<script>fetch('oven.json')</script>".to_owned()),
        ("browser-axe", "<p role=\"bread\">Rye</p>".to_owned()),
    ]
}

fn generate(bench: &Workbench, template: &std::path::Path, order: &Value) -> Done {
    let file = bench.write("order.json", order.to_string());
    let (template, file) = (template.to_string_lossy(), file.to_string_lossy());
    bench.run(&["--json", "generate", "--browser", "--template", &template, "--order", &file])
}

#[test]
fn a_site_is_published_only_if_a_browser_finds_no_error_in_it() {
    if !has_browser("a_site_is_published_only_if_a_browser_finds_no_error_in_it") {
        return;
    }
    let faults = faults();
    let body: String = faults.iter().map(|(_, body)| body.as_str()).collect();
    let index = page(&format!("{body}{IMPRINT}")).replace("(locale)", "en");
    let files = BTreeMap::from([("index.html", index)]);
    let order = faulty("files", json!({ "files": files }));

    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done = generate(&bench, &guest("guest-faulty"), &order);
    assert_eq!(done.code, 6, "{}{}", done.stdout, done.stderr);
    let record = only_record(&bench, &done);
    assert_eq!((&record["kind"], &record["stage"]), (&json!("output_rejected"), &json!("checks")));
    let problems = record["problems"].as_array().unwrap();
    let rules: Vec<&str> =
        problems.iter().map(|problem| problem["rule"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = faults.iter().map(|(rule, _)| *rule).collect();
    for list in [&rules, &expected] {
        assert_eq!(list.len(), 4, "{problems:#?}");
    }
    expected.retain(|rule| !rules.contains(rule));
    assert!(expected.is_empty(), "{expected:?} are missing: {problems:#?}");

    // Without the flag nobody looks. With other levels, the site has warnings.
    let done = bench.generate(&guest("guest-faulty"), &order);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let levels: String = faults.iter().map(|(rule, _)| format!("{rule} = \"warning\"\n")).collect();
    let bench = Workbench::scripted(ANY_ANSWER, &format!("[checks.levels]\n{levels}"));
    let done = generate(&bench, &guest("guest-faulty"), &order);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let report = done.json();
    let warnings = report["release"]["warnings"].as_array().unwrap();
    let warned = |rule: &str| warnings.iter().any(|warning| warning["rule"] == rule);
    assert!(faults.iter().all(|(rule, _)| warned(rule)), "{warnings:#?}");
}

#[test]
fn the_sites_of_our_own_template_are_without_fault_in_a_browser() {
    const TEST: &str = "the_sites_of_our_own_template_are_without_fault_in_a_browser";
    if !has_browser(TEST) {
        return;
    }
    let rules = root().join("plugins/local-business/demo/ai.toml");
    let rules = std::fs::read_to_string(rules).unwrap();
    // `pages.rs` has all templates and orders under axe-core.
    let [file, ..] = ORDERS;
    let bench = Workbench::scripted(&rules, "default_locale = \"pt-BR\"");
    let done = generate(&bench, &template("local-business"), &order(file));
    assert_eq!(done.code, 0, "{file}: {}{}", done.stdout, done.stderr);
}

#[test]
fn conformance_looks_at_pages_only_with_the_flag_and_says_so() {
    const TEST: &str = "conformance_looks_at_pages_only_with_the_flag_and_says_so";
    if !has_browser(TEST) {
        return;
    }
    let faults = faults();
    let pages: Vec<String> = faults.iter().map(|(_, body)| page(body)).collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let (paths, bytes) = with_pages_alone(&pages);
    let bench = Workbench::configured("");
    let bad = bench.write("bad.wasm", bytes).display().to_string();
    let filter = ["--filter", "site/browser-"];
    let run = |file: &str, flags: &[&str]| {
        let done = bench.run(&[&["--json", "conformance", file][..], &filter, flags].concat());
        let rules = done.json()["templates"][0]["rules"].as_array().unwrap().clone();
        let ids: Vec<String> =
            rules.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect();
        let needs = |rule: SuiteRule| matches!(rule, SuiteRule::Site(rule) if rule.needs_browser());
        let all = SuiteRule::all().into_iter().filter(|rule| needs(*rule)).map(SuiteRule::id);
        assert_eq!(ids, all.collect::<Vec<_>>());
        (done.code, rules)
    };

    let (code, rules) = run(&bad, &[]);
    assert_eq!(code, 0);
    for rule in &rules {
        assert_eq!(rule["verdict"], "skipped", "{rule}");
        assert_eq!(rule["skipped"], "it needs `--browser`", "{rule}");
    }
    let (code, rules) = run(&bad, &["--browser"]);
    assert_eq!(code, 10, "{rules:#?}");
    for ((rule, path), (expected, _)) in rules.iter().zip(&paths).zip(&faults) {
        assert_eq!(rule["rule"], format!("site/{expected}"));
        assert_eq!(rule["verdict"], "failed", "{rule}");
        let findings = rule["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["file"] == *path), "{rule:#}");
    }
}

#[test]
fn without_a_browser_it_is_said_what_to_install_before_anything_is_done() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = bench.write("order.json", faulty("files", json!({ "files": {} })).to_string());
    let order = order.display().to_string();
    let template = guest("guest-faulty").display().to_string();
    let generate = ["generate", "--template", &template, "--order", &order];
    let conformance = ["conformance", &template];
    let run = |arguments: &[&str], flag: &str, variable: Option<&str>| {
        let mut command = bench.command(&[arguments, &[flag]].concat());
        command.env("PATH", "/nowhere").envs(variable.map(|value| ("SITEWRIGHT_BROWSER", value)));
        Done::from(command.output().unwrap())
    };
    for arguments in [&generate[..], &conformance] {
        for (flag, variable, part) in [
            ("--browser", None, "install Chromium (`apt-get install chromium`"),
            ("--browser=/no/chrome", None, "there is no browser /no/chrome (--browser)"),
            ("--browser", Some("/my/chrome"), "there is no browser /my/chrome (the key `browser`)"),
        ] {
            let done = run(arguments, flag, variable);
            assert_eq!(done.code, 2, "{arguments:?} {flag}: {}{}", done.stdout, done.stderr);
            assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
        }
    }
    assert!(!bench.sites().join("public").exists(), "nothing was done");
}
