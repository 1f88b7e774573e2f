//! The systemd unit that operators install.

use std::process::Command;

use sitewright_tests::{ANY_ANSWER, Workbench, root, standins};
use sitewright_worker::WorkerConfig;

fn unit() -> String {
    std::fs::read_to_string(root().join("deploy/sitewright.service")).unwrap()
}

fn setting(name: &str) -> Option<String> {
    let unit = unit();
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next_back().map(str::to_owned)
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    for name in ["sitewright.service", "sitewright-serve.service"] {
        is_understood(name);
    }
}

fn is_understood(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    // systemd checks whether the program exists.
    let binary = sitewright_tests::binary();
    let unit = std::fs::read_to_string(root().join("deploy").join(name)).unwrap();
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

/// `MemoryDenyWriteExecute` would stop every template from loading.
#[test]
fn the_unit_lets_templates_be_compiled() {
    assert_eq!(setting("MemoryDenyWriteExecute").as_deref(), Some("no"));
}
