//! Which job is next: fair between lanes by the processor time they have used.
//!
//! Every lane has a virtual time, which grows with what its jobs cost. The waiting lane with the
//! least is next; a lane that was idle starts where the others are, so that waiting saves up
//! nothing. One lane does not get the last free child while another one waits, nor while its jobs
//! are known to be slow: otherwise a newcomer would wait for as long as the slowest job takes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A lane whose jobs have recently taken longer leaves one child free for the others.
const SLOW: Duration = Duration::from_millis(250);
/// Maximum idle lanes whose used time is remembered.
const MAX_IDLE_LANES: usize = 1_024;

/// Jobs that wait for one of a number of slots. `W` is a waiting job.
#[derive(Debug)]
pub(crate) struct FairQueue<W> {
    slots: usize,
    busy: usize,
    lanes: BTreeMap<Arc<str>, Lane<W>>,
    /// Virtual time of the lane that was served last.
    now: Duration,
}

#[derive(Debug)]
struct Lane<W> {
    used: Duration,
    running: usize,
    /// Cost of the most expensive job; halved with each cheaper one.
    recent: Duration,
    waiting: VecDeque<W>,
}

impl<W> FairQueue<W> {
    /// A queue for `slots` jobs at once; at least one.
    pub(crate) fn new(slots: usize) -> Self {
        FairQueue { slots: slots.max(1), busy: 0, lanes: BTreeMap::new(), now: Duration::ZERO }
    }

    /// Adds a job that waits.
    pub(crate) fn push(&mut self, lane: &str, waiter: W) {
        let name: Arc<str> = match self.lanes.get_key_value(lane) {
            Some((name, _)) => name.clone(),
            None => {
                self.forget_idle_lanes();
                Arc::from(lane)
            }
        };
        let now = self.now;
        let lane = self.lanes.entry(name).or_insert_with(|| Lane {
            used: now,
            running: 0,
            recent: Duration::ZERO,
            waiting: VecDeque::new(),
        });
        if lane.is_idle() {
            lane.used = lane.used.max(now);
        }
        lane.waiting.push_back(waiter);
    }

    /// The next job that gets a slot, and its lane; `None` if no slot is free or no job may have
    /// it. Jobs for which `gone` is true are dropped. Every job that is returned must be followed
    /// by [`finish`](Self::finish).
    pub(crate) fn next(&mut self, gone: impl Fn(&W) -> bool) -> Option<(Arc<str>, W)> {
        if self.busy >= self.slots {
            return None;
        }
        for lane in self.lanes.values_mut() {
            while lane.waiting.front().is_some_and(&gone) {
                lane.waiting.pop_front();
            }
        }
        let waiting = self.lanes.values().filter(|lane| !lane.waiting.is_empty()).count();
        let slots = self.slots;
        let last_free = slots > 1 && self.busy + 1 >= slots;
        let may_run = |lane: &Lane<W>| {
            let takes_all = slots > 1 && lane.running + 1 >= slots;
            // Two slow lanes would hold up a third one as well as one does.
            let reserved =
                takes_all && waiting > 1 || (takes_all || last_free) && lane.recent > SLOW;
            !lane.waiting.is_empty() && !reserved
        };
        let (name, lane) = self
            .lanes
            .iter_mut()
            .filter(|(_, lane)| may_run(lane))
            .min_by_key(|(_, lane)| lane.used)?;
        let waiter = lane.waiting.pop_front()?;
        lane.running += 1;
        self.busy += 1;
        self.now = self.now.max(lane.used);
        Some((name.clone(), waiter))
    }

    /// Frees the slot of a job that has cost `cost`.
    pub(crate) fn finish(&mut self, lane: &str, cost: Duration) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.running = lane.running.saturating_sub(1);
            lane.used = lane.used.saturating_add(cost);
            lane.recent = cost.max(lane.recent / 2);
        }
    }

    /// The number of jobs that have a slot.
    #[cfg(test)]
    fn busy(&self) -> usize {
        self.busy
    }

    fn forget_idle_lanes(&mut self) {
        if self.lanes.len() < MAX_IDLE_LANES {
            return;
        }
        let now = self.now;
        // First those whose used time decides nothing any more.
        self.lanes.retain(|_, lane| !lane.is_idle() || lane.used > now);
        if self.lanes.len() >= MAX_IDLE_LANES {
            self.lanes.retain(|_, lane| !lane.is_idle());
        }
    }
}

impl<W> Lane<W> {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FAST: Duration = Duration::from_millis(1);

    fn take(queue: &mut FairQueue<u32>) -> Option<(String, u32)> {
        queue.next(|_| false).map(|(lane, job)| (lane.to_string(), job))
    }

    #[test]
    fn one_lane_alone_has_all_slots_in_its_order() {
        let mut queue = FairQueue::new(2);
        for job in 1..=3 {
            queue.push("a", job);
        }
        assert_eq!(take(&mut queue), Some(("a".to_owned(), 1)));
        assert_eq!(take(&mut queue), Some(("a".to_owned(), 2)));
        assert_eq!(take(&mut queue), None);
        queue.finish("a", FAST);
        assert_eq!(take(&mut queue), Some(("a".to_owned(), 3)));
    }

    #[test]
    fn a_flood_does_not_delay_the_other_lane() {
        let mut queue = FairQueue::new(1);
        for job in 0..100 {
            queue.push("flood", job);
        }
        assert_eq!(take(&mut queue), Some(("flood".to_owned(), 0)));
        queue.push("one", 1_000);
        queue.finish("flood", Duration::from_secs(1));
        assert_eq!(take(&mut queue), Some(("one".to_owned(), 1_000)));
    }

    #[test]
    fn the_last_free_slot_is_for_another_lane() {
        let mut queue = FairQueue::new(3);
        for job in 0..10 {
            queue.push("a", job);
        }
        assert!(take(&mut queue).is_some() && take(&mut queue).is_some());
        // `b` has used more than `a`, and gets the last slot all the same.
        queue.push("b", 100);
        queue.lanes.get_mut("b").unwrap().used = Duration::from_hours(1);
        assert_eq!(take(&mut queue), Some(("b".to_owned(), 100)));
        assert_eq!(queue.busy(), 3);
    }

    #[test]
    fn a_slow_lane_leaves_one_slot_free_until_its_jobs_are_fast_again() {
        let mut queue = FairQueue::new(2);
        queue.push("slow", 0);
        assert!(take(&mut queue).is_some());
        queue.finish("slow", Duration::from_secs(10));
        queue.push("slow", 1);
        queue.push("slow", 2);
        assert!(take(&mut queue).is_some());
        assert_eq!(take(&mut queue), None, "one slot stays free");
        queue.push("new", 3);
        assert_eq!(take(&mut queue), Some(("new".to_owned(), 3)), "of another lane");
        queue.finish("new", FAST);
        for _ in 0..10 {
            queue.finish("slow", FAST);
            queue.push("slow", 4);
            assert!(take(&mut queue).is_some());
        }
        queue.push("slow", 5);
        assert!(take(&mut queue).is_some(), "its jobs are fast again");
    }

    #[test]
    fn several_slow_lanes_leave_one_slot_free_too() {
        let mut queue = FairQueue::new(2);
        for lane in ["a", "b"] {
            queue.push(lane, 0);
            assert!(take(&mut queue).is_some());
            queue.finish(lane, Duration::from_secs(10));
            queue.push(lane, 1);
        }
        assert!(take(&mut queue).is_some());
        assert_eq!(take(&mut queue), None, "one slot stays free");
        queue.push("new", 2);
        assert_eq!(take(&mut queue), Some(("new".to_owned(), 2)));
    }

    #[test]
    fn waiting_saves_nothing_up() {
        let mut queue = FairQueue::new(1);
        for job in 0..50 {
            queue.push("busy", job);
            assert!(take(&mut queue).is_some());
            queue.finish("busy", Duration::from_secs(1));
        }
        // It has used nothing for 50 s, and may not have the next 50 s alone.
        for job in 100..110 {
            queue.push("rested", job);
            queue.push("busy", job);
        }
        let mut served = BTreeMap::<String, u32>::new();
        for _ in 0..10 {
            let (lane, _) = take(&mut queue).unwrap();
            queue.finish(&lane, Duration::from_secs(1));
            *served.entry(lane).or_default() += 1;
        }
        assert!(served.values().all(|served| *served >= 4), "{served:?}");
    }

    #[test]
    fn jobs_that_are_gone_take_no_slot() {
        let mut queue = FairQueue::new(1);
        for job in 0..100_000 {
            queue.push("a", job);
        }
        queue.push("b", 7);
        assert_eq!(queue.next(|job| *job != 7).map(|(_, job)| job), Some(7));
    }

    #[test]
    fn many_names_of_lanes_are_forgotten() {
        let mut queue = FairQueue::new(1);
        for number in 0..5 * MAX_IDLE_LANES {
            let name = format!("lane-{number}");
            queue.push(&name, 0);
            assert!(take(&mut queue).is_some());
            queue.finish(&name, FAST);
        }
        assert!(queue.lanes.len() <= MAX_IDLE_LANES, "{}", queue.lanes.len());
    }

    proptest! {
        /// Whatever comes and ends: no more jobs than slots, no job is lost, and none waits while
        /// nothing runs.
        #[test]
        fn every_job_is_served(
            slots in 1_usize..5,
            steps in prop::collection::vec((0_u8..6, 0_u64..2_000), 0..200),
        ) {
            let mut queue = FairQueue::new(slots);
            let (mut running, mut pushed, mut served) = (Vec::new(), 0_u32, 0_u32);
            let mut serve = |queue: &mut FairQueue<u32>, running: &mut Vec<Arc<str>>| {
                while let Some((lane, _)) = queue.next(|_| false) {
                    running.push(lane);
                    served += 1;
                }
                served
            };
            for (lane, cost) in steps {
                if lane < 4 {
                    queue.push(&format!("lane-{lane}"), 0);
                    pushed += 1;
                } else if !running.is_empty() {
                    let lane: Arc<str> = running.swap_remove(cost as usize % running.len());
                    queue.finish(&lane, Duration::from_millis(cost));
                }
                let served = serve(&mut queue, &mut running);
                prop_assert!(running.len() <= slots);
                prop_assert!(!running.is_empty() || served == pushed);
            }
            while let Some(lane) = running.pop() {
                queue.finish(&lane, Duration::from_millis(1));
                serve(&mut queue, &mut running);
            }
            prop_assert_eq!(serve(&mut queue, &mut running), pushed);
        }
    }
}
