//! Streamed replies.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

use super::{Completion, Error};

/// A call whose reply is streamed; see [`Ask::stream`](super::Ask::stream).
///
/// [`next`](Self::next) returns the text as it arrives, [`finish`](Self::finish) the complete,
/// validated reply. Dropping it before cancels the call and its HTTP request. It implements
/// [`Stream`], so that `StreamExt` works on it.
#[must_use = "a call whose stream is dropped is cancelled"]
pub struct Streamed {
    chunks: Chunks,
    outcome: Outcome,
    /// Whether the chunks have ended: a stream must not be polled after its end.
    ended: bool,
}

pub(crate) type Chunks = Pin<Box<dyn Stream<Item = String>>>;
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<Completion, Error>>>>;

impl Streamed {
    pub(crate) fn new(chunks: Chunks, outcome: Outcome) -> Self {
        Streamed { chunks, outcome, ended: false }
    }

    /// The next chunk of the text, which is never empty. `None` at the end of the stream: then the
    /// reply is complete or the call has failed, and [`finish`](Self::finish) returns which. It is
    /// cancel safe: dropping the future of `next` loses no text.
    pub async fn next(&mut self) -> Option<String> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Waits for the complete, validated reply. The chunks need not be read before.
    ///
    /// # Errors
    /// The call failed, perhaps after the first chunks; see [`ErrorKind`](super::ErrorKind).
    pub async fn finish(self) -> Result<Completion, Error> {
        let Streamed { chunks, outcome, .. } = self;
        // Chunks that are not read would stop the reply.
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
