//! Whose turn it is among calls that wait: that of each tenant, one after the other, and within one
//! tenant that of the call that has waited the longest.
//!
//! While `k` tenants wait, each of them is served at least once in `k` turns, however many calls
//! the others have. A tenant that comes takes the last turn, so that coming and going gains nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Waiters of type `W`, each of a tenant of type `T`. Every operation takes a time that grows with
/// the logarithm of their number, and an empty queue has no memory.
#[derive(Debug)]
pub(super) struct RoundRobin<T, W> {
    /// Tenants with at least one waiter.
    tenants: BTreeMap<T, Waiters<W>>,
    /// The same tenants by their turns. The first one is next.
    turns: BTreeMap<u64, T>,
    /// The next number of a waiter or a turn.
    next: u64,
}

#[derive(Debug)]
struct Waiters<W> {
    turn: u64,
    /// By their numbers, so in the order of arrival.
    waiting: BTreeMap<u64, W>,
}

impl<T: Ord + Clone, W> RoundRobin<T, W> {
    pub(super) fn new() -> Self {
        RoundRobin { tenants: BTreeMap::new(), turns: BTreeMap::new(), next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds a waiter. Returns its number, for [`remove`](Self::remove).
    pub(super) fn push(&mut self, tenant: T, waiter: W) -> u64 {
        let number = self.number();
        match self.tenants.entry(tenant) {
            Entry::Occupied(mut known) => {
                known.get_mut().waiting.insert(number, waiter);
            }
            Entry::Vacant(new) => {
                self.turns.insert(number, new.key().clone());
                new.insert(Waiters { turn: number, waiting: BTreeMap::from([(number, waiter)]) });
            }
        }
        number
    }

    /// Removes the waiter whose turn it is. Its tenant, if others of it wait, takes the last turn.
    pub(super) fn pop(&mut self) -> Option<W> {
        let (_, tenant) = self.turns.pop_first()?;
        let turn = self.number();
        let of_tenant = self.tenants.get_mut(&tenant)?;
        let (_, waiter) = of_tenant.waiting.pop_first()?;
        if of_tenant.waiting.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            of_tenant.turn = turn;
            self.turns.insert(turn, tenant);
        }
        Some(waiter)
    }

    /// Removes a waiter that does not wait any longer. `None` if its turn has come before.
    pub(super) fn remove(&mut self, tenant: &T, number: u64) -> Option<W> {
        let of_tenant = self.tenants.get_mut(tenant)?;
        let waiter = of_tenant.waiting.remove(&number)?;
        if of_tenant.waiting.is_empty() {
            self.turns.remove(&of_tenant.turn);
            self.tenants.remove(tenant);
        }
        Some(waiter)
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The waiters in the order of their turns. A waiter is the letter of its tenant and a digit.
    fn turns(queue: &mut RoundRobin<char, String>) -> String {
        let served: Vec<String> = std::iter::from_fn(|| queue.pop()).collect();
        served.join(" ")
    }

    #[test]
    fn tenants_take_turns_and_their_waiters_are_served_in_the_order_of_arrival() {
        // Those that come, those that go before their turn, and the order of turns.
        for (come, gone, expected) in [
            ("", "", ""),
            ("a1 a2 a3", "", "a1 a2 a3"),
            ("a1 a2 a3 a4 b1", "", "a1 b1 a2 a3 a4"),
            ("a1 a2 b1 c1 c2 b2", "", "a1 b1 c1 a2 b2 c2"),
            ("a1 a2 a3 b1", "a1", "a2 b1 a3"),
            ("a1 a2 b1", "b1", "a1 a2"),
            ("a1 b1 b2 c1", "a1", "b1 c1 b2"),
            ("a1 b1", "a1 b1", ""),
        ] {
            let mut queue = RoundRobin::new();
            let mut numbers = BTreeMap::new();
            for waiter in come.split_whitespace() {
                let number = queue.push(waiter.chars().next().unwrap(), waiter.to_owned());
                numbers.insert(waiter, number);
            }
            for waiter in gone.split_whitespace() {
                let tenant = waiter.chars().next().unwrap();
                let removed = queue.remove(&tenant, numbers[waiter]);
                assert_eq!(removed.as_deref(), Some(waiter), "{come}");
                assert_eq!(queue.remove(&tenant, numbers[waiter]), None, "{come}: a second time");
            }
            assert_eq!(turns(&mut queue), expected, "{come}, without {gone}");
            assert!(queue.is_empty() && queue.tenants.is_empty(), "{come}");
        }
    }

    #[test]
    fn a_tenant_that_comes_takes_the_last_turn_and_one_that_was_served_too() {
        let mut queue = RoundRobin::new();
        for waiter in ["a1", "a2", "a3"] {
            queue.push('a', waiter);
        }
        assert_eq!(queue.pop(), Some("a1"));
        queue.push('b', "b1");
        assert_eq!((queue.pop(), queue.pop()), (Some("a2"), Some("b1")));
        queue.push('b', "b2");
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some("a3"), Some("b2"), None));
    }

    proptest! {
        /// Whatever comes and goes: a tenant that waits is served after at most one turn of each
        /// other tenant that waited before it, within it the first that came is first, and nobody
        /// is lost.
        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_tenant(
            steps in prop::collection::vec((0_u8..10, 0_u8..4, 0_usize..8), 0..300),
        ) {
            let mut queue = RoundRobin::new();
            // Of each tenant the number and the name of each waiter, and how many turns of others
            // may come before its own.
            let mut model: BTreeMap<u8, (Vec<(u64, u64)>, usize)> = BTreeMap::new();
            let mut name = 0_u64;
            for (step, tenant, nth) in steps {
                match step {
                    0..5 => {
                        let number = queue.push(tenant, (tenant, name));
                        let others = model.len();
                        let (waiting, _) = model.entry(tenant).or_insert((Vec::new(), others));
                        waiting.push((number, name));
                        name += 1;
                    }
                    5..7 => {
                        let Some((waiting, _)) = model.get_mut(&tenant) else { continue };
                        let (number, gone) = waiting.remove(nth % waiting.len());
                        prop_assert_eq!(queue.remove(&tenant, number), Some((tenant, gone)));
                        prop_assert_eq!(queue.remove(&tenant, number), None);
                    }
                    _ => {
                        let Some((served, first)) = queue.pop() else {
                            prop_assert!(model.is_empty());
                            continue;
                        };
                        let others = model.len() - 1;
                        for (tenant, (waiting, before)) in &mut model {
                            if *tenant == served {
                                prop_assert_eq!(waiting.remove(0).1, first);
                                *before = others;
                            } else {
                                prop_assert!(*before > 0, "{} had to be served", tenant);
                                *before -= 1;
                            }
                        }
                    }
                }
                model.retain(|_, (waiting, _)| !waiting.is_empty());
                prop_assert_eq!(queue.tenants.len(), model.len());
                prop_assert_eq!(queue.turns.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
