//! The audit log has what the command line does to orders and the queue, as it has what the HTTP
//! API does.

use super::setup::SetupError;
use sitewright_jobs::{Database, NewAuditEntry};

/// Writes to the audit log what was done.
///
/// # Errors
/// If the database fails. What was done stays done.
pub(super) async fn done(
    database: &Database,
    action: &str,
    target: Option<String>,
) -> Result<(), SetupError> {
    let entry = NewAuditEntry {
        token: None,
        actor: "command line".to_owned(),
        action: action.to_owned(),
        target,
        status: 200,
        client: String::new(),
    };
    Ok(database.audit(entry).await?)
}
