//! The AI replies that this process has paid for, and the attempts at AI calls that failed, counted
//! since its start.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::distribution::Distribution;
use super::reply_journal::NewAiCall;

/// Maximum number of models that are counted by name; the others are counted as `other`.
const MAX_MODELS: usize = 100;
/// What providers and models beyond the limit are called.
const OTHER: &str = "other";
/// Upper bounds of the buckets of replies, in seconds: a short text takes less than a second, a long
/// one of a slow model minutes.
const TOOK: &[f64] = &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// Whether a reply could be used.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum ReplyUse {
    /// Its template got it.
    Used,
    /// It was paid for, and was no valid reply.
    Unusable,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AiSeries {
    pub provider: String,
    pub model: String,
    pub reply: ReplyUse,
}

/// Sums over the replies of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AiTotals {
    pub replies: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Billionths of a US dollar, as far as prices are known.
    pub nano_usd: u64,
}

/// Attempts at AI calls that failed are counted together if they have this in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AiFailureSeries {
    pub provider: String,
    /// The requested model.
    pub model: String,
    /// The kind of the error, as in failure records: `rate_limited`.
    pub kind: &'static str,
    /// Whether a request was sent. If not, the circuit breaker was open, a limit had no room in
    /// time, or no connection could be made.
    pub sent: bool,
}

/// A candidate of a route for AI calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BreakerSeries {
    pub route: String,
    pub provider: String,
    pub model: String,
}

/// Failed attempts that are not in the database yet, by provider, requested model and kind.
pub(super) type Unstored = BTreeMap<(String, String, &'static str), u64>;

/// Counts replies by provider, model and use, and failed attempts by provider, model and kind, in a
/// bounded number of series.
#[derive(Debug, Default)]
pub struct AiCounts {
    series: Mutex<BTreeMap<AiSeries, AiTotals>>,
    /// How long replies took.
    took: Mutex<BTreeMap<AiSeries, Distribution>>,
    failures: Mutex<BTreeMap<AiFailureSeries, u64>>,
    unstored: Mutex<Unstored>,
    /// The candidates of the configuration, and whether their circuit breakers are open.
    breakers: Mutex<BTreeMap<BreakerSeries, bool>>,
}

impl AiCounts {
    pub(super) fn add(&self, call: &NewAiCall, reply: ReplyUse) {
        let mut series = self.series.lock();
        let is_known =
            series.keys().any(|known| known.provider == call.provider && known.model == call.model);
        let (provider, model) = match is_known || series.len() < MAX_MODELS {
            true => (call.provider.clone(), call.model.clone()),
            false => (OTHER.to_owned(), OTHER.to_owned()),
        };
        let one = AiSeries { provider, model, reply };
        if let Some(ms) = call.took_ms {
            let mut took = self.took.lock();
            let of_series = took.entry(one.clone()).or_insert_with(|| Distribution::new(TOOK));
            of_series.add(Duration::from_millis(ms));
        }
        let totals = series.entry(one).or_default();
        let add = |sum: &mut u64, number: Option<u64>| {
            *sum = sum.saturating_add(number.unwrap_or_default());
        };
        add(&mut totals.replies, Some(1));
        add(&mut totals.input_tokens, call.input_tokens);
        add(&mut totals.output_tokens, call.output_tokens);
        add(&mut totals.nano_usd, call.cost_nano_usd);
    }

    /// Counts an attempt at an AI call that failed.
    pub fn add_failure(&self, mut failed: AiFailureSeries) {
        let mut failures = self.failures.lock();
        let is_known = failures
            .keys()
            .any(|known| known.provider == failed.provider && known.model == failed.model);
        // A model has several series: this is fewer than `MAX_MODELS` models.
        if !is_known && failures.len() >= MAX_MODELS {
            failed =
                AiFailureSeries { provider: OTHER.to_owned(), model: OTHER.to_owned(), ..failed };
        }
        let AiFailureSeries { provider, model, kind, .. } = failed.clone();
        self.add_unstored(Unstored::from([((provider, model, kind), 1)]));
        let count = failures.entry(failed).or_default();
        *count = count.saturating_add(1);
    }

    /// The attempts that failed since the last time that this was called.
    pub(super) fn take_unstored(&self) -> Unstored {
        std::mem::take(&mut *self.unstored.lock())
    }

    /// Adds to what [`AiCounts::take_unstored`] returns the next time.
    pub(super) fn add_unstored(&self, failures: Unstored) {
        let mut unstored = self.unstored.lock();
        for (series, failures) in failures {
            let count = unstored.entry(series).or_default();
            *count = count.saturating_add(failures);
        }
    }

    /// The attempts that failed: at most about [`MAX_MODELS`] series, and those of further kinds of
    /// errors of the same models.
    pub fn failures(&self) -> BTreeMap<AiFailureSeries, u64> {
        self.failures.lock().clone()
    }

    /// Notes which circuit breakers of this process are open, instead of what was noted before.
    pub fn set_breakers(&self, breakers: BTreeMap<BreakerSeries, bool>) {
        *self.breakers.lock() = breakers;
    }

    /// Each candidate of a route, and whether its circuit breaker is open. Empty in a process that
    /// makes no AI calls.
    pub fn breakers(&self) -> BTreeMap<BreakerSeries, bool> {
        self.breakers.lock().clone()
    }

    /// How long replies took, from the request to the whole reply, in at most as many series as
    /// [`AiCounts::snapshot`] has. Those of batches and of other orders took no time here.
    pub fn took(&self) -> BTreeMap<AiSeries, Distribution> {
        self.took.lock().clone()
    }

    /// All series, at most about twice [`MAX_MODELS`].
    pub fn snapshot(&self) -> BTreeMap<AiSeries, AiTotals> {
        self.series.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_series_is_bounded() {
        let counts = AiCounts::default();
        for n in 0..1_000 {
            let call = NewAiCall {
                request: String::new(),
                occurrence: 0,
                purpose: String::new(),
                provider: "p".to_owned(),
                model: format!("m{n}"),
                cost_nano_usd: Some(u64::MAX),
                input_tokens: Some(2),
                output_tokens: None,
                took_ms: (n % 2 == 0).then_some(1_500),
                tries: Vec::new(),
                entry: serde_json::Value::Null,
            };
            for reply in [ReplyUse::Used, ReplyUse::Unusable] {
                counts.add(&call, reply);
            }
        }
        let series = counts.snapshot();
        let took = counts.took();
        assert!(took.keys().all(|one| series.contains_key(one)), "{took:?}");
        assert_eq!(took.values().map(Distribution::count).sum::<u64>(), 1_000);
        assert!(series.len() <= 2 * MAX_MODELS, "{}", series.len());
        assert_eq!(series.values().map(|totals| totals.replies).sum::<u64>(), 2_000);
        assert_eq!(series.values().map(|totals| totals.input_tokens).sum::<u64>(), 4_000);
        assert!(series.keys().any(|series| series.model == OTHER));
        for n in 0..1_000 {
            counts.add_failure(AiFailureSeries {
                provider: "p".to_owned(),
                model: format!("m{n}"),
                kind: "timeout",
                sent: n % 2 == 0,
            });
        }
        let failures = counts.failures();
        assert!(failures.len() <= MAX_MODELS + 2, "{}", failures.len());
        assert_eq!(failures.values().sum::<u64>(), 1_000);
        let unstored = counts.take_unstored();
        assert!(unstored.len() <= MAX_MODELS + 2, "{}", unstored.len());
        assert_eq!(unstored.values().sum::<u64>(), 1_000);
        assert!(counts.take_unstored().is_empty());
    }
}
