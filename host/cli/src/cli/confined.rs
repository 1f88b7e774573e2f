//! Hidden subcommands: children of this program, which work on a stranger's bytes.
//!
//! They are no commands of the command line: they start no runtime, log nothing and read no
//! configuration.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser as _;
use sitewright_confined::{Confined, SUBCOMMAND, Task};
use sitewright_runtime::plugin::{COMPILE_SUBCOMMAND, SYMBOLIZE, compile_here};
use sitewright_site::{IMAGE_CHECK, SITE_CHECK};

use super::{Cli, Command};

/// Everything that a child does for its host.
const TASKS: &[&Task] = &[&SYMBOLIZE, &IMAGE_CHECK, &SITE_CHECK, &sitewright_json_schema::TASK];

/// The children of this process: one for each processor core, at least two, so that one template
/// never has them all.
pub(super) fn children() -> Confined {
    static CHILDREN: OnceLock<Confined> = OnceLock::new();
    CHILDREN
        .get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            Confined::this_program(cores.max(2))
        })
        .clone()
}

/// Does the work of a child and returns its exit code; `None` if this process is no child. Call it
/// before the program starts a thread: the child's sandbox is for those that it starts itself.
pub fn child() -> Option<ExitCode> {
    let subcommand = std::env::args_os().nth(1)?;
    if subcommand == SUBCOMMAND {
        return Some(sitewright_confined::serve(TASKS));
    }
    if subcommand == COMPILE_SUBCOMMAND
        && let Ok(Cli { command: Command::CompileTemplate(args), .. }) = Cli::try_parse()
    {
        return Some(compile_here(&args));
    }
    None
}
