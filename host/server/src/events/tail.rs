//! Reads events in the order of their ids, each once, although on PostgreSQL an event may appear
//! after one with a higher id.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an id that was skipped is looked for. A transaction that was rolled back used it for
/// nothing.
const LATE_WITHIN: Duration = Duration::from_secs(5);
/// Maximum number of ids that are looked for.
const MAX_MISSING: usize = 10_000;

/// The position in the events.
#[derive(Debug)]
pub(super) struct Tail {
    /// The highest id that was read.
    last: i64,
    /// Lower ids that were not, and until when they are looked for.
    missing: BTreeMap<i64, Instant>,
}

impl Tail {
    /// Begins behind this id.
    pub(super) fn after(last: i64) -> Self {
        Tail { last, missing: BTreeMap::new() }
    }

    /// The highest id that was read.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// The ids that are looked for.
    pub(super) fn missing(&mut self, now: Instant) -> Vec<i64> {
        self.missing.retain(|_, until| *until > now);
        self.missing.keys().copied().collect()
    }

    /// Records that an event with this id was read.
    pub(super) fn read(&mut self, id: i64, now: Instant) {
        if id <= self.last {
            self.missing.remove(&id);
            return;
        }
        let room = MAX_MISSING.saturating_sub(self.missing.len());
        let skipped = (self.last.saturating_add(1)..id).rev().take(room);
        self.missing.extend(skipped.map(|id| (id, now + LATE_WITHIN)));
        self.last = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_skipped_is_looked_for_until_it_comes_or_is_late() {
        let now = Instant::now();
        let mut tail = Tail::after(10);
        for id in [11, 12, 15] {
            tail.read(id, now);
        }
        assert_eq!((tail.last(), tail.missing(now)), (15, vec![13, 14]));
        tail.read(14, now);
        assert_eq!((tail.last(), tail.missing(now)), (15, vec![13]));
        assert_eq!(tail.missing(now + LATE_WITHIN), Vec::<i64>::new());
    }

    #[test]
    fn a_large_gap_takes_bounded_memory() {
        let now = Instant::now();
        let mut tail = Tail::after(0);
        tail.read(i64::MAX, now);
        assert_eq!(tail.missing(now).len(), MAX_MISSING);
    }
}
