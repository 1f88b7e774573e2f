//! Reloads new and changed templates without a restart. Running orders keep the version they
//! started with; a file that cannot be loaded leaves the old template in place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::holds::Holds;
use sitewright_ai::Gateway;
use sitewright_model::message::causes_of;
use sitewright_runtime::plugin::{Catalogue, Change, Template};

/// Minimum time between two scans because an order came whose template is missing.
const SCAN_FOR_MISSING_EVERY: Duration = Duration::from_secs(1);

/// Scans the templates folder every `every`, at once on SIGHUP, and soon when an order comes whose
/// template is missing, until `stop`. On SIGHUP the keys of providers are read again too.
pub(super) async fn watch_templates(
    gateway: Arc<Gateway>,
    catalogue: Catalogue,
    holds: Arc<Holds>,
    every: Duration,
    stop: CancellationToken,
) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "cannot handle SIGHUP; changed templates are found by the periodic scan");
            None
        }
    };
    let mut refused = Vec::new();
    let mut scanned = Instant::now();
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let by_signal = tokio::select! {
            () = stop.cancelled() => return,
            _ = asked => true,
            () = tokio::time::sleep(every) => false,
            () = async {
                holds.until_template_is_missing().await;
                tokio::time::sleep_until(scanned + SCAN_FOR_MISSING_EVERY).await;
            } => false,
        };
        scanned = Instant::now();
        if by_signal {
            // Log everything again for the operator who asked.
            refused.clear();
            catalogue.forget_refused();
            gateway.read_keys_again();
            tracing::info!("SIGHUP: the templates folder is scanned, and keys are read again");
        }
        match catalogue.refresh().await {
            Ok(changes) => log_changes(&changes, &mut refused, &gateway),
            Err(error) => tracing::error!("{error}; the templates that were loaded are served"),
        }
    }
}

/// Logs what has changed. A file that is refused again for the same reason is logged once.
pub(super) fn log_changes(changes: &[Change], refused: &mut Vec<String>, gateway: &Gateway) {
    let mut still = Vec::new();
    for change in changes {
        if let Change::Added(new) | Change::Replaced { new, .. } = change {
            log_missing_routes(new, gateway);
        }
        match change {
            Change::Added(new) => {
                tracing::info!(
                    template = new.manifest.name,
                    version = new.manifest.version,
                    digest = new.digest(),
                    "a template is served"
                );
            }
            Change::Replaced { old, new } => tracing::info!(
                template = new.manifest.name,
                from = old.manifest.version,
                to = new.manifest.version,
                digest = new.digest(),
                "a template was replaced; running orders keep the old one"
            ),
            Change::Removed(old) => {
                tracing::warn!(template = old.manifest.name, file = %old.path.display(), "a template's file is gone: its orders wait for a worker that has it, or for the file");
            }
            Change::Refused { name, error, kept } => {
                let causes: Vec<String> =
                    causes_of(error).iter().map(ToString::to_string).collect();
                let text = format!("{name}: {error}: {}", causes.join(": "));
                if !refused.contains(&text) {
                    let kept = kept.as_ref().map(|kept| kept.manifest.version.clone());
                    tracing::error!(
                        file = name,
                        kept,
                        "a template is refused: {error}: {}",
                        causes.join(": ")
                    );
                }
                still.push(text);
            }
        }
    }
    *refused = still;
}

/// Logs purposes without a route when the template is loaded, before its first order fails (failure
/// catalogue E3).
fn log_missing_routes(template: &Template, gateway: &Gateway) {
    let purposes = template.manifest.ai_purposes.iter().map(|purpose| purpose.name.as_str());
    for purpose in gateway.purposes_without_route(purposes) {
        tracing::error!(
            template = template.manifest.name,
            purpose,
            "no route serves a purpose of this template, so its orders will wait: add \
             [ai.routes.{purpose}] or [ai.routes.default]"
        );
    }
}
