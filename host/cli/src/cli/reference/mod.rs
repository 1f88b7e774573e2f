//! `sitewright reference`: pages of `docs/src/reference/` that are generated from the program, so
//! that they cannot miss a flag or a key. Hidden: it is for those who change the program.

mod commands;
mod configuration;

use super::exit::Exit;
use super::output;

/// Print a page of the documentation's reference as Markdown.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Page to print.
    page: Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Page {
    /// `docs/src/reference/cli.md`, from the definition of the commands.
    Cli,
    /// `docs/src/reference/configuration.md`, from the types of the configuration.
    Configuration,
}

pub(super) fn run(args: Args) -> Exit {
    output::print(&match args.page {
        Page::Cli => commands::page(),
        Page::Configuration => configuration::page(),
    });
    Exit::Done
}

/// Text for a cell of a Markdown table: one line, and `|` and `<` are text.
fn cell(text: &str) -> String {
    let mut code = false;
    let mut cell = String::new();
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        code ^= c == '`';
        match c {
            '|' => cell.push_str("\\|"),
            '<' if !code => cell.push_str("&lt;"),
            '>' if !code => cell.push_str("&gt;"),
            c => cell.push(c),
        }
    }
    cell
}

/// Paragraphs, each wrapped at 100 columns.
fn paragraphs(text: &str) -> String {
    let wrapped = |part: &str| {
        let one = part.split_whitespace().collect::<Vec<_>>().join(" ");
        sitewright_failure::render::paragraph(&one, "", 100)
    };
    let parts = text.split("\n\n").filter(|part| !part.trim().is_empty());
    parts.map(wrapped).collect::<Vec<_>>().join("\n")
}
