//! Bounds the memory of replies that are larger than any usual one.
//!
//! A reply is held several times while it is read, decoded and judged, and thousands of calls wait
//! at once. Small replies are never held up; of a provider's large ones only a few are read at the
//! same time. A call that waits here leaves the rest of its reply in the connection, and its time
//! limits count.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::clock::Clock;
use super::failure::AttemptFailure;

/// Bytes from which a reply is large. The copy of a page has a tenth of it.
pub(super) const LARGE_BYTES: usize = 256 * 1024;

/// Large replies of a provider that are read at the same time. Each takes at most 4 MiB, a few
/// times.
const AT_ONCE: usize = 16;

/// The large replies of a provider.
#[derive(Debug)]
pub(super) struct LargeReplies(Arc<Semaphore>);

impl Default for LargeReplies {
    fn default() -> Self {
        LargeReplies(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl LargeReplies {
    /// The admission of one reply, for as long as the reply is held.
    pub(super) fn admission<'a>(&'a self, clock: &'a Clock) -> Admission<'a> {
        Admission { large: self, clock, permit: None }
    }
}

/// Whether a reply may be large.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    large: &'a LargeReplies,
    pub(super) clock: &'a Clock,
    permit: Option<OwnedSemaphorePermit>,
}

impl Admission<'_> {
    /// Waits until a reply of which `bytes` are held may go on.
    ///
    /// # Errors
    /// Names the limit of the call or of the order that expired first.
    pub(super) async fn admit(&mut self, bytes: usize) -> Result<(), AttemptFailure> {
        if bytes < LARGE_BYTES || self.permit.is_some() {
            return Ok(());
        }
        let permit = self.clock.within(None, self.large.0.clone().acquire_owned()).await?;
        // An error would mean that the semaphore is closed, which nobody does.
        self.permit = permit.ok();
        Ok(())
    }
}
