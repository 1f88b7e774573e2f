//! Replays for the HTTP API, each by a `sitewright replay` of its own: a replay runs code of a
//! template, and the server is a process that many use.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sitewright_confined::THIS_PROGRAM;
use sitewright_failure::render::clean;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_server::{Replay, ReplayError};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::exit::Exit;
use super::setup::Setup;

/// Maximum bytes of a report.
const MAX_REPORT: u64 = 8 << 20;
/// Maximum bytes that are read of what else a replay says.
const MAX_WORDS: u64 = 16 << 10;

/// Replays attempts with the configuration of this process.
pub(super) fn replays(setup: &Setup) -> Replay {
    let Setup { config, templates, out } = setup;
    let flags: Vec<OsString> = [("--config", config), ("--templates", templates), ("--out", out)]
        .into_iter()
        .filter_map(|(flag, value)| Some([OsString::from(flag), OsString::from(value.as_ref()?)]))
        .flatten()
        .collect();
    Arc::new(move |record, within| {
        let flags = flags.clone();
        Box::pin(async move { replay(&flags, &record, within).await })
    })
}

async fn replay(flags: &[OsString], record: &str, within: Duration) -> Result<Value, ReplayError> {
    let mut command = Command::new(THIS_PROGRAM);
    command
        .args(flags)
        .args(["--json", "replay", "--", record])
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

/// Reads to the end, and keeps the beginning.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// The last lines that a replay wrote, which are its error.
fn said(words: &[u8], status: &str) -> Message {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" ");
    Message::or(clean(&last), message!("its process ended with {status}"))
}
