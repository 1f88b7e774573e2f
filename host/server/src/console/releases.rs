//! What is read and done for the releases of an order.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use sitewright_console::{ChoiceFacts, ReleasesFacts, Section, address};
use sitewright_control::{choose_release, compare as differences, release_store};
use sitewright_jobs::ReleaseChoice;
use sitewright_site::{Manifest, SiteStore};

use super::actions::done;
use super::visit::{Fields, Visit, page};
use crate::access::Audited;
use crate::app::App;
use crate::extract::Id;
use crate::problem::{Problem, ProblemKind};

/// Characters of a release's id that are read; a whole one has 26.
const MAX_RELEASE: usize = 40;

/// Where releases are.
async fn store(app: &App) -> Result<Option<SiteStore>, Problem> {
    Ok(release_store(&app.sites, app.store.as_ref()).await?)
}

/// The same for what cannot be done without.
async fn needed_store(app: &App) -> Result<SiteStore, Problem> {
    store(app).await?.ok_or_else(|| {
        let detail = "the sites folder of this server is not where the workers keep releases";
        Problem::new(ProblemKind::NoSuchRelease, detail)
    })
}

/// The id of a release in a query or a form.
fn named(fields: &Fields, name: &str) -> Result<String, Problem> {
    let id = fields.text(name).unwrap_or_default();
    if (1..=MAX_RELEASE).contains(&id.len()) {
        return Ok(id);
    }
    let detail = format!("`{name}` is not the id of a release");
    Err(Problem::new(ProblemKind::BadRequest, detail))
}

/// `GET /console/orders/{id}/releases`.
pub(crate) async fn list(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Problem> {
    let frame = visit.frame(Section::Orders, format!("Releases of order {id}"));
    let order = app.database.order(&id).await?;
    let releases = match store(&app).await? {
        Some(store) => Some(sitewright_control::releases(&app.database, &store, &id).await?),
        None => None,
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let previews = match (app.previews.get(), &releases) {
        (Some(previews), Some(_)) if previews.are_at(host) => {
            let why = "`server.console.previews_url` is the origin of the console";
            tracing::error!(host, why, "previews are not offered");
            Vec::new()
        }
        (Some(previews), Some(releases)) => {
            releases.iter().map(|release| previews.address(&id, &release.id.to_string())).collect()
        }
        _ => Vec::new(),
    };
    let facts = ReleasesFacts { order, releases, previews };
    page(sitewright_console::releases(&frame, &facts))
}

/// `GET /console/orders/{id}/compare`.
pub(crate) async fn compare(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let store = needed_store(&app).await?;
    let (before, after) = (named(&visit.query, "before")?, named(&visit.query, "after")?);
    let before = manifest(&app, &store, &id, &before).await?;
    let after = manifest(&app, &store, &id, &after).await?;
    let diff = differences(&store, &before, &after).await?;
    let frame = visit.frame(Section::Orders, "What differs between two releases");
    page(sitewright_console::compare(&frame, &id, &diff))
}

/// The manifest of a release.
async fn manifest(
    app: &App,
    store: &SiteStore,
    order: &str,
    id: &str,
) -> Result<Manifest, Problem> {
    let found = sitewright_control::release(&app.database, store, order, id).await?;
    found.manifest.map_err(|why| {
        let detail =
            format!("the manifest of release {id} of order {order:?} is unreadable: {why}");
        Problem::new(ProblemKind::NoSuchRelease, detail)
    })
}

/// `GET /console/orders/{id}/use`.
pub(crate) async fn ask(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let wanted = named(&visit.query, "release")?;
    let store = needed_store(&app).await?;
    let order = app.database.order(&id).await?;
    let chosen = sitewright_control::release(&app.database, &store, &id, &wanted).await?;
    let all = sitewright_control::releases(&app.database, &store, &id).await?;
    let current = all.into_iter().find(|release| release.current && release.id != chosen.id);
    let frame = visit.frame(Section::Orders, "Make another release current?");
    page(sitewright_console::choose(&frame, &ChoiceFacts { order, chosen, current }))
}

/// `POST /console/orders/{id}/use`.
pub(crate) async fn choose(
    State(app): State<App>,
    Id(id): Id,
    visit: Visit,
) -> Result<Response, Problem> {
    let wanted = named(&visit.form, "release")?;
    // What the page before said, so that no release is replaced that nobody has seen.
    let expected = visit.form.text("expected");
    let store = needed_store(&app).await?;
    let keep = app.keep_releases;
    let choice =
        choose_release(&app.database, &store, &id, &wanted, expected.as_deref(), keep).await?;
    let did = match choice {
        ReleaseChoice::Chosen { .. } => "chosen",
        ReleaseChoice::Unchanged => "chosen_before",
        ReleaseChoice::Moved { .. } => "moved",
    };
    let mut response = done(&format!("{}/releases", address::order(&id)), did)?;
    let audited = match choice {
        ReleaseChoice::Chosen { .. } => Audited::Target(format!("{id} {wanted}")),
        ReleaseChoice::Unchanged | ReleaseChoice::Moved { .. } => Audited::Nothing,
    };
    response.extensions_mut().insert(audited);
    Ok(response)
}
