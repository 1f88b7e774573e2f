//! The HTTP API of the queue and the operator's console: `sitewright serve`; and the status of a
//! worker.
//!
//! | file | what it answers |
//! |---|---|
//! | `routes` | which routes are there, what does each need, and what does the audit log call it? |
//! | `listen` | how are connections accepted, bounded and ended? |
//! | `access`, `tenancy` | who may do what, to whose orders, and who did what? |
//! | `rates`, `streams`, `places`, `bodies` | how much may one token, and one address, have? |
//! | `extract`, `moment` | what is read of a request, and how much? |
//! | `problem` | how are errors worded? |
//! | `answers` | which bodies are not types of the queue? |
//! | `orders`, `releases`, `calls`, `bulk`, `failures`, `queue` | the handlers |
//! | `cost`, `templates` | the handlers of what is added up over orders |
//! | `replays`, `bundles` | the handlers that let another process repeat or export an attempt |
//! | `webhooks`, `hooks` | the handlers of outgoing webhooks, and of those of others |
//! | `callbacks` | the handlers of the callbacks of single orders |
//! | `events/` | how do listeners follow orders? |
//! | `console/` | how do people use it with a browser? |
//! | `oidc/` | who is somebody, from an identity provider? |
//! | `metrics`, `health` | what do Prometheus and supervisors see? |
//! | `openapi` | how is the API described? |
//! | `previews` | how are releases shown that visitors do not see? |
//! | `app`, `config`, `console_config` | what do handlers share, and what does the operator set? |
//!
//! **Invariant:** a route is a row of the table in `routes`; no other code adds one. Whoever may
//! not use it is refused before its handler sees the request.
//!
//! **Invariant:** it has no logic of orders: handlers read a request, call `sitewright-control` or
//! the queue, and write the answer. It does not know wasm or AI calls.
//!
//! **Invariant:** nothing of a request becomes a part of a file's path; ids are looked up in the
//! database. Only `previews`, which has an address and a router of its own, reads files, by a
//! `SitePath` in the folder of one release.

mod access;
mod answers;
mod app;
mod bodies;
mod bulk;
mod bundles;
mod callbacks;
mod calls;
mod config;
mod console;
mod console_config;
mod cost;
mod events;
mod extract;
mod failures;
mod health;
mod hooks;
mod listen;
mod metrics;
mod moment;
mod oidc;
mod openapi;
mod orders;
mod places;
mod previews;
mod problem;
mod queue;
mod rates;
mod refusals;
mod releases;
mod replays;
mod revocation;
mod routes;
mod streams;
mod templates;
mod tenancy;
mod webhooks;

pub use access::Access;
pub use app::{
    Alive, Bundle, BundleExport, ConformanceReports, Expired, Replay, ReplayError, ServerParts,
    Surface, TemplateNames,
};
pub use config::ServerConfig;
pub use console_config::{ConsoleConfig, ProxyScope, TrustedNet};
pub use listen::{ConsoleLink, Server, ServerError};
pub use oidc::{Oidc, OidcConfig, OidcError};
pub use openapi::description;
pub use problem::{Problem, ProblemKind};
pub use routes::{Route, pages, routes};
pub use sitewright_console::ConfigurationKey;
pub use sitewright_console::address::HOME as CONSOLE;
