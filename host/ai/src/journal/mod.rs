//! The reply journal: replies that were paid for, stored so that a retry or a replay of the order
//! does not pay again.

mod file;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use file::{FileJournal, read_journal};
pub use sitewright_model::ai::JournalKey;

use super::batch::BatchQueue;
use super::budget::Spent;
use super::caller::Caller;
use super::reply_cache::ReplyCache;
use super::request::{ChatMessage, Format, Request};
use super::text::TextSink;
use sitewright_model::ai::{
    AiError, AiErrorKind, Attempt, AttemptOutcome, CallId, Completed, Completion, EstimatedUse,
    FinishReason, ReplySource, Usage, Usd,
};
use sitewright_model::message::Message;

/// One complete reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    #[serde(flatten)]
    pub key: JournalKey,
    pub purpose: String,
    /// The checked reply.
    pub content: String,
    pub finish_reason: FinishReason,
    pub usage: Usage,
    /// What it cost, without earlier attempts of the same call: those are accounted for on their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Who answered.
    pub provider: String,
    /// What answered.
    pub model: String,
    /// What the model wrote, where the JSON stood inside other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_reply: Option<String>,
    /// Whether nothing shows that it is whole: see [`Attempt::end_unsaid`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_unsaid: bool,
    /// Whether a model gave it to another order: then nothing was paid for it, and `usage` and
    /// `cost_usd` are what that order paid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// What budgets were charged with, if the provider did not count all tokens; not a part of what
    /// is stored here.
    #[serde(skip)]
    pub estimated: Option<Box<EstimatedUse>>,
    /// Milliseconds that the attempt took which got the reply, for statistics; not a part of what
    /// is stored. `None` for a reply of a batch, of another order, or that was read from a journal.
    #[serde(skip)]
    pub took_ms: Option<u64>,
    /// All attempts of the call, if the first one did not succeed; not a part of what is stored
    /// here. Empty for a call that succeeded at once, and as `took_ms`.
    #[serde(skip)]
    pub tries: Vec<Attempt>,
}

impl JournalEntry {
    /// Whether the model is known to have ended the reply by itself, so that other orders may get it
    /// too.
    pub(super) fn is_whole(&self) -> bool {
        self.finish_reason == FinishReason::Stop && !self.end_unsaid
    }
}

/// A reply that was answered and paid for, and that no call can use: truncated, empty, refused, not
/// the requested format, or lost on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusableReply {
    /// The call, as in [`JournalEntry`].
    #[serde(flatten)]
    pub key: JournalKey,
    pub purpose: String,
    pub provider: String,
    /// The requested model.
    pub model: String,
    pub usage: Usage,
    pub cost_usd: Option<Usd>,
    /// As in [`JournalEntry`].
    #[serde(skip)]
    pub estimated: Option<Box<EstimatedUse>>,
    pub kind: AiErrorKind,
    /// What was wrong, redacted.
    pub message: Option<Message>,
    /// The attempt that got it, for statistics; not a part of what is stored here. `None` for the
    /// answer of a batch.
    #[serde(skip)]
    pub attempt: Option<Box<Attempt>>,
}

/// The recorded result of a call.
#[derive(Debug, Clone)]
pub enum Recalled {
    Reply(Box<JournalEntry>),
    /// The recorded error. Only a replay repeats errors.
    Failed(Box<AiError>),
    /// Streamed text, and then the result.
    Streamed {
        /// The chunks of text as the template received them.
        pieces: Vec<String>,
        /// `None` if the run ended before the call.
        end: Option<Box<Recalled>>,
    },
}

/// Storage for replies.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Called at the beginning of each call, for journals that inspect requests.
    fn asked(&self, _call: CallId, _key: &JournalKey, _request: &Request) {}

    /// The reply of an earlier attempt, if there is one.
    async fn lookup(&self, key: &JournalKey) -> Option<JournalEntry>;

    /// The recorded result of a call. A replay also returns errors.
    async fn recall(&self, _call: CallId, key: &JournalKey) -> Option<Recalled> {
        self.lookup(key).await.map(|entry| Recalled::Reply(Box::new(entry)))
    }

    /// Stores a reply durably before it returns.
    ///
    /// # Errors
    /// The reply could not be stored.
    async fn store(&self, entry: &JournalEntry) -> Result<(), Message>;

    /// Called for each attempt that failed, for journals that count them. The default does nothing.
    fn failed(&self, _attempt: &Attempt, _kind: AiErrorKind) {}

    /// Accounts for a reply that cannot be used. The default does nothing: only a ledger needs them.
    ///
    /// # Errors
    /// The reply could not be stored.
    async fn account(&self, _unusable: &UnusableReply) -> Result<(), Message> {
        Ok(())
    }
}

/// The journal of one run: counts how often each request was made.
#[derive(Debug)]
pub struct RunJournal {
    journal: Arc<dyn Journal>,
    cache: Option<Arc<dyn ReplyCache>>,
    batches: Option<Arc<dyn BatchQueue>>,
    /// Whose budget of a day its calls use, and who fails with them.
    caller: Option<Arc<Caller>>,
    /// What earlier attempts of the order have used of its budget.
    spent: Spent,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// The number of calls by the digest of their request.
    times: HashMap<String, u32>,
    keys: HashMap<CallId, JournalKey>,
}

impl RunJournal {
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        RunJournal {
            journal,
            cache: None,
            batches: None,
            caller: None,
            spent: Spent::default(),
            asked: Mutex::default(),
        }
    }

    /// The same journal, with replies that other orders paid for, on routes that share them.
    #[must_use]
    pub fn with_cache(self, cache: Arc<dyn ReplyCache>) -> Self {
        RunJournal { cache: Some(cache), ..self }
    }

    /// The same journal, of an order nobody waits for: its calls may wait for batches.
    #[must_use]
    pub fn with_batches(self, batches: Arc<dyn BatchQueue>) -> Self {
        RunJournal { batches: Some(batches), ..self }
    }

    pub(super) fn batches(&self) -> Option<Arc<dyn BatchQueue>> {
        self.batches.clone()
    }

    /// The same journal, of the order with this id and the label of this tenant. Without it, a
    /// failed call tells of its provider whatever it asked for.
    #[must_use]
    pub fn of_order(self, order: &str, tenant: Option<String>) -> Self {
        let caller = Some(Arc::new(Caller { order: order.to_owned(), tenant }));
        RunJournal { caller, ..self }
    }

    /// The same journal, of an order whose earlier attempts have used this much of its budget.
    #[must_use]
    pub fn after(self, spent: Spent) -> Self {
        RunJournal { spent, ..self }
    }

    /// What earlier attempts of the order have used of its budget.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    pub(super) fn tenant(&self) -> Option<&str> {
        self.caller.as_ref().and_then(|caller| caller.tenant.as_deref())
    }

    pub(super) fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    pub(super) fn cache(&self) -> Option<Arc<dyn ReplyCache>> {
        self.cache.clone()
    }

    /// Assigns the key of a new call.
    pub(super) fn key(&self, call: CallId, request: &Request) -> JournalKey {
        let digest = digest(request);
        let mut asked = self.asked.lock();
        let next = asked.times.entry(digest.clone()).or_default();
        let occurrence = std::mem::replace(next, *next + 1);
        let key = JournalKey { request: digest, occurrence };
        asked.keys.insert(call, key.clone());
        drop(asked);
        self.journal.asked(call, &key, request);
        key
    }

    /// The keys of these call ids, as a template reports them. Unknown ids are ignored.
    pub fn keys_of(&self, calls: &[String]) -> Vec<JournalKey> {
        let asked = self.asked.lock();
        let ids = calls.iter().filter_map(|call| call.parse::<CallId>().ok());
        ids.filter_map(|id| asked.keys.get(&id).cloned()).collect()
    }

    /// The key of a call of this run; `None` if it did not reach the journal.
    pub fn key_of(&self, call: CallId) -> Option<JournalKey> {
        self.asked.lock().keys.get(&call).cloned()
    }

    /// The result of this call in the journal, if there is one. A recorded stream is forwarded to
    /// `text` in its recorded chunks.
    pub(super) async fn replay(
        &self,
        key: &JournalKey,
        call_id: CallId,
        text: &mut TextSink,
    ) -> Option<Result<Completed, Box<AiError>>> {
        let mut recalled = self.journal.recall(call_id, key).await;
        loop {
            recalled = match recalled? {
                Recalled::Reply(entry) => return Some(Ok(replayed(*entry, call_id))),
                Recalled::Failed(error) => return Some(Err(error)),
                Recalled::Streamed { pieces, end } => {
                    for piece in pieces {
                        text.push(&piece).await;
                    }
                    match end {
                        Some(end) => Some(*end),
                        None => std::future::pending().await,
                    }
                }
            };
        }
    }

    /// Counts a failed attempt, and accounts for one that was answered.
    pub(super) async fn account(
        &self,
        key: &JournalKey,
        call_id: CallId,
        request: &Request,
        attempt: &Attempt,
    ) {
        let AttemptOutcome::Failed(kind) = attempt.outcome else { return };
        self.journal.failed(attempt, kind);
        if !attempt.is_unusable_reply() {
            return;
        }
        let unusable = UnusableReply {
            key: key.clone(),
            purpose: request.purpose.to_string(),
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            usage: attempt.usage,
            cost_usd: attempt.cost_usd,
            estimated: attempt.estimated.clone(),
            kind,
            message: attempt.message.clone(),
            // That of a batch is as long as reading its answer.
            attempt: (!attempt.batch).then(|| Box::new(attempt.clone())),
        };
        self.account_unusable(&unusable, call_id).await;
    }

    /// Accounts for a reply that was paid for.
    pub(super) async fn account_unusable(&self, unusable: &UnusableReply, call_id: CallId) {
        if let Err(message) = self.journal.account(unusable).await {
            tracing::error!(call = %call_id, "{message}");
        }
    }

    /// Stores a reply that was paid for, and returns it with its entry.
    pub(super) async fn record(
        &self,
        key: JournalKey,
        call_id: CallId,
        request: &Request,
        completed: Completed,
    ) -> (Completed, JournalEntry) {
        let completion = &completed.completion;
        let last = completed.attempts.last();
        let entry = JournalEntry {
            key,
            purpose: request.purpose.to_string(),
            content: completion.content.clone(),
            finish_reason: completion.finish_reason,
            usage: completion.usage,
            cost_usd: last.and_then(|attempt| attempt.cost_usd),
            provider: completion.provider.clone(),
            model: completion.model.clone(),
            raw_reply: completed.raw_reply.clone(),
            end_unsaid: completed.end_unsaid,
            cached: false,
            estimated: last.and_then(|attempt| attempt.estimated.clone()),
            took_ms: last.filter(|attempt| !attempt.batch).map(|attempt| attempt.duration_ms),
            tries: match completed.attempts.as_slice() {
                [] | [_] => Vec::new(),
                attempts => attempts.to_vec(),
            },
        };
        if let Err(message) = self.journal.store(&entry).await {
            // The reply is valid; only a retry has to pay for it again.
            tracing::error!(call = %call_id, "{message}");
        }
        (completed, entry)
    }

    /// Stores a reply that another order paid for, so that a retry or a replay gets the same one.
    pub(super) async fn share(
        &self,
        key: JournalKey,
        call_id: CallId,
        entry: JournalEntry,
    ) -> Completed {
        let tries = Vec::new();
        let entry =
            JournalEntry { key, cached: true, estimated: None, took_ms: None, tries, ..entry };
        if let Err(message) = self.journal.store(&entry).await {
            tracing::error!(call = %call_id, "{message}");
        }
        let source = ReplySource::Cache { saved_usd: entry.cost_usd };
        Completed { source, ..replayed(entry, call_id) }
    }
}

fn replayed(entry: JournalEntry, call_id: CallId) -> Completed {
    Completed {
        completion: Completion {
            content: entry.content,
            finish_reason: entry.finish_reason,
            usage: entry.usage,
            provider: entry.provider,
            model: entry.model,
            call_id,
        },
        attempts: Vec::new(),
        raw_reply: entry.raw_reply,
        source: ReplySource::Journal,
        end_unsaid: entry.end_unsaid,
    }
}

/// The digest of everything that a reply depends on, as a JSON array, so that no two requests have
/// the same text.
fn digest(request: &Request) -> String {
    let schema = match &request.format {
        Format::JsonSchema(schema) => Some(schema.value().to_string()),
        Format::Text | Format::Json => None,
    };
    let format = match &request.format {
        Format::Text => "text",
        Format::Json => "json",
        Format::JsonSchema(_) => "json-schema",
    };
    let messages = match &request.identity {
        Some(identity) => Messages::Identity(identity),
        None => Messages::Sent(&request.messages),
    };
    let canonical = (
        &request.purpose,
        messages,
        format,
        schema,
        request.max_output_tokens,
        // As the 64-bit number that it is, which is how journals have it.
        serde_json::json!(request.temperature),
        request.seed,
        &request.stop,
    );
    // Cannot fail: lists, texts, numbers and maps with text keys.
    let canonical = serde_json::to_vec(&canonical).unwrap_or_default();
    hex::encode(Sha256::digest(canonical))
}

/// What identifies the messages of a request.
#[derive(Serialize)]
#[serde(untagged)]
enum Messages<'a> {
    Identity(&'a str),
    Sent(&'a [ChatMessage]),
}

#[cfg(test)]
mod tests {
    use super::super::request::Role;
    use super::*;
    use crate::ReplySchema;

    #[test]
    fn requests_have_the_digests_that_are_in_journals_of_earlier_versions() {
        let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
        let plain = Request {
            purpose: "copywriting".parse().unwrap(),
            messages: vec![message(Role::System, "Be brief."), message(Role::User, "Write \"é\".")],
            format: Format::Text,
            max_output_tokens: Some(100),
            temperature: Some(0.7),
            seed: Some(7),
            stop: vec!["END".to_owned()],
            identity: None,
        };
        let schema = ReplySchema::compile("{\"type\": \"object\"}").unwrap();
        let identified = Request {
            format: Format::JsonSchema(schema),
            max_output_tokens: None,
            temperature: None,
            seed: None,
            stop: Vec::new(),
            identity: Some("e7".to_owned()),
            ..plain.clone()
        };
        for (request, expected) in [
            (plain, "ef127e5f57b5d57bfb0629d08d4999fdb19904b461b33a1d3fcf71e91751de53"),
            (identified, "fd5b49420e5d34a425e7ae3868567008a20943d0910edb0bc4409e7f6f9f0d01"),
        ] {
            assert_eq!(digest(&request), expected, "{request:?}");
        }
    }
}
