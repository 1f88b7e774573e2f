//! `sitewright template`: templates that are installed, and tools for their authors.

#[cfg(feature = "author")]
mod build;
#[cfg(feature = "author")]
mod dev;
#[cfg(feature = "author")]
mod harness;
mod inspect;
mod list;
#[cfg(feature = "author")]
mod new;
#[cfg(feature = "author")]
mod pack;
#[cfg(feature = "author")]
mod profile;
#[cfg(all(feature = "author", feature = "conformance"))]
mod test;

#[cfg(not(all(feature = "author", feature = "conformance")))]
use super::absent::absent;
#[cfg(not(feature = "author"))]
absent!(build, "author");
#[cfg(not(feature = "author"))]
absent!(dev, "author");
#[cfg(not(feature = "author"))]
absent!(harness, "author");
#[cfg(not(feature = "author"))]
absent!(new, "author");
#[cfg(not(feature = "author"))]
absent!(pack, "author");
#[cfg(not(feature = "author"))]
absent!(profile, "author");
#[cfg(not(all(feature = "author", feature = "conformance")))]
absent!(test, "author,conformance");

use super::exit::Exit;
use super::setup::{Setup, SetupError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the templates of the folder; for a broken one, the reason.
    List,
    Inspect(inspect::Args),
    New(new::Args),
    Build(build::Args),
    Pack(pack::Args),
    Test(test::Args),
    Record(super::template_record::Args),
    Profile(profile::Args),
    Dev(dev::Args),
    #[command(hide = true)]
    Harness(harness::Args),
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    match command {
        Command::List => list::run(setup, json).await,
        Command::Inspect(args) => inspect::run(setup, args, json).await,
        Command::New(args) => new::run(setup, args, json).await,
        Command::Build(args) => build::run(setup, args, json).await,
        Command::Pack(args) => pack::run(setup, args, json).await,
        Command::Test(args) => test::run(setup, args, json).await,
        Command::Record(args) => super::template_record::run(setup, args, json).await,
        Command::Profile(args) => profile::run(setup, args, json).await,
        Command::Dev(args) => dev::run(setup, args, json).await,
        Command::Harness(args) => harness::run(setup, args, json).await,
    }
}
