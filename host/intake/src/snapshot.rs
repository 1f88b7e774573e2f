//! A complete order that nothing can change.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sitewright_order::Order;

use super::OrderId;

/// An immutable, complete order: what a template gets needs no look-up later (catalogue C2).
/// Cloning costs nothing.
#[derive(Clone, PartialEq)]
pub struct OrderSnapshot {
    inner: Arc<Inner>,
}

#[derive(PartialEq)]
struct Inner {
    id: OrderId,
    order: Order,
    document: Arc<str>,
    digest: [u8; 32],
}

impl OrderSnapshot {
    pub(super) fn new(id: OrderId, order: Order, document: String) -> Self {
        let digest = Sha256::digest(document.as_bytes()).into();
        OrderSnapshot { inner: Arc::new(Inner { id, order, document: document.into(), digest }) }
    }

    /// The order's id.
    pub fn id(&self) -> &OrderId {
        &self.inner.id
    }

    /// The order, typed.
    pub fn order(&self) -> &Order {
        &self.inner.order
    }

    /// The order as normalised JSON: what is stored with a job and what a template gets. Loading it
    /// again gives an equal snapshot.
    pub fn document(&self) -> &Arc<str> {
        &self.inner.document
    }

    /// SHA-256 of [`OrderSnapshot::document`].
    pub fn digest(&self) -> &[u8; 32] {
        &self.inner.digest
    }

    /// The digest in 64 lower-case hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        self.inner.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Without the customer's data, so that it may be logged.
impl fmt::Debug for OrderSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.inner.document.len();
        f.debug_struct("OrderSnapshot")
            .field("id", &self.inner.id)
            .field("bytes", &bytes)
            .field("digest", &self.digest_hex())
            .finish_non_exhaustive()
    }
}
