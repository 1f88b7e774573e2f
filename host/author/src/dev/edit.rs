//! The page on which the inputs of the site are changed: the order, in a form that is made from the
//! template's schema, and the AI replies. Both can be saved as a case of the conformance suite.

use std::path::{Path, PathBuf};

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::server::Served;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The page.
const PAGE: &str = include_str!("edit.html");
/// Maximum bytes of the name of a case.
const MAX_NAME: usize = 64;

/// What the page changes.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The script with the AI replies; `None` if they are recorded.
    pub script: Option<PathBuf>,
    /// Folder of the project's cases; `None` if none are saved.
    pub cases: Option<PathBuf>,
}

/// A request that cannot be served: its status, and why.
struct Refused(StatusCode, Message);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

pub(super) async fn page() -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
}

/// The order, its schema and the script, as texts.
pub(super) async fn inputs(State(served): State<Served>) -> Response {
    match read(&served).await {
        Ok(found) => ([(CONTENT_TYPE, "application/json")], found.to_string()).into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn read(served: &Served) -> Result<Value, Refused> {
    let order = served.order()?;
    let schema = served.schema.borrow().clone();
    let schema = schema.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let script = match &served.inputs.script {
        Some(script) => Some(text_of(script).await?),
        None => None,
    };
    Ok(json!({
        "name": order.file_name().unwrap_or_default().display().to_string(),
        "order": text_of(&order).await?,
        "schema": schema,
        "script": script,
        "cases": served.inputs.cases.is_some(),
    }))
}

/// Writes the order that is shown. The watcher notices, and its site is made.
pub(super) async fn put_order(State(served): State<Served>, body: String) -> Response {
    let save = async {
        if let Err(error) = serde_json::from_str::<Value>(&body) {
            let why = message!("the order is no JSON and was not saved: {error}");
            return Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
        write(&served.order()?, &body).await
    };
    answer(save.await)
}

/// Writes the script with the AI replies.
pub(super) async fn put_script(State(served): State<Served>, body: String) -> Response {
    let save = async {
        if let Err(error) = body.parse::<toml::Table>() {
            let why = message!("the replies are no TOML and were not saved: {error}");
            return Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
        let Some(script) = &served.inputs.script else {
            let why = message!("the replies are recorded: there is no script to write");
            return Err(Refused(StatusCode::CONFLICT, why));
        };
        write(script, &body).await
    };
    answer(save.await)
}

/// Makes a case of the order and the replies, which expects the site that is shown.
pub(super) async fn put_case(
    State(served): State<Served>,
    UrlPath(name): UrlPath<String>,
) -> Response {
    answer(save_case(&served, &name).await)
}

async fn save_case(served: &Served, name: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) {
        let why = message!(
            "a case has a name of 1 to {MAX_NAME} lower-case letters, digits and `-`, and not this \
             one"
        );
        return Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let conflict = |why: Message| Refused(StatusCode::CONFLICT, why);
    let Some(cases) = &served.inputs.cases else {
        return Err(conflict(message!("the cases have no folder")));
    };
    if served.fails() {
        return Err(conflict(message!(
            "a case expects a site, and there is none now: correct the error first"
        )));
    }
    let folder = cases.join(name);
    if tokio::fs::try_exists(&folder).await.unwrap_or(true) {
        return Err(conflict(message!(
            "the folder {} is there already: choose another name",
            folder.display()
        )));
    }
    let order = text_of(&served.order()?).await?;
    let mut case = "why = \"Saved from `template dev`.\"\norder = \"order.json\"\n".to_owned();
    let mut files = vec![("order.json", order)];
    if let Some(script) = &served.inputs.script {
        files.push(("ai.toml", text_of(script).await?));
        case.push_str("\n[ai]\nscript = \"ai.toml\"\n");
    }
    files.push(("case.toml", case));
    tokio::fs::create_dir_all(&folder).await.map_err(|error| unwritten(&folder, &error))?;
    for (name, text) in files {
        write(&folder.join(name), &text).await?;
    }
    Ok(())
}

fn answer(saved: Result<(), Refused>) -> Response {
    match saved {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => refused.into_response(),
    }
}

impl Served {
    /// The order that is chosen.
    fn order(&self) -> Result<PathBuf, Refused> {
        self.orders.get(*self.chosen.borrow()).cloned().ok_or_else(|| {
            Refused(StatusCode::NOT_FOUND, message!("there is no order of this number"))
        })
    }
}

async fn text_of(path: &Path) -> Result<String, Refused> {
    tokio::fs::read_to_string(path).await.map_err(|error| {
        let why = message!("the file {} cannot be read: {error}", path.display());
        Refused(StatusCode::INTERNAL_SERVER_ERROR, why)
    })
}

async fn write(path: &Path, text: &str) -> Result<(), Refused> {
    tokio::fs::write(path, text).await.map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Refused {
    let why = message!("the file {} cannot be written: {error}", path.display());
    Refused(StatusCode::INTERNAL_SERVER_ERROR, why)
}
