//! `sitewright completions`: completions of the command line for a shell. Hidden: an operator calls
//! it once, and release archives have its output.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::exit::Exit;
use super::setup::SetupError;
use super::{Cli, output};
use sitewright_model::build::host_build;
use sitewright_model::message;

/// Print the completions of a shell.
///
/// A release archive has those of bash, zsh and fish in completions/.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sitewright completions bash > ~/.local/share/bash-completion/completions/sitewright\n  \
    sitewright completions zsh > ~/.zfunc/_sitewright     (a folder of fpath)\n  \
    sitewright completions fish > ~/.config/fish/completions/sitewright.fish")]
pub(super) struct Args {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: Args) -> Result<Exit, SetupError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "sitewright", &mut script);
    let script = String::from_utf8(script).map_err(|error| {
        SetupError::Host(message!("the completions of {} are not text: {error}", args.shell))
    })?;
    output::print(&script);
    Ok(Exit::Done)
}

/// The command line without its hidden commands, which clap_complete would offer.
fn visible() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("sitewright")
        .version(host_build())
        .args(whole.get_arguments().cloned())
        .subcommands(shown)
}
