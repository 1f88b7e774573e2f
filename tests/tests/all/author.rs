//! The commands for template authors in an empty folder: `new`, build, `generate` and
//! `conformance`, for all languages, in Python and in JavaScript. `author_rust` has what calls cargo.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sitewright_site::{Rule, SitePath, VerifyOptions, verify};
use sitewright_tests::author::{Desk, DevServer, files_below};
use sitewright_tests::{Done, languages, root, standins};

/// Name of the new project.
pub(crate) const NAME: &str = "green-gate";

/// A new project with the SDK that the binary carries, in whose files no folder of this machine is
/// named.
pub(crate) fn new(desk: &Desk, arguments: &[&str]) -> Value {
    let made = desk.run("", &[&["--json", "template", "new", NAME], arguments].concat());
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let here = [desk.path(), &root()].map(|path| path.display().to_string());
    for file in files_below(&desk.path().join(NAME)) {
        let content = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&content);
        assert!(!here.iter().any(|folder| text.contains(folder)), "{}", file.display());
    }
    desk.keep_times(NAME);
    made.json()
}

/// Builds a new project and makes its site, with the assertions that hold for every language.
pub(crate) fn builds_and_generates(desk: &Desk, world: &str, path: Option<&Path>) {
    let with_tools = |arguments: &[&str]| {
        let mut command = desk.command(NAME, arguments);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        Done::from(command.output().unwrap())
    };
    // Native tests, build, and the conformance suite with the project's case, in one go.
    let tested = with_tools(&["--json", "template", "test"]);
    assert_eq!(tested.code, 0, "{}\n{}", tested.stdout, tested.stderr);
    let author = tested.json().to_string().contains("author/");
    assert!(author && tested.stderr.contains("the native tests pass"), "{}", tested.stderr);
    let inspected = desk.run(NAME, &["--json", "template", "inspect", "dist/green-gate.wasm"]);
    assert_eq!(inspected.json()["world"], world, "{}", inspected.stdout);
    let report =
        desk.run(NAME, &["--json", "generate", "--template", NAME, "--order", "order.json"]);
    assert_eq!(report.code, 0, "{}\n{}", report.stdout, report.stderr);
    let warnings = report.json()["release"]["warnings"].to_string();
    assert!(warnings.contains("preview-image") && !warnings.contains("app-icon"), "{warnings}");
    let page =
        fs::read_to_string(desk.path().join(NAME).join(".sitewright/sites/1/current/index.html"))
            .unwrap();
    for part in ["Green Gate Gardens", "<li>Lawn care</li>", "--brand: #2f6f4f", "What we do"] {
        assert!(page.contains(part), "{part:?} is missing in {page}");
    }
}

/// A `PATH` that begins with these folders.
fn path_with(folders: &[&Path]) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf());
    std::env::join_paths(folders.chain(std::env::split_paths(&rest))).unwrap()
}

/// Runs the native tests of a new project, which pass, and fail after its page was broken.
fn native_tests_pass_and_fail(desk: &Desk, path: &Path, source: &str, broken: (&str, &str)) {
    let tested = || {
        let mut command = desk.command(NAME, &["--json", "template", "test", "--native"]);
        Done::from(command.env("PATH", path_with(&[path])).output().unwrap())
    };
    let done = tested();
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert_eq!(done.json(), json!({ "outcome": "passed", "native": "passed" }));
    desk.edit(source, |text| text.replace(broken.0, broken.1));
    let done = tested();
    assert_eq!(done.code, 4, "{}{}", done.stdout, done.stderr);
    assert_eq!(done.json(), json!({ "outcome": "failed", "native": "failed" }));
    assert!(done.stderr.contains("Garden design</li>"), "{}", done.stderr);
    // Nothing was built.
    assert!(!desk.path().join(NAME).join("dist").exists());

    // The same while the command waits for saved files.
    let mut command = desk.command(NAME, &["--json", "template", "test", "--native", "--watch"]);
    command.env("PATH", path_with(&[path]));
    let watching = DevServer::watching(command);
    assert_eq!(watching.next()["native"], "failed");
    desk.edit(source, |text| text.replace(broken.1, broken.0));
    assert_eq!(watching.next()["native"], "passed");
    assert_eq!(watching.interrupt(), 0);
}

#[test]
fn the_tests_of_a_new_python_template_pass_as_they_are_and_fail_for_a_broken_one() {
    let test = "the_tests_of_a_new_python_template_pass_as_they_are_and_fail_for_a_broken_one";
    let Some(python) = languages::native_python(test) else { return };
    let desk = Desk::clean("own-tests-python");
    new(&desk, &["--lang", "python"]);
    let source = "green-gate/src/app.py";
    native_tests_pass_and_fail(&desk, &python, source, ("{service}</li>", "{order.id}</li>"));
}

#[test]
fn the_tests_of_a_new_javascript_template_pass_as_they_are_and_fail_for_a_broken_one() {
    let test = "the_tests_of_a_new_javascript_template_pass_as_they_are_and_fail_for_a_broken_one";
    // esbuild, for the last part.
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    let desk = Desk::clean("own-tests-js");
    new(&desk, &["--lang", "js"]);
    let source = "green-gate/src/template.js";
    let nothing = desk.path().join("nothing");
    native_tests_pass_and_fail(&desk, &nothing, source, ("${service}</li>", "${order.id}</li>"));

    // A template in TypeScript, and an async function that nobody waits for: both as when it is
    // built.
    let project = desk.path().join(NAME);
    std::os::unix::fs::symlink(tools.join("node_modules"), project.join("node_modules")).unwrap();
    fs::write(
        project.join("src/typed.ts"),
        "import { template } from 'sitewright';\nimport dot from '../assets/dot.png';\ntype Page = { \
         title: string };\nasync function lost(page: Page): Promise<void> { throw new \
         Error(page.title); }\nexport const typed = template({ name: 'typed', version: '0.1.0', \
         summary: 'One.', purposes: {}, locales: ['en'], generate() { lost({ title: \
         String(dot.length) }); } });\n",
    )
    .unwrap();
    fs::write(project.join("assets/dot.png"), b"\x89PNG\r\n\x1a\n\xff\x00").unwrap();
    fs::write(
        project.join("test/orders.test.js"),
        "import assert from 'node:assert/strict';\nimport test from 'node:test';\nimport { Harness, \
         sampleOrder } from 'sitewright/testing';\nimport { typed } from \
         '../src/typed.ts';\ntest('it is refused', async () => {\n  assert.throws(() => new \
         Harness().run(typed, sampleOrder()), /no async/);\n});\n",
    )
    .unwrap();
    let done = desk.run(NAME, &["template", "test", "--native"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("the native tests pass"), "{}", done.stderr);
}

/// The first block of code in a language on a page of the book after a text.
fn block(page: &str, after: &str, language: &str) -> String {
    let text = fs::read_to_string(root().join("docs/src/author").join(page)).unwrap();
    let (_, rest) = text.split_once(after).unwrap();
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_native_tests_of_the_book_pass() {
    let test = "the_native_tests_of_the_book_pass";
    let desk = Desk::clean("book");
    let python = languages::native_python(test);
    // (language, page, code, template, test)
    let rows = [
        ("python", "python.md", "python", "src/app.py", "tests/test_orders.py"),
        ("js", "javascript.md", "js", "src/template.js", "test/orders.test.js"),
    ];
    for (language, page, code, template, tests) in rows {
        if language == "python" && python.is_none() {
            continue;
        }
        let name = format!("in-{language}");
        let made = desk.run("", &["template", "new", &name, "--lang", language]);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        let project = desk.path().join(&name);
        fs::write(project.join(template), block(page, "", code)).unwrap();
        fs::write(project.join(tests), block("testing.md", "## Native tests", code)).unwrap();
        let mut command = desk.command(&name, &["template", "test", "--native"]);
        let folders: Vec<&Path> = python.iter().map(PathBuf::as_path).collect();
        let done = Done::from(command.env("PATH", path_with(&folders)).output().unwrap());
        assert_eq!(done.code, 0, "{language}: {}{}", done.stdout, done.stderr);
    }
}

#[test]
fn a_project_for_a_published_sdk_names_the_version() {
    let desk = Desk::clean("published");
    for (language, file, dependency) in [
        ("rust", "Cargo.toml", "sitewright-sdk = \"0.1\""),
        ("js", "package.json", "\"sitewright\": \"0.1\""),
        ("python", "pyproject.toml", "\"installed\""),
    ] {
        let name = format!("in-{language}");
        let made = desk.run("", &["template", "new", &name, "--lang", language, "--sdk", "0.1"]);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        let text = fs::read_to_string(desk.path().join(&name).join(file)).unwrap();
        assert!(text.contains(dependency), "{dependency:?} is missing in {text}");
        assert!(!text.contains(root().to_str().unwrap()), "{text}");
    }
    // A checkout is named by a relative path.
    let checkout = root().display().to_string();
    for (language, file) in [("rust", "Cargo.toml"), ("js", "package.json")] {
        let name = format!("of-{language}");
        let made =
            desk.run("", &["template", "new", &name, "--lang", language, "--sdk", &checkout]);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        let text = fs::read_to_string(desk.path().join(&name).join(file)).unwrap();
        assert!(text.contains("../../../../guest-sdk") && !text.contains(&checkout), "{text}");
        assert!(!desk.path().join(&name).join("vendor").exists());
    }
}

/// The starters beside the one page, which other tests build, and a page of each.
pub(crate) const STARTERS: [(&str, &str); 4] = [
    ("multi-page", "services/index.html"),
    ("restaurant", "index.html"),
    ("portfolio", "index.html"),
    ("blog", "posts/the-stand-in-the-yard-is-open-again/index.html"),
];

/// Starters have their own words in the languages of the templates that we ship, and the words that
/// those have too are theirs.
#[test]
fn starters_speak_the_languages_of_the_shipped_templates() {
    const LANGUAGES: [&str; 9] = ["ar", "de", "en", "es", "fr", "he", "it", "ja", "pt"];
    // No template that we ship has these.
    const OWN: [(&str, &str); 3] =
        [("restaurant", "book"), ("blog", "posts"), ("blog", "all_posts")];
    let shipped = fs::read_to_string(root().join("plugins/landing-js/src/words.js")).unwrap();
    for (starter, _) in STARTERS {
        let folder = root().join("host/author/src/scaffold/starters").join(starter);
        let words: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(&fs::read_to_string(folder.join("words.json")).unwrap()).unwrap();
        let languages: Vec<&str> = words.keys().map(String::as_str).collect();
        assert_eq!(languages, LANGUAGES, "{starter}");
        for (language, own) in &words {
            let names = |of: &BTreeMap<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(own), names(&words["en"]), "{starter} {language}");
            let is_rtl = ["ar", "he"].contains(&language.as_str());
            assert_eq!(own["dir"], if is_rtl { "rtl" } else { "ltr" }, "{starter} {language}");
            let file = format!("plugins/local-business/src/language/{language}.rs");
            let more = fs::read_to_string(root().join(file)).unwrap();
            for (name, word) in own.iter().filter(|(name, _)| *name != "dir") {
                let texts = word.as_object().map_or(vec![word], |days| days.values().collect());
                for text in texts.into_iter().map(|text| text.as_str().unwrap()) {
                    assert!(!text.is_empty(), "{starter} {language} {name}");
                    let is_shipped = shipped.contains(text) || more.contains(text);
                    let is_own = OWN.contains(&(starter, name.as_str()));
                    assert!(is_shipped || is_own, "{starter} {language} {name}: {text}");
                }
            }
        }
    }
}

/// Makes a project of a starter.
pub(crate) fn begin(desk: &Desk, language: &str, starter: &str) {
    let made = desk.run("", &["template", "new", NAME, "--lang", language, "--starter", starter]);
    assert_eq!(made.code, 0, "{language} {starter}: {}{}", made.stdout, made.stderr);
}

/// A starter passes its own tests and the conformance suite, and makes the site of its order.
pub(crate) fn starter_is_whole(
    desk: &Desk,
    language: &str,
    (starter, page): (&str, &str),
    path: &[&Path],
) {
    begin(desk, language, starter);
    desk.keep_times(NAME);
    let mut command = desk.command(NAME, &["template", "test"]);
    let tested = Done::from(command.env("PATH", path_with(path)).output().unwrap());
    assert_eq!(tested.code, 0, "{starter}: {}\n{}", tested.stdout, tested.stderr);
    assert!(tested.stderr.contains("the native tests pass"), "{starter}: {}", tested.stderr);
    let generated = desk.run(NAME, &["generate", "--template", NAME, "--order", "order.json"]);
    assert_eq!(generated.code, 0, "{starter}: {}\n{}", generated.stdout, generated.stderr);
    let site = desk.path().join(NAME).join(".sitewright/sites/1/current");
    assert!(site.join(page).is_file(), "{starter} has no {page}");
}

/// Builds a starter in JavaScript. Each has a test of its own, so that they run at the same time.
fn javascript_starter(at: usize, test: &str) {
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    languages::warm("landing-js");
    let desk = Desk::clean(&format!("starters-js-{at}"));
    starter_is_whole(&desk, "js", STARTERS[at], &[&tools.join("node_modules/.bin")]);
}

#[test]
fn the_starter_of_many_pages_in_javascript_builds_runs_and_conforms_as_it_is() {
    javascript_starter(
        0,
        "the_starter_of_many_pages_in_javascript_builds_runs_and_conforms_as_it_is",
    );
}

#[test]
fn the_starter_of_a_restaurant_in_javascript_builds_runs_and_conforms_as_it_is() {
    javascript_starter(
        1,
        "the_starter_of_a_restaurant_in_javascript_builds_runs_and_conforms_as_it_is",
    );
}

/// A test in JavaScript that writes the pages of all orders of a folder.
pub(crate) const JAVASCRIPT_PAGES: &str =
    "import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import test from 'node:test';
import { Harness } from 'sitewright/testing';
import { generatorSync } from '../src/template.js';

test('the pages are written', () => {
  const script = readFileSync('ai.toml', 'utf8');
  const folder = process.env.TESTS_ORDERS;
  const orders = readdirSync(folder).map((name) => join(folder, name));
  for (const path of ['order.json', ...orders]) {
    const [name, order] = [basename(path), readFileSync(path, 'utf8')];
    const run = Harness.scripted(script).run(generatorSync, order).ok();
    for (const written of run.files.keys()) {
      const file = join('pages', name, written);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, run.text(written));
    }
  }
});
";

/// The same in Python.
const PYTHON_PAGES: &str = "import json
import os
import unittest
from pathlib import Path

from sitewright.testing import Harness

import app


class Pages(unittest.TestCase):
    def test_the_pages_are_written(self):
        script = Path('ai.toml').read_text()
        for order in [Path('order.json'), *Path(os.environ['TESTS_ORDERS']).iterdir()]:
            run = Harness.scripted(script).run(app.Generator, json.loads(order.read_text())).ok()
            for path in run.files:
                file = Path('pages', order.name, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(run.text(path), 'utf-8')
";

/// The files of the sites of all test orders, made by the project on the desk in this interpreter,
/// without a component. `code` is one of the tests above, and `file` where it goes.
pub(crate) fn pages_of_all_orders(
    desk: &Desk,
    (file, code): (&str, &str),
    path: &[&Path],
) -> BTreeMap<PathBuf, String> {
    let project = desk.path().join(NAME);
    fs::write(project.join(file), code).unwrap();
    let mut command = desk.command(NAME, &["template", "test", "--native"]);
    command.env("PATH", path_with(path)).env("TESTS_ORDERS", root().join("tests/orders"));
    let done = Done::from(command.output().unwrap());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let pages = project.join("pages");
    let files = files_below(&pages).into_iter().map(|file| {
        let text = fs::read_to_string(&file).unwrap();
        (file.strip_prefix(&pages).unwrap().to_owned(), text)
    });
    files.collect()
}

/// Fails with the file that differs.
fn are_alike(
    what: &str,
    one: &BTreeMap<PathBuf, String>,
    other: &BTreeMap<PathBuf, String>,
    page: &str,
) {
    for order in sitewright_tests::ORDERS {
        let page = Path::new(&format!("{order}.json")).join(page);
        assert!(one.contains_key(&page), "{what}: {}", page.display());
    }
    assert_eq!(one.len(), other.len(), "{what}");
    for (path, text) in one {
        assert_eq!(other.get(path), Some(text), "{what}: {}", path.display());
    }
}

/// The site of a starter's own order leaves out nothing that the checks of sites ask for, but for a
/// picture of the business, which most of these orders have not.
fn is_complete(starter: &str, pages: &BTreeMap<PathBuf, String>) {
    let files = pages.iter().filter_map(|(path, text)| {
        let path = path.strip_prefix("order.json").ok()?;
        let path = SitePath::parse(path.to_str()?, 255).ok()?;
        Some((path, text.clone().into_bytes()))
    });
    let files: BTreeMap<SitePath, Vec<u8>> = files.collect();
    let warnings = verify(&files, &VerifyOptions::default()).unwrap().warnings;
    let is_warned = |rule: Rule| warnings.iter().any(|warning| warning.rule == rule);
    for rule in [Rule::Icon, Rule::AppIcon, Rule::TitleLength, Rule::DescriptionLength] {
        assert!(!is_warned(rule), "{starter}: {rule:?}: {warnings:#?}");
    }
    assert_eq!(is_warned(Rule::PreviewImage), starter != "portfolio", "{starter}: {warnings:#?}");
}

/// The starters in Python make the pages of those in JavaScript, byte by byte. So the suite runs for
/// one language: a component with an interpreter takes minutes to build and compile.
#[test]
fn every_starter_in_python_makes_the_pages_of_the_one_in_javascript() {
    let test = "every_starter_in_python_makes_the_pages_of_the_one_in_javascript";
    let Some(python) = languages::native_python(test) else { return };
    let desk = Desk::clean("starters-native");
    for (starter, _) in STARTERS {
        desk.empty();
        begin(&desk, "js", starter);
        let javascript = pages_of_all_orders(&desk, ("test/pages.test.js", JAVASCRIPT_PAGES), &[]);
        desk.empty();
        begin(&desk, "python", starter);
        let python = pages_of_all_orders(&desk, ("tests/test_pages.py", PYTHON_PAGES), &[&python]);
        are_alike(starter, &javascript, &python, "index.html");
        is_complete(starter, &javascript);
    }
}

#[test]
fn the_starter_in_typescript_is_the_page_in_javascript() {
    let test = "the_starter_in_typescript_is_the_page_in_javascript";
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    let desk = Desk::clean("typescript");
    begin(&desk, "js", "one-page");
    let javascript = pages_of_all_orders(&desk, ("test/pages.test.js", JAVASCRIPT_PAGES), &[]);
    desk.empty();
    begin(&desk, "js", "typescript");
    let project = desk.path().join(NAME);
    assert!(!project.join("src/template.js").exists());

    // A build bundles it. What makes the component of a bundle knows no TypeScript, and is left out.
    let stub = desk.path().join("stub");
    fs::create_dir(&stub).unwrap();
    let tool = stub.join("componentize-js");
    fs::write(&tool, "#!/bin/sh\necho left out >&2\nexit 1\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut build = desk.command(NAME, &["template", "build"]);
    build.env("PATH", path_with(&[&stub, &tools.join("node_modules/.bin")]));
    let built = Done::from(build.output().unwrap());
    assert!(built.code == 4 && built.stderr.contains("left out"), "{}", built.stderr);
    let bundle = project.join(".sitewright/build").join(NAME).with_extension("js");
    assert!(fs::read_to_string(bundle).unwrap().contains("Write the copy of a one-page website"));

    // The native tests need the bundler, which `npm install` brings.
    std::os::unix::fs::symlink(tools.join("node_modules"), project.join("node_modules")).unwrap();
    let code = JAVASCRIPT_PAGES.replace("template.js", "template.ts");
    let typescript = pages_of_all_orders(&desk, ("test/pages.test.js", code.as_str()), &[]);
    are_alike("typescript", &javascript, &typescript, "index.html");
}

/// `guest-sdk/tests/typed.test.ts` says which types the testing module has; a run says that they are
/// those of its values.
#[test]
fn a_native_test_in_typescript_compiles_and_passes() {
    let test = "a_native_test_in_typescript_compiles_and_passes";
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    // A dependency of what makes components.
    let tsc = tools.join("node_modules/.bin/tsc");
    if !tsc.exists() {
        return standins::skipped(test, "there is no TypeScript compiler");
    }
    let desk = Desk::clean("typescript-test");
    begin(&desk, "js", "typescript");
    let project = desk.path().join(NAME);
    // What `npm install` makes of the project's package.json.
    let modules = project.join("node_modules");
    fs::create_dir(&modules).unwrap();
    let sdk = project.join("vendor/sitewright/guest-sdk/js");
    for (name, package) in [("sitewright", sdk), ("esbuild", tools.join("node_modules/esbuild"))] {
        std::os::unix::fs::symlink(package, modules.join(name)).unwrap();
    }
    fs::copy(root().join("guest-sdk/tests/typed.test.ts"), project.join("test/typed.test.ts"))
        .unwrap();
    let compiled = || {
        let mut compiler = Command::new(&tsc);
        Done::from(compiler.args(["--project", "."]).current_dir(&project).output().unwrap())
    };
    let done = compiled();
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let done = desk.run(NAME, &["template", "test", "--native"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);

    // A type that is wrong is found.
    desk.edit("green-gate/test/typed.test.ts", |text| text + "\nrun.files.get(7);\n");
    let done = compiled();
    assert_ne!(done.code, 0);
    assert!(done.stdout.contains("test/typed.test.ts"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn a_new_python_template_builds_runs_and_conforms_as_it_is() {
    let test = "a_new_python_template_builds_runs_and_conforms_as_it_is";
    let Some(programs) = languages::python_tools(test) else { return };
    let Some(native) = languages::native_python(test) else { return };
    languages::warm("landing-py");
    let desk = Desk::clean("python");
    new(&desk, &["--lang", "python"]);
    // Nothing else of the machine is needed.
    let path = format!("{}:{}", programs.display(), native.display());
    builds_and_generates(&desk, "template", Some(Path::new(&path)));
}

#[test]
fn an_error_of_syntax_in_python_is_found_before_the_component_is_built() {
    let test = "an_error_of_syntax_in_python_is_found_before_the_component_is_built";
    let Some(python) = languages::native_python(test) else { return };
    let version = ["python3.14", "python3.13"].map(|name| python.join(name));
    if !version.iter().any(|file| file.is_file()) {
        standins::skipped(test, "the Python of this machine is too old to know the syntax");
        return;
    }
    let desk = Desk::clean("python-syntax");
    new(&desk, &["--lang", "python"]);
    // No tool is on the PATH that could build: what has no error fails for that.
    let build = || {
        let mut command = desk.command(NAME, &["--json", "template", "build"]);
        Done::from(command.env("PATH", &python).output().unwrap())
    };
    let missing = build();
    assert_eq!(missing.code, 2, "{}{}", missing.stdout, missing.stderr);
    desk.edit("green-gate/src/app.py", |text| text + "\nx = t\"{a b}\"\n");
    let wrong = build();
    assert_eq!(wrong.code, 4, "{}{}", wrong.stdout, wrong.stderr);
    let lines = fs::read_to_string(desk.path().join("green-gate/src/app.py")).unwrap();
    let place = format!("File \"src/app.py\", line {}", lines.lines().count());
    assert!(wrong.stderr.contains(&place), "{place} is missing in {}", wrong.stderr);
    assert!(wrong.stderr.contains("SyntaxError"), "{}", wrong.stderr);
}

#[test]
fn a_new_javascript_template_builds_runs_and_conforms_as_it_is() {
    let test = "a_new_javascript_template_builds_runs_and_conforms_as_it_is";
    let desk = Desk::clean("js");
    new(&desk, &["--lang", "js"]);
    let done = desk.run(NAME, &["template", "build"]);
    assert!(done.code == 2 && done.stderr.contains("npm install"), "{}", done.stderr);
    // The SDK needs no `npm install`, and neither do tools on the PATH.
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    languages::warm("landing-js");
    let path = path_with(&[&tools.join("node_modules/.bin")]);
    builds_and_generates(&desk, "template-sync", Some(Path::new(&path)));
}

/// Images are bytes, fonts too; an exception is told with the author's file and line.
#[test]
fn what_a_javascript_template_prints_and_where_it_fails_is_shown() {
    let test = "what_a_javascript_template_prints_and_where_it_fails_is_shown";
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    let desk = Desk::clean("js-edited");
    new(&desk, &["--lang", "js"]);
    let project = desk.path().join(NAME);
    fs::write(project.join("assets/dot.png"), b"\x89PNG\r\n\x1a\n\xff\x00").unwrap();
    desk.edit("green-gate/src/template.js", |text| {
        format!("import dot from '../assets/dot.png';\n{text}").replace(
            "    writeFile('assets/site.css', style);\n",
            "    writeFile('assets/site.css', style);\n    console.log('printed', dot.length);\n    \
             try { writeFile('../x', dot); } catch { warn('w', 'the file is left out'); }\n    if \
             (order.services.length === 1) price(order);\n",
        ) + "\nfunction price(order) {\n  return order.menu.soup.price;\n}\n"
    });
    desk.edit("green-gate/src/template.js", |text| {
        text.replace("template, writeFile", "template, warn, writeFile")
    });
    languages::warm("landing-js");
    let mut build = desk.command(NAME, &["--json", "template", "build"]);
    build.env("PATH", path_with(&[&tools.join("node_modules/.bin")]));
    let built = Done::from(build.output().unwrap());
    assert_eq!(built.code, 0, "{}\n{}", built.stdout, built.stderr);
    let generate = ["generate", "--template", NAME, "--order", "order.json"];
    let made = desk.run(NAME, &generate);
    assert_eq!(made.code, 0, "{}\n{}", made.stdout, made.stderr);
    // What is not seen on the page is shown for a run that succeeds too.
    for part in ["w: the file is left out", "write-refused: the file ../x", "printed 10"] {
        assert!(made.stdout.contains(part), "{part:?} is missing in {}", made.stdout);
    }
    desk.edit("green-gate/order.json", |text| {
        text.replace("[\"Garden design\", \"Lawn care\", \"Tree pruning\"]", "[\"Garden design\"]")
    });
    let failed = desk.run(NAME, &[&["--json"][..], &generate].concat());
    let record = failed.failure();
    let source = fs::read_to_string(project.join("src/template.js")).unwrap();
    let line = source.lines().position(|line| line.contains("menu.soup.price")).unwrap() + 1;
    assert_eq!(record["kind"], "panic", "{record:#}");
    assert_eq!(
        (&record["location"]["file"], &record["location"]["line"]),
        (&json!("src/template.js"), &json!(line)),
        "{record:#}"
    );
    let stack = record["stderr"].as_str().unwrap();
    assert!(stack.contains(&format!("at price (src/template.js:{line})")), "{stack}");
}

#[test]
fn a_project_is_made_of_a_git_repository_and_nothing_of_it_runs() {
    let desk = Desk::clean("from-git");
    let made = desk.run("", &["template", "new", "theirs", "--lang", "js"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let repository = desk.path().join("theirs");
    let git = |folder: &Path, arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
        let done = Done::from(git.current_dir(folder).output().unwrap());
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    std::os::unix::fs::symlink("/etc/hostname", repository.join("link")).unwrap();
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "--message", "one"]);
    let url = format!("file://{}", repository.display());
    let done = desk.run("", &["--json", "template", "new", NAME, "--from", &url]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert_eq!(
        (done.json()["name"].as_str(), done.json()["language"].as_str()),
        (Some("theirs"), Some("js"))
    );
    let project = desk.path().join(NAME);
    assert!(project.join("src/template.js").is_file() && !project.join(".git").exists());
    assert!(!project.join("link").is_symlink(), "a link of a repository is a file");

    // An option, a repository without a project, none at all, and a folder that is taken.
    let empty = desk.path().join("empty");
    fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "--quiet"]);
    git(&empty, &["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let (empty, nowhere) = (format!("file://{}", empty.display()), "file:///nowhere".to_owned());
    let rows: [(&str, &str, &str); 4] = [
        ("new", "--upload-pack=touch", "--from"),
        ("new", &empty, "is no template"),
        ("new", &nowhere, "git failed"),
        (NAME, &url, "nothing is ever overwritten"),
    ];
    for (name, url, says) in rows {
        let from = format!("--from={url}");
        let done = desk.run("", &["template", "new", name, &from]);
        assert_eq!(done.code, 2, "{url}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{url}: {says:?} is missing in {}", done.stderr);
    }
    let left: Vec<_> =
        fs::read_dir(desk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "something was left behind: {left:?}");
}

#[test]
fn a_new_project_is_refused_with_the_reason() {
    let desk = Desk::clean("refused");
    fs::create_dir(desk.path().join("taken")).unwrap();
    fs::write(desk.path().join("taken/notes.txt"), "mine").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["Green"], "capital letter 'G'"),
        (&["fn"], "means something already"),
        (&["taken"], "nothing is ever overwritten"),
        (&["new", "--sdk", "taken"], "--sdk"),
        (&["new", "--lang", "cobol"], "rust"),
        (&["new", "--starter", "typescript"], "`--lang js`"),
    ];
    for (arguments, says) in cases {
        let done = desk.run("", &[&["template", "new"], arguments].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
        assert!(
            done.stderr.contains(says),
            "{arguments:?}: {says:?} is missing in {}",
            done.stderr
        );
        assert!(!desk.path().join("new").exists());
    }
    assert_eq!(fs::read_dir(desk.path().join("taken")).unwrap().count(), 1);
    let done = desk.run("", &["template", "build", "taken"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("template new"), "{}", done.stderr);
}

#[test]
fn a_tool_that_is_missing_is_named_with_what_to_do() {
    let desk = Desk::clean("tools");
    new(&desk, &[]);
    let nothing = desk.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let without = |variables: &[(&str, &str)]| {
        let mut command = desk.command(NAME, &["--json", "template", "build"]);
        command
            .env("PATH", &nothing)
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .envs(variables.iter().copied());
        sitewright_tests::Done::from(command.output().unwrap())
    };
    let done = without(&[]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(
        done.stdout.contains("rustc is missing") && done.stdout.contains("rustup.rs"),
        "{}",
        done.stdout
    );

    // A compiler without a WebAssembly target.
    let rustc = nothing.join("rustc-of-a-distribution");
    fs::write(&rustc, "#!/bin/sh\necho /usr\n").unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let done = without(&[("RUSTC", rustc.to_str().unwrap())]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stdout.contains("rustup target add wasm32-wasip2"), "{}", done.stdout);
}
