//! `sitewright template`: what there is, what it needs, and how one is written.

mod build;
mod dev;
mod inspect;
mod list;
mod new;

use super::output::Exit;
use super::setup::{Setup, SetupError};

/// What can be asked of templates.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the templates of the folder, the broken ones with the reason.
    List,
    /// Tells all about one template: its manifest, its digest, the contract it was built for, the
    /// routes its AI calls need.
    Inspect(inspect::Args),
    /// Begins a template: a small project that builds, runs and is tested as it is.
    New(new::Args),
    /// Builds a template's project and tells what came out.
    Build(build::Args),
    /// Keeps one run against real models as a conformance case.
    Record(super::template_record::Args),
    /// Shows a template's site in a browser while it is written.
    Dev(dev::Args),
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    match command {
        Command::List => list::run(setup, json).await,
        Command::Inspect(args) => inspect::run(setup, args, json).await,
        Command::New(args) => new::run(args, json).await,
        Command::Build(args) => build::run(setup, args, json).await,
        Command::Record(args) => super::template_record::run(setup, args, json).await,
        Command::Dev(args) => dev::run(setup, args, json).await,
    }
}
