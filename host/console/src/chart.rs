//! Bars as SVG, from whole numbers.

use sitewright_jobs::{EndedOrders, OrderState};
use time::OffsetDateTime;

use super::text::{count, count_of, counted, dollars, span};

const WIDTH: i64 = 1_152;
const HEIGHT: i64 = 132;
/// Where the bars stand.
const BASE: i64 = 114;
/// Room above the highest bar, for the scale.
const ABOVE: i64 = 14;
/// Distance between two bars.
const GAP: i64 = 8;
/// The height of a sparkline, in steps.
const STEPS: u64 = 20;
/// Labels of the axis of orders that ended, about.
const LABELS: i64 = 4;
/// Milliseconds of an hour: shorter spans are minutes.
const HOUR_MS: i64 = 3_600_000;

/// A chart of orders that ended, one bar for each span of time.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) base: i64,
    /// What it shows, for those who do not see it.
    pub(crate) label: String,
    /// The largest number.
    pub(crate) top: String,
    pub(crate) bars: Vec<Bar>,
    pub(crate) ticks: Vec<Tick>,
    /// The same numbers as a table; spans in which nothing ended are left out.
    pub(crate) rows: Vec<Row>,
    pub(crate) is_empty: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) class: &'static str,
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) title: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Tick {
    pub(crate) x: i64,
    pub(crate) text: String,
}

/// The numbers of one span.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) begin: String,
    pub(crate) succeeded: String,
    pub(crate) failed: String,
    pub(crate) cancelled: String,
}

/// The numbers of one span: succeeded, failed, cancelled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ended {
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) cancelled: i64,
}

impl Ended {
    pub(crate) fn total(self) -> i64 {
        self.succeeded + self.failed + self.cancelled
    }

    pub(crate) fn add(&mut self, state: OrderState, orders: i64) {
        match state {
            OrderState::Succeeded => self.succeeded += orders,
            OrderState::Failed | OrderState::Dead => self.failed += orders,
            OrderState::Cancelled => self.cancelled += orders,
            OrderState::Queued | OrderState::Running | OrderState::Waiting => {}
        }
    }
}

/// The numbers of each of `spans` spans.
pub(crate) fn by_span(ended: &[EndedOrders], spans: usize) -> Vec<Ended> {
    let mut all = vec![Ended::default(); spans];
    for EndedOrders { span, state, orders } in ended {
        // Clocks differ: what ended in the future belongs to the last span.
        let at = usize::try_from(*span).unwrap_or_default().min(spans.saturating_sub(1));
        if let Some(numbers) = all.get_mut(at) {
            numbers.add(*state, *orders);
        }
    }
    all
}

/// The chart of spans that begin at `since` and last `span_ms` each, in milliseconds.
pub(crate) fn ended(numbers: &[Ended], since: i64, span_ms: i64) -> Chart {
    let spans = i64::try_from(numbers.len()).unwrap_or(1).max(1);
    let highest = numbers.iter().map(|one| one.total()).max().unwrap_or_default();
    let step = WIDTH / spans;
    let room = BASE - ABOVE;
    let label_every = (spans / LABELS).max(1);
    let unit = if span_ms >= HOUR_MS { "hours" } else { "minutes" };
    let (mut bars, mut ticks, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (at, one) in (0..).zip(numbers) {
        let begin = clock(since.saturating_add(span_ms.saturating_mul(at)));
        let x = at * step + GAP / 2;
        let mut y = BASE;
        let parts = [
            ("c-succeeded", one.succeeded, "succeeded"),
            ("c-failed", one.failed, "failed"),
            ("c-cancelled", one.cancelled, "cancelled"),
        ];
        for (class, orders, how) in parts {
            if orders == 0 {
                continue;
            }
            // One order among many thousands is seen, too.
            let height = (orders.saturating_mul(room) / highest.max(1)).max(2);
            y -= height;
            let title = format!("{begin}: {} {how}", counted(orders, "order", "orders"));
            bars.push(Bar { class, x, y, width: step - GAP, height, title });
        }
        if at % label_every == 0 {
            ticks.push(Tick { x, text: begin.clone() });
        }
        if one.total() > 0 {
            let (succeeded, failed) = (count(one.succeeded), count(one.failed));
            rows.push(Row { begin, succeeded, failed, cancelled: count(one.cancelled) });
        }
    }
    let mut all = Ended::default();
    for one in numbers {
        all.succeeded += one.succeeded;
        all.failed += one.failed;
        all.cancelled += one.cancelled;
    }
    Chart {
        width: WIDTH,
        height: HEIGHT,
        base: BASE,
        label: format!(
            "Orders that ended in the last {spans} {unit}: {} succeeded, {} failed, {} cancelled",
            count(all.succeeded),
            count(all.failed),
            count(all.cancelled)
        ),
        top: if highest > 0 { count(highest) } else { String::new() },
        bars,
        ticks,
        rows,
        is_empty: highest == 0,
    }
}

/// The chart of an amount of money in each span, with the names of the spans.
pub(crate) fn costs(amounts: &[i64], names: &[String], label: String) -> Chart {
    let spans = i64::try_from(amounts.len()).unwrap_or(1).max(1);
    let highest = amounts.iter().copied().max().unwrap_or_default();
    let (step, room) = (WIDTH / spans, BASE - ABOVE);
    let label_every = (spans / 6).max(1);
    let (mut bars, mut ticks) = (Vec::new(), Vec::new());
    for ((at, amount), name) in (0..).zip(amounts).zip(names) {
        let x = at * step + GAP / 2;
        if *amount > 0 {
            let height = i128::from(*amount) * i128::from(room) / i128::from(highest.max(1));
            let height = i64::try_from(height).unwrap_or(room).max(2);
            let title = format!("{name}: {}", dollars(*amount));
            let (y, width) = (BASE - height, step - GAP);
            bars.push(Bar { class: "c-succeeded", x, y, width, height, title });
        }
        if at % label_every == 0 {
            ticks.push(Tick { x, text: name.clone() });
        }
    }
    Chart {
        width: WIDTH,
        height: HEIGHT,
        base: BASE,
        label,
        top: if highest > 0 { dollars(highest) } else { String::new() },
        bars,
        ticks,
        rows: Vec::new(),
        is_empty: highest == 0,
    }
}

/// A chart of counts without axes, small enough for a row of a table.
#[derive(Debug, Clone)]
pub(crate) struct Sparkline {
    pub(crate) width: usize,
    pub(crate) height: u64,
    /// The area of the bars, as the data of a path: as many pages have many of them, it is short.
    pub(crate) path: String,
    /// What it shows, for those who do not see it.
    pub(crate) label: String,
}

/// The counts of equal spans of `span_ms` milliseconds, the last of which is the present one.
pub(crate) fn sparkline(counts: &[u64], span_ms: i64) -> Sparkline {
    let highest = counts.iter().copied().max().unwrap_or_default();
    let last = counts.last().copied().unwrap_or_default();
    let mut path = format!("M0 {STEPS}");
    let mut before = 0;
    for count in counts {
        // One failure among many thousands is seen, too.
        let least = u64::from(*count > 0) * 2;
        let height = count.saturating_mul(STEPS) / highest.max(1);
        let height = height.clamp(least, STEPS);
        if height != before {
            path.push_str(&format!("V{}", STEPS - height));
            before = height;
        }
        path.push_str("h1");
    }
    path.push_str(&format!("V{STEPS}z"));
    Sparkline {
        width: counts.len(),
        height: STEPS,
        path,
        label: format!(
            "per {}: at most {}, in the last one {}",
            span(span_ms),
            count_of(highest),
            count_of(last)
        ),
    }
}

/// `2026-11-23`, in UTC.
pub(crate) fn day(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ms / 1_000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).date().to_string()
}

/// `08:00`, in UTC.
pub(crate) fn clock(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ms / 1_000);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{:02}:{:02}", time.hour(), time.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_in_the_chart_and_small_numbers_are_seen() {
        let of = |span, state, orders| EndedOrders { span, state, orders };
        let ended_orders = [
            of(0, OrderState::Succeeded, 1_000_000),
            of(0, OrderState::Dead, 1),
            of(3, OrderState::Cancelled, 2),
            of(99, OrderState::Failed, 5),
        ];
        let numbers = by_span(&ended_orders, 24);
        let chart = ended(&numbers, 0, 3_600_000);
        assert_eq!(chart.bars.len(), 4, "{chart:?}");
        for bar in &chart.bars {
            assert!(bar.height >= 2 && bar.y >= 0 && bar.y + bar.height <= BASE, "{bar:?}");
            assert!(bar.x >= 0 && bar.x + bar.width <= WIDTH, "{bar:?}");
        }
        assert_eq!(chart.rows.len(), 3);
        assert!(chart.label.contains("last 24 hours") && chart.label.contains("6 failed"));
        let minutes = ended(&by_span(&ended_orders, 60), 3_600_000, 60_000);
        assert!(minutes.label.contains("last 60 minutes"), "{}", minutes.label);
        let labels: Vec<&str> = minutes.ticks.iter().map(|tick| tick.text.as_str()).collect();
        assert_eq!(labels, ["01:00", "01:15", "01:30", "01:45"]);
        for bar in &minutes.bars {
            assert!(bar.width > 0 && bar.x >= 0 && bar.x + bar.width <= WIDTH, "{bar:?}");
        }
    }

    #[test]
    fn a_sparkline_has_a_bar_for_each_span_and_says_what_it_shows() {
        for (counts, path, says) in [
            (
                &[0, 4, 4, 2, 0, 1][..],
                "M0 20h1V0h1h1V10h1V20h1V15h1V20z",
                "at most 4, in the last one 1",
            ),
            (
                &[1, 0, 1_000_000],
                "M0 20V18h1V20h1V0h1V20z",
                "in the last one 1\u{202f}000\u{202f}000",
            ),
            (&[0, 0], "M0 20h1h1V20z", "per 60 min: at most 0, in the last one 0"),
            (&[], "M0 20V20z", "at most 0"),
        ] {
            let line = sparkline(counts, 3_600_000);
            assert_eq!((line.path.as_str(), line.width), (path, counts.len()), "{counts:?}");
            assert!(line.label.contains(says), "{}", line.label);
        }
    }
}
