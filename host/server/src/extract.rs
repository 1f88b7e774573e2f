//! What handlers read of a request, with bounds, and with a problem for what cannot be read.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use sitewright_intake::folder_id;
use sitewright_model::trace::TraceParent;
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::hook_bodies::HookBody;
use super::problem::{Problem, ProblemKind};

/// Maximum length of an id in a path, in characters; no id in the database is longer.
pub(crate) const MAX_ID: usize = 200;
/// Maximum bytes of a body that is not an order document.
pub(crate) const MAX_SMALL_BODY: usize = 16 << 10;

/// The only parameter of a path. It is looked up, never a part of a file's path.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        let Path(id) = read.map_err(|error| {
            Problem::new(ProblemKind::BadRequest, format!("the path cannot be read: {error}"))
        })?;
        let why = match id.chars().count() {
            _ if id.contains('\0') => "it has a zero character".to_owned(),
            // An id of an order that does not name a folder is kept under one that does.
            0..=MAX_ID => {
                let is_order = parts.uri.path().starts_with("/v1/orders/");
                let kept = folder_id(&id).ok().filter(|_| is_order).map(Cow::into_owned);
                let kept = kept.unwrap_or(id);
                return Ok(Id(kept));
            }
            characters => format!("it has {characters} characters, and at most {MAX_ID} are used"),
        };
        let detail = format!("the id in the path is no id: {why}");
        Err(Problem::new(ProblemKind::BadRequest, detail))
    }
}

/// Parameters that say something if they are empty: to add up everything, and that a callback is no
/// address.
const MAY_BE_EMPTY: [&str; 2] = ["by", "callback"];

/// The parameters of the query. Unknown and empty ones are an error, so that a misspelt filter is not
/// ignored.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let says_nothing = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            let is_empty = value.trim().is_empty() && !MAY_BE_EMPTY.contains(&name.as_ref());
            is_empty || value.contains('\0')
        };
        if let Some((name, value)) = form_urlencoded::parse(query).find(says_nothing) {
            let name: String = name.chars().take(50).collect();
            let what = if value.contains('\0') { "has a zero character" } else { "is empty" };
            let detail = format!("the parameter {name:?} {what}; leave it out to say nothing");
            return Err(Problem::new(ProblemKind::BadRequest, detail));
        }
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Parameters(parameters)),
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                let why = why.unwrap_or_else(|| error.to_string());
                let detail = format!("the parameters cannot be read: {why}");
                Err(Problem::new(ProblemKind::BadRequest, detail))
            }
        }
    }
}

/// A document as it was sent, of at most `server.body_bytes`.
pub(crate) struct DocumentBody {
    pub(crate) bytes: Vec<u8>,
    /// Its part of what all bodies may have, until its request was answered.
    pub(crate) _room: OwnedSemaphorePermit,
}

impl FromRequest<App> for DocumentBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let (parts, body) = request.into_parts();
        let (bytes, room) = read(&parts.headers, body, app, app.settings.max_body()).await?;
        Ok(DocumentBody { bytes, _room: room })
    }
}

/// A small JSON body; the default if there is none.
pub(crate) struct Fields<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (Parts { headers, .. }, body) = request.into_parts();
        let (bytes, _room) = read(&headers, body, app, MAX_SMALL_BODY).await?;
        if bytes.is_empty() {
            return Ok(Fields(T::default()));
        }
        is_json(&headers)?;
        serde_json::from_slice(&bytes).map(Fields).map_err(|error| {
            Problem::new(ProblemKind::BadRequest, format!("the body cannot be read: {error}"))
        })
    }
}

/// Pages of other origins can send other types without asking first.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the content type is {kind:?} and must be `application/json`");
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
}

/// A body is read as it is sent, so that its length is the one that is limited.
fn is_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match encodings.find(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        None => Ok(()),
        Some(encoding) => {
            let detail = format!("the body has the content encoding {encoding:?}");
            let problem = Problem::new(ProblemKind::UnsupportedMediaType, detail);
            Err(problem.hinting("send the body as it is, without `Content-Encoding`"))
        }
    }
}

/// The whole body, if it is not too large and arrives in time, with its part of what all bodies may
/// have. It begins to be read when there is room for it.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    app: &App,
    most: usize,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let expected = expected(headers, app, most)?;
    let permits = u32::try_from(expected).unwrap_or(u32::MAX);
    let room = Arc::clone(&app.bodies).acquire_many_owned(permits).await.map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("there is no room for the body: {error}"))
    })?;
    Ok((collect(body, app, most, None).await?, room))
}

/// The whole body of a webhook, whose sender is not known yet, with what it has of their memory.
pub(crate) async fn read_hook(
    headers: &HeaderMap,
    body: Body,
    app: &App,
    client: IpAddr,
) -> Result<(Vec<u8>, HookBody), Problem> {
    let most = app.max_hook_body();
    expected(headers, app, most)?;
    let mut room = app.hook_bodies.begin(client);
    let bytes = collect(body, app, most, Some(&mut room)).await?;
    Ok((bytes, room))
}

fn too_large(app: &App, most: usize) -> Problem {
    let detail = format!("the body has more than {most} bytes");
    let problem = Problem::new(ProblemKind::BodyTooLarge, detail).with("limit", most);
    // The others have a limit that no key changes.
    let is_document = most == app.settings.max_body();
    if is_document { problem } else { problem.hinting("send less: no key raises this limit") }
}

/// The length of a body, at most; refuses one that is encoded, or says that it is too large.
fn expected(headers: &HeaderMap, app: &App, most: usize) -> Result<usize, Problem> {
    is_plain(headers)?;
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length.map(usize::try_from) {
        Some(Ok(length)) if length <= most => Ok(length),
        Some(_) => Err(too_large(app, most)),
        None => Ok(most),
    }
}

/// Reads a body that arrives in time. `of_hook` charges that of a webhook.
async fn collect(
    body: Body,
    app: &App,
    most: usize,
    mut of_hook: Option<&mut HookBody>,
) -> Result<Vec<u8>, Problem> {
    let late = |within: Duration| {
        let detail = format!("the body did not arrive within {} ms", within.as_millis());
        Problem::new(ProblemKind::BodyTimeout, detail)
    };
    let mut chunks = body.into_data_stream();
    let collect = async {
        let mut bytes = Vec::new();
        loop {
            let began = Instant::now();
            let chunk = match &of_hook {
                None => chunks.next().await,
                Some(room) => {
                    let next = tokio::time::timeout(room.within(), chunks.next()).await;
                    next.map_err(|_| {
                        let detail = format!("the body stopped after {} bytes", bytes.len());
                        let problem = Problem::new(ProblemKind::BodyTimeout, detail);
                        problem.hinting("send the body at once: a slow one is not waited for")
                    })?
                }
            };
            let Some(chunk) = chunk else { return Ok(bytes) };
            let chunk = chunk.map_err(|error| {
                Problem::new(ProblemKind::BadRequest, format!("the body did not arrive: {error}"))
            })?;
            if bytes.len().saturating_add(chunk.len()) > most {
                return Err(too_large(app, most));
            }
            if let Some(room) = &mut of_hook
                && !room.charge(chunk.len(), began.elapsed()).await
            {
                let detail = "the bodies that are being read have all the memory for them";
                let problem = Problem::new(ProblemKind::Timeout, detail);
                return Err(problem.hinting("send the request again when `Retry-After` is over"));
            }
            bytes.extend_from_slice(&chunk);
        }
    };
    let within = app.settings.body_within();
    tokio::time::timeout(within, collect).await.unwrap_or_else(|_| Err(late(within)))
}

/// Which form of a failure record a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Markdown,
}

/// By `Accept`: Markdown if it is named, JSON otherwise.
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let mut accepted = headers.get_all(axum::http::header::ACCEPT).iter();
    let is_markdown = accepted.any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|kind| kind.split(';').next().map(str::trim) == Some("text/markdown"))
    });
    if is_markdown { Form::Markdown } else { Form::Json }
}

/// The trace that the request is a part of. One that cannot be read is ignored, as the standard
/// says.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

/// A JSON body with a status.
pub(crate) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            let detail = format!("the answer cannot be written as JSON: {error}");
            Problem::new(ProblemKind::Internal, detail).into_response()
        }
    }
}
