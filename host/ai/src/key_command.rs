//! The command that prints a provider's key: `api_key_command`.
//!
//! Clouds issue keys that expire, and a tool of theirs prints the current one. The command runs
//! without a shell, in a process group of its own, with limits on its time and output.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::reading::Fields;
use super::redact::Redactor;
use super::retry_after;
use super::secret::ApiKey;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum size in bytes of what the command prints: a key, and what JSON says about it.
const MAX_STDOUT_BYTES: usize = 64 << 10;

/// Maximum size in bytes of the stderr in a message. The end is kept, where the reason is.
const MAX_STDERR_BYTES: usize = 1024;

/// Maximum size in bytes of the stderr that is kept for the message: more than it has, so that no
/// part of a key is left at its beginning.
const KEPT_STDERR_BYTES: usize = MAX_STDERR_BYTES + ApiKey::MAX_BYTES;

/// Names of the key in what the command prints as JSON.
const TOKEN: [&str; 4] = ["token", "access_token", "accessToken", "api_key"];

/// Names of the number of seconds for which the key is valid.
const SECONDS: [&str; 2] = ["expires_in", "expiresIn"];

/// Names of the time at which it expires: seconds or milliseconds since the Unix epoch, or RFC
/// 3339.
const UNTIL: [&str; 8] = [
    "expires_at",
    "expiry",
    "expires_on",
    "expiresAt",
    "expiration",
    "expirationTimestamp",
    "token_expiry",
    "expiresOn",
];

/// The objects that some tools put around these (`gcloud config config-helper`, Kubernetes).
const ENVELOPES: [&str; 2] = ["credential", "status"];

/// The command and its time limit.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeyCommand {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
}

/// What the command printed.
pub(super) struct PrintedKey {
    pub(super) key: SecretString,
    /// For how long it is valid, if the command says so.
    pub(super) lifetime: Option<Duration>,
}

/// Not the arguments, which may hold a secret.
impl fmt::Display for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "api_key_command {}", self.program.display())
    }
}

impl fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl KeyCommand {
    /// `argv` has the program first. A program with a slash in its relative path is relative to
    /// `base_dir`; one without a slash is looked up in `PATH`. `None` if `argv` is empty.
    pub(super) fn new(argv: &[String], limit: Duration, base_dir: &Path) -> Option<Self> {
        let (program, arguments) = argv.split_first()?;
        let program = match program.contains('/') {
            true => base_dir.join(program),
            false => PathBuf::from(program),
        };
        Some(KeyCommand { program, arguments: arguments.to_vec(), limit })
    }

    /// Runs the command and reads what it prints. Dropping the future kills it and its child
    /// processes.
    ///
    /// # Errors
    /// It cannot be started, fails, takes longer than its limit, or prints no key. With the end of
    /// its stderr.
    pub(super) async fn run(&self) -> Result<PrintedKey, Message> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| message!("its {self} cannot be started: {error}"))?;
        let mut group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut stderr = Vec::new();
        let ended = async {
            // An endless output ends the wait for the others.
            tokio::try_join!(read(out), keep_end(err, &mut stderr), async {
                child.wait().await.map_err(Failed::Read)
            })
        };
        let ended = tokio::time::timeout(self.limit, ended).await;
        let said = said(&stderr);
        if let Ok(Ok(_)) = ended {
            group.disarm();
        }
        match ended {
            Err(_) => {
                let limit = self.limit.as_millis();
                Err(message!(
                    "its {self} did not end within {limit} ms and was killed \
                     (api_key_command_ms){said}"
                ))
            }
            Ok(Err(Failed::TooLong)) => Err(message!(
                "its {self} prints over {MAX_STDOUT_BYTES} bytes and was killed; have it print the \
                 key alone{said}"
            )),
            Ok(Err(Failed::Read(error))) => {
                Err(message!("what its {self} prints cannot be read: {error}{said}"))
            }
            Ok(Ok((_, (), status))) if !status.success() => {
                Err(message!("its {self} failed with {}{said}", shown(status)))
            }
            Ok(Ok((stdout, (), _))) => parse(&stdout, SystemTime::now())
                .map_err(|wrong| message!("its {self} {wrong}{said}")),
        }
    }
}

/// Why the output was not read to its end.
enum Failed {
    TooLong,
    Read(std::io::Error),
}

async fn read(stdout: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Failed> {
    let mut printed = Vec::new();
    let Some(stdout) = stdout else { return Ok(printed) };
    let max = MAX_STDOUT_BYTES as u64 + 1;
    stdout.take(max).read_to_end(&mut printed).await.map_err(Failed::Read)?;
    if printed.len() > MAX_STDOUT_BYTES { Err(Failed::TooLong) } else { Ok(printed) }
}

/// Reads stderr to its end and keeps the last part of it, also if the wait ends before.
async fn keep_end(
    stderr: Option<impl AsyncRead + Unpin>,
    kept: &mut Vec<u8>,
) -> Result<(), Failed> {
    let Some(mut stderr) = stderr else { return Ok(()) };
    let mut piece = [0; 1024];
    loop {
        match stderr.read(&mut piece).await.map_err(Failed::Read)? {
            0 => return Ok(()),
            read => kept.extend_from_slice(&piece[..read]),
        }
        if kept.len() > 2 * KEPT_STDERR_BYTES {
            kept.drain(..kept.len() - KEPT_STDERR_BYTES);
        }
    }
}

/// The end of stderr as a clause of a message, without keys.
fn said(stderr: &[u8]) -> String {
    let stderr = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(KEPT_STDERR_BYTES)..]);
    let clean = Redactor::of_process().redact(&stderr).into_owned();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = clean.ceil_char_boundary(clean.len().saturating_sub(MAX_STDERR_BYTES));
    match &clean[end..] {
        "" => String::new(),
        end => format!("; it says: {end}"),
    }
}

fn shown(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

/// Reads what the command printed: the key, or a JSON object with it.
fn parse(stdout: &[u8], now: SystemTime) -> Result<PrintedKey, &'static str> {
    let text = std::str::from_utf8(stdout).map_err(|_| "prints no UTF-8 text")?.trim();
    if text.is_empty() {
        return Err("prints nothing; have it print the key to stdout");
    }
    let (key, lifetime) = match text.starts_with('{') {
        false => (text.to_owned(), None),
        true => of_json(text, now)?,
    };
    if key.len() > ApiKey::MAX_BYTES {
        return Err("prints a key of over 8 KiB, which is none");
    }
    Ok(PrintedKey { key: SecretString::from(key), lifetime })
}

fn of_json(text: &str, now: SystemTime) -> Result<(String, Option<Duration>), &'static str> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| "prints JSON that ends early or is broken")?;
    let whole = Fields(&value);
    let inner = ENVELOPES.into_iter().filter_map(|name| whole.object(name));
    let (fields, key) = std::iter::once(whole)
        .chain(inner)
        .find_map(|fields| {
            let key = TOKEN.iter().find_map(|name| fields.text(name))?;
            Some((fields, key.trim().to_owned()))
        })
        .ok_or("prints JSON without the key in `token` or `access_token`")?;
    Ok((key, lifetime(fields, now)))
}

/// For how long the key is valid; `None` if that is not said in a known way.
fn lifetime(fields: Fields<'_>, now: SystemTime) -> Option<Duration> {
    let seconds = SECONDS.iter().find_map(|name| fields.count(name)).map(Duration::from_secs);
    seconds.or_else(|| {
        UNTIL.iter().find_map(|name| {
            let at = match fields.get(name)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            retry_after::until(&at, now)
        })
    })
}

/// The command's process group; killed on drop, unless the command has ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// Its number may be that of another group soon.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_read_in_the_notation_of_every_tool() {
        // 2027-01-15T08:00:00Z.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let rows = [
            ("ya29.abc\n".to_owned(), None),
            ("  ya29.abc  ".to_owned(), None),
            (json!({"token": "ya29.abc"}).to_string(), None),
            (json!({"access_token": "ya29.abc", "expires_in": 3599}).to_string(), Some(3599)),
            (json!({"access_token": "ya29.abc", "expires_in": "60"}).to_string(), Some(60)),
            (json!({"token": "ya29.abc", "expires_at": 1_800_000_100}).to_string(), Some(100)),
            (
                json!({"token": "ya29.abc", "expires_at": 1_800_000_100_000_u64}).to_string(),
                Some(100),
            ),
            (json!({"token": "ya29.abc", "expires_on": "1800000100"}).to_string(), Some(100)),
            (json!({"token": "ya29.abc", "expiry": "2027-01-15T08:01:40Z"}).to_string(), Some(100)),
            (json!({"token": "ya29.abc", "expiry": "2027-01-15T07:00:00Z"}).to_string(), Some(0)),
            // Azure's tool writes local time without an offset beside the seconds.
            (
                json!({"accessToken": "ya29.abc", "expiresOn": "2027-01-15 09:01:40.000000",
                       "expires_on": 1_800_000_100})
                .to_string(),
                Some(100),
            ),
            (
                json!({"credential": {"access_token": "ya29.abc",
                                      "token_expiry": "2027-01-15T08:01:40Z"}})
                .to_string(),
                Some(100),
            ),
            (
                json!({"kind": "ExecCredential", "status": {"token": "ya29.abc",
                       "expirationTimestamp": "2027-01-15T08:01:40Z"}})
                .to_string(),
                Some(100),
            ),
            (json!({"token": "ya29.abc", "expiry": "soon", "expires_in": -1}).to_string(), None),
        ];
        for (stdout, seconds) in rows {
            let printed = parse(stdout.as_bytes(), now).unwrap_or_else(|e| panic!("{e}: {stdout}"));
            assert_eq!(printed.key.expose_secret(), "ya29.abc", "{stdout}");
            assert_eq!(printed.lifetime, seconds.map(Duration::from_secs), "{stdout}");
        }
        for (stdout, says) in [
            (Vec::new(), "nothing"),
            (b" \n".to_vec(), "nothing"),
            (b"\xff\xfe".to_vec(), "UTF-8"),
            (b"{\"token\": ".to_vec(), "broken"),
            (b"{\"key\": \"secret\"}".to_vec(), "without the key"),
            (b"{\"token\": 7}".to_vec(), "without the key"),
            (vec![b'x'; ApiKey::MAX_BYTES + 1], "8 KiB"),
        ] {
            let wrong = parse(&stdout, now).err().unwrap_or("nothing is wrong");
            assert!(wrong.contains(says), "{wrong}");
        }
    }
}
