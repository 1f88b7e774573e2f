//! One round of `dev`: build if needed, run the order, read the site.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::server::ServedSite;
use super::{AiSource, Board, Dev, Failed, Notes, Took};
use crate::build::{Built, Listener};
use sitewright_ai::{AiConfig, FileJournal, Gateway, RunJournal};
use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Services, attempt,
};

/// What a round is made of.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The order document.
    pub(super) order: &'a Path,
    /// Whether the template's source has changed.
    pub(super) changed: bool,
    /// Receives the template's schema of orders.
    pub(super) board: &'a Board,
}

/// Builds if the source changed or no build succeeded yet, runs the order, and reads the site.
pub(super) async fn round(
    dev: &Dev,
    sources: Sources<'_>,
    built: &mut Option<Built>,
    saved: Instant,
    tool: Listener<'_>,
) -> (Result<ServedSite, Failed>, Took) {
    let mut took = Took::default();
    let end = stages(dev, sources, built, tool, &mut took).await;
    took.total = saved.elapsed();
    (end, took)
}

async fn stages(
    dev: &Dev,
    sources: Sources<'_>,
    built: &mut Option<Built>,
    tool: Listener<'_>,
    took: &mut Took,
) -> Result<ServedSite, Failed> {
    let Sources { order, changed, board } = sources;
    let component = match built.as_ref().filter(|_| !changed) {
        Some(built) => built.file.clone(),
        None => {
            *built = None;
            let new = dev.builder.build(Some(tool)).await.map_err(Failed::Build)?;
            took.build = Some(new.took);
            built.insert(new).file.clone()
        }
    };
    let document = tokio::fs::read(order).await.map_err(|error| {
        Failed::Before(message!("the order {} cannot be read (--order): {error}", order.display()))
    })?;
    let (gateway, journal) = answers(dev).await.map_err(Failed::Before)?;
    let host = Services { gateway: Arc::new(gateway), ..dev.host.clone() };
    let template = component.to_string_lossy().into_owned();
    let start = Instant::now();
    // Loaded here to measure it, and for its schema: the attempt reports a load error, with its
    // context.
    let loaded = host.catalogue.load(&template).await;
    took.load = start.elapsed();
    if let Ok(template) = &loaded {
        board.set_schema(template.manifest.order_schema_text.clone());
        if let Some(new) = built.take_if(|_| took.build.is_some()) {
            let stated = new.with_manifest_of(template, &host.limits).await;
            let (stated, bytes) = stated.map_err(Failed::Before)?;
            host.catalogue.keep(template, &bytes).await;
            *built = Some(stated);
        }
    }
    drop(loaded);
    let start = Instant::now();
    let request = AttemptRequest {
        document,
        template,
        id: AttemptId::new(),
        job: None,
        revision: None,
        journal,
        publication: Publication::Publish,
        cancel: CancellationToken::new(),
        progress: watch::Sender::new(RunProgress::default()),
    };
    let site = match attempt(&host, request).await {
        Outcome::Released(released) => {
            let notes = Notes {
                diagnostics: released.diagnostics,
                warnings: released.release.manifest.warnings.clone(),
                printed: released.printed,
            };
            ServedSite::read(released.release, notes).await.map_err(Failed::Before)
        }
        Outcome::Failed { record, .. } => Err(Failed::Attempt(record)),
    };
    took.run = start.elapsed();
    site
}

/// The gateway and journal of this round. A script is read again and starts with its first rule.
async fn answers(dev: &Dev) -> Result<(Gateway, JournalUse), Message> {
    let (ai, base, journal) = match &dev.ai {
        AiSource::Script(path) => (scripted(path)?, PathBuf::new(), None),
        AiSource::Recorded { ai, base, journal } => {
            (ai.as_ref().clone(), base.clone(), Some(journal.clone()))
        }
    };
    let client = dev.client.clone();
    let work = move || {
        let gateway =
            Gateway::new(&ai, &base, client, &|name| std::env::var_os(name)).map_err(|error| {
                let causes: Vec<String> =
                    causes_of(&error).iter().map(ToString::to_string).collect();
                message!("the AI routes cannot be set up: {error} {}", causes.join(": "))
            })?;
        let journal = match journal {
            None => JournalUse::Off,
            Some(file) => {
                JournalUse::Of(Arc::new(RunJournal::new(Arc::new(FileJournal::open(file, None)?))))
            }
        };
        Ok((gateway, journal))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| message!("setting up the AI routes failed: {error}"))?
}

/// A configuration in which one script answers every purpose.
fn scripted(rules: &Path) -> Result<AiConfig, Message> {
    let ai = json!({
        "providers": { "scripted": { "kind": "scripted", "rules": rules } },
        "routes": { "default": { "try": [{ "provider": "scripted" }] } },
    });
    serde_json::from_value(ai)
        .map_err(|error| message!("the script {} cannot be used (--ai): {error}", rules.display()))
}
