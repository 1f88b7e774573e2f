//! Failed requests: from the library's error to a message with what to do.

use std::error::Error;
use std::fmt;

use object_store::client::{HttpError, HttpErrorKind};

use super::bucket::Provider;
use super::error::{StoreError, StoreErrorKind};
use super::http::{NoCredentials, NotEncrypted};
use super::secrets::Secrets;
use crate::excerpt::excerpt;
use sitewright_http::causes_with_self;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum characters of a response in a message: servers respond with whole pages.
const MAX_CHARS: usize = 400;

/// A failed request, before the operation it belongs to is known.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) kind: StoreErrorKind,
    /// The chain of causes, without secrets.
    pub(super) why: String,
}

impl RequestError {
    pub(super) fn new(kind: StoreErrorKind, why: impl Into<String>) -> Self {
        RequestError { kind, why: why.into() }
    }

    /// Reads the library's error. Its own text repeats the request, so that only the response or
    /// the network error is kept.
    pub(super) fn from_library(error: &object_store::Error, secrets: &Secrets) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if cause.is::<NoCredentials>() {
                let below = cause.source().map(|below| match below.downcast_ref::<HttpError>() {
                    Some(http) => http.source().map_or_else(|| http.to_string(), chain),
                    None => chain(below),
                });
                let why =
                    below.map_or_else(|| cause.to_string(), |below| format!("{cause}: {below}"));
                return RequestError::new(StoreErrorKind::NoCredentials, secrets.hide(why));
            }
            if cause.is::<NotEncrypted>() {
                return RequestError::new(
                    StoreErrorKind::Configuration,
                    secrets.hide(chain(cause)),
                );
            }
            if let Some(http) = cause.downcast_ref::<HttpError>()
                && !is_caused_by_ours(http)
            {
                let kind = match http.kind() {
                    HttpErrorKind::Decode => StoreErrorKind::Refused,
                    _ => StoreErrorKind::Unreachable,
                };
                let why = http.source().map_or_else(|| http.to_string(), chain);
                return RequestError::new(kind, secrets.hide(why));
            }
            next = cause.source();
        }
        let text = error.to_string();
        let code = between(&text, "<Code>", "</Code>");
        let message = between(&text, "<Message>", "</Message>");
        let why = match (code, message) {
            (Some(code), Some(message)) => format!("{code}: {}", excerpt(message, MAX_CHARS)),
            (Some(code), None) => code.to_owned(),
            _ => excerpt(&deepest(error), MAX_CHARS),
        };
        RequestError::new(kind_of(error, code, &text), secrets.hide(why))
    }

    /// The error of the operation `what`: what happened, why, and what to do.
    pub(super) fn into_store_error(
        self,
        what: fmt::Arguments<'_>,
        provider: Provider,
        bucket: &str,
    ) -> StoreError {
        let RequestError { kind, why } = self;
        let why = why.trim_end_matches(['.', ' ']);
        let hint = hint(kind, provider, bucket);
        StoreError::new(kind, message!("the site store: {what}: {why}; {hint}"))
    }
}

/// Whether one of our own errors is the cause; its text is more helpful.
fn is_caused_by_ours(http: &HttpError) -> bool {
    http.source().is_some_and(|cause| cause.is::<NoCredentials>() || cause.is::<NotEncrypted>())
}

fn kind_of(error: &object_store::Error, code: Option<&str>, text: &str) -> StoreErrorKind {
    match code {
        Some(
            "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" | "InvalidBucketName",
        ) => {
            return StoreErrorKind::BucketMissing;
        }
        Some(
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "InvalidSecurity"
            | "AuthenticationFailed"
            | "NoAuthenticationInformation",
        ) => return StoreErrorKind::BadCredentials,
        Some(
            "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "IllegalLocationConstraintException",
        ) => {
            return StoreErrorKind::Configuration;
        }
        _ => {}
    }
    match error {
        object_store::Error::PermissionDenied { .. } => StoreErrorKind::Denied,
        object_store::Error::Unauthenticated { .. } => StoreErrorKind::BadCredentials,
        object_store::Error::NotFound { .. } => StoreErrorKind::NotFound,
        object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => {
            StoreErrorKind::Conflict
        }
        // A redirect: the bucket is in another region.
        _ if ["incorrectly configured region", "status code: 30"]
            .iter()
            .any(|s| text.contains(s)) =>
        {
            StoreErrorKind::Configuration
        }
        _ if ["status code: 5", "status code: 429", "status code: 408"]
            .iter()
            .any(|s| text.contains(s)) =>
        {
            StoreErrorKind::Unavailable
        }
        _ => StoreErrorKind::Refused,
    }
}

fn hint(kind: StoreErrorKind, provider: Provider, bucket: &str) -> String {
    let variables = provider.variables();
    match kind {
        StoreErrorKind::Configuration => {
            format!("correct `sites.store`, or {}", variables.endpoint)
        }
        StoreErrorKind::NoCredentials => format!("set {}", variables.credentials),
        StoreErrorKind::BadCredentials => format!("check {}", variables.credentials),
        StoreErrorKind::Denied => {
            format!("let the host's account read, write, list and delete objects in `{bucket}`")
        }
        StoreErrorKind::BucketMissing => {
            format!(
                "make the {} `{bucket}`, or name another in `sites.store`",
                provider.bucket_word()
            )
        }
        StoreErrorKind::Unreachable => {
            format!(
                "check the network and that the store runs, or {}; then try again",
                variables.endpoint
            )
        }
        StoreErrorKind::Unavailable | StoreErrorKind::Conflict => "try again in a while".to_owned(),
        StoreErrorKind::NotFound => "run the order again".to_owned(),
        StoreErrorKind::Damaged => {
            "keep other programs out of this prefix, and run the order again".to_owned()
        }
        StoreErrorKind::Folder => "check the sites folder, then run the order again".to_owned(),
        StoreErrorKind::Refused => "see the documentation of the store, then try again".to_owned(),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = causes_with_self(error);
    causes.iter().map(Message::as_str).collect::<Vec<_>>().join(": ")
}

fn deepest(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = Message::new(cause.to_string()).map_or(text, |message| message.to_string());
        next = cause.source();
    }
    text
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    let (inside, _) = rest.split_once(end)?;
    Some(inside.trim()).filter(|inside| !inside.is_empty())
}
