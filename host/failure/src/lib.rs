//! What went wrong, whole: one record for every attempt that did not succeed.

pub mod coredump;
mod event;
pub mod fingerprint;
pub mod group;
mod python;
mod raw_frame;
pub mod render;
pub mod schema;
mod source;
pub mod store;
pub mod symbolize;

pub use event::emit;
pub use python::PythonException;
pub use raw_frame::RawFrame;
pub use source::from_folder;
