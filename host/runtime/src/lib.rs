//! The sandbox: one order through one fresh instance of a template component.
//!
//! | module | its question |
//! |---|---|
//! | [`plugin`] | which templates are there, and what may they use? |
//! | [`host_functions`] | what do a template's calls do? |
//! | [`run`] | one attempt at an order: the boundary that gives one outcome |
//!
//! **Invariant:** the only crate that depends on wasmtime. It does not know the queue.

pub mod host_functions;
pub mod plugin;
pub mod run;
