//! The kinds of AI errors: the only place where they are defined.

use std::fmt;

use strum::{EnumCount, VariantArray, VariantNames};

/// The kind of an error of an AI call. The names are those of the contract's `error-kind`; in JSON
/// they are in snake case. The contract's names are read from JSON too: journals, recordings and
/// failure records of version 1 have them.
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
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schemars", schemars(rename_all = "snake_case"))]
pub enum AiErrorKind {
    /// The provider rejected the API key.
    Auth,
    /// The API key has no permission for this model or endpoint.
    Permission,
    /// The model or endpoint does not exist.
    #[cfg_attr(feature = "serde", serde(alias = "not-found"))]
    NotFound,
    /// The host or the provider rejected the request as malformed.
    #[cfg_attr(feature = "serde", serde(alias = "invalid-request"))]
    InvalidRequest,
    /// Prompt and reply do not fit into the model's context window.
    #[cfg_attr(feature = "serde", serde(alias = "context-too-long"))]
    ContextTooLong,
    /// The rate limit for requests or tokens is exceeded; the call can succeed later.
    #[cfg_attr(feature = "serde", serde(alias = "rate-limited"))]
    RateLimited,
    /// The account has no credit left; waiting does not help.
    #[cfg_attr(feature = "serde", serde(alias = "quota-exhausted"))]
    QuotaExhausted,
    /// The provider or model is overloaded, or failed with a server error.
    Overloaded,
    /// A timeout expired: connect, first byte, idle or the whole call.
    Timeout,
    /// The connection could not be established, or was lost, perhaps in the middle of a body. A
    /// stream that is closed regularly but too early is `truncated`.
    Connection,
    /// The response is complete but does not follow the provider's protocol: an HTML page, or JSON
    /// that ends early.
    Protocol,
    /// The reply was truncated: at a token limit, or its stream ended without its final marker.
    /// Only the latter is retryable.
    Truncated,
    /// The reply has no content.
    Empty,
    /// A JSON format was requested and the reply is not JSON.
    Malformed,
    /// The reply is JSON that is not valid against the requested schema.
    #[cfg_attr(feature = "serde", serde(alias = "schema-mismatch"))]
    SchemaMismatch,
    /// The provider's content filter rejected the request or the reply.
    #[cfg_attr(feature = "serde", serde(alias = "content-filtered"))]
    ContentFiltered,
    /// The order's budget of calls, tokens or money is exhausted; nothing was sent.
    #[cfg_attr(feature = "serde", serde(alias = "budget-exceeded"))]
    BudgetExceeded,
    /// The operator's configuration has no route for the purpose.
    #[cfg_attr(feature = "serde", serde(alias = "no-route"))]
    NoRoute,
    /// The run was cancelled, or its deadline expired, while the call was in flight.
    Cancelled,
    /// Any other kind, or one of a later version of the contract.
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

    /// The name in the contract, in messages and in logs, in kebab case: `rate-limited`.
    pub const fn as_str(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }

    /// The kind of an HTTP error response whose body has no specific error code. `Other` for a
    /// status below 400 or above 599.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => AiErrorKind::Auth,
            402 => AiErrorKind::QuotaExhausted,
            403 => AiErrorKind::Permission,
            404 | 405 | 410 => AiErrorKind::NotFound,
            // 499: a proxy's caller gave up. 524: Cloudflare's timeout for the server behind it.
            408 | 499 | 504 | 524 => AiErrorKind::Timeout,
            413 => AiErrorKind::ContextTooLong,
            // Conflict, locked, too early: the same request can succeed later.
            409 | 423 | 425 => AiErrorKind::Overloaded,
            429 => AiErrorKind::RateLimited,
            400..=499 => AiErrorKind::InvalidRequest,
            500..=599 => AiErrorKind::Overloaded,
            _ => AiErrorKind::Other,
        }
    }

    /// Whether the same call can succeed later, unless the provider's response says otherwise (see
    /// [`retryable_after`](Self::retryable_after)).
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

    /// Whether the same call can succeed later, after an HTTP error response: `should_retry` is the
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

/// The error for a text that is not the name of a kind.
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
