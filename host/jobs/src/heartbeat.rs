//! Heartbeats: which workers are alive.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sitewright_model::time::now_ms;
use ulid::Ulid;

use super::database::Database;
use super::driver::args;
use super::error::Error;

/// A worker's process, as others see it.
#[derive(Debug, Clone)]
pub(super) struct WorkerIdentity {
    pub(super) client: String,
    boot: String,
    host: String,
    pid: i64,
}

impl WorkerIdentity {
    /// The identity of this process. Never used twice, so that a restarted worker is not mistaken
    /// for the one before.
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
    /// Writes a heartbeat. Inserts the worker's row again if another worker deleted it as stale.
    pub(super) async fn heartbeat(
        &self,
        who: &WorkerIdentity,
        max_orders: usize,
    ) -> Result<(), Error> {
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

    /// Deletes the row of a worker that has stopped.
    pub(super) async fn forget_worker(&self, client: &str) -> Result<(), Error> {
        let client = client.to_owned();
        self.write("deleting a worker's row", move |tx| {
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

/// How long each worker's heartbeat count has not changed, by this process's own steady clock:
/// neither a clock that jumps nor machines whose clocks differ make a live worker look stale.
#[derive(Debug, Default)]
pub(super) struct Observer {
    seen: HashMap<String, (i64, Instant)>,
}

impl Observer {
    /// Records a worker's heartbeat count. How long it has not changed.
    pub(super) fn unchanged_for(&mut self, client: &str, beats: i64) -> Duration {
        match self.seen.get(client) {
            Some((before, since)) if *before == beats => since.elapsed(),
            _ => {
                self.seen.insert(client.to_owned(), (beats, Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Forgets all counts if this worker's own did not change for longer than `most`: what kept its
    /// own heartbeat from being written (a database that is down, a file that is locked, a process
    /// that was stopped) kept those of others away as well.
    pub(super) fn trust_only_while(&mut self, me: &str, beats: i64, most: Duration) {
        let away = self.seen.get(me).is_some_and(|(_, since)| since.elapsed() > most);
        if away {
            self.seen.clear();
        }
        self.unchanged_for(me, beats);
    }

    /// Forgets all workers but those that are `known`.
    pub(super) fn retain(&mut self, mut known: impl FnMut(&str) -> bool) {
        self.seen.retain(|client, _| known(client));
    }
}
