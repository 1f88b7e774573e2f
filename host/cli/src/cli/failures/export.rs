//! `sitewright failures export`: one file with all that a template's author needs.

use std::path::PathBuf;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::replay;
use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_failure::render;
use sitewright_model::message;
use sitewright_replay::{ExportOptions, RecordedEnd, Scratch};

/// Export one failure with everything that a replay needs into one file (tar).
///
/// Contains the failure record, the order, AI replies, limits and the template; never API keys.
/// `sitewright replay` accepts it on any machine.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Failure, attempt or order, as for `sitewright replay`.
    #[arg(value_name = "FAILURE|ATTEMPT|ORDER")]
    what: String,
    /// Replace texts of the customer and of AI replies by placeholders of the same shape.
    #[arg(long)]
    scrub: bool,
    /// Write to this file [default: `failure-<id>.tar`].
    #[arg(short, long, value_name = "FILE.tar")]
    output: Option<PathBuf>,
    /// Include this template instead of the one with the recorded digest.
    #[arg(long, value_name = "FILE.wasm", conflicts_with = "no_template")]
    template: Option<PathBuf>,
    /// Include no template.
    #[arg(long)]
    no_template: bool,
}

pub(super) async fn run(config: &Config, args: Args, json: bool) -> Result<Exit, SetupError> {
    // The keys are read so that they can be removed; a missing key must not prevent the export.
    if let Err(error) = Setup::gateway(config) {
        tracing::debug!(%error, "the configuration's AI part cannot be used");
    }
    let unpacked = Scratch::create().await.map_err(SetupError::Host)?;
    let subject = replay::subject(config, &args.what, unpacked.path()).await?;
    let id = match &subject.ended {
        RecordedEnd::Failed(record) => record.id.clone(),
        RecordedEnd::Released(_) | RecordedEnd::Unknown => subject.attempt.to_string(),
    };
    let to = args.output.unwrap_or_else(|| PathBuf::from(format!("failure-{id}.tar")));
    let config = config.clone();
    let exported = tokio::task::spawn_blocking(move || {
        let options = ExportOptions {
            scrub: args.scrub,
            without_template: args.no_template,
            template: args.template,
            ..ExportOptions::new()
        };
        sitewright_replay::export(&subject, &config.for_replay(), &options, &to)
            .map_err(|error| SetupError::Usage(message!("nothing was exported: {error}")))
    });
    let exported = exported
        .await
        .map_err(|error| SetupError::Host(message!("the export did not end: {error}")))??;
    if json {
        output::print_json(&exported);
    } else {
        let size = render::bytes(exported.bytes);
        let texts = if exported.scrubbed {
            "texts are placeholders"
        } else {
            "holds what the customer wrote"
        };
        let mut text = format!("{} ({size}, {texts})\n", exported.file.display());
        for missing in &exported.missing {
            text.push_str(&render::paragraph(&format!("! {missing}"), "  ", output::width()));
        }
        text.push_str(&format!("  sitewright replay {}\n", exported.file.display()));
        output::print(&text);
    }
    Ok(Exit::Done)
}
