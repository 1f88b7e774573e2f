//! `order show`: state, attempts, cost and last failure of one order.

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::cli::when;
use crate::config::Config;
use sitewright_control::OrderDetail;
use sitewright_failure::render::{self, clean};
use sitewright_intake::Notice;
use sitewright_jobs::{Attempt, BatchItem, BatchItemState, Callback, Database, OrderState};

const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();

pub(super) async fn run(
    database: &Database,
    config: &Config,
    id: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let detail = OrderDetail::of(database, &config.sites, &config.reading(), id).await?;
    if json {
        output::print_json(&detail);
        return Ok(Exit::Done);
    }
    let mut text = text(&detail, output::width(), output::line_width());
    text.push_str(&notices_text(&detail.warnings, output::width()));
    if !detail.template_warnings.is_empty() {
        text.push_str(&format!("\n  {DIM}template{DIM:#}\n"));
        text.push_str(&output::diagnostics(&detail.template_warnings, "    "));
    }
    if !detail.site_warnings.is_empty() {
        text.push_str(&format!("\n  {DIM}site{DIM:#}\n"));
        text.push_str(&output::site_warnings(&detail.site_warnings, "    "));
    }
    output::print(&text);
    Ok(Exit::Done)
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

/// `width` is that of paragraphs, `line` that of lines that hold one value.
fn text(detail: &OrderDetail, width: usize, line: usize) -> String {
    let OrderDetail {
        order,
        attempts,
        cost,
        batch_items,
        callback,
        limits,
        last_failure,
        record,
        ..
    } = detail;
    let style = output::state_style(order.state);
    let mut text = format!("order {}  {style}{}{style:#}\n", clean(&order.id), order.state);
    if order.state == OrderState::Waiting {
        let reason = order.waiting_reason.as_deref().unwrap_or("no reason was recorded");
        let first = format!("  {DIM}{:<14}{DIM:#} ", "waits because");
        text.push_str(&render::hanging(reason, &first, &" ".repeat(17), line));
    }
    let mut row = |name: &str, value: String| {
        text.push_str(&format!(
            "  {DIM}{name:<14}{DIM:#} {}\n",
            output::one_line(&value, line.saturating_sub(17))
        ));
    };
    if order.state == OrderState::Waiting
        && let Some(due) = order.next_attempt_at
    {
        row("next attempt", when::time_and_distance(due));
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
    if let Some(tenant) = &order.tenant {
        row("tenant", tenant.clone());
    }
    if let Some(Callback { url, created_at, disabled_at }) = callback {
        let since = when::distance(*created_at);
        let disabled = disabled_at
            .map(|at| format!(", disabled {}: it answered 410 Gone", when::distance(at)));
        row("callback", format!("{url} from {since}{}", disabled.unwrap_or_default()));
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
    if order.batch {
        row("batches", batches(batch_items));
    }
    let crashes =
        if order.crashes > 0 { format!(", {} crashes", order.crashes) } else { String::new() };
    row("attempts", format!("{} begun, {} used up{crashes}", order.runs, order.attempts));
    for attempt in attempts {
        text.push_str(&attempt_text(attempt, line));
    }
    for item in batch_items {
        text.push_str(&batch_item_text(item, line));
    }
    if !limits.is_empty() {
        text.push_str(&format!("  {DIM}used{DIM:#}\n{}", render::limits_used(limits, width)));
    }
    if let Some(failure) = last_failure {
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

/// How many AI calls of an order went through batches, or wait for one.
fn batches(items: &[BatchItem]) -> String {
    if items.is_empty() {
        return "no AI call so far".to_owned();
    }
    let count = |states: &[BatchItemState]| {
        items.iter().filter(|item| states.contains(&item.state)).count()
    };
    format!(
        "{} AI calls wait, {} answered, {} made without one",
        count(&[BatchItemState::Open, BatchItemState::Sent]),
        count(&[BatchItemState::Answered, BatchItemState::Used]),
        count(&[BatchItemState::Direct]),
    )
}

/// An AI call that went through a batch, or waits for one; behind it why it has no answer.
fn batch_item_text(item: &BatchItem, width: usize) -> String {
    let state = match item.state {
        BatchItemState::Open => "waits for a batch",
        BatchItemState::Sent => "in a batch",
        BatchItemState::Answered => "answered",
        BatchItemState::Used => "answered by a batch",
        BatchItemState::Direct => "without a batch",
    };
    let mut line = format!(
        "{}  {}  {state}, {} {}",
        item.purpose,
        when::time(item.at),
        item.provider,
        item.model
    );
    if let Some(batch) = &item.batch {
        line.push_str(&format!(" {batch}"));
    }
    let mut text = format!("    {}\n", output::one_line(&line, width.saturating_sub(4)));
    if let Some(reason) = &item.reason {
        text.push_str(&render::paragraph(reason, "       ", width));
    }
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
