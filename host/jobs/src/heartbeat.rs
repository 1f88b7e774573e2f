//! Heartbeats: which workers are alive, by the database's clock.

use std::sync::LazyLock;
use std::time::Duration;

use sitewright_model::build::host_build;
use ulid::Ulid;

use super::database::Database;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::driver::{Pool, Queries, Row, args, river, sqlite};
use super::error::Error;

/// What cannot be read.
const UNKNOWN: &str = "unknown";

/// A worker's process, as others see it.
#[derive(Debug, Clone)]
pub(super) struct WorkerIdentity {
    pub(super) client: String,
    /// Changes with each start of the machine.
    pub(super) boot: String,
    host: String,
    pid: i64,
    /// The newest version of the contract that it knows.
    contract: Option<String>,
}

impl WorkerIdentity {
    /// The identity of this process. Never used twice, so that a restarted worker is not mistaken
    /// for the one before.
    pub(super) fn new(contract: Option<String>) -> Self {
        let host =
            read_line("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
        let host = host.unwrap_or_else(|| UNKNOWN.to_owned());
        let pid = std::process::id();
        let short: String = host.chars().filter(char::is_ascii).take(40).collect();
        let random = Ulid::generate().to_string();
        let random = random.get(16..).unwrap_or(&random);
        WorkerIdentity {
            client: format!("{short}-{pid}-{random}"),
            boot: read_line("/proc/sys/kernel/random/boot_id")
                .unwrap_or_else(|| UNKNOWN.to_owned()),
            host,
            pid: i64::from(pid),
            contract,
        }
    }

    /// Whether a worker with this boot id runs on this machine, since its last start.
    pub(super) fn shares_machine(&self, boot: &str) -> bool {
        boot == self.boot && boot != UNKNOWN && !boot.is_empty()
    }
}

fn read_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The statements with the database's clock in them: the clocks of workers differ.
struct Sql {
    heartbeat: String,
    others: String,
    late: String,
    adopt: String,
}

impl Sql {
    fn with_clock(queries: &Queries) -> Self {
        let now = queries.now_ms.as_str();
        Sql {
            heartbeat: format!(
                "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders, marks,
                    started_at, last_seen, beats, drain_requested_at, program, contract)
                 VALUES ($1, $2, $3, $4, $5, $6, {now}, {now}, 1,
                    CASE WHEN $7 = 1 THEN {now} END, $8, $9)
                 ON CONFLICT (client_id) DO UPDATE SET boot_id = excluded.boot_id,
                    host = excluded.host, pid = excluded.pid, max_orders = excluded.max_orders,
                    marks = excluded.marks, last_seen = excluded.last_seen, stale_since = NULL,
                    program = excluded.program, contract = excluded.contract,
                    beats = sitewright_workers.beats + 1,
                    drain_requested_at = CASE WHEN sitewright_workers.beats = 0
                        THEN coalesce(sitewright_workers.drain_requested_at,
                            excluded.drain_requested_at)
                        ELSE sitewright_workers.drain_requested_at END
                 RETURNING drain_requested_at"
            ),
            others: format!(
                "SELECT client_id, boot_id, marks, beats, last_seen, stale_since, stale_beats,
                    {now} AS now
                 FROM sitewright_workers WHERE client_id <> $1 ORDER BY client_id"
            ),
            late: format!(
                "UPDATE sitewright_workers SET stale_since = {now}, stale_beats = beats
                 WHERE client_id = $1 AND beats = $2"
            ),
            adopt: format!(
                "INSERT INTO sitewright_workers (client_id, boot_id, host, pid, max_orders,
                    started_at, last_seen, beats)
                 VALUES ($1, '', '', 0, 0, {now}, {now}, 0) ON CONFLICT (client_id) DO NOTHING"
            ),
        }
    }

    fn of(pool: &Pool) -> &'static Self {
        static SQLITE: LazyLock<Sql> = LazyLock::new(|| Sql::with_clock(&sqlite::QUERIES));
        #[cfg(feature = "postgres")]
        static POSTGRES: LazyLock<Sql> = LazyLock::new(|| Sql::with_clock(&postgres::QUERIES));
        match pool {
            Pool::Sqlite(_) => &SQLITE,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => &POSTGRES,
        }
    }
}

/// The heartbeats of another worker, as the database knows them. Nothing of this is remembered by a
/// process, so that workers which live for seconds only rescue each other's orders too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherWorker {
    pub(super) client: String,
    pub(super) boot: String,
    /// The name of the file of its [`Marks`](super::marks::Marks), if it has one.
    pub(super) marks: Option<String>,
    /// The number of its heartbeats.
    pub(super) beats: i64,
    pub(super) heard: Heard,
}

/// When a worker was heard of. Milliseconds since the Unix epoch, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    now: i64,
    last_seen: i64,
    /// When a worker found the heartbeat to be late, while there has been none since.
    late_since: Option<i64>,
}

/// What the heartbeats of a worker say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is alive, or not late for long enough.
    Alive,
    /// It is late, and nobody has written that down yet.
    Late,
    /// It is stale: its orders are rescued.
    Stale,
}

impl Heard {
    /// A worker is stale if its last heartbeat is older than `stale_after` and it sends none for
    /// another `confirm` after somebody has noticed. The second time is for what kept all
    /// heartbeats away (a database that was down) and for a clock that was set: a live worker sends
    /// its next heartbeat meanwhile.
    pub(super) fn verdict(self, stale_after: Duration, confirm: Duration) -> Verdict {
        // A time in the future is of before the clock was set back, and as old as it is far away.
        let is_over = |since: i64, limit| Duration::from_millis(self.now.abs_diff(since)) >= limit;
        if !is_over(self.last_seen, stale_after) {
            return Verdict::Alive;
        }
        match self.late_since {
            None => Verdict::Late,
            Some(since) if is_over(since, confirm) => Verdict::Stale,
            Some(_) => Verdict::Alive,
        }
    }
}

impl OtherWorker {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let beats = row.int("beats")?;
        // Workers of earlier versions do not reset it with their heartbeat.
        let is_of_now = row.opt_int("stale_beats")? == Some(beats);
        Ok(OtherWorker {
            client: row.text("client_id")?,
            boot: row.text("boot_id")?,
            marks: row.opt_text("marks")?,
            beats,
            heard: Heard {
                now: row.int("now")?,
                last_seen: row.int("last_seen")?,
                late_since: row.opt_int("stale_since")?.filter(|_| is_of_now),
            },
        })
    }
}

impl Database {
    /// Writes a heartbeat. Inserts the worker's row again if another worker deleted it as stale.
    /// `marks` is the name of the file of its marks. `drains`: it was asked to drain before, which
    /// a row that is inserted again has to say. Whether somebody has asked it to drain.
    pub(super) async fn heartbeat(
        &self,
        who: &WorkerIdentity,
        max_orders: usize,
        marks: Option<&str>,
        drains: bool,
    ) -> Result<bool, Error> {
        let (who, marks) = (who.clone(), marks.map(str::to_owned));
        let max = i64::try_from(max_orders).unwrap_or(i64::MAX);
        let sql = Sql::of(self.pool()).heartbeat.as_str();
        self.write_urgently("sending a heartbeat", move |tx| {
            let (who, marks) = (who.clone(), marks.clone());
            Box::pin(async move {
                let drains = i64::from(drains);
                let args = args![
                    &who.client,
                    &who.boot,
                    &who.host,
                    who.pid,
                    max,
                    &marks,
                    drains,
                    host_build(),
                    &who.contract
                ];
                let row = tx.optional(sql, args).await?.ok_or(sqlx::Error::RowNotFound)?;
                Ok(row.opt_int("drain_requested_at")?.is_some())
            })
        })
        .await
    }

    /// All workers but this one.
    pub(super) async fn other_workers(&self, me: &str) -> Result<Vec<OtherWorker>, Error> {
        let doing = "looking for stale workers";
        let rows = self.read(doing, Sql::of(self.pool()).others.as_str(), args![me]).await?;
        rows.iter()
            .map(OtherWorker::read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// Writes down that a worker's heartbeat is late.
    pub(super) async fn note_late(&self, worker: &OtherWorker) -> Result<(), Error> {
        let (client, beats) = (worker.client.clone(), worker.beats);
        let sql = Sql::of(self.pool()).late.as_str();
        self.write("writing down that a heartbeat is late", move |tx| {
            let client = client.clone();
            Box::pin(async move { tx.execute(sql, args![&client, beats]).await.map(drop) })
        })
        .await
    }

    /// Gives a worker that owns orders or jobs and has no row one, so that it can become stale.
    pub(super) async fn adopt_worker(&self, client: &str) -> Result<(), Error> {
        let client = client.to_owned();
        let sql = Sql::of(self.pool()).adopt.as_str();
        self.write("adding a worker without a row", move |tx| {
            let client = client.clone();
            Box::pin(async move { tx.execute(sql, args![&client]).await.map(drop) })
        })
        .await
    }

    /// Deletes the row of a worker that has stopped, and ends its leadership.
    pub(super) async fn forget_worker(&self, client: &str) -> Result<(), Error> {
        let client = client.to_owned();
        self.write("deleting a worker's row", move |tx| {
            let client = client.clone();
            Box::pin(async move {
                river::resign(tx, &client).await?;
                let breakers = "DELETE FROM sitewright_breakers WHERE worker = $1";
                tx.execute(breakers, args![&client]).await?;
                tx.execute("DELETE FROM sitewright_workers WHERE client_id = $1", args![&client])
                    .await
                    .map(drop)
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds by the database's clock.
    fn heard(now: i64, last_seen: i64, late_since: Option<i64>) -> Verdict {
        let ms = |seconds: i64| seconds * 1_000;
        let heard =
            Heard { now: ms(now), last_seen: ms(last_seen), late_since: late_since.map(ms) };
        heard.verdict(Duration::from_secs(20), Duration::from_secs(8))
    }

    #[test]
    fn a_worker_is_stale_when_its_heartbeat_stays_away_twice() {
        const DAY: i64 = 86_400;
        for (name, now, last_seen, late_since, verdict) in [
            ("just seen", 100, 100, None, Verdict::Alive),
            ("almost late", 119, 100, None, Verdict::Alive),
            ("late", 120, 100, None, Verdict::Late),
            ("noticed just now", 121, 100, Some(121), Verdict::Alive),
            ("noticed a while ago", 128, 100, Some(121), Verdict::Alive),
            ("stale", 129, 100, Some(121), Verdict::Stale),
            ("stale for long, whoever noticed it", 900, 100, Some(121), Verdict::Stale),
            // The database was away, and nobody could send a heartbeat.
            ("after an outage", 700, 100, None, Verdict::Late),
            // The clock of the database was set.
            ("a day ahead", DAY + 101, 100, None, Verdict::Late),
            ("a day ahead, and noticed", DAY + 102, 100, Some(DAY + 101), Verdict::Alive),
            ("a day back", 101, DAY + 100, None, Verdict::Late),
            ("a day back, and seen again", 106, 105, Some(101), Verdict::Alive),
            ("a day back, and dead", 110, DAY + 100, Some(101), Verdict::Stale),
            ("set back a little", 100, 110, None, Verdict::Alive),
        ] {
            assert_eq!(heard(now, last_seen, late_since), verdict, "{name}");
        }
    }
}
