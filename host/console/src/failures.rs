//! What fails: causes with their counts, one cause, and one record.

use askama::Template as _;
use sitewright_failure::group::{Brief, Cause};
use sitewright_model::failure::{FailureKind, FailureRecord};

use super::address;
use super::chart::{Sparkline, sparkline};
use super::frame::Frame;
use super::record::RecordView;
use super::text::{When, count_of, counted_of, short, span};

/// How far back failures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    Hour,
    #[default]
    Day,
    Week,
    Ever,
}

impl Since {
    const ALL: [Since; 4] = [Since::Hour, Since::Day, Since::Week, Since::Ever];

    /// As it is in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Since::Hour => "hour",
            Since::Day => "day",
            Since::Week => "week",
            Since::Ever => "ever",
        }
    }

    /// The one with this name; `None` for another text.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|since| since.as_str() == name)
    }

    /// How many milliseconds back; `None` for all.
    pub fn ms(self) -> Option<i64> {
        match self {
            Since::Hour => Some(3_600_000),
            Since::Day => Some(86_400_000),
            Since::Week => Some(7 * 86_400_000),
            Since::Ever => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Since::Hour => "the last hour",
            Since::Day => "the last 24 hours",
            Since::Week => "the last 7 days",
            Since::Ever => "all time",
        }
    }
}

/// What the list is made of.
#[derive(Debug)]
pub struct FailuresFacts {
    pub since: Since,
    pub kind: Option<String>,
    pub template: Option<String>,
    /// Names of templates, to choose from.
    pub templates: Vec<String>,
    /// The newest first.
    pub causes: Vec<Cause>,
    /// The failures of each of them in equal spans of time, the last of which is the present one.
    pub trends: Vec<Vec<u64>>,
    /// How long a span is, in milliseconds.
    pub span_ms: i64,
    /// Whether there are more.
    pub more: bool,
}

/// What the page of one cause is made of.
#[derive(Debug)]
pub struct CauseFacts {
    /// The counts over all time.
    pub cause: Cause,
    pub newest: Box<FailureRecord>,
    /// The newest failures.
    pub failures: Vec<Brief>,
    /// The newest orders.
    pub orders: Vec<String>,
    pub order_count: usize,
    /// Orders whose last failure it is, and that have ended.
    pub retriable: usize,
}

#[derive(askama::Template)]
#[template(path = "failures.html")]
struct ListPage<'a> {
    f: &'a Frame,
    sinces: Vec<Choice>,
    kinds: Vec<Choice>,
    templates: &'a [String],
    template: &'a str,
    rows: Vec<ListedCause>,
    span: String,
    more: bool,
    label: &'static str,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    is_chosen: bool,
}

/// A cause in the list.
struct ListedCause {
    row: CauseRow,
    trend: Sparkline,
}

struct CauseRow {
    href: String,
    kind: String,
    message: String,
    frame: String,
    templates: String,
    failures: String,
    orders: String,
    first: When,
    last: When,
}

/// The list of causes.
///
/// # Errors
/// Never, as far as is known.
pub fn failures(frame: &Frame, facts: &FailuresFacts) -> Result<String, askama::Error> {
    let sinces = Since::ALL.map(|since| Choice {
        value: since.as_str(),
        label: since.label(),
        is_chosen: since == facts.since,
    });
    let kinds = FailureKind::ALL.map(FailureKind::as_str).map(|kind| Choice {
        value: kind,
        label: kind,
        is_chosen: facts.kind.as_deref() == Some(kind),
    });
    ListPage {
        f: frame,
        sinces: sinces.into(),
        kinds: kinds.into(),
        templates: &facts.templates,
        template: facts.template.as_deref().unwrap_or_default(),
        rows: facts
            .causes
            .iter()
            .zip(&facts.trends)
            .map(|(cause, counts)| ListedCause {
                row: row(cause, frame.now),
                trend: sparkline(counts, facts.span_ms),
            })
            .collect(),
        span: span(facts.span_ms),
        more: facts.more,
        label: facts.since.label(),
    }
    .render()
}

fn row(cause: &Cause, now: i64) -> CauseRow {
    let group = &cause.group;
    CauseRow {
        href: address::cause(&group.fingerprint),
        kind: group.kind.clone(),
        message: short(&group.message, 200),
        frame: group.frame.as_deref().map(|frame| short(frame, 90)).unwrap_or_default(),
        templates: short(&cause.templates.join(", "), 60),
        failures: count_of(group.count),
        orders: count_of(group.orders),
        first: When::new(group.first_at, now),
        last: When::new(group.last_at, now),
    }
}

#[derive(askama::Template)]
#[template(path = "cause.html")]
struct CausePage<'a> {
    f: &'a Frame,
    fingerprint: &'a str,
    row: CauseRow,
    /// How often it happened: `3 failures of 2 orders`.
    number: String,
    r: RecordView,
    occurrences: Vec<Occurrence>,
    orders: Vec<OrderLink>,
    orders_more: usize,
    /// What the button says that retries them.
    retry: String,
    may_retry: bool,
    retry_href: String,
}

struct Occurrence {
    href: String,
    order: OrderLink,
    template: String,
    at: When,
}

struct OrderLink {
    href: String,
    id: String,
}

fn link(id: &str) -> OrderLink {
    OrderLink { href: address::order(id), id: id.to_owned() }
}

/// One cause.
///
/// # Errors
/// Never, as far as is known.
pub fn cause(frame: &Frame, facts: &CauseFacts) -> Result<String, askama::Error> {
    let fingerprint = facts.cause.group.fingerprint.as_str();
    let occurrence = |brief: &Brief| Occurrence {
        href: address::record(&brief.id),
        order: link(&brief.order),
        template: short(&brief.template, 60),
        at: When::new(brief.at, frame.now),
    };
    CausePage {
        f: frame,
        fingerprint,
        row: row(&facts.cause, frame.now),
        number: format!(
            "{} of {}",
            counted_of(facts.cause.group.count, "failure", "failures"),
            counted_of(facts.cause.group.orders, "order", "orders")
        ),
        r: RecordView::of(&facts.newest),
        occurrences: facts.failures.iter().map(occurrence).collect(),
        orders: facts.orders.iter().map(|id| link(id)).collect(),
        orders_more: facts.order_count.saturating_sub(facts.orders.len()),
        retry: match facts.retriable {
            1 => "Retry this order…".to_owned(),
            many => format!("Retry these {}…", count_of(many as u64)),
        },
        may_retry: frame.may_operate() && facts.retriable > 0,
        retry_href: format!("{}/retry", address::cause(fingerprint)),
    }
    .render()
}

#[derive(askama::Template)]
#[template(path = "failure.html")]
struct RecordPage<'a> {
    f: &'a Frame,
    r: RecordView,
    cause: Option<String>,
}

/// One record.
///
/// # Errors
/// Never, as far as is known.
pub fn failure(frame: &Frame, record: &FailureRecord) -> Result<String, askama::Error> {
    let cause = record.fingerprint.as_deref().map(address::cause);
    RecordPage { f: frame, r: RecordView::of(record), cause }.render()
}
