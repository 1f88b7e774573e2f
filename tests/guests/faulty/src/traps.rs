//! Traps: what the machine itself refuses.

use std::{hint::black_box, num::NonZeroU32};

/// Traps by the instruction made for that.
#[inline(never)]
pub(crate) fn unreachable() {
    core::arch::wasm32::unreachable()
}

/// Reads far behind the end of memory.
#[inline(never)]
pub(crate) fn read_out_of_bounds() {
    let address = black_box(0xffff_fff0_usize) as *const u8;
    // SAFETY: none, on purpose. The sandbox turns this into a trap.
    black_box(unsafe { address.read_volatile() });
}

/// Recurses until there is no stack.
pub(crate) fn overflow_the_stack() {
    black_box(deeper(0));
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    // Opaque on both sides of the call, so that no compiler makes it a loop.
    if black_box(depth) == u64::MAX { 0 } else { black_box(deeper(depth + 1)) ^ depth }
}

/// Divides by zero without the check that Rust puts before a division.
#[inline(never)]
pub(crate) fn divide_by_zero() {
    let zero = black_box(0_u32);
    // SAFETY: none, on purpose. A divisor whose type says that it is not zero is not checked, and
    // the sandbox turns the division into a trap.
    let divisor: NonZeroU32 = unsafe { (&raw const zero).cast::<NonZeroU32>().read() };
    black_box(black_box(1_u32) / divisor);
}

/// Computes for ever.
#[inline(never)]
pub(crate) fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Allocates and fills one MiB after the other: `mebibytes` of them, or for ever.
#[inline(never)]
pub(crate) fn use_memory(mebibytes: Option<u32>) {
    let mut hoard = Vec::new();
    let mut left = mebibytes;
    while left != Some(0) {
        hoard.push(black_box(vec![1_u8; 1024 * 1024]));
        left = left.map(|left| left - 1);
    }
}

/// Allocates 64 KiB and frees them, for ever.
#[inline(never)]
pub(crate) fn churn() {
    loop {
        black_box(vec![1_u8; 64 * 1024]);
    }
}

/// Recurses until there is no stack, with a call of the host at each level.
pub(crate) fn recurse_through_calls() {
    black_box(deeper_through_calls(0));
}

#[inline(never)]
fn deeper_through_calls(depth: u32) -> u32 {
    sitewright_sdk::prelude::progress("fault", depth, 0);
    if black_box(depth) == u32::MAX {
        0
    } else {
        black_box(deeper_through_calls(depth + 1)) ^ depth
    }
}
