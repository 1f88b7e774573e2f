//! Who may do what, who did what, and the configuration in force.

use askama::Template as _;
use sitewright_jobs::{AuditEntry, Token};

use super::address;
use super::frame::Frame;
use super::text::{When, count_of, short};

/// A key of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationKey {
    /// With the names of the tables that it is in: `worker.max_orders`.
    pub key: String,
    /// As it is shown: without a secret.
    pub value: String,
    /// The file, variable or flag that sets it. `None` if none does, and the default is in force.
    pub source: Option<String>,
}

/// What the page is made of.
#[derive(Debug)]
pub struct SettingsFacts {
    /// `None` if the viewer may not see them.
    pub tokens: Option<Vec<Token>>,
    /// The newest entries of the audit log; `None` if the viewer may not see them.
    pub audit: Option<Vec<AuditEntry>>,
    /// The configuration in force, without secrets.
    pub configuration: Vec<ConfigurationKey>,
    /// Version of the configuration.
    pub version: String,
    /// Version and commit of the program.
    pub build: String,
}

/// What a page of the audit log is made of.
#[derive(Debug)]
pub struct AuditFacts {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page.
    pub next: Option<i64>,
    pub is_later: bool,
}

#[derive(askama::Template)]
#[template(path = "settings.html")]
struct Page<'a> {
    f: &'a Frame,
    tokens: Option<Vec<TokenRow>>,
    entries: Option<Vec<Entry>>,
    configuration: &'a [ConfigurationKey],
    version: &'a str,
    build: &'a str,
}

struct TokenRow {
    id: String,
    name: String,
    scopes: String,
    created: When,
    used: Option<When>,
    status: &'static str,
    class: &'static str,
    expires: Option<When>,
}

/// An entry of the audit log.
struct Entry {
    at: When,
    actor: String,
    action: String,
    target: String,
    status: i64,
    class: &'static str,
    client: String,
}

/// The settings.
///
/// # Errors
/// Never, as far as is known.
pub fn settings(frame: &Frame, facts: &SettingsFacts) -> Result<String, askama::Error> {
    let rows = |tokens: &Vec<Token>| tokens.iter().map(|one| token(one, frame.now)).collect();
    let entries =
        |entries: &Vec<AuditEntry>| entries.iter().map(|one| entry(one, frame.now)).collect();
    Page {
        f: frame,
        tokens: facts.tokens.as_ref().map(rows),
        entries: facts.audit.as_ref().map(entries),
        configuration: &facts.configuration,
        version: &facts.version,
        build: &facts.build,
    }
    .render()
}

fn token(token: &Token, now: i64) -> TokenRow {
    let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
    let (status, class) = match (token.revoked_at, token.is_valid_at(now)) {
        (Some(_), _) => ("revoked", "bad"),
        (None, false) => ("expired", "warn"),
        (None, true) => ("valid", "good"),
    };
    TokenRow {
        id: token.id.clone(),
        name: match &token.tenant {
            Some(tenant) => format!("{} (tenant {})", short(&token.name, 80), short(tenant, 80)),
            None => short(&token.name, 80),
        },
        scopes: scopes.join(", "),
        created: When::new(token.created_at, now),
        used: When::optional(token.last_used_at, now),
        status,
        class,
        expires: When::optional(token.expires_at, now),
    }
}

fn entry(entry: &AuditEntry, now: i64) -> Entry {
    Entry {
        at: When::new(entry.at, now),
        actor: short(&entry.actor, 60),
        action: short(&entry.action, 40),
        target: entry.target.as_deref().map(|target| short(target, 100)).unwrap_or_default(),
        status: entry.status,
        class: if entry.status < 400 { "good" } else { "bad" },
        client: short(&entry.client, 60),
    }
}

#[derive(askama::Template)]
#[template(path = "retention.html")]
struct RetentionPage<'a> {
    f: &'a Frame,
    rows: Vec<(String, &'a str)>,
    settings: Vec<(&'a str, &'a str)>,
}

/// What the next sweep of `[retention]` removes: numbers with what they count.
///
/// # Errors
/// Never, as far as is known.
pub fn retention(
    frame: &Frame,
    expired: &[(String, u64)],
    configuration: &[ConfigurationKey],
) -> Result<String, askama::Error> {
    let of_retention = configuration.iter().filter(|one| one.key.starts_with("retention."));
    RetentionPage {
        f: frame,
        rows: expired.iter().map(|(what, number)| (count_of(*number), what.as_str())).collect(),
        settings: of_retention.map(|one| (one.key.as_str(), one.value.as_str())).collect(),
    }
    .render()
}

#[derive(askama::Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    f: &'a Frame,
    entries: Vec<Entry>,
    next: Option<String>,
    is_later: bool,
}

/// A page of the audit log.
///
/// # Errors
/// Never, as far as is known.
pub fn audit(frame: &Frame, facts: &AuditFacts) -> Result<String, askama::Error> {
    let next = facts.next.map(|before| {
        let before = before.to_string();
        address::with("/console/audit", &[("before", Some(&before))])
    });
    AuditPage {
        f: frame,
        entries: facts.entries.iter().map(|one| entry(one, frame.now)).collect(),
        next,
        is_later: facts.is_later,
    }
    .render()
}
