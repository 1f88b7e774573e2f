//! The log of a worker whose stderr is systemd's journal.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use sitewright_tests::{ANY_ANSWER, Workbench};

/// Runs a command with stderr in a file that `JOURNAL_STREAM` names, or another one.
fn logged(bench: &Workbench, arguments: &[&str], is_journal: bool) -> String {
    let path = bench.path().join("stderr");
    let file = File::create(&path).unwrap();
    let stat = file.metadata().unwrap();
    let inode = if is_journal { stat.ino() } else { stat.ino() + 1 };
    let mut command = bench.command(arguments);
    command
        .env("JOURNAL_STREAM", format!("{}:{inode}", stat.dev()))
        .stdout(Stdio::null())
        .stderr(file)
        .status()
        .unwrap();
    std::fs::read_to_string(path).unwrap()
}

fn bench() -> Workbench {
    let bench = Workbench::scripted(ANY_ANSWER, "templates = \"templates\"");
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    let template = sitewright_tests::guest("guest-faulty");
    std::fs::copy(template, bench.path().join("templates/faulty.wasm")).unwrap();
    std::fs::write(bench.path().join("templates/broken.wasm"), "no template").unwrap();
    bench
}

#[test]
fn lines_in_the_journal_begin_with_their_level() {
    let bench = bench();
    let log = logged(&bench, &["--log", "debug", "worker", "--drain"], true);
    for (prefix, level) in [("<3>", "ERROR"), ("<4>", "WARN"), ("<6>", "INFO"), ("<7>", "DEBUG")] {
        for line in log.lines().filter(|line| line.contains(&format!(" {level} sitewright"))) {
            assert!(line.starts_with(prefix), "{level}: {line}");
        }
    }
    assert!(log.contains("<6>") && log.lines().all(|line| line.starts_with('<')), "{log}");
    assert!(
        log.lines().any(|line| line.starts_with("<3>") || line.starts_with("<4>")),
        "the broken template is a problem: {log}"
    );
    // The error that a command ends with.
    bench.write("sitewright.db.migrating", "");
    let log = logged(&bench, &["order", "show", "no-such-order"], true);
    assert!(log.lines().all(|line| line.is_empty() || line.starts_with("<3>")), "{log}");
}

#[test]
fn lines_elsewhere_and_in_json_have_no_prefix() {
    let bench = bench();
    let log = logged(&bench, &["worker", "--drain"], false);
    assert!(!log.is_empty() && log.lines().all(|line| !line.starts_with('<')), "{log}");
    let log = logged(&bench, &["--log-format", "json", "worker", "--drain"], true);
    assert!(!log.is_empty() && log.lines().all(|line| line.starts_with('{')), "{log}");
}
