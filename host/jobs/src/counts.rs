//! How the attempts of this process ended and how long they took, counted since its start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_model::failure::FailureKind;

use super::distribution::Distribution;
use super::model::AttemptEnd;

/// Upper bounds of the buckets of attempts, in seconds: a template without AI calls takes
/// milliseconds, one with many calls minutes.
const TOOK: &[f64] =
    &[0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
/// Upper bounds of the buckets of waits in the queue, in seconds.
const WAITED: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
/// Maximum number of templates that are counted by name: producers name them.
const MAX_TEMPLATES: usize = 100;
/// What templates and checks beyond the limit are called.
const OTHER: &str = "other";
/// Maximum number of checks of sites that are counted by name, more than there are.
const MAX_CHECKS: usize = 200;

/// What a violation of a check of a site does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum ProblemLevel {
    /// The site is not published.
    Error,
    /// The site is published, and its release lists it.
    Warning,
}

/// Counts attempts by their end and by the kind of their failure. At most one entry for each pair,
/// whatever kinds others write.
#[derive(Debug)]
pub struct AttemptCounts {
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// The ends of the attempts of each template.
    templates: Mutex<BTreeMap<String, BTreeMap<&'static str, u64>>>,
    /// How long attempts took, by their end.
    took: Mutex<BTreeMap<&'static str, Distribution>>,
    waited: Mutex<Distribution>,
    /// The problems that checks of sites found, by check.
    problems: Mutex<BTreeMap<String, BTreeMap<ProblemLevel, u64>>>,
    /// Bytes of all files of the releases that were made.
    release_bytes: AtomicU64,
}

impl Default for AttemptCounts {
    fn default() -> Self {
        AttemptCounts {
            counts: Mutex::default(),
            templates: Mutex::default(),
            took: Mutex::default(),
            waited: Mutex::new(Distribution::new(WAITED)),
            problems: Mutex::default(),
            release_bytes: AtomicU64::new(0),
        }
    }
}

impl AttemptCounts {
    /// Begins the counts of a worker: 0 successes, and 0 failures of each kind, final ones and those
    /// that another attempt follows. Prometheus sees no increase in a series that begins with its
    /// first event, so the first failure of a kind would raise no alert.
    pub fn begin(&self) {
        let mut counts = self.counts.lock();
        counts.entry((AttemptEnd::Succeeded.as_str(), "")).or_default();
        for end in [AttemptEnd::Failed, AttemptEnd::Dead, AttemptEnd::Retry] {
            for kind in FailureKind::ALL {
                counts.entry((end.as_str(), kind.as_str())).or_default();
            }
        }
    }

    /// Counts an attempt that ended after this time.
    pub fn add(&self, end: AttemptEnd, kind: Option<&str>, took: Duration) {
        let known = |kind: &str| FailureKind::ALL.into_iter().find(|known| known.as_str() == kind);
        let kind = match kind {
            None => "",
            Some(kind) => known(kind).map_or("other", FailureKind::as_str),
        };
        *self.counts.lock().entry((end.as_str(), kind)).or_default() += 1;
        let mut by_end = self.took.lock();
        by_end.entry(end.as_str()).or_insert_with(|| Distribution::new(TOOK)).add(took);
    }

    /// Counts an attempt of a template that ended. At most 100 templates are named, the others are
    /// `other`.
    pub fn add_of_template(&self, template: &str, end: AttemptEnd) {
        let mut templates = self.templates.lock();
        let is_named = templates.contains_key(template) || templates.len() < MAX_TEMPLATES;
        let name = if is_named { template } else { OTHER };
        let ends = templates.entry(name.to_owned()).or_default();
        *ends.entry(end.as_str()).or_default() += 1;
    }

    /// The number of attempts for each template and end.
    pub fn by_template(&self) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
        self.templates.lock().clone()
    }

    /// Begins the counts of these checks of sites: 0 errors of each, so that the first one is an
    /// increase.
    pub fn begin_checks(&self, checks: impl IntoIterator<Item = String>) {
        for check in checks {
            self.add_problems(&check, ProblemLevel::Error, 0);
        }
    }

    /// Counts problems that a check of a site found. At most 200 checks are named, the others are
    /// `other`.
    pub fn add_problems(&self, check: &str, level: ProblemLevel, number: u64) {
        let mut problems = self.problems.lock();
        let is_named = problems.contains_key(check) || problems.len() < MAX_CHECKS;
        let name = if is_named { check } else { OTHER };
        let count = problems.entry(name.to_owned()).or_default().entry(level).or_default();
        *count = count.saturating_add(number);
    }

    /// The number of problems for each check of sites and level.
    pub fn problems(&self) -> BTreeMap<String, BTreeMap<ProblemLevel, u64>> {
        self.problems.lock().clone()
    }

    /// Counts a release that was stored, with this number of bytes in all of its files.
    pub fn add_release(&self, bytes: u64) {
        self.release_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The bytes of all releases that were stored.
    pub fn release_bytes(&self) -> u64 {
        self.release_bytes.load(Ordering::Relaxed)
    }

    /// Counts an order that was claimed after it had been due for this time.
    pub fn add_wait(&self, waited: Duration) {
        self.waited.lock().add(waited);
    }

    /// How long attempts took, from claiming the order to completing it, by how they ended.
    pub fn took(&self) -> BTreeMap<&'static str, Distribution> {
        self.took.lock().clone()
    }

    /// How long claimed orders had been due before.
    pub fn waited(&self) -> Distribution {
        self.waited.lock().clone()
    }

    /// The number of attempts for each end and kind of failure; the kind is empty if there was no
    /// failure.
    pub fn snapshot(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().clone()
    }
}
