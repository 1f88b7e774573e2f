//! The backend of a run: answers AI calls and records everything else.

use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc};

use sitewright_script::Script;

use super::{Call, Progress, Run, executor, files::Files, scripted};
use crate::{
    Diagnostic, Level, Result,
    ai::{Chunks, Completion, Error, ErrorKind, Outcome, Request, delivered},
    backend::Backend,
    site::WriteError,
};

const CALLS: usize = sitewright_rules::limits::AI_CALLS as usize;

/// Maximum size of a chunk of a streamed reply, in bytes. Chunks end at character boundaries.
const CHUNK_BYTES: usize = 7;

/// The backend of a run. No borrow of a `RefCell` is held across an `await`.
pub(super) struct Recorder {
    script: Option<Script>,
    purposes: Vec<String>,
    /// A reference to itself for the futures of calls in flight.
    this: std::rc::Weak<Recorder>,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    files: Files,
    progress: Vec<Progress>,
    logs: Vec<(Level, String)>,
    reports: Vec<Diagnostic>,
    calls: Vec<Call>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Recorder {
    pub(super) fn new(script: Option<Script>, purposes: Vec<String>) -> Rc<Self> {
        Rc::new_cyclic(|this| Recorder {
            script,
            purposes,
            this: this.clone(),
            seen: RefCell::default(),
        })
    }

    /// Everything that was recorded, with the result of the run.
    pub(super) fn finish(&self, result: Result<()>) -> Run {
        let seen = self.seen.take();
        Run {
            result,
            files: seen.files.into_map(),
            progress: seen.progress,
            logs: seen.logs,
            reports: seen.reports,
            ai_calls: seen.calls,
            most_calls_at_once: seen.most_in_flight,
        }
    }

    /// Number of AI calls in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.seen.borrow().in_flight
    }

    /// Records a call and returns its reply immediately; the caller delays it.
    fn call(&self, request: Request) -> Result<Completion, Error> {
        let request = delivered(request);
        let mut seen = self.seen.borrow_mut();
        let call_id = format!("call-{}", seen.calls.len() + 1);
        let reply = if seen.calls.len() < CALLS {
            scripted::answer(self.script.as_ref(), &self.purposes, &request, call_id)
        } else {
            let message = format!("the run has made {CALLS} AI calls, which is the limit");
            Err(Error::local(ErrorKind::BudgetExceeded, message, call_id))
        };
        seen.calls.push(Call { request, reply: reply.clone() });
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        reply
    }
}

/// Counts a call as in flight until this is dropped.
struct InFlight(Rc<Recorder>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.seen.borrow_mut().in_flight -= 1;
    }
}

impl Backend for Recorder {
    fn complete(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Completion, Error>>>> {
        let reply = self.call(request);
        let in_flight = self.this.upgrade().map(InFlight);
        Box::pin(async move {
            executor::yield_once().await;
            drop(in_flight);
            reply
        })
    }

    /// Splits the text into chunks of a few bytes, so that tests cover words and lines that are
    /// split across chunks.
    fn stream(&self, request: Request) -> (Chunks, Outcome) {
        let reply = self.call(request);
        let in_flight = self.this.upgrade().map(InFlight);
        let text = reply.as_ref().map_or_else(|_| String::new(), |reply| reply.content.clone());
        // The call is in flight until both are dropped, as in the host.
        let in_flight = Rc::new(in_flight);
        let chunks = futures::stream::unfold(
            (text, in_flight.clone()),
            |(mut text, in_flight)| async move {
                executor::yield_once().await;
                let rest = text.split_off(text.floor_char_boundary(CHUNK_BYTES));
                (!text.is_empty()).then_some((text, (rest, in_flight)))
            },
        );
        let outcome = async move {
            executor::yield_once().await;
            drop(in_flight);
            reply
        };
        (Box::pin(chunks), Box::pin(outcome))
    }

    fn report(&self, diagnostic: Diagnostic) {
        self.seen.borrow_mut().reports.push(diagnostic);
    }

    fn log(&self, level: Level, message: &str) {
        self.seen.borrow_mut().logs.push((level, message.to_owned()));
    }

    fn progress(&self, stage: &str, done: u32, total: u32) {
        self.seen.borrow_mut().progress.push(Progress { stage: stage.to_owned(), done, total });
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.seen.borrow_mut().files.write(path, bytes)
    }

    fn would_fit(&self, path: &str, bytes: usize) -> Result<(), WriteError> {
        self.seen.borrow().files.would_fit(path, bytes)
    }

    fn exists(&self, path: &str) -> bool {
        self.seen.borrow().files.has(path)
    }
}
