//! A template's author at work: projects in clean folders, built with shared target folders, and a
//! browser that sees what is sent.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Done, binary, compile_cache, forget_settings, root};

/// Far more than anything takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(900);

/// A folder of projects, empty at first. Nobody else has it as long as this lives.
pub struct Desk {
    folder: PathBuf,
    _lock: File,
}

impl Desk {
    /// The folder `target/author/<name>`: always the same, so that what cargo built there is found
    /// again.
    pub fn clean(name: &str) -> Self {
        let all = root().join("target/author");
        fs::create_dir_all(&all).expect("the folder can be made");
        let lock = File::create(all.join(format!("{name}.lock"))).expect("a lock");
        lock.lock().expect("the lock is free in the end");
        let folder = all.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the folder can be emptied");
        }
        fs::create_dir(&folder).expect("the folder can be made");
        Desk { folder, _lock: lock }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The binary in a folder of the desk, with nothing of the environment that it would read.
    /// Cargo asks no network and builds into one folder for all desks.
    pub fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        forget_settings(&mut command);
        command
            .current_dir(self.folder.join(folder))
            .args(arguments)
            .env("SITEWRIGHT_CACHE", compile_cache())
            .stdin(Stdio::null());
        self.for_cargo(&mut command);
        command
    }

    /// Cargo, or what calls it: it asks no network and builds into one folder for all desks.
    pub fn for_cargo(&self, command: &mut Command) {
        command
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", root().join("target/author/target"));
    }

    /// Runs the binary to its end.
    pub fn run(&self, folder: &str, arguments: &[&str]) -> Done {
        self.command(folder, arguments).output().expect("the binary starts").into()
    }

    /// Reads a file, changes it and saves it.
    pub fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.join(file);
        let before = fs::read_to_string(&path).expect("the file is there");
        let after = change(before.clone());
        assert_ne!(before, after, "nothing of {file} was changed");
        fs::write(path, after).expect("the file can be written");
    }
}

/// `sitewright template dev`, running; it is killed when dropped.
pub struct DevServer {
    child: Child,
    events: Receiver<Value>,
    /// `127.0.0.1:41234`.
    pub address: String,
}

impl DevServer {
    /// Starts it and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, events) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        let mut server = DevServer { child, events, address: String::new() };
        let listening = server.until("listening");
        let url = listening["url"].as_str().expect("an address");
        server.address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        server
    }

    /// The next event of this name; those before it are passed over.
    pub fn until(&self, name: &str) -> Value {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("no `{name}` came: {error}"));
            if event["event"] == name {
                return event;
            }
            assert!(event["event"] == "begun", "something else came before `{name}`: {event}");
        }
    }

    /// Asks for a page as a browser does that was sent to `host`.
    pub fn get_as(&self, host: &str, path: &str) -> Answer {
        let mut stream = self.ask(host, path);
        let mut text = Vec::new();
        stream.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Asks for a page.
    pub fn get(&self, path: &str) -> Answer {
        self.get_as(&self.address, path)
    }

    /// Listens to the versions as an open page does.
    pub fn versions(&self) -> Versions {
        Versions(BufReader::new(self.ask(&self.address, "/__sitewright/events")))
    }

    fn ask(&self, host: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
            .expect("it takes requests");
        stream
    }

    /// Ctrl-C, and its exit code.
    pub fn interrupt(mut self) -> i32 {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, Signal::INT).expect("it runs");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The version of the page, which its script compares with those that it hears of.
    pub fn version(&self) -> String {
        let (_, after) =
            self.body.split_once("reload.js?version=").expect("the page looks for news");
        after.split('"').next().expect("a version").to_owned()
    }
}

/// The versions that an open page hears of.
pub struct Versions(BufReader<TcpStream>);

impl Versions {
    /// Waits for one that is another than `known`.
    pub fn other_than(&mut self, known: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("a line") > 0, "the stream ended");
            if let Some(version) =
                line.trim().strip_prefix("data:").map(str::trim).filter(|version| *version != known)
            {
                return version.to_owned();
            }
        }
    }
}
