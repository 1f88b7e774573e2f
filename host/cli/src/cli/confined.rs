//! Hidden subcommands: children of this program, which work on a stranger's bytes.
//!
//! They are no commands of the command line: they start no runtime, log nothing and read no
//! configuration.

use std::process::ExitCode;

use clap::Parser as _;
use sitewright_confined::{SUBCOMMAND, Task};
use sitewright_runtime::plugin::compile_here;

use super::{Cli, Command};

/// Everything that a child does for its host.
const TASKS: &[&Task] = &[&sitewright_json_schema::TASK];

/// Does the work of a child and returns its exit code; `None` if this process is no child. Call it
/// before the program starts a thread: the child's sandbox is for those that it starts itself.
pub fn child() -> Option<ExitCode> {
    let subcommand = std::env::args_os().nth(1)?;
    if subcommand == SUBCOMMAND {
        return Some(sitewright_confined::serve(TASKS));
    }
    if subcommand == sitewright_runtime::plugin::COMPILE_SUBCOMMAND
        && let Ok(Cli { command: Command::CompileTemplate(args), .. }) = Cli::try_parse()
    {
        return Some(compile_here(&args));
    }
    None
}
