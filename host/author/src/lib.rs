//! Tools for template authors: `sitewright template new`, `build`, `test` and `dev`.
//!
//! | file | question |
//! |---|---|
//! | [`name`] | which names may a template have? |
//! | [`sdk`] | which SDK does a new project use? |
//! | `vendor` | which files has the SDK that this program carries? |
//! | [`scaffold`] | which files does a new project have? |
//! | [`fetch`] | how does a git repository become a new project? |
//! | [`project`] | which language and name does the project in this folder have? |
//! | [`build`] | how does a project become a component? |
//! | [`dev`] | how is the site rebuilt and shown after every save? |
//! | [`native`] | how do a project's own tests run? |
//! | [`harness`] | who answers the calls of a template in such a test? |
//! | [`flame`] | how is a profile of a template drawn? |
//! | [`strip`] | how is debug information removed from a component? |
//!
//! **Invariant:** the server of [`dev`] listens on the loopback interface only.
//!
//! **Invariant:** this crate does not know the queue. It runs orders through `runtime`, as a worker
//! does.

pub mod build;
pub mod dev;
pub mod fetch;
pub mod flame;
pub mod harness;
pub mod name;
pub mod native;
pub mod project;
pub mod scaffold;
pub mod sdk;
pub mod strip;
mod vendor;
