//! Errors of what is done with orders.

use std::time::Duration;

use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::{RootError, StoreError};

/// Why something could not be done with an order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] sitewright_jobs::Error),
    #[error(transparent)]
    Sites(#[from] RootError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "order {order:?} has no release {release:?}; `sitewright order release list` shows those \
         that are kept"
    )]
    NoSuchRelease { order: String, release: String },
    /// Which order the queue has is not said.
    #[error(
        "the id or the idempotency key of order {order:?} is that of an order of another tenant"
    )]
    OfAnother { order: String },
    /// An order that is to be erased still runs. It was cancelled.
    #[error(
        "order {order:?} was cancelled, and its worker has not stopped it within {} s; nothing was \
         erased: run this again when `sitewright order show` says that it has ended",
        waited.as_secs()
    )]
    StillRunning {
        order: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A failure of the host or its machine.
    #[error("{0}")]
    Host(Message),
}

impl From<Error> for Message {
    fn from(error: Error) -> Message {
        match error {
            Error::Store(error) => error.message,
            Error::Host(message) => message,
            error => Message::or(error.to_string(), message!("it failed for no known reason")),
        }
    }
}
