//! Answers of what stands between the host and the provider: a bot check, a proxy, a gateway. Their
//! status says nothing about the key or the model.

use super::error_body;
use super::failure::{AttemptFailure, Between};
use super::wire::{HttpHead, HttpReply};
use sitewright_model::ai::AiErrorKind;

/// The failure of an error response that the provider has not written.
pub(super) fn failure(http: &HttpReply) -> Option<AttemptFailure> {
    let head = &http.head;
    let text = String::from_utf8_lossy(&http.body[..http.body.len().min(MAX_PAGE)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if head.status == 407 {
        return Some(of_proxy());
    }
    if head.status == 403 && is_firewall(text) {
        return Some(of_firewall(text));
    }
    if !text.starts_with('<') {
        return None;
    }
    let page = error_body::html(text);
    if is_bot_check(head, text) {
        let detail = format!(
            "a bot check stands before this address and answered instead of the provider: {page}"
        );
        return Some(by(Between::Guard, detail));
    }
    let detail = match head.status {
        413 if is_proxy(head, text) => format!(
            "a server in front of the provider limits the size of a request's body and answered \
             with {page}; raise its limit (nginx: client_max_body_size)"
        ),
        400 | 421 | 426 => format!(
            "a server in front of the provider answered with {page}, not the provider; check that \
             base_url begins with the right scheme (https) and has the right port"
        ),
        401 | 403 => {
            let detail =
                format!("a server in front of the provider answered with {page}, not the provider");
            return Some(by(Between::Guard, detail));
        }
        _ => return None,
    };
    let kind = if head.status == 413 { AiErrorKind::InvalidRequest } else { AiErrorKind::Protocol };
    Some(AttemptFailure { retryable: false, ..AttemptFailure::new(kind, detail) })
}

/// What to do about it is the hint of the failure.
fn by(between: Between, detail: impl Into<String>) -> AttemptFailure {
    AttemptFailure {
        retryable: false,
        between: Some(between),
        ..AttemptFailure::new(AiErrorKind::Protocol, detail)
    }
}

/// Whether Cloudflare's firewall refuses a program, which gets a number instead of a page: the
/// address, its country, or what the program says of itself is not allowed.
fn is_firewall(text: &str) -> bool {
    const NUMBERS: [&str; 7] = ["1006", "1007", "1008", "1009", "1010", "1012", "1020"];
    text.trim().strip_prefix("error code: ").is_some_and(|number| NUMBERS.contains(&number))
}

fn of_firewall(text: &str) -> AttemptFailure {
    let detail = format!(
        "a firewall of Cloudflare stands before this address and refuses this machine ({})",
        text.trim()
    );
    by(Between::Guard, detail)
}

/// The failure of a proxy that asks for a password.
fn of_proxy() -> AttemptFailure {
    by(Between::Proxy, "a proxy in front of the provider asks for a name and a password")
}

/// Whether a web server wrote the page that operators put in front of models. Providers have limits
/// of their own for a request's body, which their own network enforces.
fn is_proxy(head: &HttpHead, page: &str) -> bool {
    let names = ["nginx", "openresty", "apache", "caddy", "haproxy", "envoy", "litespeed", "iis/"];
    let server = head.headers.get("server").and_then(|name| name.to_str().ok()).unwrap_or_default();
    let (server, page) = (server.to_lowercase(), page.to_lowercase());
    names.iter().any(|name| server.contains(name) || page.contains(name))
}

/// Maximum size of the part of a page that is looked at.
const MAX_PAGE: usize = 64 << 10;

/// Whether a firewall asks for a browser: by its headers, or by the words of its page.
fn is_bot_check(head: &HttpHead, page: &str) -> bool {
    let challenged = ["cf-mitigated", "x-amzn-waf-action", "x-datadome", "x-sucuri-block"];
    if challenged.iter().any(|name| head.headers.contains_key(*name)) {
        return true;
    }
    if !matches!(head.status, 202 | 401 | 403 | 405 | 406 | 429 | 503) {
        return false;
    }
    let page = page.to_lowercase();
    [
        "just a moment...",
        "attention required! | cloudflare",
        "cf-browser-verification",
        "challenge-platform",
        "checking your browser",
        "verify you are human",
        "verifying you are human",
        "enable javascript and cookies",
        "captcha",
        "access denied | ",
        "ddos protection",
        "bot detection",
        "incapsula",
    ]
    .iter()
    .any(|words| page.contains(words))
}

/// The compression that a body was sent with, from its first bytes. The host asks for none.
pub(super) fn compression(body: &[u8]) -> Option<&'static str> {
    match body {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some("deflate"),
        _ => None,
    }
}

/// Describes a compressed body.
pub(super) fn compressed(format: &str) -> String {
    format!(
        "its answer is compressed ({format}), which nobody asked for; turn compression off in the \
         proxy or relay at this address"
    )
}
