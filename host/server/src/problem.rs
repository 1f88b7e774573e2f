//! Errors of the API: `application/problem+json` (RFC 9457) with a kind that programs compare, and
//! a hint that says what to do.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use sitewright_jobs::Error as DatabaseError;
use sitewright_model::message::causes_of;

/// Seconds after which a client should try again if the server or its database is away.
const RETRY_AFTER_SECONDS: &str = "5";

/// What went wrong. As text in `kind`, and at the end of `type`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum ProblemKind {
    /// A parameter, a header or a body cannot be read.
    BadRequest,
    /// The body has another content type than JSON.
    UnsupportedMediaType,
    /// The body is larger than `server.body_bytes`.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body has a transfer coding beside `chunked`.
    UnknownCoding,
    /// There is no token, or it is not valid.
    Unauthorized,
    /// It is not known who sent a webhook.
    BadSignature,
    /// The one-time link to the console is needed, or was used.
    LinkNeeded,
    /// The token has not the scope.
    Forbidden,
    /// A page of another origin sent the request to a server without tokens.
    CrossOrigin,
    /// The request is for another host than this machine.
    WrongHost,
    /// There is no such path.
    NoSuchPath,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// There is no such order.
    NoSuchOrder,
    /// There is no such failure record.
    NoSuchFailure,
    /// There is no such route for AI calls.
    NoSuchRoute,
    /// There is no such provider of AI models.
    NoSuchProvider,
    /// There is no such webhook.
    NoSuchWebhook,
    /// There is no such delivery of a webhook.
    NoSuchDelivery,
    /// The configuration of this server has no such hook.
    NoSuchHook,
    /// There is no such delivery of a webhook of others.
    NoSuchHookDelivery,
    /// There is no such bulk action.
    NoSuchBulk,
    /// There is no such worker, or not any more.
    NoSuchWorker,
    /// The order has no such release, or not any more.
    NoSuchRelease,
    /// No template has this name.
    NoSuchTemplate,
    /// The document is not an order.
    InvalidOrder,
    /// The order is one, but cannot be stored.
    OrderRefused,
    /// The address that is to be told how the order ends must not be called.
    CallbackRefused,
    /// The document is that of another order.
    OtherOrder,
    /// The queue has the order with another document or template.
    OrderDiffers,
    /// The idempotency key belongs to an order with another id.
    KeyInUse,
    /// The id or the idempotency key is that of an order of another tenant.
    IdInUse,
    /// The order has not ended.
    NotEnded,
    /// The order was cancelled, and its worker has not stopped it yet.
    StillRunning,
    /// The token has as many streams of events open as it may.
    TooManyStreams,
    /// Another attempt is being replayed.
    TooManyReplays,
    /// Another attempt is being exported.
    TooManyExports,
    /// A token has sent too many requests within a minute.
    RateLimited,
    /// Changes of many orders go on already, as many as may.
    TooManyChanges,
    /// The request was not answered in time.
    Timeout,
    /// The database does not answer, or not with the tables of this version.
    DatabaseUnavailable,
    /// An error of the host.
    Internal,
}

impl ProblemKind {
    pub fn status(self) -> StatusCode {
        match self {
            ProblemKind::BadRequest | ProblemKind::OtherOrder => StatusCode::BAD_REQUEST,
            ProblemKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ProblemKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemKind::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            ProblemKind::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            ProblemKind::Unauthorized | ProblemKind::BadSignature | ProblemKind::LinkNeeded => {
                StatusCode::UNAUTHORIZED
            }
            ProblemKind::Forbidden | ProblemKind::CrossOrigin => StatusCode::FORBIDDEN,
            ProblemKind::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            ProblemKind::NoSuchPath
            | ProblemKind::NoSuchOrder
            | ProblemKind::NoSuchFailure
            | ProblemKind::NoSuchRoute
            | ProblemKind::NoSuchProvider
            | ProblemKind::NoSuchWebhook
            | ProblemKind::NoSuchDelivery
            | ProblemKind::NoSuchBulk
            | ProblemKind::NoSuchWorker
            | ProblemKind::NoSuchRelease
            | ProblemKind::NoSuchHook
            | ProblemKind::NoSuchHookDelivery => StatusCode::NOT_FOUND,
            ProblemKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ProblemKind::NoSuchTemplate
            | ProblemKind::InvalidOrder
            | ProblemKind::OrderRefused
            | ProblemKind::CallbackRefused => StatusCode::UNPROCESSABLE_ENTITY,
            ProblemKind::OrderDiffers
            | ProblemKind::KeyInUse
            | ProblemKind::IdInUse
            | ProblemKind::NotEnded
            | ProblemKind::StillRunning => StatusCode::CONFLICT,
            ProblemKind::TooManyStreams
            | ProblemKind::TooManyChanges
            | ProblemKind::TooManyReplays
            | ProblemKind::TooManyExports
            | ProblemKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ProblemKind::Timeout | ProblemKind::DatabaseUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same for every problem of this kind.
    pub fn title(self) -> &'static str {
        match self {
            ProblemKind::BadRequest => "The request cannot be read",
            ProblemKind::UnsupportedMediaType => "The body is not JSON",
            ProblemKind::BodyTooLarge => "The body is too large",
            ProblemKind::BodyTimeout => "The body did not arrive in time",
            ProblemKind::UnknownCoding => "The transfer coding is not known",
            ProblemKind::Unauthorized => "A valid token is needed",
            ProblemKind::BadSignature => "It is not known who sent this",
            ProblemKind::LinkNeeded => "The link to the console is needed",
            ProblemKind::Forbidden => "The token may not do this",
            ProblemKind::CrossOrigin => "Pages of other origins may not use this server",
            ProblemKind::WrongHost => "This server answers to other names",
            ProblemKind::NoSuchPath => "There is no such path",
            ProblemKind::MethodNotAllowed => "The path does not have this method",
            ProblemKind::NoSuchOrder => "There is no such order",
            ProblemKind::NoSuchFailure => "There is no such failure",
            ProblemKind::NoSuchRoute => "There is no such route",
            ProblemKind::NoSuchProvider => "There is no such provider",
            ProblemKind::NoSuchWebhook => "There is no such webhook",
            ProblemKind::NoSuchDelivery => "There is no such delivery",
            ProblemKind::NoSuchHook => "There is no such hook",
            ProblemKind::NoSuchHookDelivery => "There is no such delivery of a hook",
            ProblemKind::NoSuchBulk => "There is no such bulk action",
            ProblemKind::NoSuchWorker => "There is no such worker",
            ProblemKind::NoSuchRelease => "There is no such release",
            ProblemKind::NoSuchTemplate => "There is no such template",
            ProblemKind::InvalidOrder => "The document is not an order",
            ProblemKind::OrderRefused => "The order cannot be stored",
            ProblemKind::CallbackRefused => "The callback must not be called",
            ProblemKind::OtherOrder => "The document belongs to another order",
            ProblemKind::OrderDiffers => "The queue has this order with other content",
            ProblemKind::KeyInUse => "The idempotency key belongs to another order",
            ProblemKind::IdInUse => "The order belongs to another tenant",
            ProblemKind::NotEnded => "The order has not ended",
            ProblemKind::StillRunning => "The order still runs",
            ProblemKind::TooManyStreams => "Too many streams of events are open",
            ProblemKind::TooManyChanges => "Too many changes go on",
            ProblemKind::TooManyReplays => "Another attempt is being replayed",
            ProblemKind::TooManyExports => "Another attempt is being exported",
            ProblemKind::RateLimited => "Too many requests of one token",
            ProblemKind::Timeout => "The request took too long",
            ProblemKind::DatabaseUnavailable => "The database cannot be used",
            ProblemKind::Internal => "The host failed",
        }
    }

    /// What to do.
    pub fn hint(self) -> &'static str {
        match self {
            ProblemKind::BadRequest => "correct the request; /v1/openapi.json describes it",
            ProblemKind::UnsupportedMediaType => "send `Content-Type: application/json`",
            ProblemKind::BodyTooLarge => "send less, or raise `server.body_bytes`",
            ProblemKind::BodyTimeout => "send the body at once, or raise `server.request_ms`",
            ProblemKind::UnknownCoding => "send the body with its length, or `chunked` alone",
            ProblemKind::Unauthorized => {
                "send `Authorization: Bearer TOKEN`; `sitewright token create NAME --scope SCOPE` \
                 makes one"
            }
            ProblemKind::BadSignature => {
                "check the address, the secret and the clock of the sender; the log of the server \
                 says which of them is wrong"
            }
            ProblemKind::LinkNeeded => "start `sitewright serve` again: it prints another link",
            ProblemKind::Forbidden => {
                "use a token that has the scope; `sitewright token create NAME --scope SCOPE` makes \
                 one"
            }
            ProblemKind::CrossOrigin => {
                "call the API from a program, or create a token: then the origin does not matter"
            }
            ProblemKind::WrongHost => {
                "use 127.0.0.1 or localhost, or create a token: then the host does not matter"
            }
            ProblemKind::NoSuchPath | ProblemKind::MethodNotAllowed => {
                "/v1/openapi.json lists all paths and methods"
            }
            ProblemKind::NoSuchOrder => "GET /v1/orders lists the orders there are",
            ProblemKind::NoSuchFailure => "GET /v1/failures lists the failures there are",
            ProblemKind::NoSuchRoute => "name one of the routes of `[ai.routes]`, or template:NAME",
            ProblemKind::NoSuchProvider => "name one of the providers of `[ai.providers]`",
            ProblemKind::NoSuchWebhook => "GET /v1/webhooks lists the webhooks there are",
            ProblemKind::NoSuchDelivery => {
                "GET /v1/webhooks/deliveries lists the deliveries there are"
            }
            ProblemKind::NoSuchHook => {
                "add `[hooks.NAME]` to the configuration of the server, and start it again"
            }
            ProblemKind::NoSuchHookDelivery => {
                "GET /v1/hooks/deliveries lists the deliveries there are"
            }
            ProblemKind::NoSuchBulk => "POST /v1/bulk starts one, and says its id",
            ProblemKind::NoSuchWorker => "GET /v1/stats lists the workers there are",
            ProblemKind::NoSuchRelease => {
                "older ones are removed: `keep_releases` says how many are kept"
            }
            ProblemKind::NoSuchTemplate => {
                "GET /v1/templates lists the templates there are; start a worker that has this one"
            }
            ProblemKind::InvalidOrder => "correct what `problems` names, and send the order again",
            ProblemKind::OrderRefused => "correct what the detail says, and send the order again",
            ProblemKind::CallbackRefused => {
                "use a public https:// address; `[callbacks]` of the configuration says which \
                 callbacks are accepted"
            }
            ProblemKind::OtherOrder => "send the document to the order that it names",
            ProblemKind::OrderDiffers => {
                "the queue keeps what it has: PUT /v1/orders/{id}/document, or `revise=true`, \
                 gives the order the new document"
            }
            ProblemKind::KeyInUse => "give each order an idempotency key of its own",
            ProblemKind::IdInUse => "give the order another id, and another idempotency key",
            ProblemKind::NotEnded => "wait for it, or cancel it first",
            ProblemKind::StillRunning => "send the request again when the order has ended",
            ProblemKind::TooManyStreams => {
                "close streams that nobody reads, follow all orders with one of /v1/events, or raise \
                 `server.connections`: a token may have a quarter of them"
            }
            ProblemKind::TooManyChanges => "wait until one has ended, or stop it",
            ProblemKind::TooManyReplays => "wait until it has ended",
            ProblemKind::TooManyExports => "wait until it was downloaded",
            ProblemKind::RateLimited => {
                "wait as long as `Retry-After` says, or raise the key of the configuration in `key`"
            }
            ProblemKind::Timeout => "send the request again, or raise `server.request_ms`",
            ProblemKind::DatabaseUnavailable => {
                "send the request again; if this lasts, `sitewright doctor` says why"
            }
            ProblemKind::Internal => "look at the log of the server",
        }
    }
}

/// What a page of the console says of a problem. Every answer that is one has it beside.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) kind: ProblemKind,
    pub(crate) detail: String,
}

/// An error as a client gets it.
#[derive(Debug)]
pub struct Problem {
    pub kind: ProblemKind,
    /// What happened to which order, path or field.
    pub detail: String,
    /// On the heap, so that results with a problem stay small.
    members: Box<Map<String, Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        match kind {
            ProblemKind::Unauthorized => {
                let scheme = HeaderValue::from_static("Bearer realm=\"sitewright\"");
                headers.push((WWW_AUTHENTICATE, scheme));
            }
            ProblemKind::Timeout | ProblemKind::DatabaseUnavailable => {
                headers.push((RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)));
            }
            _ => {}
        }
        Problem { kind, detail: detail.into(), members: Box::default(), headers }
    }

    /// Says what to do here, instead of what its kind says.
    #[must_use]
    pub fn hinting(mut self, hint: &str) -> Self {
        self.members.insert("hint".to_owned(), json!(hint));
        self
    }

    /// Adds a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl serde::Serialize) -> Self {
        self.members.insert(name.to_owned(), json!(value));
        self
    }

    /// Says when the request may be sent again.
    #[must_use]
    pub fn retrying_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    /// Names the methods that a path has.
    #[must_use]
    pub fn allowing(mut self, methods: &str) -> Self {
        if let Ok(methods) = HeaderValue::from_str(methods) {
            self.headers.push((ALLOW, methods));
        }
        self
    }

    /// As `application/problem+json`.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("type".to_owned(), json!(format!("urn:sitewright:problem:{}", self.kind)));
        body.insert("title".to_owned(), json!(self.kind.title()));
        body.insert("status".to_owned(), json!(self.kind.status().as_u16()));
        body.insert("kind".to_owned(), json!(self.kind.to_string()));
        body.insert("detail".to_owned(), json!(self.detail));
        body.insert("hint".to_owned(), json!(self.kind.hint()));
        body.extend((*self.members).clone());
        Value::Object(body)
    }

    /// An error and its whole chain.
    fn of(kind: ProblemKind, error: &(dyn std::error::Error + 'static)) -> Self {
        if kind.status().is_server_error() {
            tracing::error!(%error, %kind, "a request failed");
        }
        let causes = causes_of(error);
        let problem = Problem::new(kind, error.to_string());
        if causes.is_empty() { problem } else { problem.with("causes", causes) }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        let kind = match &error {
            DatabaseError::NoSuchOrder { .. } => ProblemKind::NoSuchOrder,
            DatabaseError::NotEnded { .. } => ProblemKind::NotEnded,
            DatabaseError::Invalid { .. } => ProblemKind::OrderRefused,
            DatabaseError::Open { .. }
            | DatabaseError::NoFile { .. }
            | DatabaseError::TransactionPooling { .. }
            | DatabaseError::StatementsLost { .. }
            | DatabaseError::TooFewPlaces { .. }
            | DatabaseError::MigrationLocked { .. }
            | DatabaseError::Outdated { .. }
            | DatabaseError::NewerSchema { .. }
            | DatabaseError::OlderSchema { .. }
            | DatabaseError::Closed { .. } => ProblemKind::DatabaseUnavailable,
            DatabaseError::Database { .. } | DatabaseError::River { .. }
                if error.is_transient() =>
            {
                ProblemKind::DatabaseUnavailable
            }
            DatabaseError::Url { .. }
            | DatabaseError::NoPostgres { .. }
            | DatabaseError::Database { .. }
            | DatabaseError::River { .. }
            | DatabaseError::Token { .. }
            | DatabaseError::Row { .. }
            | DatabaseError::LockFile { .. }
            | DatabaseError::Stalled { .. } => ProblemKind::Internal,
        };
        Problem::of(kind, &error)
    }
}

impl From<sitewright_control::Error> for Problem {
    fn from(error: sitewright_control::Error) -> Self {
        use sitewright_control::Error;
        match error {
            Error::Database(error) => error.into(),
            Error::OfAnother { .. } => Problem::of(ProblemKind::IdInUse, &error),
            Error::StillRunning { .. } => Problem::of(ProblemKind::StillRunning, &error),
            Error::NoSuchRelease { .. } => Problem::of(ProblemKind::NoSuchRelease, &error),
            Error::Store(_) | Error::Sites(_) | Error::Host(_) => {
                Problem::of(ProblemKind::Internal, &error)
            }
        }
    }
}

impl From<sitewright_site::StoreError> for Problem {
    fn from(error: sitewright_site::StoreError) -> Self {
        Problem::of(ProblemKind::Internal, &error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body().to_string();
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.kind.status(), kind, body).into_response();
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Told { kind: self.kind, detail: self.detail });
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn every_kind_has_a_title_and_a_hint_of_its_own_status() {
        let mut titles = BTreeSet::new();
        for kind in ProblemKind::VARIANTS {
            assert!(titles.insert(kind.title()), "{kind}");
            assert!(!kind.hint().is_empty() && !kind.hint().ends_with('.'), "{kind}");
            assert!(kind.status().is_client_error() || kind.status().is_server_error(), "{kind}");
        }
    }
}
