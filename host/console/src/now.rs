//! The first page: the state of the system in one sentence, and what it is made of.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template as _;
use sitewright_failure::group::Cause;
use sitewright_jobs::{Breaker, EndedOrders, Hold, OrderState, RecentCost, Stats, WorkerStats};

use super::address;
use super::chart::{self, Chart, Ended};
use super::frame::{Frame, Level};
use super::text::{When, both_ends, count, counted, dollars, short, span};

/// A worker whose last heartbeat is older is shown as silent. Workers send one every second.
const SILENT_MS: i64 = 15_000;
/// Orders that wait for longer than this, although nothing holds them, are worth a sentence.
const LONG_WAIT_MS: i64 = 10 * 60_000;
/// Orders that must have ended within an hour before their share of failures is worth a sentence.
const ENOUGH: i64 = 5;

/// The minutes that are read, and those of them that the throughput is of: the last whole ones.
pub const MINUTES: usize = 60;
const THROUGHPUT_MINUTES: usize = 5;

/// What a bar of the chart is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// An hour, of the last 24.
    #[default]
    Hour,
    /// A minute, of the last 60.
    Minute,
}

impl Per {
    /// The one with this name; `None` for another text.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Per::Hour),
            "minute" => Some(Per::Minute),
            _ => None,
        }
    }
}

/// What the page is made of.
#[derive(Debug)]
pub struct NowFacts {
    pub stats: Stats,
    /// What the chart shows.
    pub per: Per,
    /// Orders that ended, in [`MINUTES`] spans of a minute from `minutes_since`; the last one is the
    /// present minute.
    pub minutes: Vec<EndedOrders>,
    /// Milliseconds since the Unix epoch.
    pub minutes_since: i64,
    /// Orders that ended, in spans of an hour from `since`.
    pub ended: Vec<EndedOrders>,
    /// Milliseconds since the Unix epoch.
    pub since: i64,
    /// The number of spans.
    pub hours: usize,
    /// What AI replies have cost since then.
    pub cost: RecentCost,
    /// Causes of failures since then, the newest first, without orders that were cancelled.
    pub causes: Vec<Cause>,
}

#[derive(askama::Template)]
#[template(path = "now.html")]
struct Page<'a> {
    f: &'a Frame,
    level: Level,
    sentence: String,
    advice: String,
    tiles: Vec<Tile>,
    chart: Chart,
    /// What the chart shows, and the pages of both charts, with whether it is this one.
    chart_title: String,
    charts: [(&'static str, &'static str, bool); 2],
    hours: usize,
    is_paused: bool,
    workers: Vec<Worker>,
    holds: Vec<HoldRow>,
    breakers: Vec<BreakerRow>,
    causes: Vec<CauseRow>,
}

struct Tile {
    name: &'static str,
    number: String,
    more: String,
    href: String,
    class: &'static str,
}

/// A worker, also on the page of the templates.
pub(crate) struct Worker {
    pub(crate) host: String,
    pub(crate) id: String,
    /// Where its forms are.
    pub(crate) href: String,
    pub(crate) is_draining: bool,
    pub(crate) pid: i64,
    /// Version and commit of its program; empty if they are not known.
    pub(crate) version: String,
    /// The newest contract that it knows; empty if it is not known.
    pub(crate) contract: String,
    pub(crate) started: When,
    pub(crate) seen: String,
    pub(crate) is_silent: bool,
    pub(crate) running: String,
    pub(crate) room: String,
    /// How full it is, in percent.
    pub(crate) percent: i64,
}

/// A hold, also on the page of the templates.
pub(crate) struct HoldRow {
    pub(crate) id: String,
    pub(crate) cause: String,
    pub(crate) reason: String,
    pub(crate) orders: String,
    pub(crate) since: When,
    pub(crate) next: Option<When>,
    /// Whether an operator can release it.
    pub(crate) is_releasable: bool,
    /// The page that asks before it is released.
    pub(crate) release: String,
    pub(crate) fingerprint: Option<String>,
}

/// A circuit breaker that is open in one worker or several, also on the page of AI calls.
pub(crate) struct BreakerRow {
    /// The model and its provider.
    pub(crate) what: String,
    /// The page that asks before those of the provider are released.
    pub(crate) release: String,
    pub(crate) workers: String,
    /// What the last call came to.
    pub(crate) why: String,
    /// Whose calls are rejected; empty if that is not known.
    pub(crate) of: String,
    pub(crate) routes: String,
    /// In the worker that has it open for the longest time.
    pub(crate) since: When,
    /// The first time that one of the workers lets a call through; `None` if one does now.
    pub(crate) next: Option<When>,
}

struct CauseRow {
    href: String,
    kind: String,
    message: String,
    templates: String,
    orders: String,
    last: When,
}

/// The first page.
///
/// # Errors
/// Never, as far as is known.
pub fn now(frame: &Frame, facts: &NowFacts) -> Result<String, askama::Error> {
    let numbers = chart::by_span(&facts.ended, facts.hours);
    let (level, sentence, advice) = sentence(&facts.stats, &numbers);
    let minutes = chart::by_span(&facts.minutes, MINUTES);
    let (chart, chart_title) = match facts.per {
        Per::Hour => (
            chart::ended(&numbers, facts.since, 3_600_000),
            format!("Ended per hour, the last {} hours", facts.hours),
        ),
        Per::Minute => (
            chart::ended(&minutes, facts.minutes_since, 60_000),
            format!("Ended per minute, the last {MINUTES} minutes"),
        ),
    };
    Page {
        f: frame,
        level,
        sentence,
        advice,
        tiles: tiles(facts, &numbers, &minutes, frame.now),
        chart,
        chart_title,
        charts: [
            ("per hour", address::HOME, facts.per == Per::Hour),
            ("per minute", "/console?per=minute", facts.per == Per::Minute),
        ],
        hours: facts.hours,
        is_paused: facts.stats.paused,
        workers: facts.stats.workers.iter().map(|worker| one_worker(worker, frame.now)).collect(),
        holds: facts.stats.holds.iter().map(|hold| one_hold(hold, frame.now)).collect(),
        breakers: breakers(&facts.stats.breakers, frame.now),
        causes: facts.causes.iter().map(|cause| one_cause(cause, frame.now)).collect(),
    }
    .render()
}

/// The worst that is to be said, with what to do about it.
fn sentence(stats: &Stats, numbers: &[Ended]) -> (Level, String, String) {
    let orders = |number| counted(number, "order", "orders");
    let queued = stats.count(OrderState::Queued);
    let running = stats.count(OrderState::Running);
    let waiting = stats.count(OrderState::Waiting);
    let unfinished = queued + running + waiting;
    let is_live = |worker: &&WorkerStats| worker.silent_ms < SILENT_MS;
    let live = stats.workers.iter().filter(is_live).count();
    if live == 0 && unfinished > 0 {
        let sentence = format!("No worker runs: {} not made.", are(unfinished));
        return (Level::Bad, sentence, "Start one: sitewright worker".to_owned());
    }
    let recent = numbers.last().copied().unwrap_or_default();
    let before = numbers.iter().rev().nth(1).copied().unwrap_or_default();
    let (ended, failed) = (recent.total() + before.total(), recent.failed + before.failed);
    if ended >= ENOUGH && failed * 5 >= ended {
        let sentence = format!("{} of the last {} failed.", count(failed), orders(ended));
        let advice = "The causes are below; orders that failed can be retried from there.";
        return (Level::Bad, sentence, advice.to_owned());
    }
    if stats.paused {
        let sentence = format!("The queue is paused: {} for it to be resumed.", wait(queued));
        return (Level::Warning, sentence, "Orders that run continue.".to_owned());
    }
    let held: i64 = stats.holds.iter().map(|hold| hold.orders).sum();
    if !stats.holds.is_empty() {
        let number = i64::try_from(stats.holds.len()).unwrap_or(i64::MAX);
        let them = if number == 1 { "it" } else { "them" };
        let holds = counted(number, "hold", "holds");
        let sentence = format!("{holds}: {} for {them}.", wait(held));
        return (Level::Warning, sentence, "What to do about each is below.".to_owned());
    }
    // One whose time has passed lets the next call through, and may stay open while none comes.
    let rejecting = stats.breakers.iter().filter(|one| one.next_probe_at.is_some());
    let number = by_model(rejecting).len();
    if number > 0 {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let breakers = counted(number, "circuit breaker is", "circuit breakers are");
        let them = if number == 1 { "it" } else { "them" };
        let sentence = format!("{breakers} open: AI calls behind {them} are not sent.");
        let advice = "A breaker closes by itself when its model answers; details are below.";
        return (Level::Warning, sentence, advice.to_owned());
    }
    if let Some(oldest) = stats.oldest_queued_ms.filter(|oldest| *oldest > LONG_WAIT_MS) {
        let sentence = format!("{} in the queue, the oldest for {}.", wait(queued), span(oldest));
        let advice = "Start more workers, or raise worker.max_orders.".to_owned();
        return (Level::Warning, sentence, advice);
    }
    let advice = match (unfinished, live) {
        (0, 0) => "No worker runs, and no order waits for one.".to_owned(),
        (0, _) => "Nothing is queued.".to_owned(),
        _ => format!(
            "{} running, {} queued, {} waiting for another attempt.",
            count(running),
            count(queued),
            count(waiting)
        ),
    };
    (Level::Good, of_all(numbers), advice)
}

/// What is said if nothing has to be done now. It is of the same hours as the tile of failures.
fn of_all(numbers: &[Ended]) -> String {
    let failed: i64 = numbers.iter().map(|one| one.failed).sum();
    if failed == 0 {
        return "All is well.".to_owned();
    }
    let ended: i64 = numbers.iter().map(|one| one.total()).sum();
    let hours = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
    format!(
        "{} of {} failed in the last {}.",
        count(failed),
        counted(ended, "order", "orders"),
        counted(hours, "hour", "hours")
    )
}

fn wait(orders: i64) -> String {
    match orders {
        1 => "1 order waits".to_owned(),
        orders => format!("{} orders wait", count(orders)),
    }
}

fn are(orders: i64) -> String {
    match orders {
        1 => "1 order is".to_owned(),
        orders => format!("{} orders are", count(orders)),
    }
}

/// Orders that ended in a minute, on average of the last whole ones: `3.4`.
fn throughput(minutes: &[Ended]) -> String {
    let whole = minutes.get(..minutes.len().saturating_sub(1)).unwrap_or_default();
    let last = &whole[whole.len().saturating_sub(THROUGHPUT_MINUTES)..];
    let ended: i64 = last.iter().map(|one| one.total()).sum();
    let tenths = ended.saturating_mul(10) / i64::try_from(last.len()).unwrap_or(1).max(1);
    format!("{}.{}", count(tenths / 10), tenths % 10)
}

fn tiles(facts: &NowFacts, numbers: &[Ended], minutes: &[Ended], now: i64) -> Vec<Tile> {
    let stats = &facts.stats;
    let state =
        |state: OrderState| address::with("/console/orders", &[("state", Some(state.as_str()))]);
    let mut all = Ended::default();
    for one in numbers {
        all.succeeded += one.succeeded;
        all.failed += one.failed;
    }
    let oldest =
        |ms: Option<i64>| ms.map_or_else(String::new, |ms| format!("the oldest for {}", span(ms)));
    let due = When::optional(stats.next_due_at, now);
    let hours = facts.hours;
    vec![
        Tile {
            name: "Queued",
            number: count(stats.count(OrderState::Queued)),
            more: oldest(stats.oldest_queued_ms),
            href: state(OrderState::Queued),
            class: "",
        },
        Tile {
            name: "Running",
            number: count(stats.count(OrderState::Running)),
            more: oldest(stats.oldest_running_ms),
            href: state(OrderState::Running),
            class: "",
        },
        Tile {
            name: "Waiting",
            number: count(stats.count(OrderState::Waiting)),
            more: due.map_or_else(String::new, |due| format!("next: {}", due.ago)),
            href: state(OrderState::Waiting),
            class: "",
        },
        Tile {
            name: "Ended per minute",
            number: throughput(minutes),
            more: format!("in {THROUGHPUT_MINUTES} min"),
            href: "/console?per=minute".to_owned(),
            class: "",
        },
        Tile {
            name: "Succeeded",
            number: count(all.succeeded),
            more: format!("in {hours} h"),
            href: state(OrderState::Succeeded),
            class: "t-good",
        },
        Tile {
            name: "Failed",
            number: count(all.failed),
            more: format!("in {hours} h"),
            href: "/console/failures".to_owned(),
            class: if all.failed > 0 { "t-bad" } else { "" },
        },
        Tile {
            name: "AI cost",
            number: dollars(facts.cost.nano_usd),
            more: match facts.cost.unpriced {
                0 => format!("in {hours} h"),
                some => {
                    format!("in {hours} h, {} without a price", counted(some, "reply", "replies"))
                }
            },
            href: "/console/ai".to_owned(),
            class: "",
        },
    ]
}

pub(crate) fn one_worker(worker: &WorkerStats, now: i64) -> Worker {
    let room = worker.max_orders.max(1);
    Worker {
        host: short(&worker.host, 40),
        id: worker.client_id.clone(),
        href: address::worker(&worker.client_id),
        is_draining: worker.draining,
        pid: worker.pid,
        version: worker.program.as_deref().map(|version| short(version, 60)).unwrap_or_default(),
        contract: worker.contract.as_deref().map(|one| short(one, 20)).unwrap_or_default(),
        started: When::new(worker.started_at, now),
        seen: span(worker.silent_ms),
        is_silent: worker.silent_ms >= SILENT_MS,
        running: count(worker.running),
        room: count(worker.max_orders),
        percent: (worker.running.saturating_mul(100) / room).clamp(0, 100),
    }
}

pub(crate) fn one_hold(hold: &Hold, now: i64) -> HoldRow {
    use sitewright_jobs::HoldKind;
    HoldRow {
        id: hold.id.to_string(),
        cause: hold.cause.to_string(),
        reason: both_ends(&hold.reason, 700),
        orders: counted(hold.orders, "order waits", "orders wait"),
        since: When::new(hold.since, now),
        next: When::optional(hold.next_probe_at, now),
        is_releasable: hold.kind != HoldKind::Missing,
        release: address::release_hold(&hold.id.to_string()),
        fingerprint: hold.fingerprint.as_deref().map(address::cause),
    }
}

/// The breakers of each provider and model.
fn by_model<'a>(
    all: impl IntoIterator<Item = &'a Breaker>,
) -> BTreeMap<(&'a str, Option<&'a str>), Vec<&'a Breaker>> {
    let mut models: BTreeMap<(&str, Option<&str>), Vec<&Breaker>> = BTreeMap::new();
    for breaker in all {
        let of = (breaker.provider.as_str(), breaker.model.as_deref());
        models.entry(of).or_default().push(breaker);
    }
    models
}

/// One row for each provider and model.
pub(crate) fn breakers(all: &[Breaker], now: i64) -> Vec<BreakerRow> {
    let row = |((provider, model), of): ((&str, Option<&str>), Vec<&Breaker>)| {
        let last = of.iter().max_by_key(|breaker| breaker.failures)?;
        let status = match last.status {
            Some(status) => format!("HTTP {status}"),
            None => "no response".to_owned(),
        };
        let mut hosts: Vec<&str> = of.iter().map(|breaker| breaker.host.as_str()).collect();
        hosts.dedup();
        let since = of.iter().map(|breaker| breaker.since).min()?;
        // `None` is the smallest, and means now.
        let next = of.iter().map(|breaker| breaker.next_probe_at).min().flatten();
        let number = i64::try_from(of.len()).unwrap_or(i64::MAX);
        let scopes = of.iter().filter_map(|breaker| breaker.scope.as_ref());
        let scopes: BTreeSet<String> = scopes.map(ToString::to_string).collect();
        let scopes: Vec<String> = scopes.into_iter().collect();
        Some(BreakerRow {
            of: short(&scopes.join(", "), 160),
            release: address::release_breakers(provider),
            what: short(&format!("{} · {provider}", model.unwrap_or("any model")), 100),
            workers: format!(
                "on {}: {}",
                counted(number, "worker", "workers"),
                short(&hosts.join(", "), 100)
            ),
            why: format!(
                "{} in a row, the last with {} ({status})",
                counted(last.failures, "failure", "failures"),
                short(&last.kind, 40)
            ),
            routes: short(&last.routes.join(", "), 100),
            since: When::new(since, now),
            next: When::optional(next.filter(|at| *at > now), now),
        })
    };
    by_model(all).into_iter().filter_map(row).collect()
}

fn one_cause(cause: &Cause, now: i64) -> CauseRow {
    let group = &cause.group;
    CauseRow {
        href: address::cause(&group.fingerprint),
        kind: group.kind.clone(),
        message: short(&group.message, 160),
        templates: short(&cause.templates.join(", "), 60),
        orders: counted(i64::try_from(group.orders).unwrap_or(i64::MAX), "order", "orders"),
        last: When::new(group.last_at, now),
    }
}

#[cfg(test)]
mod tests {
    use sitewright_jobs::BreakerScope;

    use super::*;

    fn stats(orders: &[(OrderState, i64)]) -> Stats {
        Stats {
            at: 0,
            orders: orders.iter().copied().collect::<BTreeMap<_, _>>(),
            oldest_queued_ms: None,
            oldest_running_ms: None,
            next_due_at: None,
            paused: false,
            batch_items: 0,
            holds: Vec::new(),
            breakers: Vec::new(),
            workers: vec![WorkerStats {
                client_id: "w".to_owned(),
                host: "h".to_owned(),
                pid: 1,
                started_at: 0,
                silent_ms: 100,
                running: 0,
                max_orders: 4,
                draining: false,
                program: None,
                contract: None,
            }],
        }
    }

    #[test]
    fn the_throughput_is_that_of_whole_minutes() {
        let ended = |orders: &[i64]| -> Vec<Ended> {
            orders.iter().map(|&failed| Ended { failed, ..Ended::default() }).collect()
        };
        for (orders, says) in [
            (&[][..], "0.0"),
            (&[9], "0.0"),
            (&[3, 9], "3.0"),
            (&[1_000, 1, 2, 3, 4, 7, 500], "3.4"),
            (&[6_000, 6_000, 0], "6\u{202f}000.0"),
        ] {
            assert_eq!(throughput(&ended(orders)), says, "{orders:?}");
        }
    }

    #[test]
    fn the_worst_is_said_first() {
        let queued = [(OrderState::Queued, 3)];
        let good = [Ended { succeeded: 20, failed: 0, cancelled: 1 }];
        let some = [Ended { succeeded: 18, failed: 2, cancelled: 1 }, good[0]];
        let bad = [Ended { succeeded: 5, failed: 5, cancelled: 0 }];
        let said = |stats: &Stats, numbers: &[Ended]| {
            let (level, sentence, advice) = sentence(stats, numbers);
            assert!(!advice.is_empty(), "{sentence}");
            (level, sentence)
        };
        let well = (Level::Good, "All is well.".to_owned());
        assert_eq!(said(&stats(&[]), &[]), well);
        assert_eq!(said(&stats(&queued), &good), well);
        let failed = "2 of 42 orders failed in the last 2 hours.".to_owned();
        assert_eq!(said(&stats(&queued), &some), (Level::Good, failed.clone()));
        assert_eq!(said(&stats(&[]), &some), (Level::Good, failed));
        let failing = "5 of the last 10 orders failed.".to_owned();
        assert_eq!(said(&stats(&queued), &bad), (Level::Bad, failing.clone()));
        let old = Stats { oldest_queued_ms: Some(3_600_000), ..stats(&queued) };
        assert_eq!(said(&old, &good).0, Level::Warning);
        let paused = Stats { paused: true, ..old.clone() };
        let sentence = "The queue is paused: 3 orders wait for it to be resumed.".to_owned();
        assert_eq!(said(&paused, &good), (Level::Warning, sentence));
        assert_eq!(said(&paused, &bad), (Level::Bad, failing));
        let breaker = |host: &str, failures, next_probe_at| Breaker {
            worker: format!("{host}-w"),
            host: host.to_owned(),
            provider: "openrouter".to_owned(),
            model: Some("large".to_owned()),
            routes: vec!["copywriting".to_owned()],
            failures,
            kind: "overloaded".to_owned(),
            status: Some(503),
            since: failures,
            next_probe_at,
            scope: Some(match failures {
                3 => BreakerScope::Tenant { tenant: None },
                _ => BreakerScope::All,
            }),
        };
        let open = vec![breaker("forge-1", 3, Some(9_000)), breaker("forge-2", 5, Some(7_000))];
        let rows = breakers(&open, 5_000);
        let row = rows.first().unwrap();
        assert_eq!((rows.len(), row.what.as_str()), (1, "large · openrouter"));
        assert_eq!(row.workers, "on 2 workers: forge-1, forge-2");
        assert_eq!(row.why, "5 failures in a row, the last with overloaded (HTTP 503)");
        assert_eq!(row.next.as_ref().unwrap().ago, "in 2 s");
        assert_eq!(row.of, "all orders, the orders without a tenant");
        let stopped = Stats { breakers: open, ..stats(&queued) };
        let sentence = "1 circuit breaker is open: AI calls behind it are not sent.".to_owned();
        assert_eq!(said(&stopped, &good), (Level::Warning, sentence));
        let idle = Stats { breakers: vec![breaker("forge-1", 3, None)], ..stats(&queued) };
        assert_eq!(said(&idle, &good), well, "the next call is let through");
        let alone = Stats { workers: Vec::new(), ..paused };
        let sentence = "No worker runs: 3 orders are not made.".to_owned();
        assert_eq!(said(&alone, &bad), (Level::Bad, sentence));
    }
}
