//! The sandbox: one order through one fresh instance of a template component.
//!
//! | file | its question |
//! |---|---|
//! | [`plugin`] | which templates are there, and what may they use? |
//! | [`host_functions`] | what do a template's calls to the host do? |
//! | [`run`] | how does one attempt at an order become one outcome? |
//! | [`run::recording`] | what must be known of a run to replay it? |
//!
//! **Invariant:** the only crate that depends on wasmtime. It does not know the queue.
//!
//! **Invariant:** each run has a store of its own, which is dropped when the run ends, however it
//! ends. A template gets no file system, network, environment or real clock.
//!
//! **Invariant:** every attempt ends with exactly one outcome: a release or a failure record.

pub mod host_functions;
pub mod plugin;
pub mod run;
