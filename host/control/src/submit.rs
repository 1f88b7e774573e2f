//! Adding orders to the queue, and what becomes of one that the queue has already.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sitewright_intake::{Notice, OrderId, OrderSnapshot};
use sitewright_jobs::{Database, Enqueued, NewOrder, OrderState, Priority, Revised, Revision};
use sitewright_model::message;
use sitewright_model::time::now_ms;
use sitewright_model::trace::TraceParent;

use super::Error;

/// Maximum number of fields that a [`Difference`] names.
const MAX_FIELDS: usize = 50;
/// Fields that say how a document was read, not what was ordered.
const NOT_COMPARED: [&str; 1] = ["notices"];

/// An order to be added.
#[derive(Debug, Clone)]
pub struct Submission {
    pub order: OrderSnapshot,
    /// Name of the template.
    pub template: String,
    pub priority: Priority,
    /// A second key under which the same order may be sent twice.
    pub idempotency_key: Option<String>,
    /// A URL that is told how the order ends. An order that the queue has keeps its own, unless it
    /// is revised; `None` says nothing about it.
    pub callback: Option<String>,
    /// A label of whoever the order is for. An order that the queue has keeps its own.
    pub tenant: Option<String>,
    /// Whether it is an error if the queue has the order with another label: then nothing is said
    /// about that order, and nothing is changed.
    pub only_own: bool,
    /// Whether nobody waits for it: its AI calls may go through the provider's batches. An order
    /// that the queue has keeps its own.
    pub batch: bool,
    /// What was found beside the order's own notices, to be answered with them.
    pub notices: Vec<Notice>,
    /// The trace that its attempts are a part of. An order that the queue has keeps its own.
    pub traceparent: Option<TraceParent>,
    /// The time before which it must not begin, in milliseconds since the Unix epoch. An order that
    /// the queue has keeps its own.
    pub due_at: Option<i64>,
}

/// A part of an order in the queue that is not the one that was sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Document,
    Template,
    /// The order has another one, or none.
    Callback,
}

impl Part {
    /// As in a sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Part::Document => "document",
            Part::Template => "template",
            Part::Callback => "callback",
        }
    }
}

/// How an order in the queue differs from the one that was sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub part: Part,
    /// JSON pointers into the normalised documents, at most 50. Empty if another part differs.
    pub fields: Vec<String>,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub struct Submitted {
    pub answer: Enqueued,
    /// The time before which a new order must not begin, if that is to come.
    pub due_at: Option<i64>,
    /// The id in the document.
    pub sent_as: OrderId,
    /// What was left out of the document, or read for what it means.
    pub warnings: Vec<Notice>,
    /// How the order in the queue differs, which keeps what it has.
    pub differs: Option<Difference>,
    /// What became of an order with another document, if such are revised.
    pub revised: Option<Revised>,
}

impl Submitted {
    /// Whether the idempotency key belongs to an order with another id.
    pub fn is_another(&self) -> bool {
        self.answer.order() != self.sent_as.as_ref()
    }

    /// As `order add --json` and the HTTP API report it.
    pub fn report(&self) -> SubmissionReport {
        let (outcome, job, state, release) = match (&self.revised, &self.answer) {
            (Some(Revised::Queued { job, .. }), _) => {
                (SubmissionOutcome::Revised, Some(*job), OrderState::Queued, None)
            }
            (_, Enqueued::New { job, .. }) => {
                let waits = self.due_at.is_some();
                let state = if waits { OrderState::Waiting } else { OrderState::Queued };
                (SubmissionOutcome::New, Some(*job), state, None)
            }
            (_, Enqueued::AlreadyQueued { .. }) => {
                (SubmissionOutcome::AlreadyQueued, None, OrderState::Queued, None)
            }
            (_, Enqueued::AlreadyRunning { .. }) => {
                (SubmissionOutcome::AlreadyRunning, None, OrderState::Running, None)
            }
            (_, Enqueued::AlreadyDone { state, release, .. }) => {
                (SubmissionOutcome::AlreadyDone, None, *state, release.clone())
            }
        };
        SubmissionReport {
            order: self.answer.order().to_owned(),
            sent_as: self.sent_as.to_string(),
            outcome,
            job,
            state,
            release,
            due_at: self.due_at,
            differs: self.differs.as_ref().map(|differs| differs.part),
            warnings: self.warnings.clone(),
            revision: self.revised.map(|revised| match revised {
                Revised::Queued { revision, .. } | Revised::Unchanged { revision } => revision,
            }),
        }
    }
}

/// What became of a submission, for programs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SubmissionReport {
    /// The id of the order. Differs from `sent_as` if the idempotency key is that of another order.
    pub order: String,
    /// The id in the document.
    pub sent_as: String,
    pub outcome: SubmissionOutcome,
    /// Its job, if it has a new one.
    pub job: Option<i64>,
    /// Its state after this.
    pub state: OrderState,
    /// Its current release, if it has ended and has one.
    pub release: Option<String>,
    /// The time before which a new order does not begin, in milliseconds since the Unix epoch.
    pub due_at: Option<i64>,
    /// The part in which the order in the queue differs.
    pub differs: Option<Part>,
    pub warnings: Vec<Notice>,
    /// Counts the documents of an order that was revised.
    pub revision: Option<i64>,
}

/// What became of a submission, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionOutcome {
    New,
    Revised,
    AlreadyQueued,
    AlreadyRunning,
    AlreadyDone,
}

/// Adds orders to the queue, all or none. One that the queue has already stays as it is, unless
/// `revise` is the version of a configuration: then one with another document or template gets the
/// new one, and one gets the new callback, if there is one.
///
/// # Errors
/// [`Error::OfAnother`]; if an order cannot be stored or, to be revised, runs; or the database
/// fails.
pub async fn submit(
    database: &Database,
    submissions: Vec<Submission>,
    revise: Option<&str>,
) -> Result<Vec<Submitted>, Error> {
    let new = submissions.iter().map(|submission| NewOrder {
        priority: submission.priority,
        idempotency_key: submission.idempotency_key.clone(),
        callback: submission.callback.clone(),
        tenant: submission.tenant.clone(),
        batch: submission.batch,
        traceparent: submission.traceparent.clone(),
        due_at: submission.due_at,
        sent_digest: Some(sent_digest(&submission.order, submission.order.document())),
        ..NewOrder::new(
            submission.order.id().to_string(),
            &submission.template,
            submission.order.document().as_ref(),
        )
    });
    let now = now_ms();
    let answers = database.enqueue_all(new.collect()).await?;
    let mut submitted = Vec::with_capacity(answers.len());
    for (submission, answer) in submissions.iter().zip(answers) {
        let is_new = matches!(answer, Enqueued::New { .. });
        if submission.only_own && !is_new {
            let known = database.order(answer.order()).await?;
            if known.tenant != submission.tenant {
                return Err(Error::OfAnother { order: submission.order.id().to_string() });
            }
        }
        let mut differs = difference(database, submission, &answer).await?;
        let is_own = answer.order() == submission.order.id().as_ref();
        let is_made_again = match differs.as_ref().map(|differs| differs.part) {
            Some(Part::Document | Part::Template) => true,
            Some(Part::Callback) | None => false,
        };
        let revised = match revise {
            Some(config_version) if is_own && is_made_again => {
                let text = submission.order.document();
                let (id, template) = (answer.order(), Some(submission.template.as_str()));
                let sent = sent_digest(&submission.order, text);
                let revision = Revision {
                    document: text,
                    template,
                    config_version: Some(config_version),
                    sent_digest: Some(&sent),
                    callback: submission.callback.as_deref(),
                };
                Some(database.revise_as(id, revision).await?)
            }
            Some(_) if is_own && !is_new => {
                // Its document stays as it is, which may be normalised otherwise.
                if let Some(url) = &submission.callback {
                    database.set_callback(answer.order(), url).await?;
                    differs = None;
                }
                None
            }
            _ => None,
        };
        submitted.push(Submitted {
            due_at: submission.due_at.filter(|due| is_new && *due > now),
            answer,
            sent_as: submission.order.id().clone(),
            warnings: [&submission.order.order().notices[..], &submission.notices[..]].concat(),
            differs: differs.filter(|_| revised.is_none()),
            revised,
        });
    }
    Ok(submitted)
}

async fn difference(
    database: &Database,
    submission: &Submission,
    answer: &Enqueued,
) -> Result<Option<Difference>, Error> {
    if let Enqueued::New { .. } = answer {
        return Ok(None);
    }
    let known = database.document(answer.order()).await?;
    let sent = submission.order.document();
    if known != **sent && !was_sent(database, submission, answer, &known).await? {
        let sent = Arc::clone(sent);
        let compared = tokio::task::spawn_blocking(move || different_fields(&known, &sent));
        let fields = compared.await.map_err(|error| {
            Error::Host(message!("comparing the documents of an order failed: {error}"))
        })?;
        return Ok(Some(Difference { part: Part::Document, fields }));
    }
    let without_fields = |part| Some(Difference { part, fields: Vec::new() });
    if database.order(answer.order()).await?.template != submission.template {
        return Ok(without_fields(Part::Template));
    }
    let Some(url) = &submission.callback else { return Ok(None) };
    let has_it = database.has_callback(answer.order(), url).await?;
    Ok(if has_it { None } else { without_fields(Part::Callback) })
}

/// Digest of an order's document as it was sent, and of what it is normalised to: a program that
/// does not know of digests leaves it as it is when it gives the order another document.
pub fn sent_digest(order: &OrderSnapshot, normalised: &str) -> String {
    let digest = Sha256::new().chain_update(order.sent_digest()).chain_update(normalised);
    hex::encode(digest.finalize())
}

/// Whether the order in the queue was made of the same document, which was normalised otherwise: by
/// another version, or with another `default_locale`.
async fn was_sent(
    database: &Database,
    submission: &Submission,
    answer: &Enqueued,
    known: &str,
) -> Result<bool, Error> {
    let before = database.sent_digest(answer.order()).await?;
    Ok(before.is_some_and(|before| before == sent_digest(&submission.order, known)))
}

/// The fields in which two documents differ, as JSON pointers. A document of a producer that writes
/// into the table itself may be no JSON: then the whole document differs.
pub fn different_fields(known: &str, sent: &str) -> Vec<String> {
    let (Ok(known), Ok(sent)) = (serde_json::from_str(known), serde_json::from_str(sent)) else {
        return vec![String::new()];
    };
    let mut fields = Vec::new();
    compare(&known, &sent, &mut String::new(), &mut fields);
    fields
}

/// Adds the places in which two values differ, at most [`MAX_FIELDS`]. serde_json reads no deeper
/// than 128 values.
fn compare(known: &Value, sent: &Value, at: &mut String, fields: &mut Vec<String>) {
    /// A field that is absent says as little as one that is null.
    const ABSENT: &Value = &Value::Null;
    if fields.len() >= MAX_FIELDS {
        return;
    }
    let mut inside = |token: &str, known: &Value, sent: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&token.replace('~', "~0").replace('/', "~1"));
        compare(known, sent, at, fields);
        at.truncate(length);
    };
    match (known, sent) {
        (Value::Object(known), Value::Object(sent)) => {
            let names = known.keys().chain(sent.keys().filter(|name| !known.contains_key(*name)));
            for name in names.filter(|name| !NOT_COMPARED.contains(&name.as_str())) {
                let (known, sent) = (known.get(name), sent.get(name));
                inside(name, known.unwrap_or(ABSENT), sent.unwrap_or(ABSENT));
            }
        }
        (Value::Array(known), Value::Array(sent)) => {
            for index in 0..known.len().max(sent.len()) {
                let (known, sent) = (known.get(index), sent.get(index));
                inside(&index.to_string(), known.unwrap_or(ABSENT), sent.unwrap_or(ABSENT));
            }
        }
        _ if known == sent => {}
        _ => fields.push(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_differ_are_named() {
        for (known, sent, fields) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, &[][..]),
            (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#, &["/b"]),
            (r#"{"a":{"x":[1,2]}}"#, r#"{"a":{"x":[1,2,3]}}"#, &["/a/x/2"]),
            (r#"{"a":1}"#, r#"{"b":1}"#, &["/a", "/b"]),
            (r#"{"a/b":{"~":1}}"#, r#"{"a/b":{"~":2}}"#, &["/a~1b/~0"]),
            (r#"{"a":1,"notices":[1]}"#, r#"{"a":1,"notices":[]}"#, &[]),
            ("not json", "{}", &[""]),
            ("1", "2", &[""]),
        ] {
            assert_eq!(different_fields(known, sent), fields, "{known} {sent}");
        }
    }

    #[test]
    fn at_most_fifty_fields_are_named() {
        let document = |value: i64| {
            let fields: serde_json::Map<String, Value> =
                (0..500).map(|name| (name.to_string(), Value::from(value))).collect();
            Value::Object(fields).to_string()
        };
        assert_eq!(different_fields(&document(1), &document(2)).len(), MAX_FIELDS);
    }
}
