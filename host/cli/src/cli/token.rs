//! `sitewright token`: who may use the HTTP API.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::exit::Exit;
use super::output;
use super::setup::{Setup, SetupError};
use super::when;
use sitewright_control::{digest_of, new_token};
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, NewAuditEntry, NewToken, Scope, Token};
use sitewright_model::message;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a token and print it, once: only its digest is stored.
    #[command(after_help = "Examples:\n  \
        sitewright token create crm --scope submit --scope read\n  \
        sitewright token create prometheus --scope read --expires 365d\n  \
        sitewright token create acme --scope submit,read --tenant acme\n\n\
        Scopes: submit adds orders and changes their documents; read reads everything but the \
        audit log; operate also cancels, retries, holds, pauses; admin also erases and reads the audit \
        log.")]
    Create {
        /// Whose token it is, as the audit log shows it.
        #[arg(value_name = "NAME")]
        name: String,
        /// What it may do: submit, read, operate or admin; can be given more than once.
        #[arg(
            long,
            value_name = "SCOPE",
            required = true,
            value_delimiter = ',',
            value_parser = scope
        )]
        scope: Vec<Scope>,
        /// When it stops to be valid: after 30m, 12h, 90d, 2w, or at a time like
        /// 2026-11-23T08:00:00Z [default: never].
        #[arg(long, value_name = "TIME", value_parser = when::until)]
        expires: Option<i64>,
        /// Label of the only orders that it is for: it sees, adds and changes no others [default:
        /// all orders].
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// List tokens, without the tokens themselves.
    List,
    /// Revoke a token, at once and for ever.
    Revoke {
        /// Id of the token, as `token list` shows it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    text.trim().parse().map_err(|_| {
        format!("{text:?} is not a scope; the scopes are submit, read, operate and admin")
    })
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let database = match &command {
        Command::Create { .. } => Setup::orders_or_new(&config).await?,
        Command::List | Command::Revoke { .. } => Setup::orders(&config).await?,
    };
    let done = match command {
        Command::Create { name, scope, expires, tenant } => {
            let scopes = scope.into_iter().collect();
            create(&database, Wanted { name, scopes, expires_at: expires, tenant }, json).await
        }
        Command::List => list(&database, json).await,
        Command::Revoke { id } => revoke(&database, &id, json).await,
    };
    database.close().await;
    done
}

/// A token to be made.
struct Wanted {
    name: String,
    scopes: BTreeSet<Scope>,
    expires_at: Option<i64>,
    tenant: Option<String>,
}

async fn create(database: &Database, wanted: Wanted, json: bool) -> Result<Exit, SetupError> {
    let secret = new_token()?;
    let Some(digest) = digest_of(&secret) else {
        return Err(SetupError::Host(message!("the token that was made is not one")));
    };
    let Wanted { name, scopes, expires_at, tenant } = wanted;
    let token = database.add_token(NewToken { name, digest, scopes, expires_at, tenant }).await?;
    audit(database, "token.create", &token).await?;
    if json {
        output::print_json(&json!({
            "outcome": "created", "token": secret.expose_secret(), "stored": token,
        }));
    } else {
        // Alone on stdout, so that a script can take it.
        output::print(&format!("{}\n", secret.expose_secret()));
        output::complain(&format!(
            "token {} of {} ({}){}{}; it is not shown again\n",
            token.id,
            clean(&token.name),
            scopes_text(&token),
            tenancy(&token),
            expiry(&token),
        ));
    }
    Ok(Exit::Done)
}

async fn list(database: &Database, json: bool) -> Result<Exit, SetupError> {
    let tokens = database.tokens().await?;
    if json {
        output::print_json(&json!({ "tokens": tokens }));
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    if tokens.is_empty() {
        text.push_str("No tokens: `sitewright serve` listens on this machine only.\n");
    }
    for token in &tokens {
        let used = token.last_used_at.map_or_else(
            || "never used".to_owned(),
            |used| format!("used {}", when::distance(used)),
        );
        text.push_str(&format!(
            "{}  {:<20}  {}{}{}, {used}\n",
            token.id,
            output::one_line(&token.name, 40),
            scopes_text(token),
            tenancy(token),
            expiry(token),
        ));
    }
    output::print(&text);
    Ok(Exit::Done)
}

async fn revoke(database: &Database, id: &str, json: bool) -> Result<Exit, SetupError> {
    let Some(token) = database.revoke_token(id).await? else {
        return Err(SetupError::Usage(message!(
            "there is no token {id:?}; `sitewright token list` shows those there are"
        )));
    };
    audit(database, "token.revoke", &token).await?;
    if json {
        output::print_json(&json!({ "outcome": "revoked", "stored": token }));
    } else {
        let name = clean(&token.name);
        output::print(&format!("token {} of {name} is revoked\n", token.id));
    }
    Ok(Exit::Done)
}

fn scopes_text(token: &Token) -> String {
    let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
    scopes.join(", ")
}

fn tenancy(token: &Token) -> String {
    let tenant = token.tenant.as_deref().map(|tenant| output::one_line(tenant, 40));
    tenant.map_or_else(String::new, |tenant| format!(" for tenant {tenant}"))
}

fn expiry(token: &Token) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!(", revoked {}", when::distance(at)),
        (None, Some(at)) if at <= when::now_ms() => format!(", expired {}", when::distance(at)),
        (None, Some(at)) => format!(", expires {}", when::time(at)),
        (None, None) => String::new(),
    }
}

async fn audit(database: &Database, action: &str, token: &Token) -> Result<(), SetupError> {
    let entry = NewAuditEntry {
        token: None,
        actor: "command line".to_owned(),
        action: action.to_owned(),
        target: Some(token.id.clone()),
        status: 200,
        client: String::new(),
    };
    Ok(database.audit(entry).await?)
}
