//! The text of a reply on its way to the caller while the model still writes it.

use std::sync::Arc;

use tokio::sync::mpsc;

use sitewright_model::ai::Completed;

/// Most bytes of one chunk. What a provider sends at once may be far longer.
const CHUNK_BYTES: usize = 4 << 10;

/// Chunks that wait for a caller that does not take them: with [`CHUNK_BYTES`] 256 KiB a call. When
/// so many wait, the provider's answer is not read on.
const WAITING: usize = 64;

/// Is told of each piece of text that goes out.
pub trait Pieces: std::fmt::Debug + Send + Sync {
    /// The caller has this piece to take.
    fn passed(&self, piece: &str);
}

/// Where the text of one call's reply goes while it comes.
///
/// What has been passed on cannot be taken back. So a reply's text is mixed with no other: once
/// anything has gone out, the call is not tried again (see [`has_begun`](Self::has_begun)).
#[derive(Debug)]
pub struct TextSink {
    to: Option<mpsc::Sender<String>>,
    /// Blanks before the first word. A reply of blanks alone is none, and then another try may
    /// give one.
    held: String,
    /// Bytes passed on.
    passed: usize,
    told: Option<Arc<dyn Pieces>>,
}

impl TextSink {
    /// For a caller who wants only the whole reply.
    pub fn none() -> Self {
        TextSink { to: None, held: String::new(), passed: 0, told: None }
    }

    /// With the chunks, each of at most 4 KiB and never empty. They end when the sink is dropped.
    /// Text that nobody takes waits, and the call with it; text for a receiver that was dropped
    /// goes nowhere.
    pub fn channel() -> (Self, mpsc::Receiver<String>) {
        let (to, chunks) = mpsc::channel(WAITING);
        (TextSink { to: Some(to), ..TextSink::none() }, chunks)
    }

    /// The same, and tells of each piece.
    #[must_use]
    pub fn telling(self, told: Arc<dyn Pieces>) -> Self {
        TextSink { told: Some(told), ..self }
    }

    /// Passes on what the whole reply has beyond the text that came while it was written: all of it
    /// when it came from the journal, from a script, or from a provider that does not stream.
    pub async fn rest(&mut self, reply: &Completed) {
        let whole = reply.raw_reply.as_ref().unwrap_or(&reply.completion.content);
        if let Some(rest) = whole.get(self.passed..) {
            self.send(rest).await;
        }
    }

    /// Whether the caller has got something that another try would contradict.
    pub(super) fn has_begun(&self) -> bool {
        self.passed > 0
    }

    /// A new try begins. What was held back belongs to the one before.
    pub(super) fn begin(&mut self) {
        self.held.clear();
    }

    /// Passes on more text, and waits while too much of it is not taken.
    pub(super) async fn push(&mut self, text: &str) {
        if self.to.is_none() {
            return;
        }
        if self.has_begun() {
            return self.send(text).await;
        }
        self.held.push_str(text);
        if !self.held.trim().is_empty() {
            let held = std::mem::take(&mut self.held);
            self.send(&held).await;
        }
    }

    async fn send(&mut self, text: &str) {
        let mut rest = text;
        while let Some(to) = self.to.as_ref().filter(|_| !rest.is_empty()) {
            let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
            if to.send(chunk.to_owned()).await.is_err() {
                self.to = None;
                return;
            }
            self.passed += chunk.len();
            if let Some(told) = &self.told {
                told.passed(chunk);
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
    use sitewright_model::ai::{CallId, Completion, FinishReason, Usage};

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
            replayed: false,
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
        sink.begin();
        sink.push("word").await;
        assert!(sink.has_begun());
        sink.rest(&reply("{}", Some("word {}"))).await;
        drop(sink);
        assert_eq!(all(chunks).await, ["word", " {}"], "what the model wrote, not the JSON alone");
    }

    #[tokio::test]
    async fn text_that_nobody_takes_waits_and_is_bounded() {
        let (mut sink, mut chunks) = TextSink::channel();
        let text = "x".repeat(10 * WAITING * CHUNK_BYTES);
        assert!(sink.push(&text).now_or_never().is_none(), "it waits");
        assert_eq!(sink.passed, WAITING * CHUNK_BYTES);
        chunks.close();
        sink.push("more").await;
        assert!(sink.to.is_none(), "nobody wants it");
        sink.push(&text).await;
        TextSink::none().push(&text).await;
    }
}
