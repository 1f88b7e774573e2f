//! What handlers read of a request, with bounds, and with a problem for what cannot be read.

use std::borrow::Cow;
use std::time::Instant;

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

use super::app::App;
use super::bodies::{BodyCharge, BodyHolder, NoRoom};
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
    pub(crate) _room: BodyCharge,
}

impl FromRequest<App> for DocumentBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let (parts, body) = request.into_parts();
        let (holder, most) = (BodyHolder::of(&parts.extensions), app.settings.max_body());
        let (bytes, room) = read(&parts.headers, body, app, most, holder).await?;
        Ok(DocumentBody { bytes, _room: room })
    }
}

/// A small JSON body; the default if there is none.
pub(crate) struct Fields<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (Parts { headers, extensions, .. }, body) = request.into_parts();
        let holder = BodyHolder::of(&extensions);
        let (bytes, _room) = read(&headers, body, app, MAX_SMALL_BODY, holder).await?;
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
/// have.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    app: &App,
    most: usize,
    holder: BodyHolder,
) -> Result<(Vec<u8>, BodyCharge), Problem> {
    let expected = expected(headers, app, most)?;
    collect(body, app, most, app.bodies.begin(holder, expected)).await
}

/// The whole body of a webhook, whose sender is not known yet, with what it has of their memory.
pub(crate) async fn read_hook(
    headers: &HeaderMap,
    body: Body,
    app: &App,
    holder: BodyHolder,
) -> Result<(Vec<u8>, BodyCharge), Problem> {
    let most = app.max_hook_body();
    expected(headers, app, most)?;
    // Strangers behind a proxy have one address: what one of them declares is not the others' loss.
    collect(body, app, most, app.hook_bodies.begin(holder, 0)).await
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

/// Reads a body that arrives in time, and charges what has arrived.
async fn collect(
    body: Body,
    app: &App,
    most: usize,
    mut room: BodyCharge,
) -> Result<(Vec<u8>, BodyCharge), Problem> {
    let mut chunks = body.into_data_stream();
    let collect = async {
        let mut bytes = Vec::new();
        loop {
            let began = Instant::now();
            let next = tokio::time::timeout(room.within(), chunks.next()).await;
            let next = next.map_err(|_| {
                let detail = format!("the body stopped after {} bytes", bytes.len());
                let problem = Problem::new(ProblemKind::BodyTimeout, detail);
                problem.hinting("send the body at once: a slow one is not waited for")
            })?;
            let Some(chunk) = next else { return Ok((bytes, room)) };
            let chunk = chunk.map_err(|error| {
                Problem::new(ProblemKind::BadRequest, format!("the body did not arrive: {error}"))
            })?;
            if bytes.len().saturating_add(chunk.len()) > most {
                return Err(too_large(app, most));
            }
            room.charge(chunk.len(), began.elapsed()).await.map_err(no_room)?;
            bytes.extend_from_slice(&chunk);
        }
    };
    let within = app.settings.body_within();
    tokio::time::timeout(within, collect).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} ms", within.as_millis());
        Err(Problem::new(ProblemKind::BodyTimeout, detail))
    })
}

fn no_room(why: NoRoom) -> Problem {
    let detail = match why {
        NoRoom::OfHolder => {
            "the bodies that the same token or address is sending have all the memory of one sender"
        }
        NoRoom::OfAll => "the bodies that are being read have all the memory for them",
    };
    let problem = Problem::new(ProblemKind::Timeout, detail);
    problem.hinting("send the request again when `Retry-After` is over")
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
