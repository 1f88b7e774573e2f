//! In a native build the test harness implements the calls.

use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc};

use crate::{
    Diagnostic, Level,
    ai::{Chunks, Completion, Error, ErrorKind, Outcome, Request},
    site::{WriteError, WriteErrorKind},
};

/// The implementation of the calls of a run.
pub(crate) trait Backend {
    fn complete(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Completion, Error>>>>;
    fn stream(&self, request: Request) -> (Chunks, Outcome);
    fn report(&self, diagnostic: Diagnostic);
    fn log(&self, level: Level, message: &str);
    fn progress(&self, stage: &str, done: u32, total: u32);
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError>;
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Backend>>> = const { RefCell::new(None) };
}

/// Runs `work` with `backend` as the current backend of this thread, and restores the previous one
/// afterwards, also after a panic.
pub(crate) fn during<T>(backend: Rc<dyn Backend>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Rc<dyn Backend>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(backend)));
    work()
}

fn current() -> Option<Rc<dyn Backend>> {
    CURRENT.with_borrow(Clone::clone)
}

const NO_RUN: &str = "this is outside of a run: use sitewright_sdk::testing::Harness";

pub(crate) async fn complete(request: Request) -> Result<Completion, Error> {
    match current() {
        Some(backend) => backend.complete(request).await,
        None => Err(Error::local(ErrorKind::NoRoute, NO_RUN.to_owned(), String::new())),
    }
}

pub(crate) fn stream(request: Request) -> (Chunks, Outcome) {
    match current() {
        Some(backend) => backend.stream(request),
        None => {
            let error = Error::local(ErrorKind::NoRoute, NO_RUN.to_owned(), String::new());
            (Box::pin(futures::stream::empty()), Box::pin(async { Err(error) }))
        }
    }
}

pub(crate) fn write(path: &str, bytes: &[u8]) -> Result<(), WriteError> {
    match current() {
        Some(backend) => backend.write(path, bytes),
        None => Err(WriteError {
            kind: WriteErrorKind::Storage,
            message: format!("`{path}`: {NO_RUN}"),
        }),
    }
}

// Diagnostics never fail: outside of a run they are dropped.

pub(crate) fn report(diagnostic: Diagnostic) {
    if let Some(backend) = current() {
        backend.report(diagnostic);
    }
}

pub(crate) fn log(level: Level, message: &str) {
    if let Some(backend) = current() {
        backend.log(level, message);
    }
}

pub(crate) fn progress(stage: &str, done: u32, total: u32) {
    if let Some(backend) = current() {
        backend.progress(stage, done, total);
    }
}
