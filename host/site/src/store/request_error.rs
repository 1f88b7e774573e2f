//! What went wrong with a store, told for the one who must act.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use object_store::client::{HttpError, HttpErrorKind};
use secrecy::{ExposeSecret, SecretString};

use super::connect::{NoCredentials, NotEncrypted, Provider};
use sitewright_http::causes_with_self;
use sitewright_model::message::Message;
use sitewright_model::text;

/// Why a store did not do what it was asked: a whole sentence for a person, and its kind for
/// programs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of trouble.
    pub kind: StoreErrorKind,
    /// What happened, to which order, why, and what to do next.
    pub message: Message,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, message: Message) -> Self {
        StoreError { kind, message }
    }
}

impl From<StoreError> for Message {
    fn from(error: StoreError) -> Message {
        error.message
    }
}

/// The kinds of trouble with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// What the operator set cannot be right.
    Configuration,
    /// There are no credentials.
    NoCredentials,
    /// The credentials are not accepted.
    BadCredentials,
    /// The credentials are good, and not for this.
    Denied,
    /// There is no such bucket or container.
    BucketMissing,
    /// The store does not answer.
    Unreachable,
    /// The store answers that it cannot now.
    Unavailable,
    /// There is no such release.
    NotFound,
    /// Something else wrote at the same moment, each time.
    Conflict,
    /// What the store has is not what was written.
    Damaged,
    /// The sites folder, not the object store.
    Folder,
    /// Anything else that the store answered.
    Refused,
}

impl StoreErrorKind {
    /// Whether the same may succeed later without anyone changing anything.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            StoreErrorKind::Unreachable
                | StoreErrorKind::Unavailable
                | StoreErrorKind::Conflict
                | StoreErrorKind::Damaged
        )
    }
}

/// One request that failed: what kind of trouble, and the whole chain of causes in words.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) kind: StoreErrorKind,
    pub(super) why: String,
}

impl Trouble {
    pub(super) fn new(kind: StoreErrorKind, why: impl Into<String>) -> Self {
        Trouble { kind, why: why.into() }
    }

    /// Reads the library's error. Its own text repeats the request, so only what the server or the
    /// network said is kept.
    pub(super) fn of(error: &object_store::Error, secrets: &Secrets) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(cause) = next {
            if cause.is::<NoCredentials>() {
                let below = cause.source().map(|below| match below.downcast_ref::<HttpError>() {
                    Some(http) => http.source().map_or_else(|| http.to_string(), chain),
                    None => chain(below),
                });
                let why =
                    below.map_or_else(|| cause.to_string(), |below| format!("{cause}: {below}"));
                return Trouble::new(StoreErrorKind::NoCredentials, secrets.hide(why));
            }
            if cause.is::<NotEncrypted>() {
                return Trouble::new(StoreErrorKind::Configuration, secrets.hide(chain(cause)));
            }
            if let Some(http) = cause.downcast_ref::<HttpError>()
                && !holds_ours(http)
            {
                let kind = match http.kind() {
                    HttpErrorKind::Decode => StoreErrorKind::Refused,
                    _ => StoreErrorKind::Unreachable,
                };
                let why = http.source().map_or_else(|| http.to_string(), chain);
                return Trouble::new(kind, secrets.hide(why));
            }
            next = cause.source();
        }
        let text = error.to_string();
        let code = between(&text, "<Code>", "</Code>");
        let said = between(&text, "<Message>", "</Message>");
        let why = match (code, said) {
            (Some(code), Some(said)) => format!("{code}: {}", short_line(said)),
            (Some(code), None) => code.to_owned(),
            _ => short_line(&deepest(error)),
        };
        Trouble::new(kind_of(error, code, &text), secrets.hide(why))
    }

    /// The whole story: what happened, why, what to do.
    pub(super) fn told(
        self,
        what: fmt::Arguments<'_>,
        provider: Provider,
        bucket: &str,
    ) -> StoreError {
        let Trouble { kind, why } = self;
        let why = why.trim_end_matches(['.', ' ']);
        let advice = advice(kind, provider, bucket);
        StoreError::new(kind, sitewright_model::message!("the site store: {what}: {why}; {advice}"))
    }
}

/// Whether one of our own errors is further down; it says more.
fn holds_ours(http: &HttpError) -> bool {
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
        // Redirects: the bucket is in another region.
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

fn advice(kind: StoreErrorKind, provider: Provider, bucket: &str) -> String {
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
        StoreErrorKind::Refused => {
            "look that up in the documentation of the store, then try again".to_owned()
        }
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

/// On one line and not endless: servers answer whole pages.
fn short_line(text: &str) -> String {
    let line = text::one_line(text);
    match line.char_indices().nth(400) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// What no message may show. The library prints what servers answer, and some of them repeat what
/// they were sent.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<Vec<SecretString>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// The values of the variables that hold secrets by their names, and what is secret inside of
    /// them.
    pub(super) fn of(variables: &[(String, String)]) -> Self {
        let mut found = Vec::new();
        for (name, value) in variables.iter().filter(|(name, _)| holds_secret(name)) {
            found.push(value.clone());
            // A key file as text, and a shared access signature: errors may quote a part.
            if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(value) {
                let texts = fields.iter().filter(|(field, _)| {
                    ["private", "secret", "token"].iter().any(|part| field.contains(part))
                });
                found.extend(texts.filter_map(|(_, text)| text.as_str().map(str::to_owned)));
            }
            if name.contains("SAS") {
                let pairs = url::form_urlencoded::parse(value.trim_start_matches('?').as_bytes());
                found
                    .extend(pairs.filter(|(key, _)| key == "sig").map(|(_, sig)| sig.into_owned()));
                found.extend(
                    value
                        .split('&')
                        .filter_map(|pair| pair.trim_start_matches('?').strip_prefix("sig="))
                        .map(str::to_owned),
                );
            }
        }
        // The longest first: one may be a part of another.
        found.retain(|secret| secret.len() >= 4);
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Secrets(Arc::new(found.into_iter().map(SecretString::from).collect()))
    }

    fn hide(&self, mut text: String) -> String {
        for secret in self.0.iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), "[hidden]");
            }
        }
        text
    }
}

fn holds_secret(name: &str) -> bool {
    let ending =
        ["_ID", "_FILE", "_PATH", "_URI", "_URL", "_CREDENTIALS", "_ALGORITHM", "_ENABLED"];
    ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD"].iter().any(|part| name.contains(part))
        && !ending.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whole_and_in_part() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "abcdSecret"),
            ("AWS_ACCESS_KEY_ID", "AKIDSHOWN"),
            (
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                r#"{"private_key": "pkpkpk", "client_email": "me@here"}"#,
            ),
            ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024&sig=a%2Fb%3D"),
        ];
        let secrets =
            Secrets::of(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let hidden =
            secrets.hide("abcdSecret AKIDSHOWN pkpkpk me@here sig=a%2Fb%3D a/b=".to_owned());
        assert_eq!(hidden, "[hidden] AKIDSHOWN [hidden] me@here sig=[hidden] [hidden]");
    }
}
