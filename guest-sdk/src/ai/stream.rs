//! A reply that is read along.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

use super::{Completion, Error};

/// A call whose text is read while the model writes; see [`Ask::stream`](super::Ask::stream).
///
/// [`next`](Self::next) gives the text as it comes, [`finish`](Self::finish) the whole, checked
/// reply. Dropping it before cancels the call and the request to the provider. It is a [`Stream`]
/// as well, so that `StreamExt` works on it.
#[must_use = "a call whose stream is dropped is cancelled"]
pub struct Streamed {
    chunks: Chunks,
    outcome: Outcome,
    /// Whether the chunks have ended: a stream that has ended is not polled again.
    ended: bool,
}

pub(crate) type Chunks = Pin<Box<dyn Stream<Item = String>>>;
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<Completion, Error>>>>;

impl Streamed {
    pub(crate) fn new(chunks: Chunks, outcome: Outcome) -> Self {
        Streamed { chunks, outcome, ended: false }
    }

    /// More of the text, or nothing when there is no more: the reply is whole then, or the call has
    /// failed, and [`finish`](Self::finish) tells which. No chunk is empty. A call of `next`
    /// that is dropped loses no text.
    pub async fn next(&mut self) -> Option<String> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The whole, checked reply, whether its text has been read or not.
    ///
    /// # Errors
    /// The call failed, perhaps after a part of its text came; see [`ErrorKind`](super::ErrorKind).
    pub async fn finish(self) -> Result<Completion, Error> {
        let Streamed { chunks, outcome, .. } = self;
        // Text that nobody reads would hold the reply back.
        drop(chunks);
        outcome.await
    }
}

impl Stream for Streamed {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.chunks.as_mut().poll_next(context);
        self.ended = matches!(next, Poll::Ready(None));
        next
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("ended", &self.ended).finish_non_exhaustive()
    }
}
