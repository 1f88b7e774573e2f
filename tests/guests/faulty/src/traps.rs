//! Traps of the WebAssembly instructions, and runs that a limit ends.

use std::{hint::black_box, num::NonZeroU32};

/// Executes the instruction `unreachable`.
#[inline(never)]
pub(crate) fn unreachable() {
    core::arch::wasm32::unreachable()
}

/// Reads far beyond the end of memory.
#[inline(never)]
pub(crate) fn read_out_of_bounds() {
    let address = black_box(0xffff_fff0_usize) as *const u8;
    // SAFETY: none, on purpose. The sandbox turns this into a trap.
    black_box(unsafe { address.read_volatile() });
}

/// Recurses until the stack is exhausted.
pub(crate) fn overflow_the_stack() {
    black_box(deeper(0));
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    // Opaque on both sides of the call, so that no compiler turns the recursion into a loop.
    if black_box(depth) == u64::MAX { 0 } else { black_box(deeper(depth + 1)) ^ depth }
}

/// Divides by zero without the check that Rust inserts before a division.
#[inline(never)]
pub(crate) fn divide_by_zero() {
    let zero = black_box(0_u32);
    // SAFETY: none, on purpose. Rust does not check a `NonZeroU32` divisor; the sandbox turns the
    // division into a trap.
    let divisor: NonZeroU32 = unsafe { (&raw const zero).cast::<NonZeroU32>().read() };
    black_box(black_box(1_u32) / divisor);
}

/// Loops forever without a host call.
#[inline(never)]
pub(crate) fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Allocates and fills `mebibytes` blocks of 1 MiB, or blocks without end if `None`.
#[inline(never)]
pub(crate) fn use_memory(mebibytes: Option<u32>) {
    let mut hoard = Vec::new();
    let mut left = mebibytes;
    while left != Some(0) {
        hoard.push(black_box(vec![1_u8; 1024 * 1024]));
        left = left.map(|left| left - 1);
    }
}

/// Allocates and frees 64 KiB in an endless loop.
#[inline(never)]
pub(crate) fn churn() {
    loop {
        black_box(vec![1_u8; 64 * 1024]);
    }
}

/// Recurses until the stack is exhausted, with a host call at each level.
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
