//! The crate through its public API: paths, staging, verification, releases, stores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper functions fail the test"
)]

mod contrast;
mod images;
mod layout;
mod linear;
mod path;
mod release;
mod s3_server;
mod staging;
mod store;
mod support;
mod unused;
mod verify;
