//! `sitewright man`: manual pages of the command line. Hidden: release archives have its output.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::json;

use super::exit::Exit;
use super::setup::SetupError;
use super::{Cli, output};
use sitewright_failure::render;
use sitewright_model::build::host_build;
use sitewright_model::message;

/// Write a manual page for each command into a folder.
///
/// A release archive has them in man/man1/.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    sitewright man ~/.local/share/man/man1 && man sitewright-order-add")]
pub(super) struct Args {
    /// The folder; it is created if it does not exist. Pages of earlier versions are replaced.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) async fn run(args: Args, json: bool) -> Result<Exit, SetupError> {
    let shown = args.folder.display().to_string();
    let written = tokio::task::spawn_blocking(move || write_all(&args.folder)).await;
    let names = written.map_err(io::Error::from).flatten().map_err(|error| {
        SetupError::Host(message!(
            "the manual pages cannot be written to {shown}: {error}; name a folder that this user \
             may write"
        ))
    })?;
    if json {
        output::print_json(&json!({ "outcome": "written", "folder": shown, "files": names }));
    } else {
        output::print(&format!(
            "{} manual pages were written to {}\n",
            names.len(),
            render::clean(&shown)
        ));
    }
    Ok(Exit::Done)
}

/// Writes all pages and returns their names, sorted.
fn write_all(folder: &Path) -> io::Result<Vec<String>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    // Gives the subcommands their whole names: `sitewright-order-add`.
    root.build();
    std::fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    write(root, folder, &mut names)?;
    names.sort();
    Ok(names)
}

/// Writes the pages of a command and of all visible commands below it.
fn write(command: Command, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(below.clone(), folder, names)?;
    }
    let (name, page) = page(command)?;
    std::fs::write(folder.join(&name), page)?;
    names.push(name);
    Ok(())
}

/// The file name and the text of a page. The sections are those of [`Man::render`], except for the
/// last one: what stands below the options in `--help` has lines that must not be joined.
fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let notes = command.get_after_help().map(ToString::to_string);
    let has_commands = command.get_subcommands().any(|command| !command.is_hide_set());
    // An empty date would be missing in the heading, and the source would be in its place.
    let man = Man::new(command)
        .date(" ")
        .source(format!("sitewright {}", host_build()))
        .manual("Sitewright");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = notes {
        let mut section = Roff::new();
        section.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.trim_end().lines() {
            section.text([roman(line)]);
        }
        section.control("fi", []);
        section.to_writer(&mut page)?;
    }
    Ok((man.get_filename(), page))
}
