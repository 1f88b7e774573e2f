//! The kinds of AI errors: the only place where they are defined.

use std::fmt;

use strum::{EnumCount, VariantArray, VariantNames};

/// What went wrong. The names are those of the contract's `error-kind`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumCount,
    strum::EnumString,
    strum::VariantNames,
    strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[strum(parse_err_ty = UnknownKind, parse_err_fn = UnknownKind::new)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename_all = "kebab-case"))]
pub enum AiErrorKind {
    /// The provider refused the key.
    Auth,
    /// The key may not use this model or endpoint.
    Permission,
    /// The model or endpoint does not exist.
    NotFound,
    /// The provider, or the host before it, refused the request as malformed.
    InvalidRequest,
    /// Prompt and reply do not fit the model's window.
    ContextTooLong,
    /// Too many requests or tokens for now.
    RateLimited,
    /// No credit left; waiting does not help.
    QuotaExhausted,
    /// The provider or model is overloaded or failing on its side.
    Overloaded,
    /// A time limit passed.
    Timeout,
    /// The connection could not be made or broke, also in the middle of a body. A stream that ends
    /// in good order but too early is `truncated`.
    Connection,
    /// The answer came whole but is not what the provider's protocol says: an HTML page, or JSON
    /// that ends early.
    Protocol,
    /// The reply was cut at a token limit, or its stream ended without its final marker; only the
    /// latter is worth another try.
    Truncated,
    /// The reply had no content.
    Empty,
    /// JSON was asked for and the reply was not JSON.
    Malformed,
    /// The reply was JSON but the schema does not accept it.
    SchemaMismatch,
    /// The provider refused the content.
    ContentFiltered,
    /// The order's budget is used up; no call was made.
    BudgetExceeded,
    /// No route serves the purpose.
    NoRoute,
    /// The run was cancelled, or its deadline passed, while the call was in flight.
    Cancelled,
    /// Anything else.
    Other,
}

impl AiErrorKind {
    /// All kinds, in the order of the contract.
    pub const ALL: [AiErrorKind; AiErrorKind::COUNT] = {
        let mut all = [AiErrorKind::Other; AiErrorKind::COUNT];
        let mut index = 0;
        while index < all.len() {
            all[index] = <Self as VariantArray>::VARIANTS[index];
            index += 1;
        }
        all
    };

    /// The name in records and in the contract, in kebab case: `rate-limited`.
    pub const fn as_str(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }

    /// The kind that an HTTP status means if the error body says nothing more specific. `Other` for
    /// a status below 400 or above 599.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => AiErrorKind::Auth,
            402 => AiErrorKind::QuotaExhausted,
            403 => AiErrorKind::Permission,
            404 | 405 | 410 => AiErrorKind::NotFound,
            // 524 is Cloudflare's: the server behind it did not answer in time.
            408 | 504 | 524 => AiErrorKind::Timeout,
            413 => AiErrorKind::ContextTooLong,
            429 => AiErrorKind::RateLimited,
            400..=499 => AiErrorKind::InvalidRequest,
            500..=599 => AiErrorKind::Overloaded,
            _ => AiErrorKind::Other,
        }
    }

    /// Whether the same call may succeed later, when the provider says nothing about it.
    pub const fn retryable(self) -> bool {
        match self {
            AiErrorKind::RateLimited
            | AiErrorKind::Overloaded
            | AiErrorKind::Timeout
            | AiErrorKind::Connection
            | AiErrorKind::Protocol
            | AiErrorKind::Empty
            | AiErrorKind::Malformed
            | AiErrorKind::SchemaMismatch
            | AiErrorKind::Cancelled => true,
            AiErrorKind::Auth
            | AiErrorKind::Permission
            | AiErrorKind::NotFound
            | AiErrorKind::InvalidRequest
            | AiErrorKind::ContextTooLong
            | AiErrorKind::QuotaExhausted
            | AiErrorKind::Truncated
            | AiErrorKind::ContentFiltered
            | AiErrorKind::BudgetExceeded
            | AiErrorKind::NoRoute
            | AiErrorKind::Other => false,
        }
    }

    /// Whether the same call may succeed later, after an HTTP error answer: `should_retry` is the
    /// value of its `x-should-retry` header, `message` the text of its error.
    ///
    /// The header decides if it is `true` or `false`. A single request that exceeds the whole rate
    /// limit ("request too large") is not retryable: waiting does not make it smaller.
    pub fn retryable_after(self, should_retry: Option<&str>, message: &str) -> bool {
        match should_retry.map(str::trim) {
            Some("true") => true,
            Some("false") => false,
            _ if message.to_lowercase().contains("request too large") => false,
            _ => self.retryable(),
        }
    }
}

impl fmt::Display for AiErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl UnknownKind {
    fn new(text: &str) -> Self {
        UnknownKind(text.to_owned())
    }
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an AI error kind", self.0)
    }
}

impl std::error::Error for UnknownKind {}
