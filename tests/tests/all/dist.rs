//! Release archives (`cargo xtask dist`), and the workflows of `docs/ci` that install them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::author::{Desk, FAST};
use sitewright_tests::standins::Packages;
use sitewright_tests::{Done, compile_cache, disk, forget_settings, root, xtask};

/// The version of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Name of the project whose workflow runs.
const NAME: &str = "green-gate";
/// Languages with the line that installs their tools, and the image of GitLab's job.
const LANGUAGES: [(&str, &str, &str); 3] = [
    ("rust", "rustup target add wasm32-wasip2", "rust:1.95"),
    ("python", ".venv/bin/pip install --group dev", "python:3.14"),
    ("javascript", "npm ci", "node:24"),
];
/// What every workflow does in the end.
const CHECKS: [&str; 3] = [
    "sitewright template test --native",
    "sitewright template build",
    "sitewright conformance dist --cases conformance --junit conformance.xml",
];

/// The workflow for a language in `docs/ci/<service>`.
fn workflow(service: &str, language: &str) -> Value {
    let file = root().join("docs/ci").join(service).join(format!("{language}.yml"));
    let text = fs::read_to_string(&file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The scripts of GitHub's job with their names.
fn scripts(workflow: &Value) -> Vec<(&str, &str)> {
    let steps = workflow["jobs"]["template"]["steps"].as_array().unwrap();
    steps
        .iter()
        .filter_map(|step| {
            Some((step["name"].as_str().unwrap_or("unnamed"), step["run"].as_str()?))
        })
        .collect()
}

/// The lines of a list of scripts of GitLab's job.
fn lines<'a>(job: &'a Value, list: &str) -> Vec<&'a str> {
    job[list].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

/// Asserts that a script compares the checksum before it unpacks the archive.
fn verifies(script: &str) {
    let at = |text: &str| script.find(text).unwrap_or_else(|| panic!("{text} not in {script}"));
    assert!(at("sha256sum --check --strict") < at("tar -xzf"), "{script}");
    assert!(script.contains("$HOST_RELEASES/v$HOST_VERSION/"), "{script}");
}

#[test]
fn the_workflows_of_all_languages_verify_and_cache_what_they_install() {
    let mut installs = BTreeSet::new();
    for (language, tools, _) in LANGUAGES {
        let workflow = workflow("github", language);
        assert_eq!(workflow["on"], json!(["push", "pull_request"]), "{language}");
        assert_eq!(workflow["env"]["HOST_VERSION"], VERSION, "{language}");
        let steps = workflow["jobs"]["template"]["steps"].as_array().unwrap();
        for used in steps.iter().filter_map(|step| step["uses"].as_str()) {
            assert!(used.contains("@v"), "{language}: {used} has no version");
        }
        let cached = steps.iter().find(|step| step["id"] == "installed").unwrap();
        assert_eq!(cached["with"]["path"], "${{ runner.temp }}/sitewright", "{language}");
        let key = cached["with"]["key"].as_str().unwrap();
        assert!(key.contains("env.HOST_VERSION") && key.contains("runner.arch"), "{key}");

        let scripts = scripts(&workflow);
        for (name, script) in &scripts {
            // What the service would insert, a test could not run.
            assert!(!script.contains("${{"), "{language}, {name}: {script}");
        }
        // Variables with this prefix are keys of the configuration, and unknown ones an error.
        let variables = workflow["env"].as_object().unwrap();
        assert!(!variables.keys().any(|name| name.starts_with("SITEWRIGHT_")), "{variables:?}");
        assert!(scripts.iter().any(|(_, script)| script.contains(tools)), "{language}");
        let last: Vec<&str> = scripts.iter().rev().take(3).rev().map(|(_, run)| *run).collect();
        assert_eq!(last, CHECKS, "{language}");
        let (_, install) = scripts.iter().find(|(name, _)| *name == "Install Sitewright").unwrap();
        verifies(install);
        installs.insert((*install).to_owned());
    }
    assert_eq!(installs.len(), 1, "{installs:#?}");

    let mut installs = BTreeSet::new();
    for (language, tools, image) in LANGUAGES {
        let workflow = workflow("gitlab", language);
        let job = &workflow["template"];
        assert_eq!(job["image"], image, "{language}");
        assert_eq!(job["variables"]["HOST_VERSION"], VERSION, "{language}");
        assert_eq!(job["cache"][0]["key"], "sitewright-$HOST_VERSION", "{language}");
        assert_eq!(job["cache"][0]["paths"], json!([".ci/sitewright"]), "{language}");
        let variables = job["variables"].as_object().unwrap();
        assert!(!variables.keys().any(|name| name.starts_with("SITEWRIGHT_")), "{variables:?}");
        let script = lines(job, "script");
        assert!(script.contains(&tools), "{language}: {script:?}");
        assert!(script.ends_with(&CHECKS), "{language}: {script:?}");
        let before = lines(job, "before_script").join("\n");
        verifies(&before);
        installs.insert(before);
    }
    assert_eq!(installs.len(), 1, "{installs:#?}");

    // The image has the compiler with which a new project is built.
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let [(_, _, image), ..] = LANGUAGES;
    let version = image.strip_prefix("rust:").unwrap();
    assert!(toolchain.contains(&format!("channel = \"{version}.")), "{toolchain}");
}

/// A machine without Sitewright that runs the scripts of a job in the project's folder.
struct Machine<'a> {
    desk: &'a Desk,
    /// The temporary folder of the job.
    temp: PathBuf,
    path: OsString,
    releases: String,
}

impl<'a> Machine<'a> {
    fn new(desk: &'a Desk, name: &str, releases: &Path) -> Self {
        let temp = desk.path().join(name);
        fs::create_dir(&temp).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        Machine { desk, temp, path, releases: format!("file://{}", releases.display()) }
    }

    /// Runs a script as both services do, and adds the folders that it names to the `PATH`.
    fn run(&mut self, script: &str) -> Done {
        let mut command = Command::new("bash");
        forget_settings(&mut command);
        disk::in_memory(&mut command);
        self.desk.for_cargo(&mut command);
        let project = self.desk.path().join(NAME);
        let added = self.temp.join("path");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(&project)
            .env("PATH", &self.path)
            .env("HOST_VERSION", VERSION)
            .env("HOST_RELEASES", &self.releases)
            .env("SITEWRIGHT_CACHE", compile_cache())
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_PATH", &added)
            .env("GITHUB_STEP_SUMMARY", self.temp.join("summary.md"))
            .env("RUNNER_TEMP", &self.temp)
            .env("CI_PROJECT_DIR", &project)
            .stdin(Stdio::null());
        let done = Done::from(command.output().unwrap());
        if let Ok(folders) = fs::read_to_string(&added) {
            let before = std::env::split_paths(&self.path).collect::<Vec<_>>();
            let all = folders.lines().map(PathBuf::from).chain(before);
            self.path = std::env::join_paths(all).unwrap();
            fs::remove_file(&added).unwrap();
        }
        done
    }
}

#[test]
fn an_archive_is_all_that_a_fresh_machine_needs() {
    let test = "an_archive_is_all_that_a_fresh_machine_needs";
    // What it builds is that of other tests: `author_rust` has the profile of a new project.
    let desk = Desk::rust(FAST);
    let releases = desk.path().join("releases");
    let release = releases.join(format!("v{VERSION}"));
    let mut dist = Command::new(xtask());
    dist.current_dir(root()).args(["dist", "--profile", "dev", "--out"]).arg(&release);
    let made = Done::from(dist.stdin(Stdio::null()).output().unwrap());
    assert_eq!(made.code, 0, "{}", made.stderr);
    let project = desk.run("", &["template", "new", NAME, "--lang", "rust"]);
    assert_eq!(project.code, 0, "{}{}", project.stdout, project.stderr);
    desk.keep_times(NAME);

    // GitHub's job, script by script.
    let workflow = workflow("github", "rust");
    let mut machine = Machine::new(&desk, "github", &releases);
    let mut install = "";
    for (name, script) in scripts(&workflow) {
        let done = machine.run(script);
        assert_eq!(done.code, 0, "{name}:\n{}\n{}", done.stdout, done.stderr);
        if name == "Install Sitewright" {
            install = script;
        }
    }
    let folder = desk.path().join(NAME);
    assert!(folder.join("dist/green-gate.wasm").is_file());
    let report = fs::read_to_string(folder.join("conformance.xml")).unwrap();
    assert!(report.contains("<testsuite"), "{report}");
    let summary = fs::read_to_string(machine.temp.join("summary.md")).unwrap();
    assert!(summary.contains(NAME), "{summary}");

    let installed = machine.temp.join("sitewright");
    complete(&installed);
    makes_a_site(&installed);
    valid_bill_of_materials(test, &installed);
    fs::remove_dir_all(&machine.temp).unwrap();

    // What GitLab's job does before its script.
    let workflow = self::workflow("gitlab", "rust");
    let mut machine = Machine::new(&desk, "gitlab", &releases);
    let done = machine.run(&lines(&workflow["template"], "before_script").join("\n"));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains(&format!("sitewright {VERSION}+")), "{}", done.stdout);
    fs::remove_dir_all(folder.join(".ci")).unwrap();

    // A damaged archive is not unpacked.
    let mut archives = fs::read_dir(&release).unwrap().map(|entry| entry.unwrap().path());
    let archive = archives.find(|path| path.extension().is_some_and(|end| end == "gz")).unwrap();
    OpenOptions::new().append(true).open(archive).unwrap().write_all(b"x").unwrap();
    let mut machine = Machine::new(&desk, "damaged", &releases);
    let done = machine.run(install);
    assert_ne!(done.code, 0, "{}", done.stdout);
    assert!(done.stdout.contains("FAILED"), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(fs::read_dir(machine.temp.join("sitewright")).unwrap().count(), 0);
    // A debug build is large.
    fs::remove_dir_all(&releases).unwrap();
    fs::remove_dir_all(&machine.temp).unwrap();
}

/// Asserts that an unpacked archive has everything, and that the programs that read it can.
fn complete(installed: &Path) {
    let text = |file: &str| {
        fs::read_to_string(installed.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    assert_eq!(text("LICENSE"), fs::read_to_string(root().join("LICENSE")).unwrap());
    assert!(text("deploy/sitewright.service").contains("[Service]"));
    assert!(text("deploy/sitewright-serve.service").contains("[Service]"));
    assert!(installed.join("templates/local-business.wasm").is_file());

    let completes = "source completions/sitewright.bash && complete -p sitewright";
    let bash = Command::new("bash").args(["-c", completes]).current_dir(installed).output();
    let bash = Done::from(bash.unwrap());
    assert_eq!(bash.code, 0, "{}", bash.stderr);
    for (file, begin) in [("_sitewright", "#compdef sitewright"), ("sitewright.fish", "#")] {
        let script = text(&format!("completions/{file}"));
        assert!(script.starts_with(begin), "{file}: {script}");
        assert!(script.contains("conformance"), "{file}");
        assert!(!script.contains("compile-template"), "{file} offers a hidden command");
    }
    let page = text("man/man1/sitewright-order-add.1");
    assert!(page.contains(".TH sitewright-order-add 1") && page.contains(VERSION), "{page}");
    assert!(text("man/man1/sitewright.1").contains("sitewright\\-worker(1)"));
    assert!(!installed.join("man/man1/sitewright-compile-template.1").exists());

    let licences = text("THIRD-PARTY-LICENSES.txt");
    for contained in ["\nwasmtime 48.", "\ntokio 1.", "rust-std 1.", "Permission is hereby granted"]
    {
        assert!(licences.contains(contained), "{contained:?} is not in the licences");
    }
}

/// Makes the site of the archive's demo, as the page *Install* of the book does.
fn makes_a_site(installed: &Path) {
    let mut generate = Command::new(installed.join("sitewright"));
    forget_settings(&mut generate);
    generate
        .current_dir(installed.join("demo"))
        .args(["generate", "--templates", "../templates", "--template", "local-business"])
        .args(["--order", "order.json", "--out", "sites"])
        .env("SITEWRIGHT_CACHE", compile_cache());
    let done = Done::from(generate.output().unwrap());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(installed.join("demo/sites/102/current/index.html").is_file(), "{}", done.stdout);
}

fn valid_bill_of_materials(test: &str, installed: &Path) {
    let Some(programs) = Packages::of("sbom").ready(test) else { return };
    let read = Command::new(programs.join("python"))
        .arg(root().join("tests/standins/sbom.py"))
        .arg(installed.join("sbom.cdx.json"))
        .output();
    let read = Done::from(read.unwrap());
    assert_eq!(read.code, 0, "{}{}", read.stdout, read.stderr);
}
