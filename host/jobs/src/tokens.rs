//! Tokens of the HTTP API, and the audit log: which token did what, from where. A token itself is
//! never stored, only its digest.

use std::collections::BTreeSet;

use serde::Serialize;
use sitewright_model::time::now_ms;
use ulid::Ulid;

use super::database::Database;
use super::driver::{Row, Tx, args};
use super::error::Error;
use super::model::is_tenant;

/// Time between two notes of a token's use, so that reading the API seldom writes: 1 min.
const NOTE_USE_EVERY_MS: i64 = 60_000;

/// What a token may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    /// Add orders and give them other documents.
    Submit,
    /// Read orders, events, failures, statistics and metrics.
    Read,
    /// Cancel and retry orders; hold, release, pause and resume. Includes `read`.
    Operate,
    /// Everything, also to erase orders and to read the audit log.
    Admin,
}

impl Scope {
    /// Whether a token with this scope may do what needs `wanted`.
    pub fn includes(self, wanted: Scope) -> bool {
        match self {
            Scope::Admin => true,
            Scope::Operate => matches!(wanted, Scope::Operate | Scope::Read),
            Scope::Submit | Scope::Read => self == wanted,
        }
    }
}

/// A token to be stored.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is, for people. 1 to 100 characters.
    pub name: String,
    /// SHA-256 of the token, 64 lower-case hexadecimal digits.
    pub digest: String,
    /// At least one.
    pub scopes: BTreeSet<Scope>,
    /// When it stops to be valid, in milliseconds since the Unix epoch; `None` for never.
    pub expires_at: Option<i64>,
    /// The label of the only orders that it is for; `None` for all. 1 to 100 characters.
    pub tenant: Option<String>,
}

/// A token's row, without its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    /// Milliseconds since the Unix epoch, like all times here.
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// To about a minute.
    pub last_used_at: Option<i64>,
    /// The label of the only orders that it is for; `None` for all.
    pub tenant: Option<String>,
}

impl Token {
    /// Whether it can be used at this time, in milliseconds since the Unix epoch.
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }

    /// Whether one of its scopes includes this one.
    pub fn may(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.includes(wanted))
    }

    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let text = row.text("scopes")?;
        let scopes = text.split(' ').map(|scope| {
            let wrong = || sqlx::Error::Decode(format!("`scopes` is {text:?}").into());
            scope.parse().map_err(|_| wrong())
        });
        Ok(Token {
            id: row.text("id")?,
            name: row.text("name")?,
            scopes: scopes.collect::<Result<_, _>>()?,
            created_at: row.int("created_at")?,
            expires_at: row.opt_int("expires_at")?,
            revoked_at: row.opt_int("revoked_at")?,
            last_used_at: row.opt_int("last_used_at")?,
            tenant: row.opt_text("tenant")?,
        })
    }
}

/// An action to be written to the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// Id of the token; `None` without one.
    pub token: Option<String>,
    /// Name of the token, or where the action came from.
    pub actor: String,
    /// What was done: `order.cancel`, `queue.pause`, ...
    pub action: String,
    /// The order, hold or token that it was done to.
    pub target: Option<String>,
    /// Status of the answer, as in HTTP.
    pub status: u16,
    /// Address of the client.
    pub client: String,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AuditEntry {
    /// Increases with time.
    pub id: i64,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Id of the token; `None` without one.
    pub token: Option<String>,
    /// Name of the token, or where the action came from.
    pub actor: String,
    /// What was done: `order.cancel`, `queue.pause`, ...
    pub action: String,
    /// The order, hold or token that it was done to.
    pub target: Option<String>,
    /// Status of the answer, as in HTTP.
    pub status: i64,
    /// Address of the client.
    pub client: String,
}

macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, scopes, created_at, expires_at, revoked_at, last_used_at, tenant \
             FROM sitewright_tokens ",
            $rest
        )
    };
}

/// Adds an entry to the audit log, with the change that it is about.
pub(super) async fn audit_in(tx: &mut Tx, entry: &NewAuditEntry) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO sitewright_audit
            (at, token_id, actor, action, target, status, client)
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let NewAuditEntry { token, actor, action, target, status, client } = entry;
    let status = i64::from(*status);
    let values = args![now_ms(), token, actor, action, target, status, client];
    tx.execute(sql, values).await.map(drop)
}

impl Database {
    /// Stores a token.
    ///
    /// # Errors
    /// [`Error::Token`] if its name or tenant is empty or too long, or it has no scope; or the
    /// database fails.
    pub async fn add_token(&self, token: NewToken) -> Result<Token, Error> {
        let wrong = |why: &str| Error::Token { why: why.to_owned() };
        let characters = token.name.chars().count();
        if token.name.trim().is_empty() || characters > 100 {
            return Err(wrong("its name must have between 1 and 100 characters"));
        }
        if token.scopes.is_empty() {
            return Err(wrong("it has no scope: give it submit, read, operate or admin"));
        }
        if !token.tenant.as_deref().is_none_or(is_tenant) {
            return Err(wrong("its tenant must be a text of 1 to 100 characters on one line"));
        }
        let stored = Token {
            id: Ulid::generate().to_string(),
            name: token.name,
            scopes: token.scopes,
            created_at: now_ms(),
            expires_at: token.expires_at,
            revoked_at: None,
            last_used_at: None,
            tenant: token.tenant,
        };
        let (row, digest) = (stored.clone(), token.digest);
        self.write("adding a token", move |tx| {
            let (row, digest) = (row.clone(), digest.clone());
            Box::pin(async move {
                let scopes: Vec<&str> = row.scopes.iter().map(|scope| (*scope).into()).collect();
                let sql = "INSERT INTO sitewright_tokens
                        (id, name, digest, scopes, created_at, expires_at, tenant)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let scopes = scopes.join(" ");
                let Token { id, name, created_at, expires_at, tenant, .. } = &row;
                let values = args![id, name, &digest, &scopes, *created_at, *expires_at, tenant];
                tx.execute(sql, values).await.map(drop)
            })
        })
        .await?;
        Ok(stored)
    }

    /// All tokens, the oldest first, also those that are revoked or have expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        let doing = "reading the tokens";
        let rows = self.read(doing, select_tokens!("ORDER BY created_at, id"), vec![]).await?;
        let tokens = rows.iter().map(Token::read).collect::<Result<_, _>>();
        tokens.map_err(|error| Error::database(doing, error))
    }

    /// Whether there is any token, also one that is revoked or has expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_tokens(&self) -> Result<bool, Error> {
        let sql = "SELECT id FROM sitewright_tokens LIMIT 1";
        Ok(!self.read("looking for tokens", sql, vec![]).await?.is_empty())
    }

    /// The token with this digest, whether it is valid or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token_of(&self, digest: &str) -> Result<Option<Token>, Error> {
        let doing = "looking for a token";
        let rows = self.read(doing, select_tokens!("WHERE digest = $1"), args![digest]).await?;
        let token = rows.first().map(Token::read).transpose();
        token.map_err(|error| Error::database(doing, error))
    }

    /// The token with this id, whether it is valid or not.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token(&self, id: &str) -> Result<Option<Token>, Error> {
        let doing = "looking at a token";
        let rows = self.read(doing, select_tokens!("WHERE id = $1"), args![id]).await?;
        let token = rows.first().map(Token::read).transpose();
        token.map_err(|error| Error::database(doing, error))
    }

    /// Records that a token was used, if that was not recorded within the last minute.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_use(&self, token: &Token) -> Result<(), Error> {
        let now = now_ms();
        if token.last_used_at.is_some_and(|used| now - used < NOTE_USE_EVERY_MS) {
            return Ok(());
        }
        let id = token.id.clone();
        self.write("recording the use of a token", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_tokens SET last_used_at = $2 WHERE id = $1";
                tx.execute(sql, args![&id, now]).await.map(drop)
            })
        })
        .await
    }

    /// Revokes a token for ever. `None` if there is none with this id; a token that was revoked
    /// before stays as it is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke_token(&self, id: &str) -> Result<Option<Token>, Error> {
        let token = id.to_owned();
        self.write("revoking a token", move |tx| {
            let token = token.clone();
            Box::pin(async move {
                let sql = "UPDATE sitewright_tokens SET revoked_at = $2
                     WHERE id = $1 AND revoked_at IS NULL";
                tx.execute(sql, args![&token, now_ms()]).await?;
                let row = tx.optional(select_tokens!("WHERE id = $1"), args![&token]).await?;
                row.as_ref().map(Token::read).transpose()
            })
        })
        .await
    }

    /// Adds an entry to the audit log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit(&self, entry: NewAuditEntry) -> Result<(), Error> {
        self.write("writing the audit log", move |tx| {
            let entry = entry.clone();
            Box::pin(async move { audit_in(tx, &entry).await })
        })
        .await
    }

    /// Removes up to `limit` entries of the audit log from before `before` (milliseconds since the
    /// Unix epoch), the oldest first. Their number. With `dry_run` all of them are counted, and none
    /// is removed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_audit(&self, before: i64, limit: u32, dry_run: bool) -> Result<u64, Error> {
        if dry_run {
            let doing = "counting entries of the audit log that have expired";
            let sql = "SELECT count(*) AS found FROM sitewright_audit WHERE at < $1";
            let rows = self.read(doing, sql, args![before]).await?;
            let found = rows.first().map_or(Ok(0), |row| row.int("found"));
            let found = found.map_err(|error| Error::database(doing, error))?;
            return Ok(u64::try_from(found).unwrap_or_default());
        }
        self.write("removing entries of the audit log that have expired", move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM sitewright_audit WHERE id IN (
                        SELECT id FROM sitewright_audit WHERE at < $1 ORDER BY at, id LIMIT $2)";
                tx.execute(sql, args![before, i64::from(limit)]).await
            })
        })
        .await
    }

    /// Entries of the audit log with an id below `before`, the newest first; at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn audit_log(&self, before: i64, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        let doing = "reading the audit log";
        let sql = "SELECT id, at, token_id, actor, action, target, status, client
             FROM sitewright_audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
        let rows = self.read(doing, sql, args![before, i64::from(limit)]).await?;
        let read = |row: &Row| {
            Ok(AuditEntry {
                id: row.int("id")?,
                at: row.int("at")?,
                token: row.opt_text("token_id")?,
                actor: row.text("actor")?,
                action: row.text("action")?,
                target: row.opt_text("target")?,
                status: row.int("status")?,
                client: row.text("client")?,
            })
        };
        let entries = rows.iter().map(read).collect::<Result<_, _>>();
        entries.map_err(|error| Error::database(doing, error))
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::Scope;

    #[test]
    fn a_scope_includes_itself_and_what_its_text_says() {
        let included = |scope: Scope| -> Vec<Scope> {
            Scope::VARIANTS.iter().copied().filter(|wanted| scope.includes(*wanted)).collect()
        };
        assert_eq!(included(Scope::Submit), [Scope::Submit]);
        assert_eq!(included(Scope::Read), [Scope::Read]);
        assert_eq!(included(Scope::Operate), [Scope::Read, Scope::Operate]);
        assert_eq!(included(Scope::Admin), Scope::VARIANTS);
    }
}
