//! Why somebody does not get in with OpenID Connect, and what they can do.

use axum::http::StatusCode;
use sitewright_model::text::one_line;

/// Characters that are shown of what a provider says.
const MAX_SHOWN: usize = 300;

/// Each says what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginRefusal {
    #[error(
        "The identity provider cannot be used at the moment: {0}. Try it again in a minute, or \
         log in with a token."
    )]
    Unavailable(String),
    #[error(
        "This login was not begun in this browser, was begun more than 10 minutes ago, has ended \
         already, or was followed by another one in another tab, which counts. Begin it again; the \
         browser must accept cookies."
    )]
    NotBegun,
    #[error(
        "The identity provider refused the login: {0}. If you did not cancel it yourself, ask \
         whoever administers the provider whether your account may use this application."
    )]
    ByProvider(String),
    #[error(
        "The identity provider sent the browser back without a code. Begin the login again; if \
         this lasts, look at the log of the provider."
    )]
    NoCode,
    #[error(
        "Another issuer answered than the one that was asked: {0}. Do not try it again before \
         whoever administers the server has compared `server.oidc.issuer` with it."
    )]
    OtherIssuer(String),
    #[error(
        "The identity provider did not accept the code of the login: {0}. Begin it again; if this \
         lasts, compare `client_id`, the secret and the redirect URI in `[server.oidc]` with what \
         the provider has."
    )]
    Code(String),
    #[error(
        "The identity provider sent no ID token. Check that the application there is one for \
         OpenID Connect with the scope `openid`."
    )]
    NoIdToken,
    #[error(
        "The ID token is not valid at this time: {0}. Compare the clocks of the server and of the \
         identity provider; they may differ by a minute."
    )]
    Clock(String),
    #[error(
        "The ID token is for another application: {0}. Compare `server.oidc.client_id` with what \
         the provider has."
    )]
    Audience(String),
    #[error(
        "The ID token is not the one of this login: {0}. Begin it again; if this lasts, somebody \
         may try to log you in as somebody else."
    )]
    Nonce(String),
    #[error(
        "The ID token is not signed by the identity provider: {0}. Begin the login again; if this \
         lasts, look at the keys of the provider."
    )]
    Signature(String),
    #[error(
        "The ID token cannot be used: {0}. Look at the log of the server and at the settings of \
         the application at the identity provider."
    )]
    Unusable(String),
    #[error(
        "You are {name}, and none of your values of the claim `{claim}` may use this console. Ask \
         whoever administers the server for an entry in `[server.oidc.scopes]`, or to be put into \
         a group that has one."
    )]
    NoScope { name: String, claim: String, subject: String },
    #[error(
        "You are {name}, and the claim `{claim}` does not say which one tenant you are of. Ask \
         whoever administers the server to correct `[server.oidc.tenants]` or the claim."
    )]
    NoTenant { name: String, claim: String, subject: String },
    #[error(
        "You are {name}, and the identity provider does not say that your mail address is \
         verified, which decides what you may do. Verify it there, or let \
         `server.oidc.scope_claim` name another claim."
    )]
    UnverifiedMail { name: String, subject: String },
}

impl LoginRefusal {
    /// The status of the page that says it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            LoginRefusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            LoginRefusal::NotBegun
            | LoginRefusal::ByProvider(_)
            | LoginRefusal::NoCode
            | LoginRefusal::OtherIssuer(_)
            | LoginRefusal::Code(_)
            | LoginRefusal::NoIdToken
            | LoginRefusal::Clock(_)
            | LoginRefusal::Audience(_)
            | LoginRefusal::Nonce(_)
            | LoginRefusal::Signature(_)
            | LoginRefusal::Unusable(_)
            | LoginRefusal::NoScope { .. }
            | LoginRefusal::NoTenant { .. }
            | LoginRefusal::UnverifiedMail { .. } => StatusCode::FORBIDDEN,
        }
    }
}

/// What a provider says, in one short line without control characters.
pub(super) fn said(text: &str) -> String {
    one_line(text).chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}
