//! The commands for template authors in an empty folder: `new`, build, `generate`,
//! `conformance` and `dev`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sitewright_tests::author::{Desk, DevServer};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::{Done, languages, root, standins};

/// Name of the new project.
const NAME: &str = "green-gate";

/// A new project with the SDK that the binary carries, in whose files no folder of this machine is
/// named.
fn new(desk: &Desk, arguments: &[&str]) -> Value {
    let made = desk.run("", &[&["--json", "template", "new", NAME], arguments].concat());
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let here = [desk.path(), &root()].map(|path| path.display().to_string());
    for file in files_below(&desk.path().join(NAME)) {
        let content = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&content);
        assert!(!here.iter().any(|folder| text.contains(folder)), "{}", file.display());
    }
    made.json()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Runs the conformance suite over a component.
fn conforms(desk: &Desk, component: &str) {
    let done = desk.run(NAME, &["conformance", component, "--cases", "conformance"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
}

#[test]
fn a_new_rust_template_builds_runs_and_conforms_as_it_is() {
    let desk = Desk::clean("rust");
    let made = new(&desk, &["--lang", "rust"]);
    assert_eq!((made["language"].as_str(), made["name"].as_str()), (Some("rust"), Some(NAME)));
    for file in made["files"].as_array().unwrap() {
        let path = file.as_str().unwrap();
        assert_eq!(desk.path().join(NAME).join(path).is_dir(), path.ends_with('/'), "{file}");
        assert!(desk.path().join(NAME).join(path).exists(), "{file}");
    }

    for early in [
        &["generate", "--template", NAME, "--order", "order.json"][..],
        &["conformance", "dist"],
        &["conformance", "dist/green-gate.wasm"],
    ] {
        let done = desk.run(NAME, early);
        assert_eq!(done.code, 2, "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("run `sitewright template build .` first"), "{}", done.stderr);
    }

    let built = desk.run(NAME, &["--json", "template", "build"]);
    assert_eq!(built.code, 0, "{}\n{}", built.stdout, built.stderr);
    let built = built.json();
    assert_eq!(built["contract"]["version"], "0.1.0");
    assert_eq!(built["contract"]["world"], "template");
    assert!(
        built["imports"].as_array().unwrap().contains(&"sitewright:template/ai@0.1.0".into()),
        "{built}"
    );
    let component = desk.path().join(NAME).join("dist/green-gate.wasm");
    let debug = desk.path().join(NAME).join("dist/green-gate.debug.wasm");
    assert_eq!(built["bytes"].as_u64().unwrap(), fs::metadata(&component).unwrap().len());
    assert!(fs::metadata(&component).unwrap().len() < 1 << 20, "{built}");
    let wasm = fs::read(&debug).unwrap();
    let has = |text: &str| wasm.windows(text.len()).any(|part| part == text.as_bytes());
    // Debug information names relative source files, and no folder of this machine.
    assert!(has("src/lib.rs") && has(".debug_line"));
    assert!(!has(desk.path().to_str().unwrap()), "the component tells the project's folder");
    assert!(!has(root().to_str().unwrap()), "the component tells the SDK's folder");

    let report =
        desk.run(NAME, &["--json", "generate", "--template", NAME, "--order", "order.json"]);
    assert_eq!(report.code, 0, "{}\n{}", report.stdout, report.stderr);
    let page = desk.path().join(NAME).join(".sitewright/sites/1/current/index.html");
    assert!(fs::read_to_string(page).unwrap().contains("Green Gate Gardens"));

    // The same with file names that contain the version.
    let named = desk.run(NAME, &["--json", "template", "build", "--release-name"]).json();
    assert!(named["file"].as_str().unwrap().ends_with("dist/green-gate-0.1.0.wasm"), "{named}");
    assert_eq!(named["digest"], built["digest"], "the same source, the same bytes");
    assert!(desk.path().join(NAME).join("dist/green-gate-0.1.0.debug.wasm").is_file());

    conforms(&desk, named["file"].as_str().unwrap());
}

/// Builds a new project and makes its site, with the assertions that hold for every language.
fn builds_and_generates(desk: &Desk, world: &str, path: Option<&Path>) {
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
    assert!(done.stderr.contains("Lawn care</li>"), "{}", done.stderr);
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

/// The starters beside the one page, which other tests build.
const STARTERS: [(&str, &str); 2] =
    [("multi-page", "services/index.html"), ("restaurant", "index.html")];

/// Each starter passes its own tests and the conformance suite, and makes the site of its order.
fn every_starter_is_whole(desk: &Desk, language: &str, path: &[&Path]) {
    for (starter, page) in STARTERS {
        let name = format!("{language}-{starter}");
        let arguments = ["template", "new", &name, "--lang", language, "--starter", starter];
        let made = desk.run("", &arguments);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        let mut command = desk.command(&name, &["template", "test"]);
        let tested = Done::from(command.env("PATH", path_with(path)).output().unwrap());
        assert_eq!(tested.code, 0, "{name}: {}\n{}", tested.stdout, tested.stderr);
        assert!(tested.stderr.contains("the native tests pass"), "{name}: {}", tested.stderr);
        let generate = ["generate", "--template", &name, "--order", "order.json"];
        let generated = desk.run(&name, &generate);
        assert_eq!(generated.code, 0, "{name}: {}\n{}", generated.stdout, generated.stderr);
        let site = desk.path().join(&name).join(".sitewright/sites/1/current");
        assert!(site.join(page).is_file(), "{name} has no {page}");
    }
}

#[test]
fn every_starter_in_rust_builds_runs_and_conforms_as_it_is() {
    let desk = Desk::clean("starters-rust");
    every_starter_is_whole(&desk, "rust", &[]);
}

#[test]
fn every_starter_in_javascript_builds_runs_and_conforms_as_it_is() {
    let test = "every_starter_in_javascript_builds_runs_and_conforms_as_it_is";
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    let desk = Desk::clean("starters-js");
    every_starter_is_whole(&desk, "js", &[&tools.join("node_modules/.bin")]);
    // A starter that a language does not have is refused with those that have it.
    let refused =
        desk.run("", &["template", "new", "a", "--lang", "python", "--starter", "restaurant"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--lang js"), "{}", refused.stderr);
}

/// Runs cargo in the project; panics with its output if it fails.
fn cargo(desk: &Desk, arguments: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    desk.for_cargo(&mut cargo);
    let done =
        Done::from(cargo.args(arguments).current_dir(desk.path().join(NAME)).output().unwrap());
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
}

#[test]
fn the_tests_of_a_new_rust_template_pass_as_they_are_and_fail_for_a_broken_one() {
    let desk = Desk::clean("own-tests");
    new(&desk, &[]);
    cargo(&desk, &["test", "--quiet"]);
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("{{ service }}", "{{ order.id }}")
    });
    let mut broken = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    desk.for_cargo(&mut broken);
    let done =
        broken.args(["test", "--quiet"]).current_dir(desk.path().join(NAME)).output().unwrap();
    let stdout = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success() && stdout.contains("Lawn care</li> is missing"), "{stdout}");
}

#[test]
fn a_project_for_a_published_sdk_names_the_version_and_builds_with_it() {
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
    let made = desk.run("", &["template", "new", NAME, "--sdk", "0.1"]);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    // The local SDK in place of the version in a registry.
    let sdk = root().join("guest-sdk").display().to_string();
    fs::create_dir(desk.path().join(NAME).join(".cargo")).unwrap();
    fs::write(
        desk.path().join(NAME).join(".cargo/config.toml"),
        format!("[patch.crates-io]\nsitewright-sdk = {{ path = {sdk:?} }}\n"),
    )
    .unwrap();
    builds_and_generates(&desk, "template", None);
}

#[test]
fn dev_asks_a_real_model_each_question_once() {
    let desk = Desk::clean("recorded");
    new(&desk, &[]);
    let script = fs::read_to_string(desk.path().join("green-gate/ai.toml")).unwrap();
    let model =
        ChatServer::start(&script.replace("purpose = \"copywriting\"\n", ""), |_| Answer::Good);
    let configuration = format!(
        "[ai.providers.model]\nkind = \"openai\"\nbase_url = {:?}\n[ai.routes.default]\ntry = [{{ \
         provider = \"model\", model = \"small\" }}]\n",
        model.base_url()
    );
    fs::write(desk.path().join("green-gate/sitewright.toml"), configuration).unwrap();
    let start = || {
        let server = DevServer::start(desk.command(
            NAME,
            &["--json", "template", "dev", "--order", "order.json", "--ai", "recorded"],
        ));
        server.until("shown");
        server
    };
    let server = start();
    assert!(server.get("/").body.contains("A garden you look forward to"));
    assert_eq!(model.calls().len(), 1);

    // Another page with the same answers.
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("</footer>", "<p>Again.</p></footer>")
    });
    server.until("shown");
    assert!(server.get("/").body.contains("Again."));
    assert_eq!(model.calls().len(), 1, "the answer was kept");

    // A new question, and the first one, whose answer is cached.
    desk.edit("green-gate/order.json", |text| text.replace("Lawn care", "Lawns"));
    server.until("shown");
    assert_eq!(model.calls().len(), 2);
    assert!(model.calls()[1].contains("Lawns"));
    desk.edit("green-gate/order.json", |text| text.replace("Lawns", "Lawn care"));
    server.until("shown");
    assert_eq!(model.calls().len(), 2);
    assert_eq!(server.interrupt(), 0);

    // Also in a later process.
    let server = start();
    assert!(server.get("/").body.contains("A garden you look forward to"));
    assert_eq!(model.calls().len(), 2);
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn a_new_python_template_builds_runs_and_conforms_as_it_is() {
    let test = "a_new_python_template_builds_runs_and_conforms_as_it_is";
    let Some(programs) = languages::python_tools(test) else { return };
    let Some(native) = languages::native_python(test) else { return };
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
    let project = desk.path().join(NAME);
    let done = desk.run(NAME, &["template", "build"]);
    assert!(done.code == 2 && done.stderr.contains("npm install"), "{}", done.stderr);
    // The SDK needs no `npm install`, and neither do tools on the PATH.
    let Some(tools) = standins::node_modules("xtask/javascript", test) else { return };
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", tools.join("node_modules/.bin").display());
    builds_and_generates(&desk, "template-sync", Some(Path::new(&path)));

    // Images are bytes, fonts too; an exception is told with the author's file and line.
    fs::write(project.join("assets/dot.png"), b"\x89PNG\r\n\x1a\n\xff\x00").unwrap();
    desk.edit("green-gate/src/template.js", |text| {
        format!("import dot from '../assets/dot.png';\n{text}").replace(
            "    writeFile('assets/icon.svg', icon);\n",
            "    writeFile('assets/icon.svg', icon);\n    console.log('printed', dot.length);\n    \
             try { writeFile('../x', dot); } catch { warn('w', 'the file is left out'); }\n    if \
             (order.services.length === 1) price(order);\n",
        ) + "\nfunction price(order) {\n  return order.menu.soup.price;\n}\n"
    });
    desk.edit("green-gate/src/template.js", |text| {
        text.replace("template, writeFile", "template, warn, writeFile")
    });
    let mut build = desk.command(NAME, &["--json", "template", "build"]);
    let built = Done::from(build.env("PATH", &path).output().unwrap());
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
fn dev_shows_each_version_and_each_failure_in_the_open_page() {
    let desk = Desk::clean("dev");
    new(&desk, &[]);
    let source = "green-gate/src/lib.rs";
    let server = DevServer::start(
        desk.command(NAME, &["--json", "template", "dev", "--order", "order.json"]),
    );
    let first = server.until("shown");
    assert!(first["build_ms"].is_u64(), "{first}");
    // What is not seen on the page: in the event, and in a drawer of the page.
    assert!(first["notes"]["warnings"].to_string().contains("preview-image"), "{first}");
    let notes = server.get("/__sitewright/notes");
    assert!(notes.body.contains("preview-image"), "{}", notes.body);
    let page = server.get("/");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("<li>Lawn care</li>"), "{}", page.body);
    assert!(page.head.contains("cache-control: no-store"), "{}", page.head);
    let style = server.get("/assets/site.css");
    assert!(style.status == 200 && style.head.contains("content-type: text/css"), "{}", style.head);
    assert!(server.get("/__sitewright/reload.js").body.contains("EventSource"));
    // The release on disk has no reload script.
    let released = desk.path().join("green-gate/.sitewright/sites/1/current/index.html");
    assert!(!fs::read_to_string(released).unwrap().contains("__sitewright"));

    // Requests for other host names, and for files outside the site, are rejected.
    let port = server.address.rsplit(':').next().unwrap();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        ("127.0.0.1:1".to_owned(), 421),
        (String::new(), 421),
    ] {
        assert_eq!(server.get_as(&host, "/").status, status, "{host}");
    }
    for path in [
        "/manifest.json",
        "/../manifest.json",
        "/%2e%2e/manifest.json",
        "/..%2f..%2fCargo.toml",
        "/order.json",
        "/%ff",
    ] {
        assert!([400, 404].contains(&server.get(path).status), "{path}");
    }

    // After a change, the open page is notified and loads the new version.
    let mut versions = server.versions();
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("</footer>", "<p>Written twice.</p></footer>")
    });
    server.until("shown");
    let next = versions.other_than(&page.version());
    let page = server.get("/");
    assert_eq!(page.version(), next);
    assert!(page.body.contains("Written twice."), "{}", page.body);

    // A change of the order alone builds nothing.
    desk.edit("green-gate/order.json", |text| text.replace("Lawn care", "Lawns & hedges"));
    let shown = server.until("shown");
    assert!(shown["build_ms"].is_null(), "{shown}");
    assert!(server.get("/").body.contains("Lawns &#38; hedges"));

    // A compile error is shown with the compiler's message.
    desk.edit(source, |text| {
        text.replace("progress(\"page\", 0, 1);", "progress(\"page\", <String>::nothing, 1);")
    });
    server.until("failed");
    let page = server.get("/");
    assert_eq!(page.status, 503);
    assert!(
        page.body.contains("The template was not built") && page.body.contains("src/lib.rs"),
        "{}",
        page.body
    );
    assert!(page.body.contains("&lt;") && !page.body.contains("<String>"), "{}", page.body);

    // A runtime error is shown as its record, with the line in the author's source.
    desk.edit(source, |text| {
        text.replace(
            "progress(\"page\", <String>::nothing, 1);",
            "panic!(\"the <gate> is shut\");\n#[allow(unreachable_code)]\n",
        )
    });
    server.until("failed");
    let page = server.get("/");
    assert!(
        page.body.contains("No site was made") && page.body.contains("the &lt;gate&gt; is shut"),
        "{}",
        page.body
    );
    assert!(page.body.contains("src/lib.rs:"), "{}", page.body);

    // Files of the project open in the editor.
    let file = desk.path().canonicalize().unwrap().join(source);
    let link = format!("<a href=\"vscode://file{}:", file.display());
    assert!(page.body.contains(&link), "{link} is missing in {}", page.body);

    // And fixed.
    desk.edit(source, |text| {
        text.replace("panic!(\"the <gate> is shut\");\n#[allow(unreachable_code)]\n", "")
    });
    server.until("shown");
    assert!(server.get("/").body.contains("Written twice."));
    let widths = server.get("/__sitewright/widths");
    assert!(widths.status == 200 && widths.body.contains("<main>"), "{widths:?}");
    assert_eq!(server.interrupt(), 0);

    // A folder of orders: the browser chooses one.
    let orders = desk.path().join("green-gate/orders");
    fs::create_dir(&orders).unwrap();
    let order = fs::read_to_string(desk.path().join("green-gate/order.json")).unwrap();
    for name in ["a", "b"] {
        let text = order.replace("Green Gate Gardens", &format!("Gardens of {name}"));
        fs::write(orders.join(format!("{name}.json")), text).unwrap();
    }
    fs::write(orders.join("notes.txt"), "no order").unwrap();
    let server =
        DevServer::start(desk.command(NAME, &["--json", "template", "dev", "--order", "orders"]));
    server.until("shown");
    let known =
        || -> Value { serde_json::from_str(&server.get("/__sitewright/orders").body).unwrap() };
    assert_eq!(known(), json!({ "orders": ["a.json", "b.json"], "chosen": 0 }));
    assert!(server.get("/").body.contains("Gardens of a"));
    assert_eq!(server.put("/__sitewright/orders/2").status, 404);
    assert_eq!(server.put("/__sitewright/orders/1").status, 204);
    let shown = server.until("shown");
    assert!(shown["build_ms"].is_null(), "{shown}");
    assert!(server.get("/").body.contains("Gardens of b"));
    assert_eq!(known()["chosen"], 1);
    assert_eq!(server.interrupt(), 0);
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
    let cases: [(&[&str], &str); 5] = [
        (&["Green"], "capital letter 'G'"),
        (&["fn"], "means something already"),
        (&["taken"], "nothing is ever overwritten"),
        (&["new", "--sdk", "taken"], "--sdk"),
        (&["new", "--lang", "cobol"], "rust"),
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
