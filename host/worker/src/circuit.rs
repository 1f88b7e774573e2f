//! Circuits: when almost all attempts of a template, or on a route, end with the same failure, it
//! is not the orders' fault. Counted in this process; the hold that follows is for all workers.
//!
//! The orders of one tenant, whatever is in them, hold those of nobody else: the attempts of each
//! tenant are counted for themselves, and what holds all orders are the attempts of all, if those
//! without the tenant that has most of the failures fail alike as well. Orders without a tenant
//! count as those of one.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use sitewright_jobs::{HoldId, HoldScope};

/// Maximum number of tenants of a template or route whose attempts are counted for themselves. With
/// one more, those without a failure are counted anew, or else all of them.
const MAX_TENANTS: usize = 4_096;

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

impl CircuitSettings {
    fn opens(self, counted: Counted) -> bool {
        counted.of >= self.least && self.fails(counted)
    }

    /// Whether the attempts of all open it: as many as of one tenant are enough. Some have to be of
    /// others than the tenant that has most of the failures.
    fn opens_for_all(self, all: Counted, others: Counted) -> bool {
        self.opens(all) && others.alike >= self.least.div_ceil(4).max(1) && self.fails(others)
    }

    fn fails(self, Counted { alike, of }: Counted) -> bool {
        let share = usize::try_from(self.percent).unwrap_or(100);
        alike * 100 > share * of
    }
}

/// How many attempts ended with the failure that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    alike: usize,
    of: usize,
}

/// Whose circuit has opened, and how many of the last attempts ended with its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    /// [`HoldScope::NoTenant`] also if no order has a tenant, which this does not know.
    pub(super) scope: HoldScope,
    pub(super) alike: usize,
    pub(super) of: usize,
}

/// How an attempt ended: with the failure of this fingerprint, or with a site.
type Ended = Option<String>;

/// The last attempts of a template or a route.
#[derive(Debug, Default)]
struct Last {
    /// Those of all orders, and whose each one was.
    all: VecDeque<(HoldScope, Ended)>,
    /// Those of each tenant.
    of: BTreeMap<HoldScope, VecDeque<Ended>>,
}

/// The last attempts of each template and route.
#[derive(Debug)]
pub(super) struct Circuits {
    settings: CircuitSettings,
    last: Mutex<HashMap<HoldId, Last>>,
}

impl Circuits {
    pub(super) fn new(settings: CircuitSettings) -> Self {
        Circuits { settings, last: Mutex::default() }
    }

    /// Counts an attempt that made a site, of an order of this tenant.
    pub(super) fn record_success(&self, of: HoldId, tenant: &HoldScope) {
        self.last.lock().entry(of).or_default().add(self.settings, tenant, None);
    }

    /// Counts a failure of an order of this tenant. `Some` if a circuit opens with it; counting
    /// then begins anew for whose it is.
    pub(super) fn record_failure(
        &self,
        of: &HoldId,
        tenant: &HoldScope,
        fingerprint: &str,
    ) -> Option<Opened> {
        let settings = self.settings;
        let mut all = self.last.lock();
        let last = all.entry(of.clone()).or_default();
        last.add(settings, tenant, Some(fingerprint));
        let counted = last.counted(fingerprint);
        let own = last.own(tenant, fingerprint);
        if settings.opens_for_all(counted, last.without_loudest(fingerprint)) {
            all.remove(of);
            return Some(Opened { scope: HoldScope::All, alike: counted.alike, of: counted.of });
        }
        if settings.opens(own) {
            // What all have seen stays: it counts together with the failures of others.
            last.of.remove(tenant);
            return Some(Opened { scope: tenant.clone(), alike: own.alike, of: own.of });
        }
        None
    }

    /// Forgets the attempts of a template or route whose hold was released: of a tenant's hold,
    /// those of its orders.
    pub(super) fn forget(&self, hold: &HoldId) {
        let mut all = self.last.lock();
        if hold.scope == HoldScope::All {
            all.remove(hold);
        } else if let Some(last) = all.get_mut(&hold.clone().within(HoldScope::All)) {
            last.of.remove(&hold.scope);
            last.all.retain(|(scope, _)| *scope != hold.scope);
        }
    }
}

impl Last {
    fn add(&mut self, settings: CircuitSettings, tenant: &HoldScope, ended: Option<&str>) {
        let most = settings.window.max(1);
        let ended = ended.map(str::to_owned);
        if self.of.len() >= MAX_TENANTS && !self.of.contains_key(tenant) {
            self.of.retain(|_, last| last.iter().any(Option::is_some));
            if self.of.len() >= MAX_TENANTS {
                self.of.clear();
            }
        }
        let own = self.of.entry(tenant.clone()).or_default();
        own.push_back(ended.clone());
        while own.len() > most {
            own.pop_front();
        }
        self.all.push_back((tenant.clone(), ended));
        while self.all.len() > most {
            self.all.pop_front();
        }
    }

    fn counted(&self, fingerprint: &str) -> Counted {
        count(self.all.iter().map(|(_, ended)| ended), fingerprint)
    }

    fn own(&self, tenant: &HoldScope, fingerprint: &str) -> Counted {
        count(self.of.get(tenant).into_iter().flatten(), fingerprint)
    }

    /// The attempts of all but the tenant that has most of the failures.
    fn without_loudest(&self, fingerprint: &str) -> Counted {
        let mut failures: BTreeMap<&HoldScope, usize> = BTreeMap::new();
        for (tenant, ended) in &self.all {
            if ended.as_deref() == Some(fingerprint) {
                *failures.entry(tenant).or_default() += 1;
            }
        }
        let loudest = failures.into_iter().max_by_key(|(_, count)| *count);
        let loudest = loudest.map(|(tenant, _)| tenant);
        let others = self.all.iter().filter(|(tenant, _)| Some(tenant) != loudest);
        count(others.map(|(_, ended)| ended), fingerprint)
    }
}

fn count<'a>(attempts: impl Iterator<Item = &'a Ended>, fingerprint: &str) -> Counted {
    let mut counted = Counted { alike: 0, of: 0 };
    for ended in attempts {
        counted.of += 1;
        counted.alike += usize::from(ended.as_deref() == Some(fingerprint));
    }
    counted
}

#[cfg(test)]
mod tests {
    use sitewright_jobs::HoldKind;

    use super::*;

    const SETTINGS: CircuitSettings = CircuitSettings { percent: 80, window: 20, least: 10 };

    fn template(name: &str) -> HoldId {
        HoldId::new(HoldKind::Template, name)
    }

    /// The tenant that a row of a table names by a letter; `-` is none.
    fn tenant(letter: char) -> HoldScope {
        match letter {
            '-' => HoldScope::NoTenant,
            letter => HoldScope::Tenant(letter.to_string()),
        }
    }

    /// `a` and `b` are failures, `.` is a success. The number of attempts after which it opens.
    fn opens(settings: CircuitSettings, attempts: &str) -> Option<usize> {
        let circuits = Circuits::new(settings);
        let of = template("landing");
        attempts.chars().zip(1..).find_map(|(attempt, number)| match attempt {
            '.' => {
                circuits.record_success(of.clone(), &HoldScope::NoTenant);
                None
            }
            failure => {
                let failure = failure.to_string();
                let opened = circuits.record_failure(&of, &HoldScope::NoTenant, &failure);
                opened.map(|_| number)
            }
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
    fn one_tenant_holds_nobody_else_and_what_fails_for_two_holds_all() {
        type Opened = Vec<(usize, HoldScope)>;
        let scopes = |opened: &[(usize, char)]| -> Opened {
            let scope = |of| if of == '*' { HoldScope::All } else { tenant(of) };
            opened.iter().map(|(number, of)| (*number, scope(*of))).collect()
        };
        // A lower-case letter is a failure of this tenant's order, an upper-case one its success;
        // `-` is a failure of an order without a tenant. Whose circuit opens after how many.
        let rows: [(&str, &str, Opened); 13] = [
            ("the only tenant, as fast as without", "aaaaaaaaaa", scopes(&[(10, 'a')])),
            ("no tenants", "----------", scopes(&[(10, '-')])),
            ("one of two", "aXaXaXaXaXaXaXaXaXaX", scopes(&[(19, 'a')])),
            ("its failures and one of another", "aaaaaaaaab", scopes(&[])),
            ("it goes on, and another fails once", "aaaaaaaaaaaaaaab", scopes(&[(10, 'a')])),
            ("its failures and two of another", "aaaaaaaabb", scopes(&[])),
            ("its failures and three of another", "aaaaaaabbb", scopes(&[(10, '*')])),
            ("each of two in turn", "ababababab", scopes(&[(10, '*')])),
            ("one after the other", "aaaaaaaaaabbb", scopes(&[(10, 'a'), (13, '*')])),
            ("many tenants", "abcdefghijklmno", scopes(&[(10, '*')])),
            ("three tenants and none", "abc-abc-abc-", scopes(&[(10, '*')])),
            ("one fails beside two that do not", "aaXaZaaXaaZaaaa", scopes(&[(14, 'a')])),
            ("those without a tenant beside one", "A----------A", scopes(&[(11, '-')])),
        ];
        for (what, attempts, expected) in rows {
            let circuits = Circuits::new(SETTINGS);
            let of = template("landing");
            let mut opened = Vec::new();
            for (attempt, number) in attempts.chars().zip(1..) {
                let whose = tenant(attempt.to_ascii_lowercase());
                if attempt.is_ascii_uppercase() {
                    circuits.record_success(of.clone(), &whose);
                } else if let Some(circuit) = circuits.record_failure(&of, &whose, "f") {
                    opened.push((number, circuit.scope));
                }
            }
            assert_eq!(opened, expected, "{what}");
        }
    }

    #[test]
    fn of_a_tenants_hold_its_own_attempts_are_forgotten() {
        let circuits = Circuits::new(SETTINGS);
        let of = template("landing");
        let fail = |whose, times| {
            for _ in 0..times {
                assert_eq!(circuits.record_failure(&of, &tenant(whose), "f"), None, "{whose}");
            }
        };
        fail('a', 8);
        fail('b', 1);
        circuits.forget(&of.clone().within(tenant('a')));
        // Those of `b` still count for it, and no longer beside those of `a`.
        fail('b', 8);
        let opened = circuits.record_failure(&of, &tenant('b'), "f");
        assert_eq!(opened, Some(Opened { scope: tenant('b'), alike: 10, of: 10 }));
        assert_eq!(circuits.record_failure(&of, &tenant('a'), "f"), None);
    }

    #[test]
    fn templates_and_routes_are_counted_apart_and_forgotten_when_it_opens() {
        let circuits = Circuits::new(SETTINGS);
        let ids = [template("one"), template("two"), HoldId::new(HoldKind::Route, "one")];
        let fails = |id| circuits.record_failure(id, &HoldScope::NoTenant, "f");
        for _ in 0..9 {
            for id in &ids {
                assert_eq!(fails(id), None);
            }
        }
        for id in &ids {
            let opened = Opened { scope: HoldScope::NoTenant, alike: 10, of: 10 };
            assert_eq!(fails(id), Some(opened));
            assert_eq!(fails(id), None, "counting begins anew");
        }
    }

    #[test]
    fn the_number_of_tenants_that_are_counted_is_bounded() {
        let circuits = Circuits::new(SETTINGS);
        let of = template("landing");
        let failing = HoldScope::Tenant("failing".to_owned());
        for _ in 0..9 {
            assert_eq!(circuits.record_failure(&of, &failing, "f"), None);
        }
        for number in 0..2 * MAX_TENANTS {
            circuits.record_success(of.clone(), &HoldScope::Tenant(number.to_string()));
        }
        assert!(circuits.last.lock()[&of].of.len() <= MAX_TENANTS);
        let opened = circuits.record_failure(&of, &failing, "f");
        assert_eq!(opened.map(|opened| opened.scope), Some(failing), "failures are not forgotten");
    }
}
