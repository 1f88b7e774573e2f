//! A journal that records a run's AI calls and delays their replies if the case asks for it.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::watch;

use sitewright_ai::{Format, Journal, JournalEntry, JournalKey, Recalled, Request};
use sitewright_model::ai::CallId;
use sitewright_model::message::Message;

/// One AI call of a run.
#[derive(Debug, Clone)]
pub(crate) struct RecordedCall {
    pub(crate) purpose: String,
    /// The texts of its messages.
    pub(crate) messages: Vec<String>,
    pub(crate) format: ReplyFormat,
    /// The reply; `None` until it arrives.
    pub(crate) answer: Option<String>,
}

/// The requested format of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReplyFormat {
    Text,
    Json,
    Schema(Value),
}

/// How replies are delayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReplyDelay {
    #[default]
    None,
    /// Call n waits n times this long.
    Rising(Duration),
    /// The first of `calls` calls waits longest.
    Falling { step: Duration, calls: usize },
    /// The call with this index never gets a reply.
    Forever(usize),
}

/// Keeps calls in memory for one run and replays nothing.
#[derive(Debug)]
pub(crate) struct RecordingJournal {
    hold: ReplyDelay,
    asked: Mutex<Vec<RecordedCall>>,
    at: Mutex<HashMap<JournalKey, usize>>,
    /// Whether the call of [`ReplyDelay::Forever`] has been made.
    held: watch::Sender<bool>,
}

impl RecordingJournal {
    pub(crate) fn new(hold: ReplyDelay) -> Self {
        RecordingJournal {
            hold,
            asked: Mutex::default(),
            at: Mutex::default(),
            held: watch::Sender::new(false),
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<RecordedCall>> {
        self.asked.lock()
    }

    fn index(&self, key: &JournalKey) -> Option<usize> {
        self.at.lock().get(key).copied()
    }

    /// The calls so far, in the order of the requests.
    pub(crate) fn asked(&self) -> Vec<RecordedCall> {
        self.all().clone()
    }

    /// Waits until the call of [`ReplyDelay::Forever`] has been made.
    pub(crate) async fn until_held(&self) {
        // Cannot fail: `self` owns the sender.
        drop(self.held.subscribe().wait_for(|held| *held).await);
    }
}

#[async_trait]
impl Journal for RecordingJournal {
    fn asked(&self, _: CallId, key: &JournalKey, request: &Request) {
        let format = match &request.format {
            Format::Text => ReplyFormat::Text,
            Format::Json => ReplyFormat::Json,
            Format::JsonSchema(schema) => ReplyFormat::Schema(schema.value().clone()),
        };
        let mut all = self.all();
        self.at.lock().insert(key.clone(), all.len());
        all.push(RecordedCall {
            purpose: request.purpose.to_string(),
            messages: request.messages.iter().map(|message| message.content.clone()).collect(),
            format,
            answer: None,
        });
    }

    async fn lookup(&self, _: &JournalKey) -> Option<JournalEntry> {
        None
    }

    async fn recall(&self, _: CallId, key: &JournalKey) -> Option<Recalled> {
        let index = self.index(key).unwrap_or_default();
        match self.hold {
            ReplyDelay::None => {}
            ReplyDelay::Rising(step) => {
                tokio::time::sleep(step.saturating_mul(u32::try_from(index).unwrap_or(0))).await
            }
            ReplyDelay::Falling { step, calls } => {
                let times = u32::try_from(calls.saturating_sub(index)).unwrap_or(0);
                tokio::time::sleep(step.saturating_mul(times)).await;
            }
            ReplyDelay::Forever(held) if held == index => {
                self.held.send_replace(true);
                std::future::pending::<()>().await;
            }
            ReplyDelay::Forever(_) => {}
        }
        None
    }

    async fn store(&self, entry: &JournalEntry) -> Result<(), Message> {
        if let Some(index) = self.index(&entry.key)
            && let Some(asked) = self.all().get_mut(index)
        {
            asked.answer = Some(entry.content.clone());
        }
        Ok(())
    }
}
