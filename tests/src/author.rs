//! Template projects in empty folders with a shared target folder, and a client of
//! `sitewright template dev`.

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

use crate::{Done, binary, compile_cache, disk, forget_settings, root};

/// Longer than the slowest build takes on a busy machine.
const EVENT_TIMEOUT: Duration = Duration::from_secs(900);

/// Options of cargo's release profile, by their names in variables.
type Profile = &'static [(&'static str, &'static str)];

/// The profile of a new project, as it is: one that makes components small and takes minutes.
pub const SHIPPED: Profile = &[];
/// The profile of `template dev`, with whose builds it shares the dependencies.
pub const FAST: Profile = &[
    ("LTO", "false"),
    ("OPT_LEVEL", "1"),
    ("CODEGEN_UNITS", "16"),
    ("INCREMENTAL", "true"),
    ("DEBUG", "line-tables-only"),
    ("DEBUG_ASSERTIONS", "true"),
];
/// For projects without a vendored SDK: what compiles fastest. Their flags are others than those of
/// [`Desk::rust`], and cargo puts two builds that differ only in remapped paths into the same place:
/// with another profile, neither replaces the dependencies of the other. The options that count for
/// macros are those of [`FAST`], so that both have the same.
pub const FAST_UNVENDORED: Profile = &[
    ("LTO", "false"),
    ("OPT_LEVEL", "0"),
    ("CODEGEN_UNITS", "256"),
    ("INCREMENTAL", "true"),
    ("DEBUG", "line-tables-only"),
    ("DEBUG_ASSERTIONS", "true"),
];

/// A folder of projects, locked until this is dropped.
pub struct Desk {
    folder: PathBuf,
    /// What was in the folder before.
    before: PathBuf,
    profile: Profile,
    _lock: File,
}

impl Desk {
    /// Locks and empties the folder `target/author/<name>`.
    pub fn clean(name: &str) -> Self {
        let all = root().join("target/author");
        fs::create_dir_all(&all).expect("the folder can be made");
        let lock = File::create(all.join(format!("{name}.lock"))).expect("a lock");
        lock.lock().expect("the lock can be taken");
        let (folder, before) = (all.join(name), all.join(format!("{name}.before")));
        let desk = Desk { folder, before, profile: SHIPPED, _lock: lock };
        desk.empty();
        desk
    }

    /// The desk of all tests that build Rust. The path of a project is in the flags and the names of
    /// its crates: in one folder, all projects share the dependencies and the SDK, which a project
    /// in another folder would compile again.
    pub fn rust(profile: Profile) -> Self {
        Desk { profile, ..Desk::clean("rust") }
    }

    /// Begins with an empty folder again.
    pub fn empty(&self) {
        if self.before.exists() {
            fs::remove_dir_all(&self.before).expect("the folder can be removed");
        }
        if self.folder.exists() {
            fs::rename(&self.folder, &self.before).expect("the folder can be moved");
        }
        fs::create_dir(&self.folder).expect("the folder can be made");
    }

    /// Gives the files of a new project the times of the same files with the same content that were
    /// in the folder before, so that cargo does not compile the SDK again.
    pub fn keep_times(&self, project: &str) {
        let (new, old) = (self.folder.join(project), self.before.join(project));
        for file in files_below(&new) {
            let before = old.join(file.strip_prefix(&new).expect("it is below"));
            let Ok(content) = fs::read(&before) else { continue };
            if fs::read(&file).expect("the file is there") == content {
                let changed = fs::metadata(&before).and_then(|metadata| metadata.modified());
                let file = File::options().write(true).open(&file).expect("it can be written");
                file.set_modified(changed.expect("a time")).expect("the time can be set");
            }
        }
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A command of the binary in a subfolder, without `SITEWRIGHT_` variables and with the
    /// settings of [`Desk::for_cargo`].
    pub fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        forget_settings(&mut command);
        command
            .current_dir(self.folder.join(folder))
            .args(arguments)
            .env("SITEWRIGHT_CACHE", compile_cache())
            .stdin(Stdio::null());
        if arguments.contains(&"conformance") || arguments.ends_with(&["template", "test"]) {
            disk::in_memory(&mut command);
        }
        self.for_cargo(&mut command);
        command
    }

    /// Makes cargo work offline, build with the desk's profile, and into one target folder for all
    /// desks.
    pub fn for_cargo(&self, command: &mut Command) {
        command
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", root().join("target/author/target"))
            // Nothing reads that of native tests.
            .env("CARGO_PROFILE_DEV_DEBUG", "false");
        for (option, value) in self.profile {
            command.env(format!("CARGO_PROFILE_RELEASE_{option}"), value);
        }
    }

    /// Runs the binary and waits for its exit.
    pub fn run(&self, folder: &str, arguments: &[&str]) -> Done {
        self.command(folder, arguments).output().expect("the binary starts").into()
    }

    /// Changes a file; panics if `change` returns the same text.
    pub fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.join(file);
        let before = fs::read_to_string(&path).expect("the file is there");
        let after = change(before.clone());
        assert_ne!(before, after, "{file} was not changed");
        fs::write(path, after).expect("the file can be written");
    }
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// A running `sitewright template dev`; it is killed on drop.
pub struct DevServer {
    child: Child,
    events: Receiver<Value>,
    /// Host and port: `127.0.0.1:41234`.
    pub address: String,
}

impl DevServer {
    /// Starts the command and waits until it listens.
    pub fn start(command: Command) -> Self {
        let mut server = Self::watching(command);
        let listening = server.until("listening");
        let url = listening["url"].as_str().expect("an address");
        server.address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        server
    }

    /// Starts a command that reports events and has no address.
    pub fn watching(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (send, events) = channel();
        thread::spawn(move || {
            let events = serde_json::Deserializer::from_reader(BufReader::new(stdout));
            for event in events.into_iter::<Value>() {
                let event = event.unwrap_or_else(|error| panic!("stdout is no JSON: {error}"));
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        DevServer { child, events, address: String::new() }
    }

    /// Waits for the next event.
    pub fn next(&self) -> Value {
        self.events
            .recv_timeout(EVENT_TIMEOUT)
            .unwrap_or_else(|error| panic!("no further event: {error}"))
    }

    /// Waits for the next event of this name; skips `begun` events, panics on any other.
    pub fn until(&self, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == name {
                return event;
            }
            assert!(event["event"] == "begun", "unexpected event before `{name}`: {event}");
        }
    }

    /// Requests a page with this `Host` header.
    pub fn get_as(&self, host: &str, path: &str) -> Answer {
        self.answer("GET", host, path)
    }

    fn answer(&self, method: &str, host: &str, path: &str) -> Answer {
        Self::answered(self.request(method, host, path))
    }

    fn answered(mut stream: TcpStream) -> Answer {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Requests a page.
    pub fn get(&self, path: &str) -> Answer {
        self.get_as(&self.address, path)
    }

    /// Sends a PUT without a body.
    pub fn put(&self, path: &str) -> Answer {
        self.answer("PUT", &self.address, path)
    }

    /// Sends a PUT with a body.
    pub fn put_text(&self, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(EVENT_TIMEOUT)).expect("a time limit");
        write!(
            stream,
            "PUT {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: text/plain\r\ncontent-length: \
             {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .expect("it takes requests");
        Self::answered(stream)
    }

    /// Subscribes to the stream of versions, as an open page does.
    pub fn versions(&self) -> Versions {
        Versions(BufReader::new(self.request("GET", &self.address, "/__sitewright/events")))
    }

    fn request(&self, method: &str, host: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(EVENT_TIMEOUT)).expect("a time limit");
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
            .expect("it takes requests");
        stream
    }

    /// Sends SIGINT and returns the exit code.
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

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and headers in lower case.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The version of the page in the address of its reload script.
    pub fn version(&self) -> String {
        let (_, after) =
            self.body.split_once("reload.js?version=").expect("the page has the reload script");
        after.split('"').next().expect("a version").to_owned()
    }
}

/// Stream of versions that an open page receives.
pub struct Versions(BufReader<TcpStream>);

impl Versions {
    /// Waits for a version that differs from `known`.
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
