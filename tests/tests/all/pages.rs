//! The sites of every template under independent checkers: the Nu HTML checker, and axe-core in a
//! browser.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use sitewright_site::{Rule, SitePath, VerifyOptions, verify};
use sitewright_tests::languages::plugin;
use sitewright_tests::standins::{node_modules, skipped};
use sitewright_tests::{ORDERS, Workbench, order, root, template};
use tempfile::TempDir;

/// Every template with the languages of the five orders.
const TEMPLATES: [(&str, [&str; 5]); 3] = [
    ("local-business", ["pt-BR", "en", "en", "en", "pt-BR"]),
    ("landing-py", ["pt-BR", "en", "es", "en", "pt-BR"]),
    ("landing-js", ["pt-BR", "en", "es", "en", "pt-BR"]),
];

/// A page with errors that each checker must find: a checker that reports none has not run.
const CONTROL: &str = "control.html";

/// Every page of every site, and the folder of the sites: `<template>/<order>/…`.
fn pages(test: &str) -> (&'static Path, Vec<PathBuf>) {
    for (name, _) in TEMPLATES {
        drop(plugin(name, test));
    }
    let sites = sites();
    let mut found = Vec::new();
    html(sites, &mut found);
    found.sort();
    assert!(found.len() >= 20, "{found:#?}");
    (sites, found)
}

/// Whether the component of a template exists. The one in Rust always does.
fn is_built(name: &str) -> bool {
    name == "local-business"
        || template("local-business").with_file_name(format!("{name}.wasm")).is_file()
}

/// The folder of all sites, made once per run of cargo-nextest, which runs each test in its own
/// process, or once per process under plain `cargo test`.
fn sites() -> &'static Path {
    static SITES: OnceLock<(PathBuf, Option<TempDir>)> = OnceLock::new();
    let (sites, _) = SITES.get_or_init(|| match std::env::var("NEXTEST_RUN_ID") {
        Ok(run) => (shared_sites(&run), None),
        Err(_) => {
            let sites = TempDir::new().unwrap();
            make_all(sites.path());
            (sites.path().to_owned(), Some(sites))
        }
    });
    sites
}

/// The folder that the processes of a run share. The first process makes it, the others wait for
/// the lock. Folders of runs that are older than a day are removed.
fn shared_sites(run: &str) -> PathBuf {
    let parent = root().join("target/test-sites");
    fs::create_dir_all(&parent).unwrap();
    let lock = File::create(parent.join("lock")).unwrap();
    lock.lock().unwrap();
    let sites = parent.join(run);
    if !sites.is_dir() {
        remove_older(&parent, Duration::from_secs(24 * 60 * 60));
        // Renamed when it is complete, so that a failed process leaves no half of it.
        let partial = TempDir::new_in(&parent).unwrap();
        make_all(partial.path());
        fs::rename(partial.keep(), &sites).unwrap();
    }
    sites
}

fn remove_older(parent: &Path, age: Duration) {
    for entry in fs::read_dir(parent).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        let is_old = metadata.modified().unwrap().elapsed().is_ok_and(|elapsed| elapsed > age);
        if metadata.is_dir() && is_old {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// Makes the site of each order with each template that is built, and [`CONTROL`].
fn make_all(sites: &Path) {
    for (name, locales) in TEMPLATES.into_iter().filter(|(name, _)| is_built(name)) {
        for (file, locale) in ORDERS.iter().zip(locales) {
            make(name, file, locale, &sites.join(name).join(file));
        }
    }
    let page = "<!doctype html><title>Wrong</title><p><img src=none></div>";
    fs::write(sites.join(CONTROL), page).unwrap();
}

/// The site of one order, with the replies of the template's demo.
pub(crate) fn make(name: &str, file: &str, locale: &str, to: &Path) {
    let rules = root().join("plugins").join(name).join("demo/ai.toml");
    let bench = Workbench::scripted(
        &fs::read_to_string(rules).unwrap(),
        &format!("default_locale = \"{locale}\""),
    );
    let order = order(file);
    let done = bench.generate(&template(name), &order);
    assert_eq!(done.code, 0, "{name} {file}: {}{}", done.stdout, done.stderr);
    let release = bench.sites().join(order["order"]["id"].to_string()).join("current");
    copy(&release.canonicalize().unwrap(), to);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn html(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            html(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(path);
        }
    }
}

/// The first of these programs that is installed and starts.
pub(crate) fn program(names: &[&str], argument: &str) -> Option<PathBuf> {
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
    let output = checker.stdin(Stdio::null()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let errors: Vec<String> = report["messages"].as_array().unwrap().iter().map(finding).collect();
    let errors = without_control(errors);
    assert!(
        errors.is_empty(),
        "{} errors in {} pages:\n{}",
        errors.len(),
        pages.len(),
        errors.join("\n")
    );
}

/// The findings without those in [`CONTROL`], of which there must be at least one.
fn without_control(findings: Vec<String>) -> Vec<String> {
    let all = findings.len();
    let others: Vec<String> = findings.into_iter().filter(|line| !line.contains(CONTROL)).collect();
    assert!(others.len() < all, "nothing was found in a page that is wrong");
    others
}

fn finding(message: &Value) -> String {
    format!(
        "{}:{}: {} [{}]",
        message["url"].as_str().unwrap_or("?"),
        message["lastLine"],
        message["message"].as_str().unwrap_or("?"),
        message["extract"].as_str().unwrap_or("").replace('\n', " ")
    )
}

/// A site as the host's checks read it.
fn files(site: &Path) -> BTreeMap<SitePath, Vec<u8>> {
    fn add(site: &Path, folder: &Path, files: &mut BTreeMap<SitePath, Vec<u8>>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                add(site, &path, files);
                continue;
            }
            let name = path.strip_prefix(site).unwrap().to_str().unwrap();
            let bytes = fs::read(&path).unwrap();
            files.extend(SitePath::parse(name, 255).ok().map(|name| (name, bytes)));
        }
    }
    let mut files = BTreeMap::new();
    add(site, site, &mut files);
    files
}

/// The host's own check of contrast agrees with axe: nothing in any page, and it looks at them.
#[test]
fn no_text_of_a_shipped_template_is_hard_to_read() {
    let (sites, _) = pages("no_text_of_a_shipped_template_is_hard_to_read");
    let found = |files: &BTreeMap<SitePath, Vec<u8>>| -> Vec<String> {
        let verdict = verify(files, &VerifyOptions::default()).unwrap();
        let found = verdict.warnings.iter().filter(|warning| warning.rule == Rule::Contrast);
        found.map(ToString::to_string).collect()
    };
    for (name, _) in TEMPLATES.into_iter().filter(|(name, _)| is_built(name)) {
        for order in ORDERS {
            let mut files = files(&sites.join(name).join(order));
            assert_eq!(found(&files), [""; 0], "{name} {order}");
            let sheet = files.iter_mut().find(|(path, _)| path.as_str().ends_with(".css"));
            let (_, sheet) = sheet.unwrap();
            sheet.extend_from_slice(b"\nmain p { color: #bbb !important; background: #fff }\n");
            assert!(!found(&files).is_empty(), "{name} {order}");
        }
    }
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
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let judged: Vec<Value> = String::from_utf8(output.stdout)
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
