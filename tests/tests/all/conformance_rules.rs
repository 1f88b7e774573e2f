//! The conformance suite against faulty templates: each breaks exactly one rule, and every rule
//! has such a template.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sitewright_conformance::{Level, SuiteRule};
use sitewright_tests::Workbench;
use sitewright_tests::nonconforming::{Variant, good, variants, with_pages};

/// The rules that a template breaks, and the whole report.
fn broken(variant: &Variant) -> (Vec<String>, Value) {
    let bench = Workbench::configured("");
    let file = bench.write("template.wasm", &variant.bytes);
    for (path, content) in &variant.author {
        let path = bench.path().join("conformance").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let mut command = bench.command(&["--json", "conformance", &file.to_string_lossy()]);
    command.envs(variant.settings.iter().copied());
    let done = sitewright_tests::Done::from(command.output().unwrap());
    let report = done.json();
    let rules = report["templates"][0]["rules"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", done.stdout))
        .clone();
    let failed = |rule: &&Value| rule["verdict"] == "failed";
    let broken: Vec<String> =
        rules.iter().filter(failed).map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect();
    assert_eq!(done.code, if broken.is_empty() { 0 } else { 10 }, "{}", done.stderr);
    // Where no order became a site, no rule says that one did.
    let none = |rule: &Value| {
        rule["skipped"].as_str().is_some_and(|why| why.starts_with("neither the full"))
    };
    let became = |rule: &Value| {
        rule["verdict"] == "passed"
            && (rule["rule"] == "behaviour/minimal" || rule["rule"] == "behaviour/full")
    };
    assert!(!(rules.iter().any(none) && rules.iter().any(became)), "{}: {report}", variant.rule);
    (broken, report)
}

/// The broken rules of a report as text for a failed assertion.
fn rules_text(report: &Value) -> String {
    let rules = report["templates"][0]["rules"].as_array().unwrap();
    let failed = rules.iter().filter(|rule| rule["verdict"] == "failed");
    let lines = failed.flat_map(|rule| {
        rule["findings"].as_array().unwrap().iter().take(3).map(move |finding| {
            format!(
                "  {}: {} · {} · {}\n",
                rule["rule"], finding["case"], finding["file"], finding["message"]
            )
        })
    });
    lines.collect()
}

/// The variants of a level: those that add one page, and all others.
fn of_level(level: Level) -> (Vec<Variant>, Vec<Variant>) {
    let begin = format!("{}/", level.as_str());
    let variants = variants().into_iter().filter(|variant| variant.rule.starts_with(&begin));
    variants.partition(|variant| variant.page.is_some())
}

/// Whether the host publishes no site that breaks the rule.
fn is_of_the_host(rule: &str) -> bool {
    let is_error = |rule: sitewright_site::Rule| rule.level() == sitewright_site::Level::Error;
    matches!(rule.parse::<SuiteRule>(), Ok(SuiteRule::Site(rule)) if is_error(rule))
}

fn needs_browser(rule: SuiteRule) -> bool {
    matches!(rule, SuiteRule::Site(rule) if rule.needs_browser())
}

/// Puts the pages into the site of one template: the suite finds each rule broken in its page, and
/// nothing else. A run of the suite for each page would say the same, and take a minute and a half.
fn each_page_breaks_its_rule(variants: &[Variant]) {
    let pages: Vec<&str> = variants.iter().filter_map(|variant| variant.page.as_deref()).collect();
    let (paths, bytes) = with_pages(&pages);
    let of_all = Variant {
        rule: "site",
        what: "the pages of many rules".to_owned(),
        bytes,
        settings: Vec::new(),
        author: Vec::new(),
        page: None,
    };
    let (_, report) = broken(&of_all);
    let rules = report["templates"][0]["rules"].as_array().unwrap();
    let mut found = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule["verdict"] == "failed") {
        assert!(!rule["hint"].as_str().unwrap().is_empty(), "{rule}");
        assert_eq!(rule["more"], 0, "{rule}");
        for finding in rule["findings"].as_array().unwrap() {
            assert!(!finding["message"].as_str().unwrap().is_empty(), "{finding}");
            // With the line, if there is one.
            let file = finding["file"].as_str().and_then(|file| file.split(':').next());
            found.insert((rule["rule"].as_str().unwrap(), file.unwrap_or_default()));
        }
    }
    let expected: BTreeSet<(&str, &str)> =
        variants.iter().map(|variant| variant.rule).zip(paths.iter().map(String::as_str)).collect();
    assert_eq!(found, expected, "{}", rules_text(&report));
}

fn each_breaks_its_rule(level: Level) {
    let mut wrong = Vec::new();
    // Those that add a page have tests of their own.
    for variant in &of_level(level).1 {
        let (broken, report) = broken(variant);
        // What depends on the order of answers is random if all arrive at the same time.
        let by_chance =
            |rule: &&String| variant.rule == "ai/slow" && *rule == "behaviour/deterministic";
        let certain: Vec<&String> = broken.iter().filter(|rule| !by_chance(rule)).collect();
        if certain != [variant.rule] {
            wrong.push(format!(
                "{} ({}) breaks {broken:?}\n{}",
                variant.rule,
                variant.what,
                rules_text(&report)
            ));
        }
        // The report names the order and what to do.
        let rules = report["templates"][0]["rules"].as_array().unwrap();
        for rule in rules.iter().filter(|rule| rule["verdict"] == "failed") {
            assert!(!rule["hint"].as_str().unwrap().is_empty(), "{rule}");
            assert!(
                rule["findings"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|f| !f["message"].as_str().unwrap().is_empty())
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_rule_has_its_faulty_template() {
    // Rules that only warn break nothing; the tests of the site's checks have them. `browser.rs` has
    // those that need a browser.
    let failing =
        SuiteRule::all().into_iter().filter(|rule| !rule.only_warns() && !needs_browser(*rule));
    let known: BTreeSet<String> = failing.map(SuiteRule::id).collect();
    let faulty: BTreeSet<String> =
        variants().iter().map(|variant| variant.rule.to_owned()).collect();
    assert_eq!(known, faulty);
}

#[test]
fn without_a_fault_the_same_template_keeps_every_rule() {
    let variant = Variant {
        rule: "none",
        what: String::new(),
        bytes: good(),
        settings: Vec::new(),
        author: Vec::new(),
        page: None,
    };
    let (broken, report) = broken(&variant);
    assert!(broken.is_empty(), "{}", rules_text(&report));
    let rules = report["templates"][0]["rules"].as_array().unwrap();
    let skipped: Vec<&str> = rules
        .iter()
        .filter(|rule| rule["verdict"] == "skipped")
        .map(|rule| rule["rule"].as_str().unwrap())
        .filter(|rule| !needs_browser(rule.parse().unwrap()))
        .collect();
    assert_eq!(skipped, ["author/expected", "author/snapshot"]);
    assert!(Path::new(report["templates"][0]["file"].as_str().unwrap()).ends_with("template.wasm"));
}

#[test]
fn contract() {
    each_breaks_its_rule(Level::Contract);
}

#[test]
fn behaviour() {
    each_breaks_its_rule(Level::Behaviour);
}

#[test]
fn ai() {
    each_breaks_its_rule(Level::Ai);
}

#[test]
fn limits() {
    each_breaks_its_rule(Level::Limits);
}

#[test]
fn site() {
    each_breaks_its_rule(Level::Site);
}

#[test]
fn pages_that_the_host_does_not_publish() {
    let (pages, _) = of_level(Level::Site);
    let pages: Vec<Variant> =
        pages.into_iter().filter(|variant| is_of_the_host(variant.rule)).collect();
    each_page_breaks_its_rule(&pages);
}

#[test]
fn pages_that_only_the_suite_refuses() {
    let (pages, _) = of_level(Level::Site);
    let pages: Vec<Variant> =
        pages.into_iter().filter(|variant| !is_of_the_host(variant.rule)).collect();
    each_page_breaks_its_rule(&pages);
}

#[test]
fn cancel() {
    each_breaks_its_rule(Level::Cancel);
}

#[test]
fn author() {
    each_breaks_its_rule(Level::Author);
}
