//! A program whose children misbehave, for the tests of this crate.

use std::process::ExitCode;

use sitewright_confined::serve;

#[path = "../it/tasks.rs"]
mod tasks;

fn main() -> ExitCode {
    serve(&tasks::ALL)
}
