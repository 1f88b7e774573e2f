//! Which workers are alive.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::database::{Database, now_ms};
use super::error::Error;
use super::sql::args;

/// A worker's process, as others see it.
#[derive(Debug, Clone)]
pub(super) struct WorkerIdentity {
    pub(super) client: String,
    boot: String,
    host: String,
    pid: i64,
}

impl WorkerIdentity {
    /// Of this process; different each time, so that nobody takes a restarted worker for the one
    /// before.
    pub(super) fn new() -> Self {
        let host =
            read_line("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
        let host = host.unwrap_or_else(|| "unknown".to_owned());
        let pid = std::process::id();
        let short: String = host.chars().filter(char::is_ascii).take(40).collect();
        let random = Ulid::generate().to_string();
        let random = random.get(16..).unwrap_or(&random);
        WorkerIdentity {
            client: format!("{short}-{pid}-{random}"),
            boot: read_line("/proc/sys/kernel/random/boot_id")
                .unwrap_or_else(|| "unknown".to_owned()),
            host,
            pid: i64::from(pid),
        }
    }
}

fn read_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Database {
    /// Says that a worker is alive. Makes its row again when somebody took it for dead.
    pub(super) async fn beat(&self, who: &WorkerIdentity, max_orders: usize) -> Result<(), Error> {
        let who = who.clone();
        let max = i64::try_from(max_orders).unwrap_or(i64::MAX);
        self.write_urgently("sending a heartbeat", move |tx| {
            let who = who.clone();
            Box::pin(async move {
                tx.execute(
                    "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, \
                     started_at, last_seen, beats)
                     VALUES ($1, $2, $3, $4, $5, $6, $6, 1)
                     ON CONFLICT (client_id) DO UPDATE SET last_seen = excluded.last_seen, beats = \
                     sitewright_workers.beats + 1",
                    args![&who.client, &who.boot, &who.host, who.pid, max, now_ms()],
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// A worker goes, or is gone.
    pub(super) async fn forget_worker(&self, client: &str) -> Result<(), Error> {
        let client = client.to_owned();
        self.write("taking a worker off the list", move |tx| {
            let client = client.clone();
            Box::pin(async move {
                tx.execute("DELETE FROM sitewright_workers WHERE client_id = $1", args![&client])
                    .await
                    .map(drop)
            })
        })
        .await
    }
}

/// Who has been silent for how long, by this process's own steady clock: neither a clock that jumps
/// nor two machines that disagree about the time make a living worker look dead.
#[derive(Debug, Default)]
pub(super) struct Observer {
    seen: HashMap<String, (i64, Instant)>,
}

impl Observer {
    /// Takes note of a worker's count of beats; how long it has not changed.
    pub(super) fn silent_for(&mut self, client: &str, beats: i64) -> Duration {
        match self.seen.get(client) {
            Some((before, since)) if *before == beats => since.elapsed(),
            _ => {
                self.seen.insert(client.to_owned(), (beats, Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Begins anew with all of them when this worker's own beats were away for longer than `most`:
    /// what kept its own from arriving (a database that is down, a file that is locked, a
    /// process that was stopped) kept those of others away as well.
    pub(super) fn trust_only_while(&mut self, me: &str, beats: i64, most: Duration) {
        let away = self.seen.get(me).is_some_and(|(_, since)| since.elapsed() > most);
        if away {
            self.seen.clear();
        }
        self.silent_for(me, beats);
    }

    /// Forgets all workers but these.
    pub(super) fn retain(&mut self, mut known: impl FnMut(&str) -> bool) {
        self.seen.retain(|client, _| known(client));
    }
}

/// The file beside SQLite's that every worker process keeps locked. The system unlocks it when a
/// process ends, however it ends.
#[derive(Debug)]
pub(super) struct Presence {
    _file: Option<File>,
    /// Whether no other worker process was there when this one came: then nobody who owns an order
    /// lives any more.
    pub(super) alone: bool,
}

impl Presence {
    pub(super) async fn enter(database: &Database) -> Result<Self, Error> {
        let Some(path) = database.file_beside("workers") else {
            return Ok(Presence { _file: None, alone: false });
        };
        let shown = path.display().to_string();
        let failed = |source| Error::LockFile { path: shown.clone(), source: Arc::new(source) };
        let entered = tokio::task::spawn_blocking(move || -> std::io::Result<Presence> {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            let alone = match file.try_lock() {
                Ok(()) => true,
                Err(std::fs::TryLockError::WouldBlock) => false,
                Err(std::fs::TryLockError::Error(error))
                    if error.kind() == std::io::ErrorKind::Unsupported =>
                {
                    return Ok(Presence { _file: None, alone: false });
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            };
            // From alone to one of several: whoever comes next finds somebody here. Two may have
            // been alone one after the other, but neither has claimed an order yet.
            file.lock_shared()?;
            Ok(Presence { _file: Some(file), alone })
        });
        entered.await.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }
}
