//! Forwards the text of a reply to the caller while it arrives.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::redact::Redactor;
use sitewright_model::ai::Completed;

/// Maximum size of a chunk in bytes; a provider may send more at once.
const CHUNK_BYTES: usize = 4 << 10;

/// Maximum number of chunks that the caller has not read: with [`CHUNK_BYTES`] 256 KiB per call. At
/// this number the provider's response is not read further.
const BUFFERED_CHUNKS: usize = 64;

/// Observes the chunks that are forwarded.
pub trait ChunkObserver: std::fmt::Debug + Send + Sync {
    /// Called after the chunk was put into the channel.
    fn forwarded(&self, chunk: &str);
}

/// The receiver of the text of one call's reply.
///
/// Forwarded text cannot be retracted. So that texts of two attempts do not mix, a call is not
/// retried after its first text was forwarded.
#[derive(Debug)]
pub struct TextSink {
    channel: Option<mpsc::Sender<String>>,
    /// Removes the provider's key.
    redactor: Redactor,
    /// The end of the text so far, if it may be the beginning of the key.
    held: String,
    /// Whitespace before the first word. A reply of whitespace only is empty, and the call is
    /// retried.
    pending: String,
    /// Bytes forwarded so far.
    forwarded: usize,
    observer: Option<Arc<dyn ChunkObserver>>,
}

impl TextSink {
    /// A sink for a caller that needs the whole reply only.
    pub fn none() -> Self {
        TextSink {
            channel: None,
            redactor: Redactor::default(),
            held: String::new(),
            pending: String::new(),
            forwarded: 0,
            observer: None,
        }
    }

    /// A sink and its receiver. Chunks have 1 byte to 4 KiB; the channel is closed when the sink is
    /// dropped. At most 64 unread chunks are buffered; then the call waits. If the receiver is
    /// dropped, further text is discarded.
    pub fn channel() -> (Self, mpsc::Receiver<String>) {
        let (sender, chunks) = mpsc::channel(BUFFERED_CHUNKS);
        (TextSink { channel: Some(sender), ..TextSink::none() }, chunks)
    }

    /// The same sink with an observer.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn ChunkObserver>) -> Self {
        TextSink { observer: Some(observer), ..self }
    }

    /// Forwards the part of the reply that was not forwarded while it arrived. That is all of it,
    /// if it comes from the journal, from a script, or from a provider that does not stream.
    pub async fn rest(&mut self, reply: &Completed) {
        let whole = reply.raw_reply.as_ref().unwrap_or(&reply.completion.content);
        if let Some(rest) = whole.get(self.forwarded..) {
            self.send(rest).await;
        }
    }

    /// Whether the caller wants text while it arrives.
    pub(super) fn is_heard(&self) -> bool {
        self.channel.is_some()
    }

    /// Whether text was forwarded, so that the call must not be retried.
    pub(super) fn has_begun(&self) -> bool {
        self.forwarded > 0
    }

    /// Begins a new attempt at a provider with this key: discards the pending whitespace of the
    /// previous one.
    pub(super) fn begin(&mut self, redactor: Redactor) {
        self.redactor = redactor;
        self.held.clear();
        self.pending.clear();
    }

    /// Forwards more text. Waits while the channel is full.
    pub(super) async fn push(&mut self, text: &str) {
        if self.channel.is_none() {
            return;
        }
        self.held.push_str(text);
        let settled = self.redactor.settled(&self.held);
        let text = self.redactor.redact_reply(&self.held[..settled]).into_owned();
        self.held.drain(..settled);
        if self.has_begun() {
            return self.send(&text).await;
        }
        // What is pending is blank, and is not looked at again for each event.
        let is_blank = text.trim().is_empty();
        self.pending.push_str(&text);
        if !is_blank {
            let pending = std::mem::take(&mut self.pending);
            self.send(&pending).await;
        }
    }

    async fn send(&mut self, text: &str) {
        let mut rest = text;
        while let Some(channel) = self.channel.as_ref().filter(|_| !rest.is_empty()) {
            let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
            if channel.send(chunk.to_owned()).await.is_err() {
                self.channel = None;
                return;
            }
            self.forwarded += chunk.len();
            if let Some(observer) = &self.observer {
                observer.forwarded(chunk);
            }
            rest = after;
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use sitewright_model::ai::{CallId, Completion, FinishReason, ReplySource, Usage};

    fn reply(content: &str, raw: Option<&str>) -> Completed {
        Completed {
            completion: Completion {
                content: content.to_owned(),
                finish_reason: FinishReason::Stop,
                usage: Usage::default(),
                provider: String::new(),
                model: String::new(),
                call_id: CallId::nth(1),
            },
            attempts: Vec::new(),
            raw_reply: raw.map(str::to_owned),
            source: ReplySource::Provider,
            end_unsaid: false,
        }
    }

    async fn all(mut chunks: mpsc::Receiver<String>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            all.push(chunk);
        }
        all
    }

    #[tokio::test]
    async fn chunks_are_the_reply_and_none_is_long_or_empty() {
        let long = "é".repeat(3 * CHUNK_BYTES);
        let (mut sink, chunks) = TextSink::channel();
        for text in ["", " ", "\n", "word ", "", &long] {
            sink.push(text).await;
        }
        sink.rest(&reply(&format!(" \nword {long} end"), None)).await;
        drop(sink);
        let all = all(chunks).await;
        assert_eq!(all.concat(), format!(" \nword {long} end"));
        assert_eq!(all[0], " \nword ");
        assert!(all.iter().all(|chunk| (1..=CHUNK_BYTES).contains(&chunk.len())));
    }

    #[tokio::test]
    async fn blanks_of_a_try_that_failed_are_forgotten() {
        let (mut sink, chunks) = TextSink::channel();
        sink.push("\n\n").await;
        assert!(!sink.has_begun(), "another try may follow");
        sink.begin(Redactor::default());
        sink.push("word").await;
        assert!(sink.has_begun());
        sink.rest(&reply("{}", Some("word {}"))).await;
        drop(sink);
        assert_eq!(all(chunks).await, ["word", " {}"], "what the model wrote, not the JSON alone");
    }

    #[tokio::test]
    async fn a8_a_key_that_arrives_in_pieces_is_removed() {
        let key = "planted-key-1234567890";
        let redactor = Redactor::new([key.into()]);
        for size in 1..=key.len() {
            let (mut sink, chunks) = TextSink::channel();
            sink.begin(redactor.clone());
            let text = format!("the key {key}, and plan");
            let pieces: Vec<char> = text.chars().collect();
            for piece in pieces.chunks(size) {
                sink.push(&piece.iter().collect::<String>()).await;
            }
            sink.rest(&reply(&redactor.redact_reply(&text), None)).await;
            drop(sink);
            assert_eq!(all(chunks).await.concat(), "the key [key removed], and plan");
        }
    }

    #[tokio::test]
    async fn text_that_nobody_takes_waits_and_is_bounded() {
        let (mut sink, mut chunks) = TextSink::channel();
        let text = "x".repeat(10 * BUFFERED_CHUNKS * CHUNK_BYTES);
        assert!(sink.push(&text).now_or_never().is_none(), "it waits");
        assert_eq!(sink.forwarded, BUFFERED_CHUNKS * CHUNK_BYTES);
        chunks.close();
        sink.push("more").await;
        assert!(sink.channel.is_none(), "nobody wants it");
        sink.push(&text).await;
        TextSink::none().push(&text).await;
    }
}
