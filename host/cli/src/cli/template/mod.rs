//! `sitewright template`: templates that are installed, and tools for their authors.

#[cfg(feature = "author")]
mod build;
#[cfg(feature = "author")]
mod dev;
mod inspect;
mod list;
#[cfg(feature = "author")]
mod new;

#[cfg(not(feature = "author"))]
use super::absent::absent;
#[cfg(not(feature = "author"))]
absent!(build, "author");
#[cfg(not(feature = "author"))]
absent!(dev, "author");
#[cfg(not(feature = "author"))]
absent!(new, "author");

use super::exit::Exit;
use super::setup::{Setup, SetupError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the templates of the folder; for a broken one, the reason.
    List,
    Inspect(inspect::Args),
    New(new::Args),
    Build(build::Args),
    Record(super::template_record::Args),
    Dev(dev::Args),
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    match command {
        Command::List => list::run(setup, json).await,
        Command::Inspect(args) => inspect::run(setup, args, json).await,
        Command::New(args) => new::run(setup, args, json).await,
        Command::Build(args) => build::run(setup, args, json).await,
        Command::Record(args) => super::template_record::run(setup, args, json).await,
        Command::Dev(args) => dev::run(setup, args, json).await,
    }
}
