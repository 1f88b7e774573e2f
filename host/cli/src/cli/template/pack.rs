//! `sitewright template pack`: writes the manifest into components that other tools have built.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::build::stated;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_author::build::{Built, FilesRead};
use sitewright_failure::render;

/// Write the manifest of components into their files.
///
/// For components that other tools than `template build` have made: a host then lists them without
/// compiling or running them. Each file is replaced by one that has what `describe` returns in a
/// custom section.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 each file has its manifest
  4 a host does not load one of them; those before it have their manifest

Example:
  sitewright template pack my-template.wasm")]
pub(in crate::cli) struct Args {
    /// Component of a template.
    #[arg(value_name = "FILE.wasm", required = true)]
    files: Vec<PathBuf>,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.author_config()?;
    let loader = Setup::loader(&config, 1)?;
    let (mut told, mut packed) = (String::new(), Vec::new());
    for file in args.files {
        let template = match loader.load(&file).await {
            Ok(template) => template,
            Err(error) => {
                output::print(&told);
                output::refuse(&SetupError::Templates(error.into()), json);
                return Ok(Exit::Template);
            }
        };
        let built = Built {
            file,
            bytes: template.bytes,
            debug: None,
            took: Duration::ZERO,
            read: FilesRead::default(),
        };
        let (built, template) = stated(&config, built, template).await?;
        let manifest = &template.manifest;
        packed.push(json!({
            "name": manifest.name,
            "version": manifest.version,
            "file": built.file,
            "bytes": built.bytes,
            "digest": template.digest(),
        }));
        if !json {
            told.push_str(&format!(
                "{} {}  {} ({})\n",
                manifest.name,
                manifest.version,
                render::clean(&built.file.display().to_string()),
                render::bytes(built.bytes)
            ));
        }
    }
    if json {
        output::print_json(&json!({ "outcome": "packed", "templates": packed }));
    } else {
        output::print(&told);
    }
    Ok(Exit::Done)
}
