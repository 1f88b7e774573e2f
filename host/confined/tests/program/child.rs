//! A program whose children misbehave, for the tests of this crate.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "tasks that misbehave, and a runtime of its own"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sitewright_confined::{Budget, Confined, serve};

#[path = "../it/tasks.rs"]
mod tasks;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("host") => host(),
        _ => serve(&tasks::ALL),
    }
}

/// Has a job for a child, and is killed before it is done.
#[tokio::main(flavor = "current_thread")]
#[allow(clippy::disallowed_methods, reason = "a program of its own")]
async fn host() -> ExitCode {
    let budget = Budget { cpu: Duration::from_secs(60), memory_bytes: 64 << 20, deadline: None };
    let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
    let confined = Confined::program(Path::new(&program), 1);
    match confined.run(&tasks::SPIN, "lane", Vec::new(), budget).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
