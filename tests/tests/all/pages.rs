//! The sites of every template, judged by others: the Nu HTML checker and axe-core in a browser.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use sitewright_tests::standins::{node_modules, skipped};
use sitewright_tests::{ORDERS, Workbench, order, root, template};
use tempfile::TempDir;

/// Every template with the languages of the five orders.
const TEMPLATES: [(&str, [&str; 5]); 3] = [
    ("local-business", ["pt-BR", "en", "en", "en", "pt-BR"]),
    ("landing-py", ["pt-BR", "en", "es", "en", "pt-BR"]),
    ("landing-js", ["pt-BR", "en", "es", "en", "pt-BR"]),
];

/// A page that is wrong in every way: whoever does not find that does not look.
const CONTROL: &str = "control.html";

/// Every page of every site, made once, and the folder they are in: `<template>/<order>/…`.
fn pages(test: &str) -> (&'static Path, Vec<PathBuf>) {
    static SITES: OnceLock<TempDir> = OnceLock::new();
    let sites = SITES.get_or_init(|| {
        let sites = TempDir::new().unwrap();
        for (name, locales) in TEMPLATES {
            if !is_built(name, test) {
                continue;
            }
            for (file, locale) in ORDERS.iter().zip(locales) {
                make(name, file, locale, &sites.path().join(name).join(file));
            }
        }
        std::fs::write(
            sites.path().join(CONTROL),
            "<!doctype html><title>Wrong</title><p><img src=none></div>",
        )
        .unwrap();
        sites
    });
    let mut found = Vec::new();
    html(sites.path(), &mut found);
    found.sort();
    assert!(found.len() >= 20, "{found:#?}");
    (sites.path(), found)
}

/// Whether there is a component of that name. The one in Rust always is.
fn is_built(name: &str, test: &str) -> bool {
    let there = name == "local-business"
        || template("local-business").with_file_name(format!("{name}.wasm")).is_file();
    if !there {
        skipped(test, &format!("{name} is not built: see what `cargo xtask build` says"));
    }
    there
}

/// The site of one order, with the replies of the template's demo.
fn make(name: &str, file: &str, locale: &str, to: &Path) {
    let rules = root().join("plugins").join(name).join("demo/ai.toml");
    let bench = Workbench::scripted(
        &std::fs::read_to_string(rules).unwrap(),
        &format!("default_locale = \"{locale}\""),
    );
    let order = order(file);
    let done = bench.generate(&template(name), &order);
    assert_eq!(done.code, 0, "{name} {file}: {}{}", done.stdout, done.stderr);
    let release = bench.sites().join(order["order"]["id"].to_string()).join("current");
    copy(&release.canonicalize().unwrap(), to);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn html(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            html(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(path);
        }
    }
}

/// Where a program is, when it is there and starts.
fn program(names: &[&str], argument: &str) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|name| {
        let mut command = Command::new(name);
        command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

#[test]
fn the_html_checker_finds_no_error_in_any_page() {
    const TEST: &str = "the_html_checker_finds_no_error_in_any_page";
    let Some(java) = program(&["java"], "-version") else {
        return skipped(TEST, "java is not here");
    };
    let Some(tools) = node_modules("tests/standins/pages", TEST) else { return };
    let (_, pages) = pages(TEST);
    let jar = tools.join("node_modules/vnu-jar/build/dist/vnu.jar");
    let mut checker = Command::new(java);
    checker
        .arg("-Xss2m")
        .arg("-jar")
        .arg(jar)
        .args(["--format", "json", "--errors-only", "--stdout"])
        .args(&pages);
    let said = checker.stdin(Stdio::null()).output().unwrap();
    let report: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
    let errors: Vec<String> = report["messages"].as_array().unwrap().iter().map(told).collect();
    let errors = without_control(errors);
    assert!(
        errors.is_empty(),
        "{} errors in {} pages:\n{}",
        errors.len(),
        pages.len(),
        errors.join("\n")
    );
}

/// What was said of other pages than the one that is wrong.
fn without_control(said: Vec<String>) -> Vec<String> {
    let all = said.len();
    let said: Vec<String> = said.into_iter().filter(|line| !line.contains(CONTROL)).collect();
    assert!(said.len() < all, "nothing was found in a page that is wrong");
    said
}

fn told(message: &Value) -> String {
    format!(
        "{}:{}: {} [{}]",
        message["url"].as_str().unwrap_or("?"),
        message["lastLine"],
        message["message"].as_str().unwrap_or("?"),
        message["extract"].as_str().unwrap_or("").replace('\n', " ")
    )
}

#[test]
fn axe_finds_no_violation_in_any_page_and_no_page_asks_others_for_anything() {
    const TEST: &str = "axe_finds_no_violation_in_any_page_and_no_page_asks_others_for_anything";
    let Some(browser) = program(&["/usr/bin/chromium", "/usr/bin/chromium-browser"], "--version")
    else {
        return skipped(TEST, "chromium is not here");
    };
    let Some(tools) = node_modules("tests/standins/pages", TEST) else { return };
    let (sites, pages) = pages(TEST);
    let mut check = Command::new("node");
    check.arg(root().join("tests/standins/pages/check.mjs")).arg(&tools).arg(&browser).arg(sites);
    let mut check =
        check.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let list: Vec<String> =
        pages.iter().map(|page| page.strip_prefix(sites).unwrap().display().to_string()).collect();
    check.stdin.take().unwrap().write_all(list.join("\n").as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let judged: Vec<Value> = String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(judged.len(), pages.len());
    let violations: Vec<String> = judged
        .iter()
        .flat_map(|page| {
            let path = page["path"].as_str().unwrap().to_owned();
            page["problems"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |problem| format!("{path}: {problem}"))
        })
        .collect();
    let violations = without_control(violations);
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
