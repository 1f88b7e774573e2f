//! Coalesced writes: pending writes of one kind become one statement.
//!
//! A statement costs two thread switches on SQLite and a network round trip on PostgreSQL, more
//! than its own work. Ten thousand orders that go through the same few steps would pay that ten
//! times each; coalesced, all that are pending pay it once.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::batch::{Write, is_serialization_failure};
use super::driver::Tx;

/// A write of which several can be done by one statement.
#[async_trait]
pub(super) trait Coalesced: Clone + Send + Sync + 'static {
    /// What the caller gets.
    type Answer: Send + 'static;

    /// Does several at once, with the result that [`one`](Coalesced::one) would have for each in
    /// turn. `None` for a write that it leaves out; `one` does it then.
    async fn many(tx: &mut Tx, writes: &[Self]) -> Result<Vec<Option<Self::Answer>>, sqlx::Error>;

    async fn one(&self, tx: &mut Tx) -> Result<Self::Answer, sqlx::Error>;
}

/// Writes of one kind, with the channels of their callers.
pub(super) struct CoalescedWrite<A: Coalesced> {
    writes: Vec<A>,
    replies: Vec<oneshot::Sender<Result<A::Answer, Arc<sqlx::Error>>>>,
    results: Vec<Result<A::Answer, sqlx::Error>>,
}

impl<A: Coalesced> CoalescedWrite<A> {
    pub(super) fn of(one: A, reply: oneshot::Sender<Result<A::Answer, Arc<sqlx::Error>>>) -> Self {
        CoalescedWrite { writes: vec![one], replies: vec![reply], results: Vec::new() }
    }

    async fn execute(&mut self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        let many = match self.writes.len() {
            0 | 1 => self.writes.iter().map(|_| None).collect(),
            _ => A::many(tx, &self.writes).await?,
        };
        for (one, answer) in self.writes.iter().zip(many) {
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
        match self.execute(tx).await {
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

    fn answer(self: Box<Self>, failed: Option<Arc<sqlx::Error>>) {
        let CoalescedWrite { replies, results, .. } = *self;
        let mut results = results.into_iter();
        for reply in replies {
            let answer = match (&failed, results.next()) {
                (Some(error), Some(Ok(_)) | None) => Err(error.clone()),
                (_, Some(result)) => result.map_err(Arc::new),
                (None, None) => Err(Arc::new(sqlx::Error::WorkerCrashed)),
            };
            // The caller may have given up; the write is done all the same.
            drop(reply.send(answer));
        }
    }

    fn merge(&mut self, other: Box<dyn Write>) -> Result<(), Box<dyn Write>> {
        if !other.as_any().is::<Self>() {
            return Err(other);
        }
        if let Ok(other) = other.into_any().downcast::<Self>() {
            self.writes.extend(other.writes);
            self.replies.extend(other.replies);
        }
        Ok(())
    }

    fn split(self: Box<Self>) -> Vec<Box<dyn Write>> {
        let CoalescedWrite { writes, replies, .. } = *self;
        let single = |(one, reply)| Box::new(CoalescedWrite::<A>::of(one, reply)) as Box<dyn Write>;
        writes.into_iter().zip(replies).map(single).collect()
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
            $crate::driver::sql!($before, "json_each($1) AS t", $after),
            $crate::driver::sql!($before, "json_array_elements(CAST($1 AS json)) AS t", $after),
        )
    };
}
pub(super) use over_json;

/// The list: each row an array. NUL characters are replaced, since PostgreSQL stores none.
pub(super) fn json_rows(rows: impl Iterator<Item = Vec<Json>>) -> String {
    let text = Json::Array(rows.map(Json::Array).collect()).to_string();
    if text.contains("\\u0000") { without_escaped_nul(&text) } else { text }
}

/// Replaces the escape `\u0000`, but not an escaped backslash followed by `u0000`.
fn without_escaped_nul(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let (replaced, length) = match escape.get(..6) {
            Some("\\u0000") => ("\u{fffd}", 6),
            // Every other escape has at least two characters; the second may be a backslash.
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
