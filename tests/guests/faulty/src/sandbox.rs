//! What is left of a machine inside the sandbox.

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

/// Sleeps, as far as a virtual clock lets it.
pub(crate) fn sleep(seconds: u32) {
    let begin = Instant::now();
    thread::sleep(Duration::from_secs(seconds.into()));
    log::info(format!("slept {} s", begin.elapsed().as_secs()));
}

/// Writes everything that could differ between two runs into the page.
pub(crate) fn random(site: &Site) -> Result<()> {
    let begin = Instant::now();
    let hashes: Vec<u64> = (0..4).map(|number: u64| RandomState::new().hash_one(number)).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let text =
        format!("hashes {hashes:?}, clock {now:?}, begin {begin:?}, elapsed {:?}", begin.elapsed());
    site.write("index.html", output::page("Random", &text))?;
    Ok(())
}

/// Tries every door. `env-open` is a door that was open, `env-closed` one that was shut.
pub(crate) fn look_around() {
    let variables: Vec<String> =
        env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    tell(
        "variables",
        if variables.is_empty() { Err("none".to_owned()) } else { Ok(variables.join(", ")) },
    );
    let arguments: Vec<String> =
        env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    tell(
        "arguments",
        if arguments.is_empty() { Err("none".to_owned()) } else { Ok(arguments.join(", ")) },
    );
    for path in ["/etc/passwd", "/proc/self/environ", "../Cargo.toml"] {
        tell(
            path,
            fs::read(path)
                .map(|bytes| format!("{} bytes", bytes.len()))
                .map_err(|error| error.to_string()),
        );
    }
    for path in ["/", ".", "/tmp"] {
        tell(
            path,
            fs::read_dir(path)
                .map(|entries| format!("{} entries", entries.count()))
                .map_err(|error| error.to_string()),
        );
    }
    tell(
        "create",
        fs::write("/tmp/faulty", "x")
            .map(|()| "written".to_owned())
            .map_err(|error| error.to_string()),
    );
    tell(
        "directory",
        env::current_dir()
            .and_then(fs::read_dir)
            .map(|_| "readable".to_owned())
            .map_err(|error| error.to_string()),
    );
    tell(
        "connect",
        TcpStream::connect(("127.0.0.1", 80))
            .map(|_| "connected".to_owned())
            .map_err(|error| error.to_string()),
    );
    tell(
        "listen",
        TcpListener::bind(("127.0.0.1", 0))
            .map(|_| "bound".to_owned())
            .map_err(|error| error.to_string()),
    );
    tell(
        "datagram",
        UdpSocket::bind(("127.0.0.1", 0))
            .map(|_| "bound".to_owned())
            .map_err(|error| error.to_string()),
    );
    tell(
        "lookup",
        TcpStream::connect("example.com:80")
            .map(|_| "connected".to_owned())
            .map_err(|error| error.to_string()),
    );
    let mut input = Vec::new();
    tell(
        "stdin",
        match std::io::stdin().read_to_end(&mut input) {
            Ok(0) => Err("empty".to_owned()),
            Ok(bytes) => Ok(format!("{bytes} bytes")),
            Err(error) => Err(error.to_string()),
        },
    );
    tell(
        "thread",
        thread::Builder::new()
            .spawn(|| ())
            .map(|_| "spawned".to_owned())
            .map_err(|error| error.to_string()),
    );
}

fn tell(door: &str, outcome: Result<String, String>) {
    report(match outcome {
        Ok(seen) => Diagnostic::error("env-open", format!("{door}: {seen}")),
        Err(why) => Diagnostic::info("env-closed", format!("{door}: {why}")),
    });
}
