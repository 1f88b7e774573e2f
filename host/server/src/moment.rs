//! Times as clients write them, the same in every query and body.

use serde::Deserialize;
use sitewright_jobs::MAX_DUE_MS;
use sitewright_model::time::{WrittenTime, ceil_ms, floor_ms, now_ms};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem::{Problem, ProblemKind};

/// A time before now (`90s`, `30m`, `2h`, `7d`, `2w`), a day (`2026-11-23`), a time
/// (`2026-11-23T08:00:00Z`), or milliseconds since the Unix epoch.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(
    untagged,
    expecting = "a time must be a text like `7d` or `2026-11-23T08:00:00Z`, or milliseconds since \
                 the Unix epoch"
)]
pub(crate) enum Moment {
    Ms(i64),
    Text(String),
}

impl Moment {
    /// Milliseconds since the Unix epoch. `name` is what the request calls it.
    pub(crate) fn read(&self, name: &str) -> Result<i64, Problem> {
        match self {
            Moment::Ms(ms) => Ok(*ms),
            Moment::Text(text) => moment(name, text),
        }
    }
}

/// The time that a parameter with this name says, in milliseconds since the Unix epoch.
pub(crate) fn moment(name: &str, text: &str) -> Result<i64, Problem> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    match WrittenTime::parse(text) {
        Some(WrittenTime::At(time)) => Ok(floor_ms(time)),
        Some(WrittenTime::Span(ms)) => Ok(now_ms().saturating_sub(ms)),
        None => {
            let detail = format!(
                "`{name}` is {text:?}; write 30m, 2h, 7d, 2026-11-23, 2026-11-23T08:00:00Z, or \
                 milliseconds since the Unix epoch"
            );
            Err(Problem::new(ProblemKind::BadRequest, detail))
        }
    }
}

/// The time before which an order must not begin, in milliseconds since the Unix epoch.
pub(crate) fn due(text: &str) -> Result<i64, Problem> {
    let wrong = |why: String| Problem::new(ProblemKind::OrderRefused, format!("`due` is {why}"));
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        wrong(format!("{text:?}, which is no time with a zone; write 2026-12-24T08:00:00Z"))
    })?;
    let at = ceil_ms(time);
    if at > now_ms().saturating_add(MAX_DUE_MS) {
        return Err(wrong(format!("{text:?}, which is more than five years ahead")));
    }
    Ok(at)
}
