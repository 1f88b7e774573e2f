//! What was refused, in the audit log: each request at first, and only their number if somebody
//! sends many. What was done is always written.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_jobs::NewAuditEntry;

use super::access::{self, Actor, Subject};
use super::app::App;

/// Refused requests of one actor that are written, within [`WINDOW`].
const WRITTEN: u32 = 60;
/// For how long they are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of actors that are counted at the same time; the others are one.
const MAX_ACTORS: usize = 1_000;
/// What the entry is called that says how many more there were.
const MORE: &str = "requests.refused";

/// The refused requests of the last minute, by who sent them.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: Mutex<HashMap<String, u32>>,
}

impl Refusals {
    /// Counts one. Whom it is counted for, and the number of those before it within the window.
    fn count(&self, actor: String) -> (String, u32) {
        let mut counts = self.counts.lock();
        let is_known = counts.len() < MAX_ACTORS || counts.contains_key(&actor);
        let actor = if is_known { actor } else { String::new() };
        let count = counts.entry(actor.clone()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        (actor, before)
    }
}

/// Writes to the audit log what somebody did or was refused.
pub(crate) async fn record(app: &App, actor: &Actor, action: &str, subject: Subject, status: u16) {
    if !is_refusal(status) {
        return access::record(&app.database, actor, action, subject, status).await;
    }
    let (target, client) = subject;
    record_refusal(app, access::entry(actor, action, target, status, client)).await;
}

/// Writes to the audit log that somebody who is not known was refused.
pub(crate) async fn record_unknown(app: &App, action: &str, subject: Subject, status: u16) {
    let (target, client) = subject;
    let (actor, action) = ("unknown".to_owned(), action.to_owned());
    let entry = NewAuditEntry { token: None, actor, action, target, status, client };
    record_refusal(app, entry).await;
}

fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status)
}

async fn record_refusal(app: &App, entry: NewAuditEntry) {
    let actor = entry.token.clone().unwrap_or_else(|| entry.actor.clone());
    let (actor, before) = app.refusals.count(actor);
    if before == 0 {
        // From now on for as long as a window lasts.
        app.actions.spawn(report(app.clone(), actor, entry.clone()));
    }
    if before < WRITTEN {
        access::write(&app.database, entry).await;
    }
}

/// Writes at the end of the window how many there were more.
async fn report(app: App, actor: String, first: NewAuditEntry) {
    // A server that stops writes it now.
    app.stop.run_until_cancelled(tokio::time::sleep(WINDOW)).await;
    let count = app.refusals.counts.lock().remove(&actor).unwrap_or_default();
    if count > WRITTEN {
        let target = Some(format!("{} more within a minute", count - WRITTEN));
        let entry = NewAuditEntry { action: MORE.to_owned(), target, ..first };
        access::write(&app.database, entry).await;
    }
}
