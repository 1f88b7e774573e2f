//! Traps and panics that need unsafe code or a particular state to reach.

use std::{fmt, hint::black_box, mem::transmute};

use sitewright_sdk::prelude::*;

/// Divides `i32::MIN` by -1 without the checks that Rust inserts before a division.
#[inline(never)]
pub(crate) fn overflow() {
    let (least, minus_one) = (black_box(i32::MIN), black_box(-1_i32));
    // SAFETY: none, on purpose. The second assertion is false; the sandbox turns the division into
    // a trap.
    unsafe {
        std::hint::assert_unchecked(minus_one != 0);
        std::hint::assert_unchecked(least != i32::MIN);
    }
    black_box(least / minus_one);
}

#[inline(never)]
fn of_three(a: u64, b: u64, c: u64) -> u64 {
    black_box(a + b + c)
}

/// Calls a function through a pointer with the wrong signature.
#[inline(never)]
pub(crate) fn call_wrongly() {
    let function = black_box(of_three as fn(u64, u64, u64) -> u64);
    // SAFETY: none, on purpose. The sandbox checks the signature at an indirect call.
    let wrong: fn() = unsafe { transmute(function) };
    black_box(wrong)();
}

/// Passes the host a string that is not UTF-8.
#[inline(never)]
pub(crate) fn call_badly() {
    // SAFETY: none, on purpose. The host validates every string.
    log::info(unsafe { String::from_utf8_unchecked(black_box(vec![0xff, 0xfe])) });
}

/// Panics after an AI call.
pub(crate) async fn panic_after_a_call() -> Result<()> {
    let text = ai::ask("copywriting").user("before the panic").text().await?;
    panic!("a panic after the reply {text:?}")
}

/// A value whose `Display` panics.
struct PanicOnDisplay;

impl fmt::Display for PanicOnDisplay {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a panic while panicking")
    }
}

/// Panics again while the message of the first panic is formatted.
pub(crate) fn panic_twice() {
    panic!("a panic that tells of {}", PanicOnDisplay)
}
