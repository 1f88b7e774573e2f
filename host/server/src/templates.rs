//! `/v1/templates`, and whether a template exists.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sitewright_jobs::TemplateStats;
use sitewright_model::message::Message;

use super::answers::TemplateList;
use super::app::App;
use super::extract::answer;
use super::problem::{Problem, ProblemKind};

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
}

/// `GET /v1/templates`.
pub(crate) async fn list(State(app): State<App>) -> Result<Response, Problem> {
    let Known { templates, folder } = known(&app).await?;
    let list =
        TemplateList { templates: templates.into_values().collect(), folder_error: folder.err() };
    Ok(answer(StatusCode::OK, &list))
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
        let listed = Listed { name: name.clone(), digests, workers, in_folder: false };
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
                };
                templates.entry(name.clone()).or_insert_with(new).in_folder = true;
            }
            Ok(())
        }
    };
    Ok(Known { templates, folder })
}

/// Refuses a name that neither a worker nor the folder has. If the folder cannot be read here, and
/// no worker has a template, nobody knows: then the order waits for a worker that has it.
pub(crate) async fn check(app: &App, name: &str) -> Result<(), Problem> {
    let Known { templates, folder } = known(app).await?;
    if templates.contains_key(name) || (folder.is_err() && templates.is_empty()) {
        return Ok(());
    }
    let names: Vec<&String> = templates.keys().collect();
    let detail = format!("there is no template {name:?}");
    Err(Problem::new(ProblemKind::NoSuchTemplate, detail).with("templates", names))
}
