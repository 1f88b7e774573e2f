//! Schemas of strangers: checked in this process if the cost is known to be small, and in a
//! confined process otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sitewright_confined::{Budget, Confined, ConfinedError};
use sitewright_order::Problem;

use super::cost::{Cost, Steps};
use super::shape::Shape;
use super::task::{Answer, Job, TASK};
use super::{CompiledSchema, SchemaError, parse, parser_reason};

/// CPU time of one check, or of compiling one schema, in a confined process.
pub const CHECK_CPU: Duration = Duration::from_secs(2);

/// Memory of one check in a confined process.
pub const CHECK_MEMORY_BYTES: u64 = 256 << 20;

/// Maximum steps of a check on a thread of the async runtime: a millisecond.
const QUICK: u64 = 200_000;

/// Maximum steps of a check in this process: a tenth of a second.
const IN_PROCESS: u64 = 20_000_000;

/// Maximum bytes of the problems that are collected in this process.
const IN_PROCESS_PROBLEM_BYTES: u64 = 16 << 20;

/// Maximum number of values of a document that is parsed in this process: some 20 MB.
const IN_PROCESS_VALUES: u64 = 200_000;

/// Maximum size of a schema that is compiled in this process.
const IN_PROCESS_SCHEMA_BYTES: usize = 64 << 10;

/// A JSON Schema of a stranger. Cheap to clone.
///
/// A schema whose checks have a known cost is compiled in this process, and checks documents here
/// as long as that cost is small. All others are compiled and checked in a confined process, within
/// [`CHECK_CPU`] and [`CHECK_MEMORY_BYTES`].
#[derive(Debug, Clone)]
pub struct GuardedSchema {
    inner: Arc<Inner>,
    lane: Arc<str>,
}

struct Inner {
    text: Arc<str>,
    here: Option<CompiledSchema>,
    /// `None` if the schema is trusted.
    confined: Option<Confined>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("text", &self.text).field("here", &self.here).finish()
    }
}

/// A limit that a confined check exceeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Exceeded {
    /// CPU time.
    #[error("more than {limit_ms} ms of CPU time, the fixed limit `schema_ms`")]
    Cpu {
        /// In milliseconds.
        limit_ms: u64,
    },
    /// Memory.
    #[error("more than {} MiB of memory, the fixed limit `schema_memory_bytes`", limit_bytes >> 20)]
    Memory {
        /// In bytes.
        limit_bytes: u64,
    },
    /// Its process ended, for example because the recursion was too deep.
    #[error("so much that its process ended ({0})")]
    Process(String),
}

impl Exceeded {
    /// The name of the limit and its value, for a record: milliseconds or bytes. `None` if the
    /// process ended without one.
    pub fn limit(&self) -> Option<(&'static str, u64)> {
        match self {
            Exceeded::Cpu { limit_ms } => Some(("schema_ms", *limit_ms)),
            Exceeded::Memory { limit_bytes } => Some(("schema_memory_bytes", *limit_bytes)),
            Exceeded::Process(_) => None,
        }
    }
}

/// Why a document could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The document is not JSON.
    #[error("the document is not JSON: {0}")]
    NotJson(String),
    /// The author of the schema has to write a simpler one.
    #[error(
        "checking a document of {bytes} bytes against the JSON Schema took {exceeded}; use fewer \
         references, alternatives and patterns in the schema"
    )]
    TooCostly {
        /// Size of the document.
        bytes: usize,
        exceeded: Exceeded,
    },
    /// The deadline passed.
    #[error("the deadline passed while the document was checked against the JSON Schema")]
    Deadline,
    /// The document could not be checked, for a reason that has nothing to do with it.
    #[error("the document could not be checked against the JSON Schema: {0}")]
    Host(String),
}

/// Where a check is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On this thread.
    Inline,
    /// On a blocking thread.
    Blocking,
    /// In a confined process.
    Confined,
}

impl GuardedSchema {
    /// Compiles the text of a JSON Schema of a stranger; the caller must limit its size. Confined
    /// work is done by `confined`; `lane` is the name of who wrote the schema, and lanes share the
    /// processes fairly.
    ///
    /// # Errors
    /// Like [`CompiledSchema::compile`]; or compiling exceeded a limit or failed.
    pub async fn compile(
        text: String,
        confined: &Confined,
        lane: &str,
    ) -> Result<Self, SchemaError> {
        let compiling = move || (compile_here(&text), text);
        let (here, text) = blocking(compiling).await.map_err(SchemaError::Host)?;
        let inner = Inner { text: text.into(), here: here?, confined: Some(confined.clone()) };
        let schema = GuardedSchema { inner: Arc::new(inner), lane: lane.into() };
        if schema.inner.here.is_none() {
            schema.compile_confined(confined).await?;
        }
        Ok(schema)
    }

    /// Compiles the text of a JSON Schema that is trusted: it is compiled and checked in this
    /// process, without limits.
    ///
    /// # Errors
    /// Like [`CompiledSchema::compile`].
    pub fn trusted(text: &str) -> Result<Self, SchemaError> {
        let here = CompiledSchema::compile(text)?;
        let inner = Inner { text: text.into(), here: Some(here), confined: None };
        Ok(GuardedSchema { inner: Arc::new(inner), lane: "".into() })
    }

    /// The same schema, for somebody else.
    #[must_use]
    pub fn in_lane(self, lane: &str) -> Self {
        GuardedSchema { lane: lane.into(), ..self }
    }

    /// The lane of its checks.
    pub fn lane(&self) -> &str {
        &self.lane
    }

    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Whether it is small in memory: it is compiled in this process and has no patterns.
    pub fn is_light(&self) -> bool {
        self.inner.here.as_ref().is_none_or(|here| !here.has_patterns())
    }

    /// The problems of a document, at most [`MAX_PROBLEMS`](super::MAX_PROBLEMS). Empty if it is
    /// valid. Dropping the future ends a confined check.
    ///
    /// # Errors
    /// The document is not JSON, or the check exceeded a limit, missed the deadline or failed.
    pub async fn check(
        &self,
        document: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<Problem>, CheckError> {
        let steps = self.steps(document);
        let validity = self.place(steps.map(|steps| steps.validity));
        if validity == Place::Confined {
            return self.check_confined(document, deadline).await;
        }
        let found = if validity == Place::Inline {
            self.validity(document)?
        } else {
            let (schema, text) = (self.clone(), document.to_owned());
            here(validity, deadline, move || schema.validity(&text)).await??
        };
        let Some(invalid) = found else { return Ok(Vec::new()) };
        let few = steps.is_none_or(|steps| steps.found_bytes <= IN_PROCESS_PROBLEM_BYTES);
        let place = match self.place(steps.map(|steps| steps.problems)) {
            Place::Inline | Place::Blocking if !few && self.inner.confined.is_some() => {
                Place::Confined
            }
            place => place,
        };
        if place == Place::Confined {
            return self.check_confined(document, deadline).await;
        }
        let schema = self.clone();
        here(place, deadline, move || schema.problems(&invalid)).await
    }

    /// [`check`](Self::check) from a blocking thread of the runtime, without a deadline.
    ///
    /// # Errors
    /// Like `check`.
    ///
    /// # Panics
    /// On a thread that runs async tasks, which it would block.
    pub fn check_blocking(&self, document: &str) -> Result<Vec<Problem>, CheckError> {
        let host = |error: String| CheckError::Host(error);
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| host(e.to_string()))?;
        let (done, result) = tokio::sync::oneshot::channel();
        let (schema, document) = (self.clone(), document.to_owned());
        runtime.spawn(async move {
            // The receiver waits, so the result cannot be lost.
            done.send(schema.check(&document, None).await).ok()
        });
        result.blocking_recv().map_err(|_| host("the check of a schema panicked".to_owned()))?
    }

    /// The cost of a check, if it is known.
    fn steps(&self, document: &str) -> Option<Steps> {
        let cost = self.inner.here.as_ref()?.cost.as_ref()?;
        let shape = Shape::of(document).filter(|shape| shape.values() <= IN_PROCESS_VALUES)?;
        cost.steps(&shape)
    }

    fn place(&self, steps: Option<u64>) -> Place {
        match steps {
            Some(steps) if steps <= QUICK => Place::Inline,
            Some(steps) if steps <= IN_PROCESS => Place::Blocking,
            _ if self.inner.confined.is_none() => Place::Blocking,
            _ => Place::Confined,
        }
    }

    /// The document if it is not valid.
    fn validity(&self, document: &str) -> Result<Option<Value>, CheckError> {
        let value = serde_json::from_str(document)
            .map_err(|error| CheckError::NotJson(parser_reason(&error)))?;
        let valid = self.inner.here.as_ref().is_some_and(|here| here.accepts(&value));
        Ok((!valid).then_some(value))
    }

    fn problems(&self, value: &Value) -> Vec<Problem> {
        self.inner.here.as_ref().map(|here| here.check(value)).unwrap_or_default()
    }

    async fn compile_confined(&self, confined: &Confined) -> Result<(), SchemaError> {
        match self.run(confined, None, None).await {
            Ok(Answer::Problems(_)) => Ok(()),
            Ok(Answer::Unusable(error)) => Err(error),
            Ok(Answer::NotJson(reason) | Answer::NotAJob(reason)) => Err(SchemaError::Host(reason)),
            Err(Stopped::Exceeded(exceeded)) => Err(SchemaError::TooCostly(exceeded)),
            Err(Stopped::Deadline) => Err(SchemaError::Host("its deadline passed".to_owned())),
            Err(Stopped::Host(reason)) => Err(SchemaError::Host(reason)),
        }
    }

    async fn check_confined(
        &self,
        document: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<Problem>, CheckError> {
        let Some(confined) = &self.inner.confined else { return Ok(Vec::new()) };
        match self.run(confined, Some(document), deadline).await {
            Ok(Answer::Problems(problems)) => Ok(problems),
            Ok(Answer::NotJson(reason)) => Err(CheckError::NotJson(reason)),
            Ok(Answer::Unusable(error)) => Err(CheckError::Host(error.to_string())),
            Ok(Answer::NotAJob(reason)) | Err(Stopped::Host(reason)) => {
                Err(CheckError::Host(reason))
            }
            Err(Stopped::Exceeded(exceeded)) => {
                Err(CheckError::TooCostly { bytes: document.len(), exceeded })
            }
            Err(Stopped::Deadline) => Err(CheckError::Deadline),
        }
    }

    async fn run(
        &self,
        confined: &Confined,
        document: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Stopped> {
        let job = Job { schema: self.text().into(), document: document.map(Into::into) };
        let input = serde_json::to_vec(&job).map_err(|error| Stopped::Host(error.to_string()))?;
        let budget = Budget { cpu: CHECK_CPU, memory_bytes: CHECK_MEMORY_BYTES, deadline };
        let output = confined.run(&TASK, &self.lane, input, budget).await?;
        serde_json::from_slice(&output)
            .map_err(|error| Stopped::Host(format!("its answer cannot be read: {error}")))
    }
}

/// Why confined work has no answer.
enum Stopped {
    Exceeded(Exceeded),
    Deadline,
    Host(String),
}

impl From<ConfinedError> for Stopped {
    fn from(error: ConfinedError) -> Self {
        match error {
            ConfinedError::Cpu { limit_ms } => Stopped::Exceeded(Exceeded::Cpu { limit_ms }),
            ConfinedError::Memory { limit_bytes } => {
                Stopped::Exceeded(Exceeded::Memory { limit_bytes })
            }
            ConfinedError::Crashed(how) => Stopped::Exceeded(Exceeded::Process(how)),
            ConfinedError::Deadline => Stopped::Deadline,
            ConfinedError::Host(reason) | ConfinedError::Refused { why: reason, .. } => {
                Stopped::Host(reason)
            }
        }
    }
}

/// Compiles a schema in this process if its checks have a known cost.
fn compile_here(text: &str) -> Result<Option<CompiledSchema>, SchemaError> {
    if text.len() > IN_PROCESS_SCHEMA_BYTES {
        return Ok(None);
    }
    let mut value = parse(text)?;
    without_plain_id(&mut value);
    let Some(cost) = Cost::of(&value) else { return Ok(None) };
    CompiledSchema::with_cost(&value, Some(cost)).map(Some)
}

/// Removes the `$id` of the whole schema if it is an ordinary URL. A schema with a known cost refers
/// only to its own parts by JSON pointers, for which the URL makes no difference.
fn without_plain_id(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let is_plain = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        let host = id.strip_prefix("https://").or_else(|| id.strip_prefix("http://"));
        host.is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
        })
    };
    if fields.get("$id").is_some_and(is_plain) {
        fields.shift_remove("$id");
    }
}

/// Runs `work` in this process.
async fn here<T: Send + 'static>(
    place: Place,
    deadline: Option<Instant>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CheckError> {
    if place == Place::Inline {
        return Ok(work());
    }
    let done = match deadline {
        None => blocking(work).await,
        Some(deadline) if deadline <= Instant::now() => return Err(CheckError::Deadline),
        Some(deadline) => tokio::time::timeout_at(deadline.into(), blocking(work))
            .await
            .map_err(|_| CheckError::Deadline)?,
    };
    done.map_err(CheckError::Host)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("it was aborted, which is a bug: {error}"))
}
