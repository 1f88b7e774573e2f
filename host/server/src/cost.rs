//! `/v1/cost`: what AI calls cost, by day, provider, model, purpose, template and tenant; how long
//! they took, and how attempts at them failed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use sitewright_jobs::CostBy;
use sitewright_model::time::now_ms;
use strum::VariantArray as _;

use super::answers::CostList;
use super::app::App;
use super::extract::{Parameters, answer};
use super::moment::moment;
use super::problem::{Problem, ProblemKind};
use super::tenancy::Tenant;

const DAY_MS: i64 = 24 * 3_600_000;
/// Days that are added up if nothing is said, today included.
const DAYS: i64 = 30;
/// Days that are added up at most.
const MAX_DAYS: i64 = 366;

/// The parameters of `GET /v1/cost`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Calls from this time on: a time before now (90s, 30m, 2h, 7d, 2w), a day (2026-11-23), a
    /// time (2026-11-23T08:00:00Z), or milliseconds since the Unix epoch. Default: 29 days before
    /// the beginning of this day in UTC. At most 366 days before `until`.
    since: Option<String>,
    /// Calls before this time, written like `since`. Default: now.
    until: Option<String>,
    /// What to add up by: `day`, `provider`, `model`, `purpose`, `template`, `tenant`, with commas
    /// between them. Default: `day`.
    by: Option<String>,
}

/// `GET /v1/cost`.
pub(crate) async fn list(
    State(app): State<App>,
    tenant: Tenant,
    Parameters(List { since, until, by }): Parameters<List>,
) -> Result<Response, Problem> {
    let wrong = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let now = now_ms();
    let since = since.map(|since| moment("since", &since)).transpose()?;
    let until = until.map(|until| moment("until", &until)).transpose()?;
    let until = until.unwrap_or(now.saturating_add(1));
    let since = since.unwrap_or_else(|| (now.div_euclid(DAY_MS) - (DAYS - 1)) * DAY_MS);
    let days = until.saturating_sub(since);
    if !(0..=MAX_DAYS * DAY_MS).contains(&days) {
        let detail = format!(
            "`since` is {since} and `until` is {until}: `since` must be the earlier one, and at \
             most {MAX_DAYS} days before"
        );
        return Err(wrong(detail));
    }
    let by = match by.as_deref() {
        None => vec![CostBy::Day],
        Some("") => Vec::new(),
        Some(names) => {
            let read = |name: &str| {
                name.parse::<CostBy>().map_err(|_| {
                    let known: Vec<String> =
                        CostBy::VARIANTS.iter().map(ToString::to_string).collect();
                    wrong(format!("`by` has {name:?}, and can have {}", known.join(", ")))
                })
            };
            names.split(',').map(read).collect::<Result<_, _>>()?
        }
    };
    let tenant = tenant.as_deref();
    let (rows, total) = app.database.costs(since, until, &by, tenant).await?;
    let latencies = app.database.ai_latencies(since, until, tenant).await?;
    let errors = match tenant {
        Some(_) => None,
        None => Some(app.database.ai_errors(since, until).await?),
    };
    let cache = app.database.cache_hits(since, until, tenant).await?;
    let list = CostList { since, until, total, rows, latencies, errors, cache };
    Ok(answer(StatusCode::OK, &list))
}
