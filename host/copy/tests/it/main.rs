//! The crate through its public API: the corpus, the scripted replies, properties of any text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's helper functions fail the test and print its tables"
)]

mod corpus;
mod properties;
mod scripted;
