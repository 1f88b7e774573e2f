//! The sites of every template under independent checkers: the Nu HTML checker, html-validate,
//! linkinator, the vocabulary of schema.org, and in a browser axe-core and Lighthouse.
//!
//! With `TESTS_PAGES=all`, which `cargo xtask test --pages` sets, the realistic orders are among
//! them, and Lighthouse judges every page instead of one of each template.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_site::{Rule, SitePath, VerifyOptions, verify};
use sitewright_tests::languages::plugin;
use sitewright_tests::standins::{node_modules, skipped};
use sitewright_tests::{Done, ORDERS, Workbench, order, root, template};
use tempfile::TempDir;

use crate::intake::{REAL, real};

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

/// Whether every site and page is judged, and not only what takes little time.
fn judges_all() -> bool {
    std::env::var("TESTS_PAGES").is_ok_and(|wanted| wanted == "all")
}

/// Makes the site of each order with each template that is built, and [`CONTROL`].
fn make_all(sites: &Path) {
    for (name, locales) in TEMPLATES.into_iter().filter(|(name, _)| is_built(name)) {
        for (file, locale) in ORDERS.iter().zip(locales) {
            make(name, file, locale, &sites.join(name).join(file));
        }
        for file in REAL.iter().filter(|_| judges_all()) {
            let done = make_of(name, &real(file), "en", &sites.join(name).join(file));
            // A language that the template does not write is an invalid order.
            assert!([0, 3].contains(&done.code), "{name} {file}: {}{}", done.stdout, done.stderr);
        }
    }
    let page = "<!doctype html><title>Wrong</title><p><img src=none><a href=\"#no\">no</a></div>\
                <script type=\"application/ld+json\">{\"@context\": \"https://schema.org\", \
                \"@type\": \"Bakery\", \"nothing\": \"Wrong\"}</script>";
    fs::write(sites.join(CONTROL), page).unwrap();
}

/// The site of one order, with the replies of the template's demo.
pub(crate) fn make(name: &str, file: &str, locale: &str, to: &Path) {
    let done = make_of(name, &order(file), locale, to);
    assert_eq!(done.code, 0, "{name} {file}: {}{}", done.stdout, done.stderr);
}

/// Runs one order and copies its site, if it became one.
fn make_of(name: &str, order: &Value, locale: &str, to: &Path) -> Done {
    let rules = root().join("plugins").join(name).join("demo/ai.toml");
    let bench = Workbench::scripted(
        &fs::read_to_string(rules).unwrap(),
        &format!("default_locale = \"{locale}\""),
    );
    let done = bench.generate(&template(name), order);
    if done.code == 0 {
        let release = done.json()["release"]["current"].as_str().unwrap().to_owned();
        copy(&Path::new(&release).canonicalize().unwrap(), to);
    }
    done
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

/// A policy such as `default-src 'self'` refuses styles, scripts and handlers in a page.
#[test]
fn pages_need_no_exception_from_a_strict_content_security_policy() {
    let (_, pages) = pages("pages_need_no_exception_from_a_strict_content_security_policy");
    for path in pages.iter().filter(|path| !path.ends_with(CONTROL)) {
        let (page, at) = (fs::read_to_string(path).unwrap(), path.display());
        for tag in page.split('<').skip(1).filter_map(|part| part.split('>').next()) {
            let is_sheet = tag.starts_with("style");
            let is_data = tag.contains("type=\"application/ld+json\"");
            let is_script = tag.starts_with("script") && !is_data;
            let inline = [" style=", " onclick=", " onload=", " onsubmit="];
            let has_inline = inline.iter().any(|attribute| tag.contains(attribute));
            assert!(!is_sheet && !is_script && !has_inline, "{at}: <{tag}>");
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
    let Some(tools) = checkers(TEST) else { return };
    let (sites, pages) = pages(TEST);
    let list: Vec<String> =
        pages.iter().map(|page| page.strip_prefix(sites).unwrap().display().to_string()).collect();
    let arguments = [tools.as_os_str(), browser.as_os_str(), sites.as_os_str()];
    let judged = run("check.mjs", &arguments, &list.join("\n"));
    assert_eq!(judged.len(), pages.len());
    assert_none(&judged);
    // Whose header was measured at 1440 pixels: it is in one line.
    for (name, _) in TEMPLATES.into_iter().filter(|(name, _)| is_built(name)) {
        let of_template = |page: &&Value| page["path"].as_str().unwrap().starts_with(name);
        let entries = judged.iter().filter(of_template);
        assert!(entries.filter(|page| page["header"] == true).count() >= ORDERS.len(), "{name}");
    }
}

/// The folder of the checkers that are programs of Node.js, of which they need version 20. `None` if
/// one of both is missing; the test is then reported as skipped.
fn checkers(test: &str) -> Option<PathBuf> {
    let is_new = "--eval=process.exit(Number(parseInt(process.versions.node) < 20))";
    if program(&["node"], is_new).is_none() {
        skipped(test, "Node.js 20 or newer is not here");
        return None;
    }
    node_modules("tests/standins/pages", test)
}

/// Runs a checker of `tests/standins/pages`, which prints one JSON object per line.
fn run(script: &str, arguments: &[&OsStr], input: &str) -> Vec<Value> {
    let mut checker = Command::new("node");
    checker.arg(root().join("tests/standins/pages").join(script)).args(arguments);
    checker.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checker = checker.spawn().unwrap();
    checker.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Nothing was found in anything that a checker judged, but in [`CONTROL`].
fn assert_none(judged: &[Value]) {
    let problems = judged.iter().flat_map(|of| {
        let path = of["path"].as_str().unwrap();
        let problems = of["problems"].as_array().unwrap();
        problems.iter().map(move |problem| format!("{path}: {problem}"))
    });
    let problems = without_control(problems.collect());
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Each site and its pages, and [`CONTROL`] as a site of one page, as `sites.mjs` reads them.
fn listed(test: &str) -> Vec<Value> {
    let (sites, pages) = pages(test);
    let mut of_site: BTreeMap<(String, PathBuf), Vec<String>> = BTreeMap::new();
    for page in pages {
        let path: Vec<String> = page
            .strip_prefix(sites)
            .unwrap()
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        let (name, folder, page) = match path.as_slice() {
            [template, order, page @ ..] if !page.is_empty() => {
                let folder = sites.join(template).join(order);
                (format!("{template}/{order}"), folder, page.join("/"))
            }
            _ => (CONTROL.to_owned(), sites.to_owned(), CONTROL.to_owned()),
        };
        of_site.entry((name, folder)).or_default().push(page);
    }
    let of_site = of_site.into_iter();
    of_site
        .map(|((name, folder), pages)| json!({ "name": name, "folder": folder, "pages": pages }))
        .collect()
}

/// The input of a checker that reads `sites.mjs`.
fn input(listed: &[Value]) -> String {
    listed.iter().map(|site| format!("{site}\n")).collect()
}

/// Holds all sites against a checker that needs no browser.
fn judge(script: &str, test: &str) -> Vec<Value> {
    let Some(tools) = checkers(test) else { return Vec::new() };
    let listed = listed(test);
    let judged = run(script, &[tools.as_os_str()], &input(&listed));
    assert_eq!(judged.len(), listed.len());
    assert_none(&judged);
    judged
}

#[test]
fn html_validate_finds_no_error_in_any_page() {
    judge("validate.mjs", "html_validate_finds_no_error_in_any_page");
}

#[test]
fn no_link_and_no_fragment_of_a_site_is_broken() {
    for site in judge("links.mjs", "no_link_and_no_fragment_of_a_site_is_broken") {
        // A page, its style sheet and its icon at least.
        assert!(site["links"].as_u64().unwrap() >= 3, "{site}");
    }
}

#[test]
fn the_structured_data_of_every_site_is_that_of_schema_org() {
    for site in judge("structured.mjs", "the_structured_data_of_every_site_is_that_of_schema_org") {
        assert!(site["documents"].as_u64().unwrap() >= 1, "{site}");
    }
}

/// Performance depends on what else the machine does, although Lighthouse simulates the network and
/// the processor of a phone: it is printed, and is a condition only if every page is judged, of
/// which each is then measured up to three times.
#[test]
fn lighthouse_gives_full_marks_on_a_phone() {
    const TEST: &str = "lighthouse_gives_full_marks_on_a_phone";
    let Some(browser) = program(&["/usr/bin/chromium", "/usr/bin/chromium-browser"], "--version")
    else {
        return skipped(TEST, "chromium is not here");
    };
    let Some(tools) = checkers(TEST) else { return };
    let mut listed = listed(TEST);
    if !judges_all() {
        listed.retain(|site| {
            let name = site["name"].as_str().unwrap();
            name == CONTROL || name.ends_with(ORDERS[0])
        });
        for site in listed.iter_mut().filter(|site| site["name"] != CONTROL) {
            site["pages"] = json!(["index.html"]);
        }
    }
    let times = if judges_all() { "3" } else { "1" };
    let arguments = [tools.as_os_str(), browser.as_os_str(), OsStr::new(times)];
    let judged = run("lighthouse.mjs", &arguments, &input(&listed));
    let pages = listed.iter().map(|site| site["pages"].as_array().unwrap().len());
    assert_eq!(judged.len(), pages.sum::<usize>());
    assert_none(&judged);
    for page in judged.iter().filter(|page| !page["path"].as_str().unwrap().contains(CONTROL)) {
        let scores = &page["scores"];
        println!("{}: {scores}, largest element after {} ms", page["path"], page["largest"]);
        for category in ["accessibility", "best-practices", "seo"] {
            assert_eq!(scores[category], 100, "{category}: {page}");
        }
        assert!(!judges_all() || scores["performance"].as_u64().unwrap() >= 95, "{page}");
    }
}
