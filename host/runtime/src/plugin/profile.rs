//! Where guests compute and take memory: samples of their stacks at the ticks of the epoch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_failure::RawFrame;
use wasmtime::{AsContext, WasmBacktrace};

/// Maximum different stacks that are kept. What was used with others counts without a stack.
const MAX_STACKS: usize = 10_000;

/// What guests used while they had one stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Number of samples.
    pub samples: u64,
    /// Processor time since the sample before.
    pub cpu: Duration,
    /// Bytes by which the memory has grown since the sample before.
    pub grown: u64,
}

impl Weight {
    fn add(&mut self, more: Weight) {
        self.samples += more.samples;
        self.cpu += more.cpu;
        self.grown = self.grown.saturating_add(more.grown);
    }
}

/// Samples of all runs of the templates of a loader.
#[derive(Debug, Default)]
pub struct Profile(Mutex<HashMap<Vec<RawFrame>, Weight>>);

impl Profile {
    /// The stacks, innermost frame first, with what was used in each; in no order.
    pub fn stacks(&self) -> Vec<(Vec<RawFrame>, Weight)> {
        self.0.lock().iter().map(|(stack, weight)| (stack.clone(), *weight)).collect()
    }

    fn add(&self, stack: Vec<RawFrame>, weight: Weight) {
        let mut stacks = self.0.lock();
        let is_full = stacks.len() >= MAX_STACKS && !stacks.contains_key(&stack);
        let stack = if is_full { Vec::new() } else { stack };
        stacks.entry(stack).or_default().add(weight);
    }
}

/// Takes the samples of one run.
#[derive(Debug)]
pub(super) struct Sampler {
    profile: Arc<Profile>,
    /// Processor time and memory at the sample before.
    cpu: Duration,
    memory: u64,
}

impl Sampler {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Sampler { profile, cpu: Duration::ZERO, memory: 0 }
    }

    /// Takes a sample of a guest that has used `cpu` and has `memory` bytes.
    pub(super) fn sample(&mut self, store: impl AsContext, cpu: Duration, memory: u64) {
        let weight = Weight {
            samples: 1,
            cpu: cpu.saturating_sub(self.cpu),
            grown: memory.saturating_sub(self.memory),
        };
        (self.cpu, self.memory) = (cpu, memory);
        self.profile.add(raw_frames(&WasmBacktrace::capture(store)), weight);
    }
}

/// The frames of a backtrace, innermost first.
pub(crate) fn raw_frames(backtrace: &WasmBacktrace) -> Vec<RawFrame> {
    backtrace
        .frames()
        .iter()
        .map(|frame| RawFrame {
            offset: frame.module_offset().map(|offset| offset as u64),
            function: frame.func_name().map(str::to_owned),
            index: frame.func_index(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_are_counted_together() {
        let profile = Profile::default();
        let stack = |offset| vec![RawFrame { offset: Some(offset), function: None, index: 0 }];
        let weight = |ms| Weight { samples: 1, cpu: Duration::from_millis(ms), grown: ms };
        for (offset, ms) in [(1, 5), (2, 7), (1, 6)] {
            profile.add(stack(offset), weight(ms));
        }
        let mut found = profile.stacks();
        found.sort_by_key(|(_, weight)| weight.cpu);
        let both = Weight { samples: 2, cpu: Duration::from_millis(11), grown: 11 };
        assert_eq!(found, [(stack(2), weight(7)), (stack(1), both)]);
    }
}
