//! `order cancel` and `order retry`.

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::config::Config;
use sitewright_failure::render::clean;
use sitewright_jobs::{CancelAnswer, Database};

pub(super) async fn cancel(
    database: &Database,
    order: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let answer = database.cancel(order).await?;
    let (outcome, says) = match answer {
        CancelAnswer::Cancelled => ("cancelled", "is cancelled".to_owned()),
        CancelAnswer::Stopping => (
            "stopping",
            "is being cancelled; its worker ends the attempt within about a second".to_owned(),
        ),
        CancelAnswer::AlreadyEnded(state) => {
            ("already_ended", format!("has already ended ({state}); nothing was changed"))
        }
    };
    if json {
        let state = database.order(order).await?.state;
        output::print_json(&json!({ "outcome": outcome, "order": order, "state": state }));
    } else {
        output::print(&format!("order {} {says}\n", clean(order)));
    }
    Ok(Exit::Done)
}

pub(super) async fn retry(
    database: &Database,
    config: &Config,
    order: &str,
    json: bool,
) -> Result<Exit, SetupError> {
    let job = database.reopen(order, Some(&config.version)).await?;
    if json {
        output::print_json(&json!({ "outcome": "queued", "order": order, "job": job }));
    } else {
        output::print(&format!("order {} is queued again (job {job})\n", clean(order)));
    }
    Ok(Exit::Done)
}
