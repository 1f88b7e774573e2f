//! Access to clocks, randomness, files, network and threads inside the sandbox.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::Read,
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime},
};

use sitewright_sdk::prelude::*;

use crate::output;

/// Sleeps on the virtual clock and logs how long that took.
pub(crate) fn sleep(seconds: u32) {
    let start = Instant::now();
    thread::sleep(Duration::from_secs(seconds.into()));
    log::info(format!("slept {} s", start.elapsed().as_secs()));
}

/// Writes random numbers and clock readings, which must not differ between two runs, into the page.
pub(crate) fn random(site: &Site) -> Result<()> {
    let start = Instant::now();
    let hashes: Vec<u64> = (0..4).map(|number: u64| RandomState::new().hash_one(number)).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let text =
        format!("hashes {hashes:?}, clock {now:?}, begin {start:?}, elapsed {:?}", start.elapsed());
    site.write("index.html", output::page("Random", &text))?;
    Ok(())
}

/// Tries to access the system in every way that std offers. Each attempt becomes a diagnostic:
/// `env-open` if it succeeded, `env-closed` if not.
pub(crate) fn probe() {
    let variables: Vec<String> =
        env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    report_access(
        "variables",
        if variables.is_empty() { Err("none".to_owned()) } else { Ok(variables.join(", ")) },
    );
    let arguments: Vec<String> =
        env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    report_access(
        "arguments",
        if arguments.is_empty() { Err("none".to_owned()) } else { Ok(arguments.join(", ")) },
    );
    for path in ["/etc/passwd", "/proc/self/environ", "../Cargo.toml"] {
        report_access(
            path,
            fs::read(path)
                .map(|bytes| format!("{} bytes", bytes.len()))
                .map_err(|error| error.to_string()),
        );
    }
    for path in ["/", ".", "/tmp"] {
        report_access(
            path,
            fs::read_dir(path)
                .map(|entries| format!("{} entries", entries.count()))
                .map_err(|error| error.to_string()),
        );
    }
    report_access(
        "create",
        fs::write("/tmp/faulty", "x")
            .map(|()| "written".to_owned())
            .map_err(|error| error.to_string()),
    );
    report_access(
        "directory",
        env::current_dir()
            .and_then(fs::read_dir)
            .map(|_| "readable".to_owned())
            .map_err(|error| error.to_string()),
    );
    report_access(
        "connect",
        TcpStream::connect(("127.0.0.1", 80))
            .map(|_| "connected".to_owned())
            .map_err(|error| error.to_string()),
    );
    report_access(
        "listen",
        TcpListener::bind(("127.0.0.1", 0))
            .map(|_| "bound".to_owned())
            .map_err(|error| error.to_string()),
    );
    report_access(
        "datagram",
        UdpSocket::bind(("127.0.0.1", 0))
            .map(|_| "bound".to_owned())
            .map_err(|error| error.to_string()),
    );
    report_access(
        "lookup",
        TcpStream::connect("example.com:80")
            .map(|_| "connected".to_owned())
            .map_err(|error| error.to_string()),
    );
    let mut input = Vec::new();
    report_access(
        "stdin",
        match std::io::stdin().read_to_end(&mut input) {
            Ok(0) => Err("empty".to_owned()),
            Ok(bytes) => Ok(format!("{bytes} bytes")),
            Err(error) => Err(error.to_string()),
        },
    );
    report_access(
        "thread",
        thread::Builder::new()
            .spawn(|| ())
            .map(|_| "spawned".to_owned())
            .map_err(|error| error.to_string()),
    );
}

fn report_access(resource: &str, outcome: Result<String, String>) {
    report(match outcome {
        Ok(seen) => Diagnostic::error("env-open", format!("{resource}: {seen}")),
        Err(why) => Diagnostic::info("env-closed", format!("{resource}: {why}")),
    });
}
