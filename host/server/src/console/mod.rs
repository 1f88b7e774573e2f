//! The operator's console: the pages of `sitewright-console` over HTTP.
//!
//! | file | what it answers |
//! |---|---|
//! | `guard` | who may see a page or do something, and is a form one of ours? |
//! | `session` | who is logged in? |
//! | `visit` | what do handlers know of a request, and how do they answer? |
//! | `entrance` | how does one log in and out? |
//! | `pages` | what is read for each page? |
//! | `actions`, `outcomes` | what do forms do, and who is told? |
//!
//! **Invariant:** a form does something only with the secret of its session in it, and from a page
//! of this server; and what it did is in the audit log.
//!
//! **Invariant:** an address that a request names is never redirected to, unless it is one of the
//! console's own.

pub(crate) mod actions;
pub(crate) mod entrance;
pub(crate) mod guard;
mod outcomes;
pub(crate) mod pages;
mod session;
mod visit;

pub(crate) use outcomes::Outcomes;
pub(crate) use session::Sessions;
pub(crate) use visit::Visit;
