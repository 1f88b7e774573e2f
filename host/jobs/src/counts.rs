//! How the attempts of this process ended, counted since its start.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use sitewright_model::failure::FailureKind;

use super::model::AttemptEnd;

/// Counts attempts by their end and by the kind of their failure. At most one entry for each pair,
/// whatever kinds others write.
#[derive(Debug, Default)]
pub struct AttemptCounts {
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl AttemptCounts {
    pub(super) fn add(&self, end: AttemptEnd, kind: Option<&str>) {
        let known = |kind: &str| FailureKind::ALL.into_iter().find(|known| known.as_str() == kind);
        let kind = match kind {
            None => "",
            Some(kind) => known(kind).map_or("other", FailureKind::as_str),
        };
        *self.counts.lock().entry((end.as_str(), kind)).or_default() += 1;
    }

    /// The number of attempts for each end and kind of failure; the kind is empty if there was no
    /// failure.
    pub fn snapshot(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().clone()
    }
}
