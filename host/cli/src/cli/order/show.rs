//! `order show`: state, attempts, cost and last failure of one order.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::when;
use crate::config::Config;
use sitewright_failure::render::{self, clean};
use sitewright_failure::store;
use sitewright_intake::Notice;
use sitewright_jobs::{Attempt, Cost, Database, Failure, Order, OrderState};
use sitewright_model::Measure;
use sitewright_model::failure::FailureRecord;
use sitewright_model::message;
use sitewright_site::{Manifest, OrderDir, SitesRoot, list_releases};

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

pub(super) async fn run(
    database: &Database,
    config: &Config,
    id: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let order = database.order(id).await?;
    let notices = notices(database, config, id).await?;
    let attempts = database.attempts(id).await?;
    let cost = database.cost(id).await?;
    let failure = match &order.last_failure {
        Some(failure) => database.failure(failure).await?,
        None => None,
    };
    let record = failure.as_ref().and_then(|failure| {
        let from = Path::new(&failure.id);
        store::parse(failure.record.clone(), from)
            .map_err(|error| tracing::warn!(order = order.id, %error, "the failure record cannot be read"))
            .ok()
    });
    // Usage of the last attempt: from its failure record, or from the release's manifest if the
    // sites are on this machine.
    let manifest = match &order.current_release {
        Some(release) => manifest(config, &order.id, release).await,
        None => None,
    };
    let limits = match (&record, &manifest) {
        (_, Some(manifest)) if order.state == OrderState::Succeeded => used(manifest),
        (Some(record), _) => record.limits.clone(),
        _ => BTreeMap::new(),
    };
    let (site_warnings, reported) =
        manifest.map(|manifest| (manifest.warnings, manifest.diagnostics)).unwrap_or_default();
    if json {
        let failure = failure.map(|failure| {
            json!({ "id": failure.id, "kind": failure.kind, "message": failure.message, "at": failure.at, "attempt": failure.attempt })
        });
        output::print_json(
            &json!({ "order": order, "attempts": attempts, "cost": cost, "last_failure": failure, "limits": limits, "warnings": notices, "site_warnings": site_warnings, "template_warnings": reported }),
        );
    } else {
        let failure = failure.as_ref().map(|failure| (failure, record.as_ref()));
        let mut text = text(&order, &attempts, &cost, failure, &limits, output::width());
        text.push_str(&notices_text(&notices, output::width()));
        if !reported.is_empty() {
            text.push_str(&format!("\n  {DIM}template{DIM:#}\n"));
            text.push_str(&output::diagnostics(&reported, "    "));
        }
        if !site_warnings.is_empty() {
            text.push_str(&format!("\n  {DIM}site{DIM:#}\n"));
            text.push_str(&output::site_warnings(&site_warnings, "    "));
        }
        output::print(&text);
    }
    Ok(Exit::Done)
}

/// What was left out of the order's document or read for what it means.
async fn notices(
    database: &Database,
    config: &Config,
    id: &str,
) -> Result<Vec<Notice>, SetupError> {
    let document = database.document(id).await?;
    let (max_bytes, locale) = (config.limits.order_max_bytes(), config.default_locale.clone());
    let read = tokio::task::spawn_blocking(move || {
        sitewright_intake::load(document.as_bytes(), max_bytes, &locale)
    });
    let read = read
        .await
        .map_err(|error| SetupError::Host(message!("reading an order failed: {error}")))?;
    // The failure of an order that cannot be read says why.
    Ok(read.map(|order| order.order().notices.clone()).unwrap_or_default())
}

fn notices_text(notices: &[Notice], width: usize) -> String {
    if notices.is_empty() {
        return String::new();
    }
    let mut text = format!("\n  {DIM}document{DIM:#}\n");
    for notice in notices {
        let sign = if notice.is_warning() { "!" } else { "·" };
        text.push_str(&render::paragraph(&format!("{sign} {notice}"), "    ", width));
    }
    text
}

/// Usage of the run that made a release.
fn used(manifest: &Manifest) -> BTreeMap<String, Measure> {
    serde_json::from_value(manifest.usage["limits"].clone()).unwrap_or_default()
}

/// The manifest of a release. `None` if the release is not in `sites` of this machine.
async fn manifest(config: &Config, order: &str, release: &str) -> Option<Manifest> {
    let (sites, order, id) = (config.sites.clone(), order.to_owned(), release.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        // Read only: `SitesRoot::open` would create the folder.
        let root = sites.is_dir().then(|| SitesRoot::open(&sites).ok()).flatten()?;
        let releases = list_releases(&root, &OrderDir::new(&order).ok()?).ok()?;
        releases.into_iter().find(|release| release.id.to_string() == id)?.manifest.ok()
    });
    found.await.ok().flatten()
}

fn text(
    order: &Order,
    attempts: &[Attempt],
    cost: &Cost,
    failure: Option<(&Failure, Option<&FailureRecord>)>,
    limits: &BTreeMap<String, Measure>,
    width: usize,
) -> String {
    let style = output::state_style(order.state);
    let mut text = format!("order {}  {style}{}{style:#}\n", clean(&order.id), order.state);
    let mut row = |name: &str, value: String| {
        text.push_str(&format!(
            "  {DIM}{name:<14}{DIM:#} {}\n",
            output::one_line(&value, width.saturating_sub(17))
        ));
    };
    if order.state == OrderState::Waiting {
        row(
            "waits because",
            order.waiting_reason.clone().unwrap_or_else(|| "no reason was recorded".to_owned()),
        );
        if let Some(due) = order.next_attempt_at {
            row("next attempt", when::time_and_distance(due));
        }
    }
    if let Some(worker) = &order.owner_worker {
        row("worker", worker.clone());
    }
    if let Some(asked) = order.cancel_requested_at {
        row("asked to stop", when::time_and_distance(asked));
    }
    row("template", order.template.clone());
    if order.revision > 1 {
        row("revision", order.revision.to_string());
    }
    row("priority", i64::from(order.priority).to_string());
    row(
        "configuration",
        order.config_version.clone().unwrap_or_else(|| "of the worker that claims it".to_owned()),
    );
    if let Some(key) = &order.idempotency_key {
        row("key", key.clone());
    }
    if let Some(job) = order.job_id {
        row("job", job.to_string());
    }
    row("came", when::time_and_distance(order.created_at));
    if let Some(ended) = order.finished_at {
        row("ended", when::time_and_distance(ended));
    }
    row("release", order.current_release.clone().unwrap_or_else(|| "none yet".to_owned()));
    row("AI", output::cost(cost));
    let crashes =
        if order.crashes > 0 { format!(", {} crashes", order.crashes) } else { String::new() };
    row("attempts", format!("{} begun, {} used up{crashes}", order.runs, order.attempts));
    for attempt in attempts {
        text.push_str(&attempt_text(attempt, width));
    }
    if !limits.is_empty() {
        text.push_str(&format!("  {DIM}used{DIM:#}\n{}", render::limits_used(limits, width)));
    }
    if let Some((failure, record)) = failure {
        text.push_str(&format!(
            "\n  last failure  {BAD}{}{BAD:#}  {DIM}{}{DIM:#}\n",
            clean(&failure.kind),
            when::time_and_distance(failure.at)
        ));
        match record {
            Some(record) => text.push_str(&render::in_brief(record, width)),
            None => text.push_str(&render::paragraph(&failure.message, "    ", width)),
        }
        text.push_str(&format!("    sitewright failures show {}\n", clean(&failure.id)));
    }
    let next = match order.state {
        OrderState::Failed | OrderState::Dead | OrderState::Cancelled => "order retry",
        OrderState::Running => "order events --follow",
        OrderState::Queued | OrderState::Waiting | OrderState::Succeeded => return text,
    };
    text.push_str(&format!("    sitewright {next} {}\n", clean(&order.id)));
    text
}

/// Two lines: time, worker and outcome; then its result.
fn attempt_text(attempt: &Attempt, width: usize) -> String {
    let ended = match (attempt.outcome, attempt.ended_at) {
        (Some(outcome), Some(ended)) => {
            format!("{outcome} after {}", when::span(ended.saturating_sub(attempt.started_at)))
        }
        (Some(outcome), None) => outcome.to_string(),
        (None, _) => "running".to_owned(),
    };
    let stage =
        attempt.last_stage.as_deref().map(|stage| format!(" in stage {stage}")).unwrap_or_default();
    let lost = match attempt.lease_lost_at {
        Some(at) => {
            format!(
                "; returned {} after another worker had claimed the order, and changed nothing",
                when::time(at)
            )
        }
        None => String::new(),
    };
    let first =
        format!("{}  {}  {ended}{stage}{lost}", attempt.number, when::time(attempt.started_at));
    let mut left = format!("{} at {}", attempt.id, attempt.worker);
    if let Some(release) = &attempt.release {
        left.push_str(&format!(", release {release}"));
    }
    if let Some(failure) = &attempt.failure {
        left.push_str(&format!(", failure {failure}"));
    }
    format!(
        "    {}\n       {DIM}{}{DIM:#}\n",
        output::one_line(&first, width.saturating_sub(4)),
        output::one_line(&left, width.saturating_sub(7))
    )
}
