//! The memory of all guests of this process together.
//!
//! Each run has a limit of its own, but thousands of orders wait for AI at once, and the sum of
//! their limits is many times the machine's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::meter::LimitHit;

/// The bytes that all guests of an engine use, and may use.
#[derive(Debug)]
pub(super) struct GuestMemory {
    max: u64,
    used: AtomicU64,
}

impl GuestMemory {
    pub(super) fn new(max: u64) -> Arc<Self> {
        Arc::new(GuestMemory { max, used: AtomicU64::new(0) })
    }
}

/// The part of one run. Dropping it gives its bytes back.
#[derive(Debug)]
pub(super) struct GuestShare {
    memory: Arc<GuestMemory>,
    bytes: u64,
}

impl GuestShare {
    pub(super) fn of(memory: Arc<GuestMemory>) -> Self {
        GuestShare { memory, bytes: 0 }
    }

    /// An empty share of the same memory.
    pub(super) fn beside(&self) -> Self {
        GuestShare::of(self.memory.clone())
    }

    /// A share beside this one, of the same memory.
    ///
    /// # Errors
    /// [`LimitHit::AllGuests`] if all guests would use more than the maximum.
    pub(super) fn another(&self, bytes: u64) -> Result<Self, LimitHit> {
        let mut share = self.beside();
        share.resize(bytes)?;
        Ok(share)
    }

    /// Changes the share to `bytes`. A run that has all that is used may go on whatever the
    /// maximum, or it could never be made.
    ///
    /// # Errors
    /// [`LimitHit::AllGuests`] if all guests would use more than the maximum.
    pub(super) fn resize(&mut self, bytes: u64) -> Result<(), LimitHit> {
        let GuestShare { memory, bytes: before } = self;
        let changed = memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let others = used.saturating_sub(*before);
            let all = others.saturating_add(bytes);
            (bytes <= *before || others == 0 || all <= memory.max).then_some(all)
        });
        changed.map_err(|_| LimitHit::AllGuests { max: memory.max })?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for GuestShare {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Half of the memory that this process can have: that of its control group or of the machine. The
/// other half is for the host, its children and the page cache. 2 GiB if neither is known.
pub fn default_guest_memory() -> u64 {
    const UNKNOWN: u64 = 4 << 30;
    let number = |text: &str| text.split_whitespace().nth(1)?.parse::<u64>().ok();
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| text.lines().find(|line| line.starts_with("MemTotal:")).and_then(number));
    let machine = machine.map(|kib| kib.saturating_mul(1 << 10));
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_max(&text));
    machine.into_iter().chain(group).min().unwrap_or(UNKNOWN) / 2
}

/// The smallest limit of the control groups (version 2) that a process is in.
fn group_max(text: &str) -> Option<u64> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = std::path::Path::new("/sys/fs/cgroup").join(path);
    let mut least = None;
    while folder.starts_with("/sys/fs/cgroup") {
        let max = std::fs::read_to_string(folder.join("memory.max")).ok();
        let max = max.and_then(|text| text.trim().parse::<u64>().ok());
        least = least.into_iter().chain(max).min();
        if !folder.pop() {
            break;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_guests_have_together_is_bounded_and_given_back() {
        let memory = GuestMemory::new(100);
        let share = || GuestShare::of(memory.clone());
        let (mut one, mut two) = (share(), share());
        assert_eq!(one.resize(60), Ok(()));
        assert_eq!(two.resize(40), Ok(()));
        assert_eq!(two.resize(41), Err(LimitHit::AllGuests { max: 100 }));
        assert_eq!(two.resize(30), Ok(()), "less is always possible");
        drop(one);
        assert_eq!(two.resize(500), Ok(()), "alone it may have what its own limit allows");
        assert_eq!(share().resize(1), Err(LimitHit::AllGuests { max: 100 }));
        drop(two);
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_default_is_a_part_of_this_machine() {
        assert!(default_guest_memory() > 64 << 20);
        assert_eq!(group_max("1:cpu:/x"), None);
    }
}
