//! Waiting for orders of the queue, with live progress and, at the end, the report of `generate`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::exit::Exit;
use crate::cli::generate::{Report, current};
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::signals::StopSignals;
use crate::cli::when;
use crate::config::Config;
use sitewright_failure::render::{self, clean};
use sitewright_failure::store;
use sitewright_jobs::{Cost, Database, Error, Event, Failure, Order, OrderState};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_site::{ListedRelease, OrderDir, SitesRoot, list_releases};

/// Time between two queries of the orders.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two queries of the workers.
const LOOK_FOR_WORKERS: Duration = Duration::from_secs(2);
/// Time for which queries to an unreachable database are repeated.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Time that a completed release may take to be activated.
const ACTIVE_WITHIN: Duration = Duration::from_secs(3);

/// Waits until all orders have ended. The exit code is that of the first one that did not succeed.
pub(super) async fn run(
    database: &Database,
    config: &Config,
    ids: Vec<String>,
    json: bool,
) -> Result<Exit, SetupError> {
    let mut waiting = Waiting {
        database,
        silent_ms: i64::try_from(config.worker.silent_ms).unwrap_or(i64::MAX),
        bar: (output::watched() && !json).then(output::spinner),
        nobody: None,
        asked: Instant::now(),
        told: false,
    };
    let several = ids.len() > 1;
    let mut left: Vec<Followed> = ids.into_iter().map(Followed::new).collect();
    let mut ended = Vec::new();
    let interrupted = {
        let interrupt = interrupted();
        tokio::pin!(interrupt);
        loop {
            let looked = tokio::select! {
                looked = waiting.look(&mut left) => looked?,
                () = &mut interrupt => break true,
            };
            for order in looked {
                let end = End::of(database, config, order).await?;
                if several && !json {
                    waiting.above(|| output::print(&end.text()));
                }
                ended.push(end);
            }
            if left.is_empty() {
                break false;
            }
            waiting.show(&left, ended.len());
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = &mut interrupt => break true,
            }
        }
    };
    if let Some(bar) = &waiting.bar {
        bar.finish_and_clear();
    }
    if interrupted {
        stays(&left, &ended, json);
        return Ok(Exit::Cancelled);
    }
    let exit =
        ended.iter().map(|end| end.exit).find(|exit| *exit != Exit::Done).unwrap_or(Exit::Done);
    match (ended.as_slice(), several) {
        ([end], false) if json => output::print_json(&end.report()),
        ([end], false) => output::print(&end.text()),
        (all, _) if json => {
            let orders: Vec<Report<'_>> = all.iter().map(End::report).collect();
            let outcome = if exit == Exit::Done { "released" } else { "failed" };
            output::print_json(&json!({ "outcome": outcome, "orders": orders }))
        }
        _ => true,
    };
    Ok(exit)
}

/// Waits for the first Ctrl-C or SIGTERM; forever if signals cannot be caught.
async fn interrupted() {
    match StopSignals::new() {
        Ok(mut signals) => signals.next().await,
        Err(error) => {
            tracing::warn!(%error, "Ctrl-C ends the process without a report");
            std::future::pending().await
        }
    }
}

/// Reports that the wait has ended and the orders continue.
fn stays(left: &[Followed], ended: &[End], json: bool) {
    if json {
        let orders: Vec<Value> = left
            .iter()
            .map(|followed| json!({ "order": followed.id, "state": followed.order.as_ref().map(|order| order.state) }))
            .chain(ended.iter().map(|end| json!({ "order": end.order.id, "state": end.order.state })))
            .collect();
        output::print_json(&json!({
            "outcome": "interrupted", "release": null, "files": [], "ai": null, "usage": null, "failure": null, "orders": orders,
        }));
    }
    let mut text = String::new();
    for followed in left {
        let id = clean(&followed.id);
        text.push_str(&format!(
            "order {id} stays in the queue; nobody waits for it now\n  to see it: sitewright \
             order show {id}\n  to stop it: sitewright order cancel {id}\n"
        ));
    }
    output::complain(&text);
}

/// An order that has not ended, in the state of the last query.
struct Followed {
    id: String,
    order: Option<Order>,
    event: Option<Event>,
    after: i64,
}

impl Followed {
    fn new(id: String) -> Self {
        Followed { id, order: None, event: None, after: 0 }
    }

    /// Its state and progress in one line.
    fn line(&self, nobody: Option<&str>) -> String {
        let Some(order) = &self.order else { return String::new() };
        match order.state {
            OrderState::Waiting => {
                let due = order.next_attempt_at.map(when::distance).unwrap_or_default();
                let why = order.waiting_reason.as_deref().unwrap_or_default();
                format!(
                    "attempt {} {due}: {}",
                    order.runs.saturating_add(1),
                    output::one_line(why, 60)
                )
            }
            OrderState::Running => {
                // The last stage of a previous attempt says nothing about this one.
                let event =
                    self.event.as_ref().filter(|event| event.attempt == order.owner_attempt);
                let stage = event.map_or_else(
                    || "begins".to_owned(),
                    |event| match (event.done, event.total) {
                        (Some(done), Some(total)) => {
                            format!("{} {done}/{total}", clean(&event.stage))
                        }
                        _ => clean(&event.stage),
                    },
                );
                if order.runs > 1 { format!("attempt {}: {stage}", order.runs) } else { stage }
            }
            state => match nobody {
                Some(nobody) => format!("{state}; {nobody}"),
                None => state.to_string(),
            },
        }
    }
}

struct Waiting<'a> {
    database: &'a Database,
    silent_ms: i64,
    bar: Option<ProgressBar>,
    /// Why no worker claims orders, if that is the case, and the time of the last query.
    nobody: Option<String>,
    asked: Instant,
    told: bool,
}

impl Waiting<'_> {
    /// Queries all remaining orders and removes those that have ended. Holds no connection between
    /// two queries.
    async fn look(&mut self, left: &mut Vec<Followed>) -> Result<Vec<Order>, SetupError> {
        let (database, bar) = (self.database, self.bar.as_ref());
        let mut ended = Vec::new();
        let mut at = 0;
        while let Some(followed) = left.get_mut(at) {
            let order = patiently(bar, || database.order(&followed.id)).await?;
            if order.state.has_ended() {
                left.remove(at);
                ended.push(order);
                continue;
            }
            if bar.is_some() {
                let after = followed.after;
                let events = patiently(bar, || database.events(&followed.id, after)).await?;
                if let Some(event) = events.into_iter().next_back() {
                    followed.after = event.id;
                    followed.event = Some(event);
                }
            }
            followed.order = Some(order);
            at += 1;
        }
        self.look_for_workers(left).await?;
        Ok(ended)
    }

    /// Finds out why no order makes progress, if none does.
    async fn look_for_workers(&mut self, left: &[Followed]) -> Result<(), SetupError> {
        let in_line = |followed: &Followed| {
            followed.order.as_ref().is_some_and(|order| order.state == OrderState::Queued)
        };
        if !left.iter().any(in_line) {
            self.nobody = None;
        } else if self.asked.elapsed() >= LOOK_FOR_WORKERS {
            let stats = patiently(self.bar.as_ref(), || self.database.stats()).await?;
            let alive = stats.workers.iter().any(|worker| worker.silent_ms < self.silent_ms);
            self.nobody = match (stats.paused, alive) {
                (true, _) => {
                    Some("the queue is paused: resume it with `sitewright queue resume`".to_owned())
                }
                (false, false) => {
                    Some("no worker is running: start one with `sitewright worker`".to_owned())
                }
                (false, true) => None,
            };
            self.asked = Instant::now();
            if let (Some(nobody), None, false) = (&self.nobody, &self.bar, self.told) {
                output::complain(&format!("waiting: {nobody}\n"));
                self.told = true;
            }
        }
        Ok(())
    }

    fn show(&self, left: &[Followed], ended: usize) {
        let Some(bar) = &self.bar else { return };
        let runs = |followed: &&Followed| {
            followed.order.as_ref().is_some_and(|order| order.state == OrderState::Running)
        };
        let Some(shown) = left.iter().find(runs).or(left.first()) else { return };
        let line = shown.line(self.nobody.as_deref());
        let all = left.len() + ended;
        let line = clean(&line);
        bar.set_message(match all {
            1 => line,
            _ => format!("{ended}/{all} · order {}: {line}", clean(&shown.id)),
        });
    }

    /// Prints above the spinner.
    fn above(&self, print: impl FnOnce() -> bool) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        };
    }
}

/// Repeats the query until the database answers.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    bar: Option<&ProgressBar>,
    ask: impl Fn() -> F,
) -> Result<T, SetupError> {
    let begin = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_transient() && begin.elapsed() < TIMEOUT => {
                if let Some(bar) = bar {
                    bar.set_message("the database does not answer; trying again");
                }
                tracing::warn!(%error, "the database does not answer; trying again");
                tokio::time::sleep(LOOK_FOR_WORKERS).await;
            }
            answer => return Ok(answer?),
        }
    }
}

/// An order that has ended, with its report.
struct End {
    order: Order,
    exit: Exit,
    /// Why it has no release, if that was recorded.
    failure: Option<Failure>,
    record: Option<FailureRecord>,
    record_file: Option<PathBuf>,
    release: Option<ListedRelease>,
    cost: Cost,
    calls: Vec<Value>,
    attempt: Option<String>,
    duration_ms: u64,
}

impl End {
    async fn of(database: &Database, config: &Config, order: Order) -> Result<Self, SetupError> {
        let attempts = database.attempts(&order.id).await?;
        let last = attempts.last();
        let failure = match (&order.last_failure, order.state) {
            (None, _) | (_, OrderState::Succeeded) => None,
            (Some(id), _) => database.failure(id).await?,
        };
        // An order cancelled while queued did not fail like its previous attempt.
        let stopped = order.state == OrderState::Cancelled;
        let failure =
            failure.filter(|failure| !stopped || failure.kind == FailureKind::Cancelled.as_str());
        let record = failure.as_ref().and_then(|failure| {
            let from = Path::new(&failure.id);
            store::parse(failure.record.clone(), from)
                .map_err(
                    |error| tracing::warn!(order = order.id, %error, "the failure record cannot be read"),
                )
                .ok()
        });
        let record_file = match &failure {
            Some(failure) => {
                file_of(
                    config
                        .sites
                        .join(&order.id)
                        .join(store::FOLDER)
                        .join(format!("{}.json", failure.id)),
                )
                .await
            }
            None => None,
        };
        let release = match (&order.current_release, order.state) {
            (Some(release), OrderState::Succeeded) => {
                find_release(&config.sites, &order.id, release).await
            }
            _ => None,
        };
        let calls = database.ai_calls(&order.id).await?.into_iter().map(|call| {
            json!({
                "purpose": call.call.purpose,
                "provider": call.call.provider,
                "model": call.call.model,
                "input_tokens": call.call.input_tokens,
                "output_tokens": call.call.output_tokens,
                "cached": call.call.entry["cached"] == true,
                "attempt": call.attempt,
            })
        });
        let exit = match (order.state, &failure) {
            (OrderState::Succeeded, _) => Exit::Done,
            (OrderState::Cancelled, _) => Exit::Cancelled,
            (_, Some(failure)) => {
                let kind: Option<FailureKind> = serde_json::from_value(json!(failure.kind)).ok();
                kind.map_or(Exit::Host, Exit::from)
            }
            (_, None) => Exit::Host,
        };
        let took = last.map_or(0, |attempt| {
            attempt.ended_at.unwrap_or(attempt.started_at).saturating_sub(attempt.started_at)
        });
        Ok(End {
            cost: database.cost(&order.id).await?,
            calls: calls.collect(),
            attempt: last.map(|attempt| attempt.id.clone()),
            duration_ms: u64::try_from(took).unwrap_or_default(),
            order,
            exit,
            failure,
            record,
            record_file,
            release,
        })
    }

    fn report(&self) -> Report<'_> {
        let manifest = self.release.as_ref().and_then(|release| release.manifest.as_ref().ok());
        let outcome = match self.order.state {
            OrderState::Succeeded => "released",
            OrderState::Cancelled => "cancelled",
            _ => "failed",
        };
        let succeeded = self.order.state == OrderState::Succeeded;
        let release = self.order.current_release.as_ref().filter(|_| succeeded).map(|id| {
            let path = self.release.as_ref().map(|release| release.path.clone());
            json!({
                "id": id,
                "current": path.as_deref().map(current),
                "path": path,
                "template": manifest.map(|manifest| &manifest.template),
                "locale": manifest.and_then(|manifest| manifest.locale.clone()),
                "total_bytes": manifest.map(|manifest| manifest.total_bytes),
            })
        });
        Report {
            outcome,
            order: &self.order.id,
            release,
            files: manifest
                .into_iter()
                .flat_map(|manifest| &manifest.files)
                .map(|file| json!(file))
                .collect(),
            ai: json!({
                "calls": self.cost.calls,
                "input_tokens": self.cost.input_tokens,
                "output_tokens": self.cost.output_tokens,
                "cost_nano_usd": self.cost.nano_usd,
                "by_call": self.calls,
            }),
            usage: json!({
                "attempt": self.attempt,
                "attempts": self.order.runs,
                "duration_ms": self.duration_ms,
                "limits": match &self.record {
                    Some(record) => json!(record.limits),
                    None => manifest.map_or(Value::Null, |manifest| manifest.usage["limits"].clone()),
                },
            }),
            failure: self.record.as_ref(),
            failure_file: self.record_file.clone(),
        }
    }

    fn text(&self) -> String {
        let id = clean(&self.order.id);
        let dim = anstyle::Style::new().dimmed();
        match self.order.state {
            OrderState::Succeeded => {
                let good = anstyle::AnsiColor::Green.on_default().bold();
                let release = self.order.current_release.as_deref().unwrap_or("without a name");
                let mut text =
                    format!("{good}✓ order {id} is a website{good:#} {dim}{release}{dim:#}\n");
                match &self.release {
                    Some(release) => {
                        text.push_str(&format!(
                            "  {}\n\n",
                            current(&release.path).join("index.html").display()
                        ));
                        if let Ok(manifest) = &release.manifest {
                            let size = render::bytes(manifest.total_bytes);
                            text.push_str(&format!("  {} files, {size} · ", manifest.files.len()));
                        }
                    }
                    None => text.push_str("  the release lies where the worker's `sites` is\n\n  "),
                }
                let took = render::duration(self.duration_ms.saturating_mul(1_000));
                text.push_str(&format!(
                    "{took} · {} · {}\n",
                    output::count(self.order.runs, "attempt"),
                    output::cost(&self.cost)
                ));
                text
            }
            OrderState::Cancelled => format!("order {id} was cancelled\n"),
            state => match (&self.record, &self.failure) {
                (Some(record), _) => {
                    let mut text = render::terminal(record, output::width());
                    let runs = output::count(self.order.runs, "attempt");
                    text.push_str(&format!(
                        "  the order is {state} after {runs}: sitewright order show {id}\n"
                    ));
                    if let Some(file) = &self.record_file {
                        text.push_str(&format!("  record {}\n", file.display()));
                    }
                    text
                }
                (None, Some(failure)) => {
                    format!(
                        "✗ order {id} is {state}: {}: {}\n",
                        clean(&failure.kind),
                        clean(&failure.message)
                    )
                }
                (None, None) => format!("✗ order {id} is {state}, and no reason was recorded\n"),
            },
        }
    }
}

async fn file_of(path: PathBuf) -> Option<PathBuf> {
    tokio::fs::try_exists(&path).await.is_ok_and(|there| there).then_some(path)
}

/// The release's folder, if the worker's sites are those of this configuration. A release is
/// activated a moment after its order is completed.
async fn find_release(sites: &Path, order: &str, id: &str) -> Option<ListedRelease> {
    let begin = Instant::now();
    loop {
        let (sites, order, id) = (sites.to_owned(), order.to_owned(), id.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            // Read only: `SitesRoot::open` would create the folder.
            if !sites.is_dir() {
                return Ok(None);
            }
            let root = SitesRoot::open(&sites)
                .map_err(|error| message!("the sites cannot be opened: {error}"))?;
            let order = OrderDir::new(&order)
                .map_err(|error| message!("the order has no folder: {error}"))?;
            let releases = list_releases(&root, &order)
                .map_err(|error| message!("the releases cannot be read: {error}"))?;
            Ok(releases.into_iter().find(|release| release.id.to_string() == id))
        });
        let found = found
            .await
            .unwrap_or_else(|error| Err(message!("looking for the release failed: {error}")));
        match found {
            Ok(Some(release)) if !release.current && begin.elapsed() < ACTIVE_WITHIN => {
                tokio::time::sleep(LOOK).await;
            }
            Ok(found) => return found,
            Err(message) => {
                tracing::warn!("{message}");
                return None;
            }
        }
    }
}
