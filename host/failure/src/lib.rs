//! What happens with a failure record: symbolize, fingerprint, render, store. The record itself is
//! a type of `sitewright-model`; the runtime makes it.
//!
//! | file | question |
//! |---|---|
//! | [`symbolize`] | which function, file and line is an offset into a component? |
//! | `raw_frame` | what does a frame look like before it is symbolized? |
//! | `python` | which exception did the interpreter print before it stopped? |
//! | `go` | which panic did Go's runtime print before it stopped? |
//! | `python_stack` | in which line was the interpreter when it was stopped? |
//! | `noted_place` | where did the template call its SDK before it was stopped? |
//! | `source` | which lines of source are around the failure? |
//! | [`fingerprint`] | which failures are the same bug? |
//! | [`group`] | how often did it happen, and in how many orders? |
//! | [`render`] | how do people read a record: terminal, Markdown? |
//! | `event` | how does the log show it? |
//! | [`store`] | where are records, and how is one read, of whatever version? |
//! | [`records`] | which records has no database? |
//! | `version_1` | what differs in records of version 1? |
//! | [`coredump`] | where are the memory dumps of stopped guests? |
//! | [`schema`] | the published JSON Schema of a record |
//!
//! **Invariant:** this crate depends on `gimli` and no other crate of the host does; it does not
//! depend on wasmtime. Its input are offsets into a component, or the bytes of a guest's memory,
//! never an engine.
//!
//! **Invariant:** symbolizing is bounded in time and memory, whatever the debug information says.
//!
//! **Invariant:** rendering a record cannot fail. A record of a newer version than
//! [`RECORD_VERSION`](sitewright_model::failure::RECORD_VERSION) is refused, one of an older
//! version is read, and the fingerprint of a bug does not change with the version of the record.

pub mod coredump;
mod event;
pub mod fingerprint;
mod go;
pub mod group;
mod noted_place;
mod python;
mod python_stack;
mod raw_frame;
pub mod records;
pub mod render;
pub mod schema;
mod source;
pub mod store;
pub mod symbolize;
mod version_1;

pub use event::emit;
pub use go::GoPanic;
pub use noted_place::noted_place;
pub use python::PythonException;
pub use python_stack::python_stack;
pub use raw_frame::RawFrame;
pub use source::from_folder;
