//! Writes of one kind that wait together become one statement.
//!
//! A statement costs two changes of threads on SQLite and a trip over the network on PostgreSQL:
//! more than what most of them do. Ten thousand orders that go through the same few steps would pay
//! that ten times each; together they pay it once for all that wait.

use std::any::Any;

use async_trait::async_trait;
use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::batch::{Write, is_serialization_failure};
use super::sql::Tx;

/// A write of which several can be done at once.
#[async_trait]
pub(super) trait Coalesced: Clone + Send + Sync + 'static {
    /// What whoever waits is told.
    type Answer: Send + 'static;

    /// Does several, each as [`one`](Coalesced::one) would in their order. Nothing is said of those
    /// that are not done, because there is something about them that needs a closer look: they
    /// are done by `one` then.
    async fn many(tx: &mut Tx, these: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error>;

    /// Does this one.
    async fn one(&self, tx: &mut Tx) -> Result<Self::Answer, sqlx::Error>;
}

/// Writes of one kind, and who waits for each.
pub(super) struct CoalescedWrite<A: Coalesced> {
    these: Vec<A>,
    replies: Vec<oneshot::Sender<Result<A::Answer, sqlx::Error>>>,
    results: Vec<Result<A::Answer, sqlx::Error>>,
}

impl<A: Coalesced> CoalescedWrite<A> {
    pub(super) fn of(one: A, reply: oneshot::Sender<Result<A::Answer, sqlx::Error>>) -> Self {
        CoalescedWrite { these: vec![one], replies: vec![reply], results: Vec::new() }
    }

    /// Whether all went well; otherwise the last result is the error.
    async fn done(&mut self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let many = match self.these.len() {
            0 | 1 => self.these.iter().map(|_| None).collect(),
            _ => A::many(tx, &self.these).await?,
        };
        for (one, answer) in self.these.iter().zip(many) {
            let answer = match answer {
                Some(answer) => answer,
                None => one.one(tx).await?,
            };
            self.results.push(Ok(answer));
        }
        Ok(())
    }
}

#[async_trait]
impl<A: Coalesced> Write for CoalescedWrite<A> {
    async fn run(&mut self, tx: &mut Tx) -> bool {
        self.results.clear();
        match self.done(tx).await {
            Ok(()) => true,
            Err(error) => {
                self.results.push(Err(error));
                false
            }
        }
    }

    fn is_serialization_failure(&self) -> bool {
        matches!(self.results.last(), Some(Err(error)) if is_serialization_failure(error))
    }

    fn answer(self: Box<Self>, failed: Option<sqlx::Error>) {
        let CoalescedWrite { replies, results, .. } = *self;
        let mut results = results.into_iter();
        for reply in replies {
            let answer = match (&failed, results.next()) {
                (Some(error), Some(Ok(_)) | None) => Err(super::batch::copy(error)),
                (_, Some(result)) => result,
                (None, None) => Err(sqlx::Error::WorkerCrashed),
            };
            // Nobody may be waiting any more: the write is done all the same.
            drop(reply.send(answer));
        }
    }

    fn join(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>> {
        if !other.as_any().is::<Self>() {
            return Err(other);
        }
        if let Ok(other) = other.into_any().downcast::<Self>() {
            self.these.extend(other.these);
            self.replies.extend(other.replies);
        }
        Ok(())
    }

    fn apart(self: Box<Self>) -> Vec<Box<dyn Write>> {
        let CoalescedWrite { these, replies, .. } = *self;
        let single = |(one, reply)| Box::new(CoalescedWrite::<A>::of(one, reply)) as Box<dyn Write>;
        these.into_iter().zip(replies).map(single).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A statement over the rows of a list, for both databases: `$1` is the list as a JSON text, an
/// array of arrays, and each of them is `t.value`.
macro_rules! over_json {
    ($tx:expr, $before:literal, $after:literal) => {
        $tx.pick(
            concat!($before, "json_each($1) AS t", $after),
            concat!($before, "json_array_elements(CAST($1 AS json)) AS t", $after),
        )
    };
}
pub(super) use over_json;

/// The list: each row an array. No text has a NUL, which PostgreSQL does not store.
pub(super) fn json_rows(rows: impl Iterator<Item = Vec<Json>>) -> String {
    let text = Json::Array(rows.map(Json::Array).collect()).to_string();
    if text.contains("\\u0000") { without_escaped_nul(&text) } else { text }
}

/// In JSON a NUL is `\u0000`; the same six characters behind a backslash are a text about it.
fn without_escaped_nul(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let (replaced, length) = match escape.get(..6) {
            Some("\\u0000") => ("\u{fffd}", 6),
            // Every other escape is at least two characters, and the second one may be a backslash.
            _ => (escape.get(..2).unwrap_or(escape), 2.min(escape.len())),
        };
        clean.push_str(replaced);
        rest = escape.get(length..).unwrap_or_default();
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_nul_is_replaced_and_a_text_about_one_is_not() {
        for (text, stored) in [
            ("plain", "plain"),
            ("a\0b", "a\u{fffd}b"),
            ("\0", "\u{fffd}"),
            ("say \\u0000", "say \\u0000"),
            ("\\\0\\u0000\"", "\\\u{fffd}\\u0000\""),
            ("ä\0\n", "ä\u{fffd}\n"),
        ] {
            let list = json_rows([vec![json!(text), json!(1)]].into_iter());
            let read: Json = serde_json::from_str(&list).unwrap();
            assert_eq!(read, json!([[stored, 1]]), "{text:?} as {list}");
        }
    }
}
