//! Webhooks. Outgoing ones: sends what is in the outbox of the queue, signed, until a receiver has
//! it. Those of others: who sent one, and which order it means.
//!
//! | file | what it answers |
//! |---|---|
//! | `config`, `settings` | which receivers are there, with which secrets? |
//! | `target` | which addresses may be called? |
//! | `secret` | how is a delivery signed? (Standard Webhooks) |
//! | `sender` | what is sent, and what does the answer mean? |
//! | `dispatch` | which delivery is sent when, and by whom? |
//! | `inbound/` | who sent what came in, and which order document is in it? |
//!
//! **Invariant:** what is sent was committed before, and what was received is recorded afterwards:
//! a process that is killed in between makes a receiver get a delivery twice, under one id, never
//! not at all.
//!
//! **Invariant:** no connection to the database is held while a receiver is waited for.
//!
//! **Invariant:** it does not know what orders are; a delivery's body is made by the queue.

mod config;
mod dispatch;
mod inbound;
mod secret;
mod sender;
mod settings;
mod target;

pub use config::{CallbackConfig, WebhookConfig};
pub use dispatch::{Dispatch, LEASE_MARGIN, Pace};
pub use inbound::{Begun, Hook, HookConfig, HookKind, Hooks, Unproven};
pub use secret::Secret;
pub use sender::{Answer, Redact, Sender};
pub use settings::{Receiver, Source, Webhooks, WebhooksError};
pub use target::{CallbackRules, callback, shown, target};
