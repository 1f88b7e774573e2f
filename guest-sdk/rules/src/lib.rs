//! The rules that the host enforces and that the SDK's test harness must enforce in the same way.
//!
//! | module | answers |
//! |---|---|
//! | [`ai`] | which kinds of AI error exist, what an HTTP status means, what can be retried |
//! | [`delimiter`] | how is order data in a prompt told from instructions |
//! | [`path`] | which paths a template may write to |
//! | [`names`] | which paths collide with those already written |
//! | [`limits`] | the default limits of a run that the harness checks as well |
//!
//! The crate does no I/O, knows no provider, no HTTP library and no file system, and compiles to
//! `wasm32-wasip2`. A component needs [`ai`] and [`delimiter`] only; `path` and `names` are behind
//! the feature `path`, `delimiter` behind a feature of its name, and so are the derives of serde
//! and schemars.

pub mod ai;
#[cfg(feature = "delimiter")]
pub mod delimiter;
pub mod limits;
#[cfg(feature = "path")]
pub mod names;
#[cfg(feature = "path")]
pub mod path;

pub use ai::{AiErrorKind, UnknownKind};
