//! What somebody may do, from the claims of their ID token.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sitewright_jobs::{Scope, is_tenant};

use super::config::OidcConfig;
use super::refusal::{LoginRefusal, said};
use crate::access::Actor;

/// Characters of a name that are kept.
const MAX_NAME: usize = 100;
/// In `[server.oidc.tenants]`: all tenants.
pub(super) const ALL: &str = "*";
/// The claim that is what somebody typed, unless the provider has checked it.
const MAIL: &str = "email";

/// Somebody who logged in with OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// What the provider calls them, for ever: `sub`.
    pub(crate) subject: String,
    /// What people call them. At most 100 characters.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// The label of the only orders that they see; `None` for all.
    pub(crate) tenant: Option<String>,
}

impl Person {
    /// As the audit log knows them. With the subject: people choose their name, and may choose that
    /// of somebody else.
    pub(crate) fn actor(&self) -> Actor {
        let name = format!("oidc: {} ({})", self.name, self.subject);
        Actor::Person { name, scope: self.scope, tenant: self.tenant.clone() }
    }

    /// Who has these claims.
    ///
    /// # Errors
    /// They may do nothing.
    pub(super) fn of(
        config: &OidcConfig,
        claims: &Map<String, Value>,
    ) -> Result<Person, LoginRefusal> {
        let text = |claim: &str| {
            let value = claims.get(claim).and_then(Value::as_str).map(said);
            value.filter(|value| !value.is_empty())
        };
        let subject = text("sub").ok_or_else(|| {
            LoginRefusal::Unusable("it does not say whose it is (`sub`)".to_owned())
        })?;
        let name = ["preferred_username", MAIL].into_iter().find_map(text);
        let name: String = name.unwrap_or_else(|| subject.clone()).chars().take(MAX_NAME).collect();
        let is_of_mail = config.scope_claim == MAIL || config.tenant_claim.as_deref() == Some(MAIL);
        if is_of_mail && !is_mail_verified(claims) {
            return Err(LoginRefusal::UnverifiedMail { name, subject });
        }
        let values = values(claims, &config.scope_claim);
        let scope = values.iter().filter_map(|value| config.scopes.get(value)).copied().max();
        let Some(scope) = scope else {
            let claim = config.scope_claim.clone();
            return Err(LoginRefusal::NoScope { name, claim, subject });
        };
        let tenant = match &config.tenant_claim {
            None => None,
            Some(claim) => match sees(config, claim, claims) {
                Sees::All => None,
                Sees::Tenant(tenant) => Some(tenant),
                Sees::Nothing => {
                    return Err(LoginRefusal::NoTenant { name, claim: claim.clone(), subject });
                }
            },
        };
        Ok(Person { subject, name, scope: Scope::from(scope), tenant })
    }
}

/// Whose orders somebody sees.
enum Sees {
    All,
    Tenant(String),
    /// The claim names no tenant, or several.
    Nothing,
}

fn sees(config: &OidcConfig, claim: &str, claims: &Map<String, Value>) -> Sees {
    let values = values(claims, claim);
    let known: BTreeSet<&String> = match config.tenants.is_empty() {
        true => values.iter().collect(),
        false => values.iter().filter_map(|value| config.tenants.get(value)).collect(),
    };
    // What the provider calls a tenant is never all of them.
    if !config.tenants.is_empty() && known.iter().any(|tenant| *tenant == ALL) {
        return Sees::All;
    }
    let mut known = known.into_iter();
    match (known.next(), known.next()) {
        (Some(tenant), None) if tenant != ALL && is_tenant(tenant) => Sees::Tenant(tenant.clone()),
        _ => Sees::Nothing,
    }
}

fn is_mail_verified(claims: &Map<String, Value>) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        // Some providers write it as a text.
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// The values of a claim: a text, or the texts of a list. The bytes of an answer bound their number.
fn values(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    match find(claims, name) {
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// The claim with this name; otherwise the one that it is the path of. Names can be addresses, with
/// dots in them.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut parts = name.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn config(change: impl FnOnce(&mut OidcConfig)) -> OidcConfig {
        let mut config: OidcConfig = serde_json::from_value(json!({
            "issuer": "https://login.example",
            "client_id": "sitewright",
            "console_url": "https://console.example",
            "scopes": {
                "staff": "read",
                "ops": "operate",
                "root": "admin",
                "a@b.example": "admin",
            },
        }))
        .unwrap();
        change(&mut config);
        config
    }

    fn person(config: &OidcConfig, claims: Value) -> Result<Person, LoginRefusal> {
        let Value::Object(claims) = claims else { panic!("no object") };
        Person::of(config, &claims)
    }

    #[test]
    fn the_highest_scope_of_the_values_of_a_claim_counts() {
        let plain = config(|_| {});
        let nested = config(|config| config.scope_claim = "realm_access.roles".to_owned());
        let dotted = config(|config| config.scope_claim = "https://a.example/roles".to_owned());
        for (config, claims, scope) in [
            (&plain, json!({ "groups": ["staff"] }), Some(Scope::Read)),
            (&plain, json!({ "groups": "ops" }), Some(Scope::Operate)),
            (&plain, json!({ "groups": ["ops", "root", "staff", 7, "x"] }), Some(Scope::Admin)),
            (&plain, json!({ "groups": ["Staff", "staff "] }), None),
            (&plain, json!({ "groups": [] }), None),
            (&plain, json!({ "groups": { "staff": true } }), None),
            (&plain, json!({ "roles": ["root"] }), None),
            (&plain, json!({}), None),
            (&nested, json!({ "realm_access": { "roles": ["ops"] } }), Some(Scope::Operate)),
            (&nested, json!({ "realm_access.roles": ["root"] }), Some(Scope::Admin)),
            (&nested, json!({ "realm_access": ["root"] }), None),
            (&dotted, json!({ "https://a.example/roles": ["root"] }), Some(Scope::Admin)),
        ] {
            let mut claims = claims;
            claims["sub"] = json!("1");
            let found = person(config, claims.clone()).map(|person| person.scope).ok();
            assert_eq!(found, scope, "{claims}");
        }
        let mut many: Vec<String> = (0..20_000).map(|number| format!("g{number}")).collect();
        many.push("ops".to_owned());
        let of_many = person(&plain, json!({ "sub": "1", "groups": many }));
        assert_eq!(of_many.map(|person| person.scope).ok(), Some(Scope::Operate));
        let nobody = config(|config| config.scopes.clear());
        let claims = json!({ "sub": "1", "groups": ["root"], "preferred_username": "ann" });
        let refusal = person(&nobody, claims).unwrap_err();
        let says = refusal.to_string();
        assert!(says.contains("You are ann") && says.contains("`groups`"), "{says}");
    }

    #[test]
    fn a_mail_address_counts_if_it_is_verified() {
        let config = config(|config| config.scope_claim = MAIL.to_owned());
        for (verified, may) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(null), false),
            (json!(1), false),
        ] {
            let claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": verified });
            assert_eq!(person(&config, claims).is_ok(), may, "{verified}");
        }
    }

    #[test]
    fn somebody_has_one_tenant_or_does_not_get_in() {
        let raw = config(|config| config.tenant_claim = Some("org".to_owned()));
        let mapped = config(|config| {
            config.tenant_claim = Some("org".to_owned());
            config.tenants = BTreeMap::from(
                [("a", "acme"), ("a2", "acme"), ("b", "bolt"), ("us", ALL)]
                    .map(|(value, tenant)| (value.to_owned(), tenant.to_owned())),
            );
        });
        let none = config(|_| {});
        for (config, org, tenant) in [
            (&none, json!("acme"), Some(None)),
            (&raw, json!("acme"), Some(Some("acme"))),
            (&raw, json!(["acme"]), Some(Some("acme"))),
            (&raw, json!(["acme", "acme"]), Some(Some("acme"))),
            (&raw, json!(["acme", "bolt"]), None),
            (&raw, json!("*"), None),
            (&raw, json!(""), None),
            (&raw, json!(null), None),
            (&mapped, json!(["a", "a2", "other"]), Some(Some("acme"))),
            (&mapped, json!(["a", "b"]), None),
            (&mapped, json!(["a", "b", "us"]), Some(None)),
            (&mapped, json!("*"), None),
            (&mapped, json!("acme"), None),
        ] {
            let claims = json!({ "sub": "1", "groups": ["root"], "org": org });
            let found = person(config, claims.clone()).map(|person| person.tenant).ok();
            assert_eq!(found, tenant.map(|tenant| tenant.map(str::to_owned)), "{claims}");
        }
    }

    #[test]
    fn a_name_is_one_short_line_and_a_subject_is_needed() {
        let config = config(|_| {});
        let named = |claims: Value| {
            let mut claims = claims;
            claims["groups"] = json!(["root"]);
            person(&config, claims).map(|person| person.name).ok()
        };
        let long = "x".repeat(1_000);
        for (claims, name) in [
            (json!({ "sub": "7" }), Some("7".to_owned())),
            (json!({ "sub": "7", "email": "a@b.example" }), Some("a@b.example".to_owned())),
            (
                json!({ "sub": "7", "preferred_username": " an\u{1b}n\n b ", "email": "c" }),
                Some("ann b".to_owned()),
            ),
            (json!({ "sub": "7", "preferred_username": long }), Some("x".repeat(MAX_NAME))),
            (json!({ "sub": "" }), None),
            (json!({ "sub": 7 }), None),
            (json!({}), None),
        ] {
            assert_eq!(named(claims.clone()), name, "{claims}");
        }
    }
}
