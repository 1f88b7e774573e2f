//! An accepted order.

use std::fmt;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use sitewright_order::{Locale, Order, web_address};

use super::{OrderId, sent};

/// An immutable, complete order: nothing is looked up later (failure catalogue C2). Cheap to
/// clone.
#[derive(Clone, PartialEq)]
pub struct OrderSnapshot {
    inner: Arc<Inner>,
}

struct Inner {
    id: OrderId,
    order: Order,
    document: Arc<str>,
    /// Made when somebody asks for it, which most do not.
    digest: OnceLock<[u8; 32]>,
    /// The same, if the document itself was sent.
    sent: OnceLock<[u8; 32]>,
}

/// What was sent is not compared: two documents can mean the same order.
impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.order == other.order && self.document == other.document
    }
}

impl OrderSnapshot {
    /// `sent` is the digest of what was sent; `None` if that is `document`.
    pub(super) fn new(id: OrderId, order: Order, document: String, sent: Option<[u8; 32]>) -> Self {
        let (document, digest) = (document.into(), OnceLock::new());
        let sent = sent.map_or_else(OnceLock::new, OnceLock::from);
        OrderSnapshot { inner: Arc::new(Inner { id, order, document, digest, sent }) }
    }

    pub fn id(&self) -> &OrderId {
        &self.inner.id
    }

    pub fn order(&self) -> &Order {
        &self.inner.order
    }

    /// The normalised order document, which is stored with a job. Loading it again makes an equal
    /// snapshot. Templates get it without its `notices`.
    pub fn document(&self) -> &Arc<str> {
        &self.inner.document
    }

    /// The same order in another language.
    ///
    /// # Errors
    /// serde_json's; an order that was read has none.
    pub fn in_locale(&self, locale: Locale) -> serde_json::Result<Self> {
        let order = Order { locale, ..self.inner.order.clone() };
        let document = serde_json::to_string(&order)?;
        let sent = Some(*self.sent_digest());
        Ok(OrderSnapshot::new(self.inner.id.clone(), order, document, sent))
    }

    /// The same order with this address for its forms, unless it names one itself. What is not the
    /// address of a web page is left out.
    ///
    /// # Errors
    /// serde_json's; an order that was read has none.
    pub fn with_form_endpoint(self, endpoint: &str) -> serde_json::Result<Self> {
        let Ok(endpoint) = web_address(endpoint) else { return Ok(self) };
        if self.inner.order.form_endpoint.is_some() {
            return Ok(self);
        }
        let order = Order { form_endpoint: Some(endpoint), ..self.inner.order.clone() };
        let document = serde_json::to_string(&order)?;
        let sent = Some(*self.sent_digest());
        Ok(OrderSnapshot::new(self.inner.id.clone(), order, document, sent))
    }

    /// SHA-256 of the values of the document as it was sent. The same for every configuration and
    /// version, unlike [`OrderSnapshot::digest`].
    pub fn sent_digest(&self) -> &[u8; 32] {
        self.inner.sent.get_or_init(|| {
            // It was read, so it is JSON.
            sent::digest(&serde_json::from_str(&self.inner.document).unwrap_or_default())
        })
    }

    /// SHA-256 of [`OrderSnapshot::document`].
    pub fn digest(&self) -> &[u8; 32] {
        let digest = || Sha256::digest(self.inner.document.as_bytes()).into();
        self.inner.digest.get_or_init(digest)
    }

    /// The digest as 64 lower-case hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        hex::encode(self.digest())
    }
}

/// Shows none of the customer's data, so that it can be logged.
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
