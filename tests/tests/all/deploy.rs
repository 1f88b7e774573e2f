//! What operators install of `deploy/`: the systemd units, and the arguments and variables that its
//! files give to the program.

use std::collections::BTreeSet;
use std::process::Command;

use sitewright_tests::{ANY_ANSWER, Workbench, root, standins};
use sitewright_worker::WorkerConfig;

const UNITS: [&str; 2] = ["sitewright.service", "sitewright-serve.service"];
/// All files that start the program, or tell it something.
const FILES: [&str; 5] = [
    "sitewright.service",
    "sitewright-serve.service",
    "Containerfile",
    "compose.yaml",
    "kubernetes/sitewright.yaml",
];

fn deployed(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// All values of a setting of a unit.
fn settings(unit: &str, name: &str) -> Vec<String> {
    let text = deployed(unit);
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// A setting of the worker's unit.
fn setting(name: &str) -> Option<String> {
    settings("sitewright.service", name).pop()
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    for name in UNITS {
        is_understood(name);
    }
}

fn is_understood(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    // systemd checks whether the program exists.
    let binary = sitewright_tests::binary();
    let unit = deployed(name);
    std::fs::write(&file, unit.replace("/usr/local/bin/sitewright", binary.to_str().unwrap()))
        .unwrap();
    let checked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    let checked = match checked {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            standins::skipped(
                "systemd_understands_every_line_of_the_unit",
                "systemd-analyze is not installed",
            );
            return;
        }
        checked => checked.unwrap(),
    };
    let stderr = String::from_utf8_lossy(&checked.stderr);
    // Other units of the machine may have errors.
    let ours: Vec<&str> = stderr.lines().filter(|line| line.contains("sitewright")).collect();
    assert!(ours.is_empty(), "{}", ours.join("\n"));
    assert!(checked.status.success() || !stderr.is_empty(), "{checked:?}");
}

#[test]
fn d2_a_worker_that_starts_while_its_database_is_away_is_started_again() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let prevented = setting("RestartPreventExitStatus").unwrap();
    let started = |url: &str| {
        bench.command(&["worker"]).env("SITEWRIGHT_DATABASE__URL", url).output().unwrap()
    };
    let away = started("postgres:///sites?host=/nowhere/there");
    let stderr = String::from_utf8_lossy(&away.stderr);
    let code = away.status.code().unwrap();
    assert!(stderr.contains("cannot be opened"), "{stderr}");
    assert!(
        code != 0 && !prevented.split(' ').any(|one| one == code.to_string()),
        "{code}: {stderr}"
    );
    let wrong = started("mysql://sites").status.code().unwrap();
    assert!(prevented.split(' ').any(|one| one == wrong.to_string()), "{wrong}");
}

#[test]
fn the_unit_waits_longer_than_orders_get_to_end() {
    let waits: u64 = setting("TimeoutStopSec").unwrap().parse().unwrap();
    let grace = WorkerConfig::default().grace_ms / 1_000;
    assert!(waits >= grace + 20, "systemd kills after {waits} s what may take {grace} s");
}

/// Templates run in both: in the worker, and in the replays of the server, whose processes may do
/// what its unit allows. `MemoryDenyWriteExecute` would stop every template from loading.
#[test]
fn the_units_let_templates_be_compiled_and_confined() {
    for unit in UNITS {
        assert_eq!(settings(unit, "MemoryDenyWriteExecute"), ["no"], "{unit}");
        assert_eq!(settings(unit, "CacheDirectory"), ["sitewright"], "{unit}");
        let allowed = settings(unit, "SystemCallFilter").join(" ");
        for call in [
            "@system-service",
            "seccomp",
            "landlock_create_ruleset",
            "landlock_add_rule",
            "landlock_restrict_self",
        ] {
            assert!(allowed.split(' ').any(|one| one == call), "{unit}: {call}: {allowed}");
        }
    }
}

/// The arguments that a line of a file starts the program with.
fn arguments(line: &str) -> Option<Vec<String>> {
    const PROGRAM: &str = "/usr/local/bin/sitewright";
    let line = line.trim();
    if let Some(command) = line.strip_prefix("ExecStart=") {
        let arguments = command.strip_prefix(PROGRAM).unwrap_or_else(|| panic!("{line}"));
        return Some(arguments.split_whitespace().map(str::to_owned).collect());
    }
    let list = ["command: ", "args: ", "CMD "].iter().find_map(|name| line.strip_prefix(name))?;
    let list: Vec<String> = serde_saphyr::from_str(list).unwrap();
    Some(list.into_iter().filter(|argument| argument != PROGRAM).collect())
}

#[test]
fn every_command_of_the_files_is_one() {
    let mut commands = BTreeSet::new();
    for file in FILES {
        let found: Vec<_> = deployed(file).lines().filter_map(arguments).collect();
        assert!(!found.is_empty(), "{file}");
        for arguments in found {
            // Arguments are read up to the first that is wrong, or to the help.
            let asked = Command::new(sitewright_tests::binary())
                .args(&arguments)
                .arg("--help")
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&asked.stderr);
            assert!(asked.status.success(), "{file}: {arguments:?}: {stderr}");
            let command = ["worker", "serve", "migrate", "health"]
                .into_iter()
                .find(|name| arguments.iter().any(|argument| argument == name));
            commands.extend(command);
        }
    }
    assert_eq!(commands, BTreeSet::from(["worker", "serve", "migrate", "health"]));
}

#[test]
fn every_variable_of_the_files_is_a_key_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("url"), format!("sqlite://{}", path("orders.db"))).unwrap();
    let configuration = root().join("deploy/sitewright.toml").display().to_string();
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let mut variables = BTreeSet::new();
    for text in FILES.map(deployed) {
        let words = text.split(|c: char| !is_part(c));
        let named = words.filter(|word| word.starts_with("SITEWRIGHT_"));
        variables.extend(named.map(str::to_owned));
    }
    assert!(variables.len() >= 7, "{variables:?}");
    for name in variables {
        let value = match name.as_str() {
            "SITEWRIGHT_CONFIG" => configuration.clone(),
            "SITEWRIGHT_LOG_FORMAT" => "json".to_owned(),
            "SITEWRIGHT_SERVER__LISTEN" => "0.0.0.0:8080".to_owned(),
            "SITEWRIGHT_DATABASE__URL" => format!("sqlite://{}", path("orders.db")),
            "SITEWRIGHT_DATABASE__URL_FILE" => path("url"),
            _ => path("folder"),
        };
        let checked = Command::new(sitewright_tests::binary())
            .args(["--config", &configuration, "doctor", "--offline"])
            .current_dir(folder.path())
            .env("OPENAI_API_KEY", "a-key")
            .env(&name, &value)
            .output()
            .unwrap();
        // What else is missing in the folder is no matter here.
        let says = String::from_utf8_lossy(&checked.stdout);
        assert!(says.contains("✓ configuration"), "{name}={value}: {checked:?}");
    }
}
