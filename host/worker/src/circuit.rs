//! Circuits: when almost all attempts of a template, or on a route, end with the same failure, it
//! is not the orders' fault. Counted in this process; the hold that follows is for all workers.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use sitewright_jobs::HoldId;

/// When a circuit opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitSettings {
    /// More than this share of the attempts, in percent, end with the same failure. 100: never.
    pub percent: u32,
    /// The number of last attempts that count.
    pub window: usize,
    /// Not before this number of attempts.
    pub least: usize,
}

/// How many of the last attempts ended with the failure that opened a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) alike: usize,
    pub(super) of: usize,
}

/// The last attempts of each template and route: the fingerprints of their failures, `None` for a
/// success.
#[derive(Debug)]
pub(super) struct Circuits {
    settings: CircuitSettings,
    last: Mutex<HashMap<HoldId, VecDeque<Option<String>>>>,
}

impl Circuits {
    pub(super) fn new(settings: CircuitSettings) -> Self {
        Circuits { settings, last: Mutex::default() }
    }

    pub(super) fn record_success(&self, of: HoldId) {
        self.record(of, None);
    }

    /// Counts a failure. `Some` if the circuit opens with it; counting then begins anew.
    pub(super) fn record_failure(&self, of: &HoldId, fingerprint: &str) -> Option<Opened> {
        let opened = self.record(of.clone(), Some(fingerprint));
        if opened.is_some() {
            self.forget(of);
        }
        opened
    }

    /// Forgets the attempts of a template or route whose hold was released.
    pub(super) fn forget(&self, of: &HoldId) {
        self.last.lock().remove(of);
    }

    fn record(&self, of: HoldId, fingerprint: Option<&str>) -> Option<Opened> {
        let CircuitSettings { percent, window, least } = self.settings;
        let mut last = self.last.lock();
        let last = last.entry(of).or_default();
        last.push_back(fingerprint.map(str::to_owned));
        while last.len() > window.max(1) {
            last.pop_front();
        }
        let fingerprint = fingerprint?;
        let alike = last.iter().filter(|one| one.as_deref() == Some(fingerprint)).count();
        let of = last.len();
        let share = usize::try_from(percent).unwrap_or(100);
        (of >= least && alike * 100 > share * of).then_some(Opened { alike, of })
    }
}

#[cfg(test)]
mod tests {
    use sitewright_jobs::HoldKind;

    use super::*;

    const SETTINGS: CircuitSettings = CircuitSettings { percent: 80, window: 20, least: 10 };

    /// `a` and `b` are failures, `.` is a success. The number of attempts after which it opens.
    fn opens(settings: CircuitSettings, attempts: &str) -> Option<usize> {
        let circuits = Circuits::new(settings);
        let of = HoldId::new(HoldKind::Template, "landing");
        attempts.chars().zip(1..).find_map(|(attempt, number)| match attempt {
            '.' => {
                circuits.record_success(of.clone());
                None
            }
            failure => circuits.record_failure(&of, &failure.to_string()).map(|_| number),
        })
    }

    #[test]
    fn it_opens_when_more_than_its_share_of_the_last_attempts_end_alike() {
        for (attempts, opened) in [
            ("aaaaaaaaa", None),
            ("aaaaaaaaaa", Some(10)),
            // 8 of 10 are not more than 80 %, 9 of 11 are.
            ("..aaaaaaaaa", Some(11)),
            ("abababababababababab", None),
            // Old successes leave the window.
            ("....................aaaaaaaaaaaaaaaaa", Some(37)),
            ("aaaaaaaa.aaaaaaaa.aaaaaaaa.", Some(10)),
            ("....a.....", None),
        ] {
            assert_eq!(opens(SETTINGS, attempts), opened, "{attempts}");
        }
        let never = CircuitSettings { percent: 100, ..SETTINGS };
        assert_eq!(opens(never, &"a".repeat(100)), None);
    }

    #[test]
    fn templates_and_routes_are_counted_apart_and_forgotten_when_it_opens() {
        let circuits = Circuits::new(SETTINGS);
        let ids = [
            HoldId::new(HoldKind::Template, "one"),
            HoldId::new(HoldKind::Template, "two"),
            HoldId::new(HoldKind::Route, "one"),
        ];
        for _ in 0..9 {
            for id in &ids {
                assert_eq!(circuits.record_failure(id, "f"), None);
            }
        }
        for id in &ids {
            assert_eq!(circuits.record_failure(id, "f"), Some(Opened { alike: 10, of: 10 }));
            assert_eq!(circuits.record_failure(id, "f"), None, "counting begins anew");
        }
    }
}
