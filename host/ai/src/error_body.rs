//! Error bodies: what an error response means.
//!
//! Codes of the body decide first, then known messages, then the HTTP status. One reader for all
//! providers, because their envelopes and codes overlap and a proxy may use any of them.

use std::time::Duration;

use serde_json::Value;

use super::error_words;
use super::failure::AttemptFailure;
use super::in_between;
use super::reading;
use super::retry_after;
use super::stream::Sse;
use super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::{AiErrorKind, HttpDetail};
use sitewright_model::time::millis;

/// Maximum size of the message in bytes. An error inside a success may be as long as a reply.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Maximum size of a code in bytes. A longer text is not one.
const MAX_CODE_BYTES: usize = 256;

/// What an error body contains, independent of its envelope.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub(super) message: String,
    /// `type`, `code` and inner codes, in lower case.
    pub(super) codes: Vec<String>,
    /// A numeric code, as OpenRouter and llama.cpp send it.
    pub(super) number: Option<u16>,
    /// Fields of the request that it names, as paths.
    pub(super) fields: Vec<String>,
    /// The wait that the body requests in a field of its own.
    pub(super) retry_after: Option<Duration>,
    /// Headers of the provider behind a relay that puts them into the body.
    pub(super) headers: Vec<(String, String)>,
}

/// The failure that an error status with this body means.
pub(super) fn failure(http: &HttpReply) -> AttemptFailure {
    let body = ErrorBody::parse(&http.body);
    of_kind(&http.head, kind(http.head.status, &body), &body)
}

/// The failure for an error inside a response with a success status.
pub(super) fn in_success(head: &HttpHead, error: &Value) -> AttemptFailure {
    let body = ErrorBody::read(error);
    let status = body.error_status().unwrap_or(head.status);
    of_kind(head, kind(status, &body), &body)
}

/// The failure for an error in a stream. The provider has accepted the request and begun its
/// answer, so an error that says nothing known is its own failure.
pub(super) fn in_stream(head: &HttpHead, error: &Value) -> AttemptFailure {
    let body = ErrorBody::read(error);
    let status = body.error_status().unwrap_or(head.status);
    let kind = match kind(status, &body) {
        AiErrorKind::Other => AiErrorKind::Overloaded,
        kind => kind,
    };
    of_kind(head, kind, &body)
}

/// Whether this JSON, which is no reply, says as an error what went wrong: it has a message, and a
/// code or nothing else.
pub(super) fn says_something(value: &Value) -> bool {
    let body = ErrorBody::read(value);
    let inside = match value {
        Value::Array(items) => items.first(),
        value => Some(value),
    };
    let only_message = inside.and_then(Value::as_object).is_some_and(|fields| fields.len() == 1);
    let said = !body.message.trim().is_empty();
    said && (!body.codes.is_empty() || only_message || is_called_failure(value))
}

/// Whether a field says that the value is an error.
fn is_called_failure(value: &Value) -> bool {
    let fields = reading::Fields(value);
    value.get("success") == Some(&Value::Bool(false))
        || fields.text("object") == Some("error")
        || fields.list("errors").next().is_some()
        || fields.count("error_code").is_some_and(|code| code != 0)
}

/// Whether an event of a stream that has no part of a reply is an error: some servers send one in
/// an envelope of its own. Events that report progress have messages too.
pub(super) fn is_failure(event: &Value) -> bool {
    if !may_have_message(event) {
        return false;
    }
    let body = ErrorBody::read(event);
    !body.message.trim().is_empty()
        && (is_called_failure(event)
            || body.error_status().is_some()
            || kind(200, &body) != AiErrorKind::Other)
}

/// Whether a field has a name under which [`ErrorBody::read`] may find a message. The last events of
/// each stream have none, and reading an error costs as much as reading ten of them.
fn may_have_message(event: &Value) -> bool {
    let Value::Object(fields) = event else { return true };
    let begins = |pointer: &str, name: &str| {
        let rest = pointer.strip_prefix('/').and_then(|path| path.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let leads = |name: &str| ENVELOPES.iter().chain(&TEXTS).any(|pointer| begins(pointer, name));
    fields.keys().any(|name| leads(name))
}

/// Where an error may be in an object, and a text that is appended to its message.
const ENVELOPES: [&str; 3] = ["/error", "/Response/Error", "/metadata/raw"];

/// Where the message of an error may be, the most specific first.
const TEXTS: [&str; 19] = [
    "/message",
    "/Message",
    "/message/detail/0/msg",
    "/message/0/msg",
    "/message/0",
    "/detail/0/msg",
    "/detail/message",
    "/detail/error",
    "/detail/error/message",
    "/detail",
    "/msg",
    "/error_msg",
    "/status_msg",
    "/error_description",
    "/errorMessage",
    "/errors/0/message",
    "/errors/0/detail",
    "/fault/faultstring",
    "/title",
];

/// The failure of this kind. It has no excerpt: the caller that has the body adds it.
pub(super) fn of_kind(head: &HttpHead, kind: AiErrorKind, body: &ErrorBody) -> AttemptFailure {
    let of_headers = || {
        let headers = head.headers.iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let of_body = body.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        retry_after::reset(headers.chain(of_body), head.received)
    };
    let delay = body
        .retry_after
        .or_else(|| retry_after::delay(&head.headers, &body.message, head.received))
        // Other errors may report limits too, which are not their cause.
        .or_else(|| of_headers().filter(|_| kind == AiErrorKind::RateLimited));
    let should_retry = head.headers.get("x-should-retry").and_then(|value| value.to_str().ok());
    let retryable = kind.retryable_after(should_retry, &body.message);
    let fields = body.fields.clone();
    AttemptFailure { retryable, fields, ..AttemptFailure::new(kind, &body.message) }
        .with_http(HttpDetail { retry_after_ms: delay.map(millis), ..head.detail() })
}

/// The kind that a status with this body means.
pub(super) fn kind(status: u16, body: &ErrorBody) -> AiErrorKind {
    let by_code = body.kind_of_codes().map(|kind| match (kind, AiErrorKind::of_status(status)) {
        // Some servers use a general code for every error; a timeout status is more specific.
        (AiErrorKind::Overloaded, AiErrorKind::Timeout) => AiErrorKind::Timeout,
        (AiErrorKind::Overloaded, _) if body.exceeds_context() => AiErrorKind::ContextTooLong,
        // DeepSeek, through relays.
        (AiErrorKind::Overloaded, _) if body.mentions(&["content exists risk"]) => {
            AiErrorKind::ContentFiltered
        }
        (AiErrorKind::Permission, _) if error_words::says_wrong_key(&body.message) => {
            AiErrorKind::Auth
        }
        // Google has one code for what a key may not do and for what nobody pays.
        (AiErrorKind::Permission, _) if error_words::says_no_money(&body.message) => {
            AiErrorKind::QuotaExhausted
        }
        // Alibaba has one code for an empty account and for a limit per minute.
        (AiErrorKind::QuotaExhausted, _)
            if body.mentions(&["allocated quota exceeded"])
                && !body.mentions(&["free allocated quota"]) =>
        {
            AiErrorKind::RateLimited
        }
        (AiErrorKind::RateLimited, _)
            if body.mentions(&["free allocated quota", "free trial quota"])
                || error_words::says_limit_of_nothing(&body.message) =>
        {
            AiErrorKind::QuotaExhausted
        }
        _ => kind,
    });
    // A server of local models answers a wrong path with 200.
    if body.mentions(&["unexpected endpoint", "unknown endpoint", "invalid url (", "no such route"])
    {
        return AiErrorKind::NotFound;
    }
    by_code
        .or_else(|| body.kind_of_message(status))
        .or_else(|| {
            let behind = body.behind().filter(|_| matches!(status, 400 | 422))?;
            behind
                .kind_of_codes()
                .or_else(|| behind.kind_of_message(status))
                .or_else(|| behind.kind_of_number())
        })
        // Gateways answer with a status of their own, and the provider's is in the body.
        .or_else(|| body.kind_of_number().filter(|_| matches!(status, 400 | 422 | 500 | 502)))
        .unwrap_or_else(|| AiErrorKind::of_status(status))
}

impl ErrorBody {
    /// Reads a body, JSON or not. Of JSON that ends early, what is there counts.
    pub(super) fn parse(body: &[u8]) -> Self {
        let event = first_event(body);
        let body = event.as_deref().unwrap_or(body);
        let value = match reading::parse(body) {
            Err(error) if error.is_eof() => {
                serde_json::from_str(&closed(&String::from_utf8_lossy(body)))
            }
            parsed => parsed,
        };
        match value {
            Ok(value) => ErrorBody::read(&value),
            Err(_) => ErrorBody { message: cut(&plain(body)), ..ErrorBody::default() },
        }
    }

    /// Reads an error in any envelope: `{"error": {...}}`, `{"error": "text"}`, the error itself,
    /// a list whose first entry is one of these, `{"detail": ...}`.
    pub(super) fn read(value: &Value) -> Self {
        ErrorBody::read_within(value, Texts::MayNest)
    }

    fn read_within(value: &Value, texts: Texts) -> Self {
        match value {
            Value::Array(items) => {
                items.first().map(|item| ErrorBody::read_within(item, texts)).unwrap_or_default()
            }
            Value::String(text) => texts
                .nested(text)
                .unwrap_or_else(|| ErrorBody { message: cut(text), ..ErrorBody::default() }),
            Value::Object(object) => {
                let has = |name: &str| object.contains_key(name);
                let error = object.get("error").or_else(|| value.pointer("/Response/Error"));
                let body = match error {
                    Some(error @ (Value::Object(_) | Value::Array(_))) => {
                        ErrorBody::read_within(error, texts)
                    }
                    // `{"error": "text"}`; with a message beside it, `error` is a code.
                    Some(error @ Value::String(_))
                        if !has("message") && !has("error_description") =>
                    {
                        ErrorBody::read_within(error, texts)
                    }
                    _ => ErrorBody::of_object(value, texts),
                };
                let retry_after = body.retry_after.or_else(|| retry_after::in_object(value));
                ErrorBody { retry_after, ..body }
            }
            _ => ErrorBody::default(),
        }
    }

    /// The error of the provider behind a relay that has put it into the message: LiteLLM,
    /// OpenRouter, clients of Azure and Claude Code Router do.
    fn behind(&self) -> Option<ErrorBody> {
        let words =
            ["Exception - {", "returned error ({", "Error message: {", "): {", "provider: {"];
        let begin = words.iter().find_map(|words| {
            let at = self.message.find(words)?;
            Some(at + words.len() - 1)
        })?;
        let mut values =
            serde_json::Deserializer::from_str(&self.message[begin..]).into_iter::<Value>();
        Some(ErrorBody::read(&values.next()?.ok()?))
    }

    /// Whether a server's own failure is a prompt that is too long.
    fn exceeds_context(&self) -> bool {
        error_words::says_too_long(&self.message)
            && self.mentions(&["exceed", "maximum", "too long"])
    }

    /// The numeric code, if it is an HTTP error status.
    pub(super) fn error_status(&self) -> Option<u16> {
        self.number.filter(|number| (400..=599).contains(number))
    }

    /// The kind of the numeric code, if it is a status that is specific.
    fn kind_of_number(&self) -> Option<AiErrorKind> {
        let status = self.error_status().filter(|status| !matches!(status, 400 | 422))?;
        Some(AiErrorKind::of_status(status))
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|one| one == code)
    }

    /// Whether the message contains one of these texts, which are in lower case.
    pub(super) fn mentions(&self, texts: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        texts.iter().any(|text| message.contains(text))
    }

    /// The kind of the first known code. Codes are specific, so they count before the status.
    fn kind_of_codes(&self) -> Option<AiErrorKind> {
        self.codes.iter().find_map(|code| error_words::kind_of_code(code))
    }

    /// Some servers report these kinds only in the message.
    fn kind_of_message(&self, status: u16) -> Option<AiErrorKind> {
        // An error inside a success: only its words say what it is.
        let in_success = status < 400;
        // Servers written in Go say so in plain text.
        if status == 400 && self.mentions(&["http request to an https server"]) {
            return Some(AiErrorKind::Protocol);
        }
        // LiteLLM and OpenAI: the key is right, and not for this.
        if status == 401 && self.mentions(&["not allowed to access model", "missing scopes"]) {
            return Some(AiErrorKind::Permission);
        }
        // 498: a token that is no longer valid.
        if (matches!(status, 401 | 403 | 498) || in_success)
            && !error_words::says_no_money(&self.message)
            && (error_words::says_expired(&self.message)
                || error_words::says_wrong_key(&self.message))
        {
            return Some(AiErrorKind::Auth);
        }
        if status == 498 && self.mentions(&["invalid token"]) {
            return Some(AiErrorKind::Auth);
        }
        if matches!(status, 403 | 424) && error_words::says_filtered(&self.message) {
            return Some(AiErrorKind::ContentFiltered);
        }
        // Azure's and other gateways: the quota of a period.
        if status == 403
            && self.mentions(&["call volume quota", "token limit is exceeded", "quota exceeded"])
            && !error_words::says_no_money(&self.message)
        {
            return Some(AiErrorKind::RateLimited);
        }
        // OpenRouter: what the account allows leaves no provider.
        if status == 404 && self.mentions(&["data policy", "guardrail restrictions"]) {
            return Some(AiErrorKind::Permission);
        }
        // One API and New API, which have no provider for the model.
        if status == 503 && self.mentions(&["无可用渠道", "no available channel"]) {
            return Some(AiErrorKind::NotFound);
        }
        match status {
            // TGI and Bedrock: the model failed.
            424 => return Some(AiErrorKind::Overloaded),
            // 446: Portkey's guardrails.
            446 | 451 => return Some(AiErrorKind::ContentFiltered),
            500 if self.exceeds_context() => return Some(AiErrorKind::ContextTooLong),
            _ => {}
        }
        if !matches!(status, 400 | 413 | 422) {
            if error_words::says_no_money(&self.message) {
                return Some(AiErrorKind::QuotaExhausted);
            }
            if !in_success {
                return None;
            }
        }
        if error_words::begins_with_no_money(&self.message) {
            return Some(AiErrorKind::QuotaExhausted);
        }
        if error_words::says_throttled(&self.message) {
            return Some(AiErrorKind::RateLimited);
        }
        if error_words::says_too_long(&self.message) {
            return Some(AiErrorKind::ContextTooLong);
        }
        if error_words::says_filtered(&self.message) {
            return Some(AiErrorKind::ContentFiltered);
        }
        if self.mentions(&[
            "api key not valid",
            "invalid api key",
            "incorrect api key",
            "missing api key",
            "api key expired",
            "invalid authorization header",
            "authorization token非法",
            "token tenant ",
        ]) {
            return Some(AiErrorKind::Auth);
        }
        if self.mentions(&[
            "organization has been disabled",
            "user location is not supported",
            "not available in your country",
            "unsupported countries, regions",
            "do not have access to the model",
            "don't have access to the model",
            "not authorized to invoke this api",
            "credential is only authorized for use with",
            "is not allowed to use publisher model",
        ]) || self.message.to_lowercase().ends_with("operation not allowed")
        {
            return Some(AiErrorKind::Permission);
        }
        // LM Studio, whose models end on their own, and hosts that stop or lose a model.
        if self.mentions(&[
            "model has crashed",
            "model unloaded",
            "failed to load model",
            "endpoint is paused",
            "degraded function cannot be invoked",
        ]) || self.message.eq_ignore_ascii_case("channel error")
        {
            return Some(AiErrorKind::Overloaded);
        }
        if self.mentions(&[
            "not a valid model",
            "model not found",
            "model not exist",
            "unknown model",
            "invalid model name",
            // LiteLLM: none is configured. Those that rest are a 429.
            "no healthy deployments for this model",
            "model identifier is invalid",
            "non-serverless model",
            "on-demand throughput",
            "multiple models are loaded",
            "url error, please check url",
            "模型不存在",
        ]) || (self.mentions(&["model"]) && self.mentions(&["does not exist", "not found"]))
        {
            return Some(AiErrorKind::NotFound);
        }
        if !in_success {
            return None;
        }
        if self.mentions(&["not authenticated", "unauthorized"]) {
            return Some(AiErrorKind::Auth);
        }
        if self.mentions(&[
            "rate limit",
            "rate exceeded",
            "too many requests",
            "request limit",
            "conn limit",
            "concurrent limit",
            "usage limit",
            "请求过于频繁",
            "速率限制",
            "并发数过高",
            "使用上限",
        ]) {
            return Some(AiErrorKind::RateLimited);
        }
        if self.mentions(&["request timeout", "timed out"]) {
            return Some(AiErrorKind::Timeout);
        }
        error_words::says_overloaded(&self.message).then_some(AiErrorKind::Overloaded)
    }

    fn of_object(error: &Value, texts: Texts) -> Self {
        let inner = [
            "/code",
            "/Code",
            "/__type",
            "/errors/0/code",
            "/error",
            "/type",
            "/status",
            "/status_code",
            "/statusCode",
            "/error_code",
            "/innererror/code",
            "/metadata/error_type",
            "/details/0/reason",
        ];
        let mut codes = Vec::new();
        let mut number = None;
        for pointer in inner {
            match error.pointer(pointer) {
                Some(Value::String(text)) if text.len() <= MAX_CODE_BYTES => {
                    number = number.or(text.parse().ok());
                    codes.push(text.to_lowercase());
                }
                Some(Value::Number(code)) => {
                    number =
                        number.or_else(|| code.as_u64().and_then(|code| u16::try_from(code).ok()));
                    codes.push(code.to_string());
                }
                _ => {}
            }
        }
        if error.pointer("/metadata/reasons").is_some_and(Value::is_array) {
            codes.push("content_filter".to_owned());
        }
        // Google's quota of a day is not reset after the wait of the response.
        if quota_ids(error).any(|id| id.contains("PerDay")) {
            codes.push("quota_exhausted".to_owned());
        }
        let message =
            TEXTS.iter().find_map(|pointer| error.pointer(pointer)?.as_str()).unwrap_or_default();
        // OpenRouter puts the error of the provider behind it here.
        let raw = error.pointer("/metadata/raw").map(|raw| match raw {
            Value::String(raw) => cut(raw),
            Value::Object(_) => cut(&raw.to_string()),
            _ => String::new(),
        });
        let raw = raw.filter(|raw| !raw.is_empty());
        if let Some(behind) = raw.as_deref().and_then(|raw| texts.nested(raw)) {
            codes.extend(behind.codes);
        }
        let (fields, headers) = (fields(error), headers(error));
        let retry_after = retry_after::in_object(error);
        // What is inside knows more.
        let inside = texts.nested(message);
        let message = match (&inside, raw) {
            (Some(inside), _) => inside.message.clone(),
            (None, Some(raw)) => format!("{} ({raw})", cut(message)),
            (None, None) => cut(message),
        };
        let outside = ErrorBody { message, codes, number, fields, retry_after, headers };
        match inside {
            Some(inside) => outside.around(inside),
            None => outside,
        }
    }

    /// This error with what is known of the one in its message.
    fn around(self, inside: ErrorBody) -> Self {
        ErrorBody {
            message: self.message,
            codes: inside.codes.into_iter().chain(self.codes).collect(),
            number: inside.number.or(self.number),
            fields: inside.fields.into_iter().chain(self.fields).collect(),
            retry_after: inside.retry_after.or(self.retry_after),
            headers: self.headers,
        }
    }
}

/// Whether a text in an error may be the JSON of another error: some relays have put that of the
/// provider behind them there. Not within such a text, so that the depth is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    MayNest,
    AreTexts,
}

impl Texts {
    /// The error in a text that is JSON, or an event with it. `None` if it has no message.
    fn nested(self, text: &str) -> Option<ErrorBody> {
        let text = text.trim();
        if self == Texts::AreTexts {
            return None;
        }
        let value = match first_event(text.as_bytes()) {
            Some(data) => reading::parse(&data).ok()?,
            None if text.starts_with(['{', '[']) => reading::parse(text.as_bytes()).ok()?,
            None => return None,
        };
        let body = ErrorBody::read_within(&value, Texts::AreTexts);
        Some(body).filter(|body| !body.message.is_empty())
    }
}

/// The data of a body's first event: some servers refuse a stream with one, and also say so in an
/// event that has a name, or end it as every stream. `None` if the body is no event.
fn first_event(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.trim_ascii_start();
    // Of several lines.
    let only_data = body.strip_prefix(b"data:").filter(|data| reading::parse(data).is_ok());
    if let Some(data) = only_data {
        return Some(data.to_vec());
    }
    let fields: [&[u8]; 4] = [b"data:", b"event:", b"id:", b":"];
    if !fields.iter().any(|field| body.starts_with(field)) {
        return None;
    }
    let mut events = Sse::default();
    let first = events.next_in(&mut &*body).ok()?;
    first.or_else(|| events.rest()).map(|event| event.data)
}

/// The quotas that an error of Google names.
fn quota_ids(error: &Value) -> impl Iterator<Item = &str> {
    let details = reading::Fields(error).list("details");
    details.flat_map(|detail| detail.list("violations")).filter_map(|one| one.text("quotaId"))
}

/// The fields of the request that an error names: `param`, and the places of validation errors.
fn fields(error: &Value) -> Vec<String> {
    let param = error.get("param").and_then(Value::as_str).map(str::to_owned);
    let lists = ["/detail", "/message/detail"].into_iter();
    let problems = lists.filter_map(|list| error.pointer(list)?.as_array()).flatten();
    let place = |problem: &Value| {
        let parts = problem.get("loc")?.as_array()?.iter().filter_map(Value::as_str);
        Some(parts.collect::<Vec<_>>().join("."))
    };
    param
        .into_iter()
        .chain(problems.filter_map(place).take(MAX_FIELDS))
        .filter(|field| field.len() <= MAX_CODE_BYTES)
        .collect()
}

/// The headers that OpenRouter puts into its errors.
fn headers(error: &Value) -> Vec<(String, String)> {
    let headers = error.pointer("/metadata/headers").and_then(Value::as_object);
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    headers
        .into_iter()
        .flatten()
        .take(MAX_FIELDS)
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .filter(|(name, value)| name.len() + value.len() <= MAX_CODE_BYTES)
        .collect()
}

/// Maximum number of headers, and of places in a list of validation errors, that are read.
const MAX_FIELDS: usize = 16;

/// The text without surrounding white space, at most [`MAX_MESSAGE_BYTES`] of it.
fn cut(text: &str) -> String {
    let text = text.trim();
    text[..text.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned()
}

/// JSON that was cut, made whole: what is open is closed, and a last field without a value is left
/// out. In one pass.
fn closed(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut open: Vec<char> = Vec::new();
    // Up to where whole values are, and how many brackets are open there.
    let (mut whole, mut depth) = (0, 0);
    let (mut in_string, mut is_value) = (false, false);
    // Where the character after a backslash ends, and where an escape begins that may be cut: a
    // surrogate pair has 12 bytes.
    let (mut escaped, mut last, mut cut) = (0, 0, None);
    for (at, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if at < escaped => {}
                b'\\' => {
                    escaped = at + 2;
                    let begin = if last + 6 == at { last } else { at };
                    cut = cut.or((at + 12 > bytes.len()).then_some(begin));
                    last = at;
                }
                b'"' => {
                    in_string = false;
                    if is_value {
                        (whole, depth) = (at + 1, open.len());
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => (in_string, escaped, last, cut) = (true, 0, at, None),
            b':' => is_value = true,
            b'{' | b'[' => {
                open.push(if *byte == b'{' { '}' } else { ']' });
                (whole, depth, is_value) = (at + 1, open.len(), *byte == b'[');
            }
            b'}' | b']' => {
                open.pop();
                (whole, depth) = (at + 1, open.len());
            }
            b',' => (whole, depth, is_value) = (at, open.len(), open.last() == Some(&']')),
            _ => {}
        }
    }
    let mut closed = String::with_capacity(text.len() + open.len() + 1);
    if in_string && is_value {
        closed.push_str(&text[..cut.unwrap_or(text.len())]);
        closed.push('"');
    } else {
        closed.push_str(&text[..whole]);
        open.truncate(depth);
    }
    closed.extend(open.iter().rev());
    closed
}

/// The text of a body that is not JSON.
fn plain(body: &[u8]) -> String {
    if let Some(format) = in_between::compression(body) {
        return in_between::compressed(format);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') {
        html(text)
    } else {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// An HTML page in a message: its title, if it has one.
pub(super) fn html(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower[at..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        Some(text[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
    });
    match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("an HTML page ({})", title.chars().take(100).collect::<String>()),
        None => "an HTML page".to_owned(),
    }
}

/// Describes the body of a success that is not the protocol's JSON.
pub(super) fn not_json(body: &[u8], error: &serde_json::Error) -> String {
    if let Some(format) = in_between::compression(body) {
        return in_between::compressed(format);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return format!("it answered with {} instead of JSON", html(text));
    }
    if text.starts_with("data:") || text.starts_with("event:") {
        return "it answered with a stream although none was requested".to_owned();
    }
    match error.classify() {
        serde_json::error::Category::Eof => {
            format!("its answer is JSON that ends early, after {} bytes", body.len())
        }
        serde_json::error::Category::Data => {
            format!("its answer is JSON of another shape: {error}")
        }
        _ => format!("its answer is not JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_read_as_an_error_wherever_its_message_may_be() {
        for pointer in ENVELOPES.iter().chain(&TEXTS) {
            let event = pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev().fold(
                json!("Too many requests"),
                |inner, name| match name.parse::<usize>() {
                    Ok(_) => json!([inner]),
                    Err(_) => json!({ name: inner }),
                },
            );
            assert!(is_failure(&event), "{event}");
        }
        let usage = json!({"id": "a", "object": "chat.completion.chunk", "model": "m",
            "choices": [], "usage": {"prompt_tokens": 1}, "messages": 2});
        assert!(!may_have_message(&usage) && !is_failure(&usage));
    }

    #[test]
    fn an_error_inside_a_success_has_the_kind_of_its_words() {
        use AiErrorKind::{Auth, ContextTooLong, Overloaded, QuotaExhausted, RateLimited};
        let rows = [
            (json!({"error": "model overloaded, try again"}), Overloaded),
            (json!({"detail": "Not authenticated"}), Auth),
            (json!({"code": 7, "msg": "Too many requests"}), RateLimited),
            (json!({"error_code": 17, "error_msg": "Open api daily request limit"}), RateLimited),
            (
                json!({"object": "error", "message": "maximum context length is 4096"}),
                ContextTooLong,
            ),
            (
                json!({"error": {"message": "Your team doesn't have any credits yet"}}),
                QuotaExhausted,
            ),
        ];
        for (value, expected) in rows {
            assert_eq!(kind(200, &ErrorBody::read(&value)), expected, "{value}");
        }
        // A 400 may quote the prompt, except at its beginning.
        for (said, expected) in [
            ("Your credit balance is too low to access the API", QuotaExhausted),
            ("`prompt` says: insufficient balance", AiErrorKind::InvalidRequest),
        ] {
            let body = ErrorBody::read(&json!({"error": {"message": said}}));
            assert_eq!(kind(400, &body), expected, "{said}");
        }
    }

    #[test]
    fn an_error_that_is_an_event_is_read() {
        const ERROR: &str = r#"{"code":"InvalidParameter","message":"too long"}"#;
        for body in [
            format!("data:{ERROR}"),
            format!("data: {ERROR}\n\n"),
            format!("data: {ERROR}\n\ndata: [DONE]\n\n"),
            format!("data: {ERROR}\r\n\r\ndata: [DONE]"),
            // Alibaba writes so.
            format!("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{ERROR}\n\n"),
            format!("\nevent: error\ndata: {ERROR}"),
            format!(": queued\n\ndata: {{\"error\": {ERROR}}}\n\n"),
            "data: {\n\"code\": \"InvalidParameter\",\n\"message\": \"too long\"\n}".to_owned(),
            r#"data: {"error":{"code":"InvalidParameter","message":"too long"#.to_owned(),
            json!({"error": format!("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{ERROR}")})
                .to_string(),
        ] {
            let read = ErrorBody::parse(body.as_bytes());
            assert_eq!(read.message, "too long", "{body}");
            assert_eq!(read.codes, ["invalidparameter"], "{body}");
        }
        for plain in ["id: 7 is not known", "event: too long", ": nothing", "error: no such id"] {
            assert_eq!(ErrorBody::parse(plain.as_bytes()).message, plain);
        }
    }

    #[test]
    fn an_error_in_a_text_is_read_and_none_in_that() {
        let inside = json!({"error": {"code": "insufficient_quota", "message": "no"}});
        let around = |message: &Value| {
            let message = message.to_string();
            json!({"error": {"message": message, "code": 429, "status": "x"}})
        };
        let body = ErrorBody::read(&around(&inside));
        assert_eq!((body.message.as_str(), body.number), ("no", Some(429)));
        assert_eq!(kind(429, &body), AiErrorKind::QuotaExhausted);
        let in_list = json!({"error": json!([inside]).to_string()});
        assert_eq!(ErrorBody::read(&in_list).message, "no");
        let raw = json!({"error": {"message": "x", "metadata": {"raw": inside.to_string()}}});
        assert!(ErrorBody::read(&raw).has_code("insufficient_quota"));
        // What is deeper stays a text, and so does JSON that is no error.
        let deep = ErrorBody::read(&around(&around(&inside)));
        assert_eq!(deep.message, inside.to_string());
        assert!(!deep.has_code("insufficient_quota"));
        let other = json!({"a": 1});
        assert_eq!(ErrorBody::read(&around(&other)).message, other.to_string());
    }

    #[test]
    fn json_that_was_cut_says_what_is_there() {
        let whole = r#"{"error":{"code":"invalid_api_key","list":[1,[true,{"a":"b"}]],"message":"the \"key\" \ud83d\ude00 is \\wrong\\"}}"#;
        for end in 1..whole.len() {
            let text = closed(&whole[..end]);
            let value: Result<Value, _> = serde_json::from_str(&text);
            let value = value.unwrap_or_else(|error| panic!("{error}: {text}"));
            let body = ErrorBody::parse(&whole.as_bytes()[..end]);
            assert_eq!(body.has_code("invalid_api_key"), end >= 33, "{value}");
        }
        let long =
            format!(r#"{{"detail":[{{"msg":"no such field","input":"{}"#, "x".repeat(70_000));
        assert_eq!(ErrorBody::parse(long.as_bytes()).message, "no such field");
        let long = format!(r#"{{"error":{{"message":"{}"#, "x".repeat(70_000));
        assert_eq!(ErrorBody::parse(long.as_bytes()).message, "x".repeat(MAX_MESSAGE_BYTES));
    }
}
