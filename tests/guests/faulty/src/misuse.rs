//! What compiled code refuses, and calls that no language lets one write without asking.

use std::{fmt, hint::black_box, mem::transmute};

use sitewright_sdk::prelude::*;

/// The least number divided by minus one, without the checks that Rust puts before a division.
#[inline(never)]
pub(crate) fn overflow() {
    let (least, minus_one) = (black_box(i32::MIN), black_box(-1_i32));
    // SAFETY: none, on purpose. The compiler is told what is not so, and the sandbox turns the
    // division into a trap.
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

/// Calls a function as if it took nothing.
#[inline(never)]
pub(crate) fn call_wrongly() {
    let function = black_box(of_three as fn(u64, u64, u64) -> u64);
    // SAFETY: none, on purpose. The sandbox checks the type of what is called through a pointer.
    let wrong: fn() = unsafe { transmute(function) };
    black_box(wrong)();
}

/// Hands the host a text that is none.
#[inline(never)]
pub(crate) fn call_badly() {
    // SAFETY: none, on purpose. The host checks every text that it is given.
    log::info(unsafe { String::from_utf8_unchecked(black_box(vec![0xff, 0xfe])) });
}

/// Panics after it has waited for a model.
pub(crate) async fn panic_after_a_call() -> Result<()> {
    let text = ai::ask("copywriting").user("before the panic").text().await?;
    panic!("a panic after the reply {text:?}")
}

/// A value that cannot be shown.
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a panic while panicking")
    }
}

/// Panics, and again while the first panic is told.
pub(crate) fn panic_twice() {
    panic!("a panic that tells of {}", Unspeakable)
}
