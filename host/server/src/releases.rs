//! `/v1/orders/{id}/releases`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sitewright_control::{release_store, releases};
use sitewright_site::StoredRelease;

use super::answers::{ReleaseBrief, ReleaseFacts, ReleaseList};
use super::app::App;
use super::extract::{Id, answer};
use super::problem::Problem;

/// `GET /v1/orders/{id}/releases`.
pub(crate) async fn list(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let order = app.database.order(&id).await?.id;
    let releases = match release_store(&app.sites, app.store.as_ref()).await? {
        Some(store) => {
            let found = releases(&app.database, &store, &order).await?;
            Some(found.into_iter().map(brief).collect())
        }
        None => None,
    };
    Ok(answer(StatusCode::OK, &ReleaseList { order, releases }))
}

/// A release without its list of files, of which there may be thousands.
fn brief(release: StoredRelease) -> ReleaseBrief {
    let StoredRelease { id, current, manifest } = release;
    let (made, error) = match manifest {
        Err(error) => (None, Some(error)),
        Ok(manifest) => {
            let seconds = manifest.created_at.unix_timestamp();
            let ms = i64::from(manifest.created_at.millisecond());
            let facts = ReleaseFacts {
                created_at: seconds.saturating_mul(1_000).saturating_add(ms),
                attempt: manifest.attempt.to_string(),
                revision: manifest.revision,
                template: manifest.template.name,
                template_version: manifest.template.version,
                files: manifest.files.len(),
                bytes: manifest.total_bytes,
                warnings: manifest.warnings.len(),
            };
            (Some(facts), None)
        }
    };
    ReleaseBrief { id: id.to_string(), current, made, error }
}
