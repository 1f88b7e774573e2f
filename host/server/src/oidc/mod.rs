//! Who somebody is, from an OpenID Connect provider: what `console/oidc` needs to know of the
//! protocol.
//!
//! | file | what it answers |
//! |---|---|
//! | `config` | what does the operator set? |
//! | `provider` | what does the provider say of itself, and how is it asked? |
//! | `login` | how does a login begin, and who has come back from the provider? |
//! | `token_answer` | what does the token endpoint answer? |
//! | `person` | what may somebody do with these claims? |
//! | `refusal` | why does somebody not get in, and what can they do? |
//!
//! **Invariant:** nobody gets in whose ID token was not verified: signature, issuer, audience,
//! nonce and times.
//!
//! **Invariant:** it does not know sessions, pages and the audit log.

mod config;
mod login;
mod person;
mod provider;
mod refusal;
mod token_answer;

pub use config::OidcConfig;
pub(crate) use login::{LASTS_SECONDS, Reply};
pub use login::{Oidc, OidcError};
pub(crate) use person::Person;
pub(crate) use refusal::LoginRefusal;
