//! Replays and bundles for the HTTP API, each by a `sitewright replay` or `failures export` of its
//! own: a replay runs code of a template, an export reads all of an attempt, and the server is a
//! process that many use.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sitewright_confined::THIS_PROGRAM;
use sitewright_failure::render::clean;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_replay::Scratch;
use sitewright_server::{Bundle, BundleExport, Replay, ReplayError};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::exit::Exit;
use super::setup::Setup;

/// Maximum bytes of a report.
const MAX_REPORT: u64 = 8 << 20;
/// Maximum bytes that are read of what else a process says.
const MAX_WORDS: u64 = 16 << 10;

/// Replays attempts with the configuration of this process.
pub(super) fn replays(setup: &Setup) -> Replay {
    let flags = flags(setup);
    Arc::new(move |record, within| {
        let flags = flags.clone();
        Box::pin(async move { replay(&flags, &record, within).await })
    })
}

/// Exports attempts with the configuration of this process, without the texts of customer and
/// models.
pub(super) fn exports(setup: &Setup) -> BundleExport {
    let flags = flags(setup);
    Arc::new(move |record, within| {
        let flags = flags.clone();
        Box::pin(async move { export(&flags, &record, within).await })
    })
}

/// The flags by which a process finds the same configuration, templates and sites.
fn flags(setup: &Setup) -> Vec<OsString> {
    let Setup { config, templates, out } = setup;
    [("--config", config), ("--templates", templates), ("--out", out)]
        .into_iter()
        .filter_map(|(flag, value)| Some([OsString::from(flag), OsString::from(value.as_ref()?)]))
        .flatten()
        .collect()
}

async fn replay(flags: &[OsString], record: &str, within: Duration) -> Result<Value, ReplayError> {
    let mut command = Command::new(THIS_PROGRAM);
    command.args(flags).args(["--json", "replay", "--", record]);
    let ChildEnd { status, report, words } = ended(command, within).await?;
    let has_report = [Exit::Done, Exit::Diverged, Exit::NotReplayable]
        .into_iter()
        .any(|exit| status.code() == Some(i32::from(exit as u8)));
    if !has_report {
        return Err(ReplayError::Host(said(&words, &status.to_string())));
    }
    serde_json::from_slice(&report).map_err(|error| {
        let bytes = report.len();
        ReplayError::Host(message!("its report of {bytes} bytes cannot be read: {error}"))
    })
}

async fn export(flags: &[OsString], record: &str, within: Duration) -> Result<Bundle, ReplayError> {
    // Removed at the end of this function; the bundle is then the open file alone.
    let folder = Scratch::create().await.map_err(ReplayError::Host)?;
    let path = folder.path().join("bundle.tar");
    let mut command = Command::new(THIS_PROGRAM);
    command
        .args(flags)
        .args(["--json", "failures", "export", "--scrub", "--output"])
        .arg(&path)
        .args(["--", record]);
    let ChildEnd { status, words, .. } = ended(command, within).await?;
    if status.code() != Some(i32::from(Exit::Done as u8)) {
        return Err(ReplayError::Host(said(&words, &status.to_string())));
    }
    let failed =
        |error: std::io::Error| ReplayError::Host(message!("its file cannot be read: {error}"));
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let bytes = file.metadata().await.map_err(failed)?.len();
    Ok(Bundle { file, bytes })
}

/// What a process came to.
struct ChildEnd {
    status: ExitStatus,
    /// The beginning of what it printed.
    report: Vec<u8>,
    /// The beginning of its log and of its errors.
    words: Vec<u8>,
}

/// Runs a command of this program. One that takes longer is killed.
async fn ended(mut command: Command, within: Duration) -> Result<ChildEnd, ReplayError> {
    command
        // Of its own group: Ctrl-C in a terminal reaches the server alone, which stops it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let failed = |error: std::io::Error| ReplayError::Host(message!("its process failed: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (report, words) = tokio::join!(read(stdout, MAX_REPORT), read(stderr, MAX_WORDS));
        Ok::<_, std::io::Error>((child.wait().await?, report?, words?))
    };
    // A child that is given up is killed when it is dropped.
    let ended = tokio::time::timeout(within, ended).await.map_err(|_| ReplayError::Late)?;
    let (status, report, words) = ended.map_err(failed)?;
    Ok(ChildEnd { status, report, words })
}

/// Reads to the end, and keeps the beginning.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// The last lines that a process wrote, which are its error.
fn said(words: &[u8], status: &str) -> Message {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" ");
    Message::or(clean(&last), message!("its process ended with {status}"))
}
