//! The files of `deploy/`, and what the documentation shows of their kinds, as the tools of their
//! formats judge them: the schemas of Kubernetes and of Compose, and hadolint.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;
use sitewright_tests::standins::{self, Packages};
use sitewright_tests::{Done, root};

/// The image that the test builds.
const IMAGE: &str = "sitewright-test";
/// Maximum size of the image without templates: 120 MB.
const MAX_IMAGE: u64 = 120_000_000;
/// How it runs: with nothing but the volume `/data` to write to. An engine without CAP_SYS_RESOURCE
/// cannot raise its own limits to those that it has by default.
const RUN: [&str; 13] = [
    "run",
    "--rm",
    "--read-only",
    "--network",
    "none",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
];
/// The oldest and the newest version whose schemas the package has.
const KUBERNETES: [&str; 2] = ["1.25", "1.37"];

/// A pod with a container whose further fields follow.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: sample }
spec:
  containers:
    - name: sample
      image: sitewright
";

/// The code blocks of a language in the documentation, each with its page.
pub(crate) fn samples(language: &str) -> Vec<(String, String)> {
    let begin = format!("```{language}\n");
    let mut samples = Vec::new();
    let mut folders = vec![root().join("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let page = std::fs::read_to_string(&path).unwrap();
                let blocks = page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next());
                samples.extend(blocks.map(|block| (path.display().to_string(), block.to_owned())));
            }
        }
    }
    samples
}

/// The files of a folder of `deploy/`, each with its content.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join("deploy").join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// All manifests. What the documentation shows of a container is put into a pod.
fn manifests() -> Vec<(String, String)> {
    let mut manifests = files("kubernetes");
    assert!(!manifests.is_empty());
    for (page, sample) in samples("yaml") {
        if sample.contains("apiVersion: ") {
            manifests.push((page, sample));
        } else if sample.starts_with("livenessProbe:") {
            let fields: String = sample.lines().map(|line| format!("      {line}\n")).collect();
            manifests.push((page, format!("{POD}{fields}")));
        }
    }
    manifests
}

#[test]
fn kubernetes_knows_every_field_of_the_manifests() {
    let test = "kubernetes_knows_every_field_of_the_manifests";
    let Some(programs) = Packages::of("kubernetes").ready(test) else { return };
    let manifests = manifests();
    assert!(manifests.len() >= 2, "the documentation shows probes: {manifests:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("manifest.yaml");
    let judged = |version: &str, text: &str| {
        std::fs::write(&file, text).unwrap();
        answer(
            Command::new(programs.join("kubernetes-validate"))
                .args(["--strict", "--kubernetes-version", version])
                .arg(&file),
        )
    };
    for (name, text) in manifests {
        let resources = text.lines().filter(|line| line.starts_with("kind: ")).count();
        assert!(resources > 0, "{name}");
        for version in KUBERNETES {
            let (code, says) = judged(version, &text);
            // It accepts a resource that it has no schema of, with a warning.
            let passed = says.matches(" passed for resource ").count();
            assert_eq!((code, passed), (0, resources), "{name}, Kubernetes {version}: {says}");
        }
        let wrong = text.replace("\nmetadata:", "\nnotes: {}\nmetadata:");
        let (code, says) = judged(KUBERNETES[0], &wrong);
        assert!(code == 1 && says.contains("('notes' was unexpected)"), "{name}: {code}: {says}");
    }
}

/// Problems of every level count.
#[test]
fn hadolint_finds_nothing_in_the_containerfiles() {
    let test = "hadolint_finds_nothing_in_the_containerfiles";
    let Some(programs) = Packages::of("hadolint").ready(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Containerfile");
    let judged = |arguments: &[&str], text: &str| {
        std::fs::write(&file, text).unwrap();
        answer(
            Command::new(programs.join("hadolint"))
                .args(["--no-color", "--failure-threshold", "style"])
                .args(arguments)
                .arg(&file),
        )
    };
    let ours = root().join("deploy/Containerfile");
    let everything: &[&str] = &[];
    // DL3006: the image that a reader has built before has no version.
    let no_version: &[&str] = &["--ignore", "DL3006"];
    let text = std::fs::read_to_string(&ours).unwrap();
    let mut all = vec![(ours.display().to_string(), text, everything)];
    let samples = samples("dockerfile").into_iter();
    all.extend(samples.map(|(page, sample)| (page, sample, no_version)));
    assert!(all.len() >= 2, "the documentation shows an image with templates: {all:?}");
    for (name, text, arguments) in all {
        assert_eq!(judged(arguments, &text), (0, String::new()), "{name}");
        let (code, says) = judged(arguments, &format!("{text}RUN cd /tmp && ls\n"));
        assert!(code == 1 && says.contains("DL3003"), "{name}: {code}: {says}");
    }
}

/// Built where a container engine runs and has or gets the base images: it takes as long as a
/// release build.
#[test]
fn the_image_is_small_and_runs_on_a_read_only_root() {
    let test = "the_image_is_small_and_runs_on_a_read_only_root";
    let asked = |engine: &str, arguments: &[&str]| {
        let mut command = Command::new(engine);
        command.args(arguments).current_dir(root()).output().map(Done::from)
    };
    // That of docker fails if its daemon does not answer.
    let runs = |engine: &&str| asked(engine, &["version"]).is_ok_and(|done| done.code == 0);
    let Some(engine) = ["podman", "docker"].into_iter().find(runs) else {
        return standins::skipped(test, "no container engine runs (podman or docker)");
    };
    let file = "deploy/Containerfile";
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let works = |arguments: &[&str]| asked(engine, arguments).unwrap().code == 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let base = line.split(' ').next().unwrap();
        // Where no registry can be reached, one that somebody made or loaded under this name.
        if !works(&["pull", base]) && !works(&["image", "inspect", base]) {
            let why = format!("{engine} cannot pull {base}, and has no image of this name");
            return standins::skipped(test, &why);
        }
    }
    // That of podman has no health check otherwise.
    let format: &[&str] = if engine == "podman" { &["--format", "docker"] } else { &[] };
    let build = [&["build"][..], format, &["-f", file, "-t", IMAGE, "."]].concat();
    let built = asked(engine, &build).unwrap();
    assert_eq!(built.code, 0, "{}{}", built.stdout, built.stderr);
    let image = asked(engine, &["image", "inspect", IMAGE]).unwrap().json()[0].clone();
    let size = image["Size"].as_u64().unwrap();
    assert!(size < MAX_IMAGE, "{size} bytes");
    assert_eq!(image["Config"]["User"], "65532:65532");
    // Podman has it beside the rest of the configuration.
    let health = [&image["Healthcheck"], &image["Config"]["Healthcheck"]];
    let health = health.into_iter().find(|check| check.is_object()).unwrap();
    assert_eq!(health["Test"], json!(["CMD", "/usr/local/bin/sitewright", "health"]));

    let rows: [(&[&str], i32, &str); 3] = [
        (&["--version"], 0, "sitewright"),
        (&["man", "/data/man1"], 0, "were written to /data/man1"),
        (&["man", "/usr/local/man1"], 1, "Read-only file system"),
    ];
    for (arguments, code, says) in rows {
        let run = asked(engine, &[&RUN[..], &[IMAGE], arguments].concat()).unwrap();
        let printed = format!("{}{}", run.stdout, run.stderr);
        let is_right = run.code == code && printed.contains(says);
        assert!(is_right, "{arguments:?}: {}: {printed}", run.code);
    }

    // As the first process of its container it gets no signal that it does not handle.
    let name = format!("{IMAGE}-{}", std::process::id());
    let serve = ["--name", &name, IMAGE, "serve", "--listen", "127.0.0.1:8080"];
    let mut server = Command::new(engine)
        .args([&RUN[..], &serve].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(server.stderr.take().unwrap());
    let mut log = log.lines().map_while(Result::ok);
    let is_ready = log.any(|line| line.contains("\"message\":\"ready\""));
    let health = asked(engine, &["exec", &name, "/usr/local/bin/sitewright", "health"]).unwrap();
    let stopped = asked(engine, &["stop", "-t", "30", &name]).unwrap();
    let log: Vec<String> = log.collect();
    let ended = server.wait().unwrap();
    assert!(is_ready && health.code == 0, "{}{}{log:?}", health.stdout, health.stderr);
    assert!(stopped.code == 0 && ended.code() == Some(0), "{ended}: {}{log:?}", stopped.stderr);
}

/// One that differs from that of the base would be downloaded while the image is built.
#[test]
fn the_image_is_built_with_the_toolchain_of_the_repository() {
    let toolchain = std::fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.unwrap().trim_matches('"');
    let text = std::fs::read_to_string(root().join("deploy/Containerfile")).unwrap();
    for line in [
        format!("FROM docker.io/library/rust:{channel}-bookworm AS build"),
        format!("ENV RUSTUP_TOOLCHAIN={channel}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn compose_knows_every_field_of_the_compose_file() {
    let test = "compose_knows_every_field_of_the_compose_file";
    let Some(programs) = Packages::of("compose").ready(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    let judged = |text: &str| {
        std::fs::write(&file, text).unwrap();
        answer(
            Command::new(programs.join("check-jsonschema"))
                .args(["--builtin-schema", "vendor.compose-spec"])
                .arg(&file),
        )
    };
    let text = std::fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let (code, says) = judged(&text);
    assert_eq!(code, 0, "{says}");
    // In a service of its own, in what services share, and in a value.
    for (right, wrong, place) in [
        ("healthcheck:\n      test:", "health:\n      test:", "services.postgres"),
        ("read_only: true", "readonly: true", "services.worker"),
        ("condition: service_healthy", "condition: healthy", "services.migrate.depends_on"),
    ] {
        let (code, says) = judged(&text.replace(right, wrong));
        assert!(code == 1 && says.contains(place), "{wrong}: {code}: {says}");
    }
}

/// The exit code of a tool that runs in the root of the repository, and all that it prints.
fn answer(command: &mut Command) -> (i32, String) {
    let done = Done::from(command.current_dir(root()).output().unwrap());
    (done.code, format!("{}{}", done.stdout, done.stderr))
}
