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
    /// Whether a file of `bytes` bytes would be accepted.
    fn would_fit(&self, path: &str, bytes: usize) -> Result<(), WriteError>;
    fn exists(&self, path: &str) -> bool;
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
        None => Err(outside(path)),
    }
}

pub(crate) fn exists(path: &str) -> bool {
    current().is_some_and(|backend| backend.exists(path))
}

/// A file that is written in chunks.
#[derive(Debug)]
pub(crate) struct Writer {
    path: String,
    content: Vec<u8>,
}

impl Writer {
    pub(crate) fn create(path: &str) -> Result<Self, WriteError> {
        let writer = Writer { path: path.to_owned(), content: Vec::new() };
        writer.would_fit(0)?;
        Ok(writer)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.would_fit(self.content.len() + bytes.len())?;
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), WriteError> {
        write(&self.path, &self.content)
    }

    fn would_fit(&self, bytes: usize) -> Result<(), WriteError> {
        match current() {
            Some(backend) => backend.would_fit(&self.path, bytes),
            None => Err(outside(&self.path)),
        }
    }
}

fn outside(path: &str) -> WriteError {
    WriteError { kind: WriteErrorKind::Storage, message: format!("`{path}`: {NO_RUN}") }
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
