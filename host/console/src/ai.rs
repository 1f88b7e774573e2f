//! AI and cost: what was spent on what, how long calls take, which fail, and what is held.

use std::collections::BTreeMap;

use askama::Template as _;
use sitewright_failure::group::Cause;
use sitewright_jobs::{
    AiErrorCount, AiLatency, Breaker, CacheHits, Cost, Hold, Spend, TenantSpend,
};

use super::address;
use super::chart::{self, Chart};
use super::frame::Frame;
use super::now::{BreakerRow, HoldRow, breakers as breaker_rows, one_hold};
use super::text::{When, count, count_of, counted, dollars, share, short};

/// Rows of a table.
const SHOWN: usize = 15;
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// How far back the page looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Period {
    Day,
    #[default]
    Week,
    Month,
}

impl Period {
    const ALL: [Period; 3] = [Period::Day, Period::Week, Period::Month];

    /// The one with this name; `None` for another text.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == name)
    }

    fn as_str(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Period::Day => "the last 24 hours",
            Period::Week => "the last 7 days",
            Period::Month => "the last 30 days",
        }
    }

    /// The number of bars, and the milliseconds of each.
    pub fn spans(self) -> (usize, i64) {
        match self {
            Period::Day => (24, HOUR_MS),
            Period::Week => (7, DAY_MS),
            Period::Month => (30, DAY_MS),
        }
    }

    /// When the first bar begins: whole hours or days, so that a bar is the same with each look.
    pub fn since(self, now: i64) -> i64 {
        let (spans, span_ms) = self.spans();
        (now / span_ms + 1 - i64::try_from(spans).unwrap_or(1)) * span_ms
    }
}

/// What the page is made of.
#[derive(Debug)]
pub struct AiFacts {
    pub period: Period,
    /// Of the period, in its spans.
    pub spend: Vec<Spend>,
    /// The same by tenant, the dearest first. Empty for a visitor of a tenant.
    pub tenants: Vec<TenantSpend>,
    /// How long replies of the period took.
    pub latencies: Vec<AiLatency>,
    /// Replies of the period that came from the cache.
    pub cache: CacheHits,
    /// Attempts of the period that failed, the most frequent first. `None` for a visitor of a
    /// tenant: it is not known of which orders they were.
    pub errors: Option<Vec<AiErrorCount>>,
    /// Causes of AI failures in the period, those with the most failures first.
    pub causes: Vec<Cause>,
    pub holds: Vec<Hold>,
    /// Circuit breakers that are open in workers. Empty for a visitor of a tenant.
    pub breakers: Vec<Breaker>,
}

#[derive(askama::Template)]
#[template(path = "ai.html")]
struct Page<'a> {
    f: &'a Frame,
    periods: Vec<Choice>,
    label: &'static str,
    total: String,
    replies: String,
    unpriced: String,
    chart: Chart,
    per: &'static str,
    spans: Vec<Line>,
    tables: Vec<Table>,
    latencies: Vec<LatencyRow>,
    more_latencies: usize,
    /// What came from the cache, in words; empty if nothing did.
    cache: String,
    errors: Option<Vec<ErrorRow>>,
    more_errors: usize,
    causes: Vec<CauseRow>,
    more_causes: usize,
    holds: Vec<HoldRow>,
    breakers: Vec<BreakerRow>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    is_chosen: bool,
}

/// The cost by one of its dimensions.
struct Table {
    name: &'static str,
    title: &'static str,
    lines: Vec<Line>,
    /// What is said of further lines; empty if there are none.
    more: String,
}

struct Line {
    name: String,
    replies: String,
    input: String,
    output: String,
    cost: String,
    /// Of the whole, for the bar.
    percent: i64,
}

/// How long the replies of a model took.
struct LatencyRow {
    name: String,
    replies: String,
    p50: String,
    p95: String,
    p99: String,
}

/// Attempts that failed alike.
struct ErrorRow {
    name: String,
    kind: String,
    failures: String,
    /// Of all that are known.
    percent: i64,
}

struct CauseRow {
    href: String,
    message: String,
    failures: String,
    orders: String,
    last: When,
}

/// The sums of one line.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    cost: Cost,
}

impl Sum {
    fn add(&mut self, more: &Cost) {
        let cost = &mut self.cost;
        cost.calls = cost.calls.saturating_add(more.calls);
        cost.nano_usd = cost.nano_usd.saturating_add(more.nano_usd);
        cost.input_tokens = cost.input_tokens.saturating_add(more.input_tokens);
        cost.output_tokens = cost.output_tokens.saturating_add(more.output_tokens);
    }

    fn line(self, name: String, all: i64) -> Line {
        Line {
            name,
            replies: count(self.cost.calls),
            input: count(self.cost.input_tokens),
            output: count(self.cost.output_tokens),
            cost: dollars(self.cost.nano_usd),
            percent: percent(self.cost.nano_usd, all),
        }
    }
}

/// The share of a part in percent, from 0 to 100.
fn percent(part: i64, all: i64) -> i64 {
    match all {
        0 => 0,
        all => {
            let share = (i128::from(part) * 100 / i128::from(all)).clamp(0, 100);
            i64::try_from(share).unwrap_or_default()
        }
    }
}

/// AI and cost.
///
/// # Errors
/// Never, as far as is known.
pub fn ai(frame: &Frame, facts: &AiFacts) -> Result<String, askama::Error> {
    let AiFacts { period, spend, tenants, latencies, cache, errors, causes, holds, breakers } =
        facts;
    let (spans, span_ms) = period.spans();
    let since = period.since(frame.now);
    let mut of_spans = vec![Sum::default(); spans];
    let mut all = Sum::default();
    let mut unpriced = 0_i64;
    for one in spend {
        // Clocks differ: what was paid for in the future belongs to the last span.
        let at = usize::try_from(one.span).unwrap_or_default().min(spans.saturating_sub(1));
        if let Some(sum) = of_spans.get_mut(at) {
            sum.add(&one.cost);
        }
        all.add(&one.cost);
        unpriced = unpriced.saturating_add(one.unpriced);
    }
    let begin = |at: usize| {
        since.saturating_add(span_ms.saturating_mul(i64::try_from(at).unwrap_or_default()))
    };
    let costs: Vec<i64> = of_spans.iter().map(|sum| sum.cost.nano_usd).collect();
    let name = |at| match period {
        Period::Day => chart::clock(begin(at)),
        Period::Week | Period::Month => chart::day(begin(at)),
    };
    let names: Vec<String> = (0..spans).map(name).collect();
    let lines = of_spans.iter().zip(&names).filter(|(sum, _)| sum.cost.calls > 0);
    let total = all.cost.nano_usd;
    let label = format!("Spent in {}: {}", period.label(), dollars(total));
    let table = |name, title, key: fn(&Spend) -> String| {
        let (lines, more) = by(spend, total, key);
        let more = if more == 0 { String::new() } else { format!("and {more} more") };
        Table { name, title, lines, more }
    };
    let mut tables = vec![
        table("Model", "model", |one| of_model(&one.model, &one.provider)),
        table("Purpose", "purpose", |one| one.purpose.clone()),
        table("Template", "template", |one| {
            one.template.clone().unwrap_or_else(|| "of orders that were removed".to_owned())
        }),
    ];
    tables.extend(by_tenant(tenants, total));
    Page {
        f: frame,
        periods: Period::ALL
            .into_iter()
            .map(|one| Choice {
                value: one.as_str(),
                label: one.label(),
                is_chosen: one == *period,
            })
            .collect(),
        label: period.label(),
        total: dollars(total),
        replies: count(all.cost.calls),
        unpriced: if unpriced == 0 { String::new() } else { count(unpriced) },
        chart: chart::costs(&costs, &names, label),
        per: if *period == Period::Day { "hour" } else { "day" },
        spans: lines.map(|(sum, name)| sum.line(name.clone(), total)).collect(),
        tables,
        latencies: latencies.iter().take(SHOWN).map(one_latency).collect(),
        more_latencies: latencies.len().saturating_sub(SHOWN),
        cache: from_cache(cache, all.cost.calls),
        errors: errors.as_deref().map(rows_of_errors),
        more_errors: errors.as_ref().map_or(0, Vec::len).saturating_sub(SHOWN),
        causes: causes.iter().take(SHOWN).map(|cause| one_cause(cause, frame.now)).collect(),
        more_causes: causes.len().saturating_sub(SHOWN),
        holds: holds.iter().map(|hold| one_hold(hold, frame.now)).collect(),
        breakers: breaker_rows(breakers, frame.now),
    }
    .render()
}

/// What came from the cache of all replies, in words; empty if nothing did.
fn from_cache(hits: &CacheHits, all: i64) -> String {
    if hits.replies == 0 {
        return String::new();
    }
    format!(
        "{} came from the cache, {} of all. The orders that asked first paid {} for them.",
        counted(hits.replies, "reply", "replies"),
        share(hits.replies, all),
        dollars(hits.saved_nano_usd)
    )
}

/// The cost by this key, the dearest first.
fn by(spend: &[Spend], total: i64, key: fn(&Spend) -> String) -> (Vec<Line>, usize) {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for one in spend {
        sums.entry(key(one)).or_default().add(&one.cost);
    }
    let mut sums: Vec<(String, Sum)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| {
        (std::cmp::Reverse(sum.cost.nano_usd), std::cmp::Reverse(sum.cost.calls))
    });
    let more = sums.len().saturating_sub(SHOWN);
    let lines = sums.into_iter().take(SHOWN).map(|(key, sum)| sum.line(short(&key, 80), total));
    (lines.collect(), more)
}

/// A model, and who serves it.
fn of_model(model: &str, provider: &str) -> String {
    format!("{model} · {provider}")
}

/// The cost by tenant; `None` if there are no tenants.
fn by_tenant(tenants: &[TenantSpend], total: i64) -> Option<Table> {
    if tenants.iter().all(|one| one.tenant.is_none()) {
        return None;
    }
    let line = |one: &TenantSpend| {
        let name = one.tenant.as_deref().unwrap_or("without a tenant, or removed");
        Sum { cost: one.cost }.line(short(name, 80), total)
    };
    Some(Table {
        name: "Tenant",
        title: "tenant",
        lines: tenants.iter().take(SHOWN).map(line).collect(),
        // Not all are read.
        more: if tenants.len() > SHOWN { "and others".to_owned() } else { String::new() },
    })
}

fn one_latency(latency: &AiLatency) -> LatencyRow {
    let ms = |ms: i64| format!("{} ms", count(ms));
    LatencyRow {
        name: short(&of_model(&latency.model, &latency.provider), 80),
        replies: count(latency.replies),
        p50: ms(latency.p50_ms),
        p95: ms(latency.p95_ms),
        p99: ms(latency.p99_ms),
    }
}

fn rows_of_errors(errors: &[AiErrorCount]) -> Vec<ErrorRow> {
    let all = errors.iter().fold(0_i64, |all, one| all.saturating_add(one.failures));
    let row = |one: &AiErrorCount| ErrorRow {
        name: short(&of_model(&one.model, &one.provider), 80),
        kind: one.kind.clone(),
        failures: count(one.failures),
        percent: percent(one.failures, all),
    };
    errors.iter().take(SHOWN).map(row).collect()
}

fn one_cause(cause: &Cause, now: i64) -> CauseRow {
    CauseRow {
        href: address::cause(&cause.group.fingerprint),
        message: short(&cause.group.message, 200),
        failures: count_of(cause.group.count),
        orders: count_of(cause.group.orders),
        last: When::new(cause.group.last_at, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_the_day_or_hour_that_is_now() {
        let now = 1_764_403_200_000;
        for period in Period::ALL {
            let (spans, span_ms) = period.spans();
            let since = period.since(now);
            assert_eq!(since % span_ms, 0, "{period:?}");
            let end = since + span_ms * i64::try_from(spans).unwrap();
            assert!((now..=now + span_ms).contains(&end), "{period:?}");
            assert_eq!(Period::named(period.as_str()), Some(period));
        }
        assert_eq!(Period::named("year"), None);
    }
}
