//! How the browser is started, and how it ends with all that it has started.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group, test_kill_process_group};
use sitewright_model::message;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::BrowserError;
use sitewright_site::excerpt;

/// Starts the browser with its DevTools pipe: it reads commands from descriptor 3 and writes
/// answers to 4, which a `Command` cannot set. The shell stays, so that the browser's folder is
/// removed even if this process was killed: the browser ends when its pipe is closed.
const LAUNCH: &str = r#"folder=$1; shift; trap : TERM
"$@" 3<&0 4>&1 </dev/null >&2
rm -rf -- "$folder""#;

/// Switches of the browser. What is not needed is off, so that it is fast and the same everywhere.
const SWITCHES: [&str; 26] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-startup-window",
    // No name and no address is resolved, not even 127.0.0.1: requests of pages are answered by
    // this program, and everything else leads nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    // WebRTC sends datagrams without resolving anything. The second name is that of older versions,
    // which ignore the first; newer ones ignore the second.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--no-proxy-server",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-background-networking",
    // Several pages are open at once, and all of them count as seen.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    // Shared memory of a container may have 64 MiB only.
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--hide-scrollbars",
    "--lang=en-US",
    "--mute-audio",
    "--password-store=basic",
];

/// Variables that the browser gets, if they are set: where its libraries, fonts and sandbox are.
const VARIABLES: [&str; 6] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
    "CHROME_DEVEL_SANDBOX",
    "XDG_DATA_DIRS",
];

/// How long the browser may take to end after its pipe is closed.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long killed processes may take to end.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// How often its folder is tried to be removed, and how long is waited in between.
const REMOVALS: u32 = 40;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// Bytes at the end of its stderr that a message shows.
const STDERR_BYTES: i64 = 1 << 10;

/// Whether this process is root, for whom the browser has no sandbox.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// The shell that runs the browser, and the processes of both.
#[derive(Debug)]
pub(crate) struct Process {
    /// `None` once it has ended.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    group: Option<Pid>,
    stderr: File,
    folder: TempDir,
}

impl Process {
    /// Starts the program. Dropping the process ends it in the background.
    pub(crate) fn start(
        program: &Path,
        sandboxed: bool,
    ) -> Result<(Self, ChildStdin, ChildStdout), BrowserError> {
        let refused = |what: &str, error: std::io::Error| {
            BrowserError(message!(
                "the browser {} cannot be started: {what}: {error}",
                program.display()
            ))
        };
        // The browser runs in another folder.
        let program_path = std::path::absolute(program)
            .map_err(|error| refused("its path cannot be found", error))?;
        let folder = tempfile::Builder::new()
            .prefix("sitewright-browser-")
            .tempdir()
            .map_err(|error| refused("its folder cannot be created", error))?;
        let stderr =
            tempfile::tempfile().map_err(|error| refused("a file cannot be created", error))?;
        let shared = stderr.try_clone().map_err(|error| refused("its stderr", error))?;
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", LAUNCH, "sh"])
            .arg(folder.path())
            .arg(program_path)
            .args(SWITCHES)
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .args((!sandboxed).then_some("--no-sandbox"))
            // Without this process's environment, which holds keys.
            .env_clear()
            .envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .current_dir("/")
            // Ctrl-C in a terminal goes to its process group: this program ends the browser.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(shared);
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|error| refused("/bin/sh", error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(refused("/bin/sh", std::io::Error::other("it has no pipes")));
        };
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let running = Running { child, group, stderr, folder };
        Ok((Process { running: Some(running) }, input, output))
    }

    /// Waits until the browser has ended, whose pipe must be closed, and kills it if it does not.
    /// Returns the end of its stderr as the end of a message.
    pub(crate) async fn end(mut self) -> String {
        match self.running.take() {
            Some(running) => running.end().await,
            None => String::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.signal(Signal::TERM);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(running.end());
        }
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        // It may have ended already.
        if let Some(group) = self.group {
            let _ended = kill_process_group(group, signal);
        }
    }

    /// Kills what is left of the browser after its shell has ended, and waits until it is gone: a
    /// process that outlives the others would make the folder again.
    async fn end_group(&self) {
        let Some(group) = self.group else { return };
        self.signal(Signal::KILL);
        let gone = async {
            while test_kill_process_group(group).is_ok() {
                tokio::time::sleep(REMOVAL_PAUSE).await;
            }
        };
        drop(tokio::time::timeout(KILL_LIMIT, gone).await);
    }

    async fn end(mut self) -> String {
        if tokio::time::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            tracing::debug!("the browser does not end, and is killed");
            self.signal(Signal::KILL);
            drop(tokio::time::timeout(KILL_LIMIT, self.child.wait()).await);
        }
        self.end_group().await;
        let Running { mut stderr, folder, .. } = self;
        remove(folder.keep()).await;
        let read = tokio::task::spawn_blocking(move || last_words(&mut stderr));
        read.await.unwrap_or_default()
    }
}

/// Removes the browser's folder, unless the shell has. A process of the browser that has a session
/// of its own may outlive the shell for a moment and write there, so one attempt may not be enough.
async fn remove(folder: PathBuf) {
    for _ in 0..REMOVALS {
        let path = folder.clone();
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        match removed.await {
            Ok(Err(error)) => {
                tracing::debug!(%error, folder = %folder.display(), "the browser's folder is in use");
                tokio::time::sleep(REMOVAL_PAUSE).await;
            }
            Ok(Ok(())) | Err(_) => return,
        }
    }
    tracing::warn!(folder = %folder.display(), "the browser's folder was not removed");
}

/// The end of what the browser wrote to stderr. Blocking.
fn last_words(stderr: &mut File) -> String {
    let mut bytes = Vec::new();
    let start = stderr.metadata().map(|file| file.len()).unwrap_or_default();
    let back = STDERR_BYTES.min(i64::try_from(start).unwrap_or(i64::MAX));
    let read = stderr.seek(SeekFrom::End(-back)).and_then(|_| stderr.read_to_end(&mut bytes));
    match read {
        Ok(1..) => format!(": {}", excerpt(&String::from_utf8_lossy(&bytes), bytes.len())),
        _ => String::new(),
    }
}
