//! `/v1/templates`, and whether a template exists.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sitewright_control::Conformance;
use sitewright_jobs::{TemplateStats, TemplateVersion};
use sitewright_model::message::Message;
use sitewright_model::time::now_ms;

use super::answers::TemplateList;
use super::app::App;
use super::extract::{Id, answer};
use super::problem::{Problem, ProblemKind};
use super::tenancy::Tenant;

/// How far back orders are counted by version: 30 days.
const COUNTED_MS: i64 = 30 * 86_400_000;
/// Versions of a template that are compared.
const COMPARED: usize = 2;

/// A template that orders may name.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// SHA-256 of its file, as workers have it.
    pub(crate) digests: Vec<String>,
    /// The number of workers that have it.
    pub(crate) workers: i64,
    /// Whether it is in the templates folder of the server's machine.
    pub(crate) in_folder: bool,
    /// The version that workers have, or had last, and the one before it: how orders of the last 30
    /// days ended with each. Empty for the token of a tenant.
    pub(crate) versions: Vec<TemplateVersion>,
}

/// `GET /v1/templates`.
pub(crate) async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    let Known { mut templates, folder } = known(&app).await?;
    // They are counts of the orders of all tenants.
    if tenant.as_deref().is_none() {
        add_versions(&app, &mut templates).await?;
    }
    let list =
        TemplateList { templates: templates.into_values().collect(), folder_error: folder.err() };
    Ok(answer(StatusCode::OK, &list))
}

/// A template, and what the conformance suite said of it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct TemplateDetail {
    pub(crate) template: Listed,
    /// The report in `NAME.conformance.json` in the templates folder of the server's machine; null
    /// if there is none.
    pub(crate) conformance: Option<Conformance>,
    /// Why it cannot be read.
    #[schemars(with = "Option<String>")]
    pub(crate) conformance_error: Option<Message>,
}

/// `GET /v1/templates/{id}`.
pub(crate) async fn show(State(app): State<App>, Id(name): Id) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &detail(&app, &name).await?))
}

/// What is known of one template.
pub(crate) async fn detail(app: &App, name: &str) -> Result<TemplateDetail, Problem> {
    let Known { mut templates, .. } = known(app).await?;
    let Some(listed) = templates.remove(name) else {
        return Err(no_template(name, templates.keys().collect()));
    };
    let mut one = BTreeMap::from([(name.to_owned(), listed)]);
    add_versions(app, &mut one).await?;
    let Some(template) = one.remove(name) else { return Err(no_template(name, Vec::new())) };
    let (conformance, conformance_error) = match (app.conformance)(name.to_owned()).await {
        Ok(conformance) => (conformance, None),
        Err(why) => (None, Some(why)),
    };
    Ok(TemplateDetail { template, conformance, conformance_error })
}

fn no_template(name: &str, known: Vec<&String>) -> Problem {
    let detail = format!("there is no template {name:?}");
    Problem::new(ProblemKind::NoSuchTemplate, detail).with("templates", known)
}

pub(crate) struct Known {
    pub(crate) templates: BTreeMap<String, Listed>,
    /// Whether the folder of this machine could be read.
    pub(crate) folder: Result<(), Message>,
}

/// The templates of live workers and of the folder.
pub(crate) async fn known(app: &App) -> Result<Known, Problem> {
    let mut templates = BTreeMap::new();
    for TemplateStats { name, digests, workers } in app.database.templates().await? {
        let versions = Vec::new();
        let listed = Listed { name: name.clone(), digests, workers, in_folder: false, versions };
        templates.insert(name, listed);
    }
    let folder = match (app.templates)().await {
        Err(why) => Err(why),
        Ok(names) => {
            for name in names {
                let new = || Listed {
                    name: name.clone(),
                    digests: Vec::new(),
                    workers: 0,
                    in_folder: true,
                    versions: Vec::new(),
                };
                templates.entry(name.clone()).or_insert_with(new).in_folder = true;
            }
            Ok(())
        }
    };
    Ok(Known { templates, folder })
}

/// Adds how orders ended with the last two versions of each template.
pub(crate) async fn add_versions(
    app: &App,
    templates: &mut BTreeMap<String, Listed>,
) -> Result<(), Problem> {
    let mut used = app.database.template_versions(now_ms() - COUNTED_MS).await?;
    for (name, listed) in templates {
        listed.versions = compared(used.remove(name).unwrap_or_default(), &listed.digests);
    }
    Ok(())
}

/// The current version and the one before it. `used`: the last used first; `live`: those that
/// workers have, of which the newest is the current one, also if no order has ended with it. After
/// a version was taken back, the older one is current again.
fn compared(used: Vec<TemplateVersion>, live: &[String]) -> Vec<TemplateVersion> {
    let is_live = |version: &TemplateVersion| live.contains(&version.digest);
    let (mut current, before): (Vec<_>, Vec<_>) = used.into_iter().partition(is_live);
    for digest in live {
        if !current.iter().any(|version| version.digest == *digest) {
            current.push(TemplateVersion::unused(digest.clone()));
        }
    }
    current.sort_by_key(|version| Reverse(version.since.unwrap_or(i64::MAX)));
    current.extend(before);
    current.truncate(COMPARED);
    current
}

/// Refuses a name that neither a worker nor the folder has. If the folder cannot be read here, and
/// no worker has a template, nobody knows: then the order waits for a worker that has it.
pub(crate) async fn check(app: &App, name: &str) -> Result<(), Problem> {
    let Known { templates, folder } = known(app).await?;
    if templates.contains_key(name) || (folder.is_err() && templates.is_empty()) {
        return Ok(());
    }
    Err(no_template(name, templates.keys().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_version_is_the_one_that_workers_have() {
        let used = |digest: &str, since: i64, last_at: i64| TemplateVersion {
            since: Some(since),
            last_at: Some(last_at),
            ..TemplateVersion::unused(digest.to_owned())
        };
        // As the database lists them: the last used first.
        let both = || vec![used("b", 20, 90), used("a", 10, 30)];
        for (what, used, live, wanted) in [
            ("an upgrade", both(), &["b"][..], &["b", "a"][..]),
            ("nothing", vec![], &[], &[]),
            ("a new template", vec![], &["a"], &["a"]),
            ("during an upgrade", both(), &["a", "b"], &["b", "a"]),
            (
                "also if an order ended with the old one last",
                vec![used("a", 10, 91), used("b", 20, 90)],
                &["a", "b"],
                &["b", "a"],
            ),
            ("taken back", both(), &["a"], &["a", "b"]),
            ("no worker runs", both(), &[], &["b", "a"]),
            ("nothing ended with the newest", both(), &["c"], &["c", "b"]),
        ] {
            let live: Vec<String> = live.iter().map(|digest: &&str| (*digest).to_owned()).collect();
            let versions = compared(used, &live);
            let digests: Vec<&str> =
                versions.iter().map(|version| version.digest.as_str()).collect();
            assert_eq!(digests, wanted, "{what}");
        }
    }
}
