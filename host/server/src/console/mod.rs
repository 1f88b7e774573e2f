//! The operator's console: the pages of `sitewright-console` over HTTP.
//!
//! | file | what it answers |
//! |---|---|
//! | `guard` | who may see a page or do something, and is a form one of ours? |
//! | `fields` | which fields has a form that changes something? |
//! | `refusal` | what does a browser see in place of a page? |
//! | `headers` | which headers has every page? |
//! | `identity`, `link` | who sent a request, and who has the one-time link? |
//! | `session` | who is logged in? |
//! | `visit` | what do handlers know of a request, and how do they answer? |
//! | `entrance`, `oidc` | how does one log in and out, with a token or an identity provider? |
//! | `pages` | what is read for each page? |
//! | `recent_cost` | what have AI replies cost, asked once a minute? |
//! | `releases` | what is read and done for the releases of an order? |
//! | `revise` | how does an order get another document? |
//! | `bulk` | how are many orders changed, and how far is it? |
//! | `confirm` | what is read before something costs money or cannot be taken back? |
//! | `webhooks` | who is told of orders, and what has expired? |
//! | `actions`, `outcomes` | what do forms do, and who is told? |
//!
//! **Invariant:** a form does something only with the secret of its session in it, and from a page
//! of this server; and what it did is in the audit log.
//!
//! **Invariant:** an address that a request names is never redirected to, unless it is one of the
//! console's own. The page of the identity provider is named by the configuration.

pub(crate) mod actions;
pub(crate) mod bulk;
pub(crate) mod confirm;
pub(crate) mod entrance;
mod fields;
pub(crate) mod guard;
pub(crate) mod headers;
mod identity;
mod link;
pub(crate) mod oidc;
mod outcomes;
pub(crate) mod pages;
mod recent_cost;
pub(crate) mod refusal;
pub(crate) mod releases;
pub(crate) mod revise;
mod session;
mod visit;
pub(crate) mod webhooks;

pub(crate) use link::Link;
pub(crate) use outcomes::Outcomes;
pub(crate) use recent_cost::LastCost;
pub(crate) use session::{Sessions, is_same, random};
pub(crate) use visit::Visit;
