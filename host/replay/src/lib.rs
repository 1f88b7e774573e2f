//! Replays a recorded attempt: same failure, same frames, same files, without a model.
//!
//! | file | its question |
//! |---|---|
//! | `subject`, `find` | what was recorded of an attempt, and where is it stored? |
//! | `answers` | what was each AI call answered? |
//! | `drive`, `scratch`, `limits` | how is the attempt replayed, where does it write, what may it use? |
//! | `compare`, `judge`, `report` | does the replay match the recording, and where does it not? |
//! | `bundle` | how is an attempt exported as one file? |
//! | `scrub` | how is it exported without the customer's texts? |
//!
//! **Invariant:** nothing is published. A replay's site goes to a private scratch folder.
//!
//! **Invariant:** a bundle is read as untrusted input. It does not know providers or keys. It gets
//! no more than this host's limits, its template is compiled as any other (by a child process, if
//! the caller gives such a compiler), and nothing of it enters the cache of compiled templates.

mod answers;
mod bundle;
mod compare;
mod drive;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hashed;
mod judge;
mod limits;
mod report;
mod scratch;
mod scrub;
mod settings;
mod subject;

pub use bundle::{BundleError, ExportOptions, Exported, export};
pub use drive::{ReplayError, ReplayOptions, replay};
pub use find::{FindError, Locations, find};
pub use report::terminal;
pub use scratch::Scratch;
pub use settings::ReplaySettings;
pub use subject::{NotReplayable, Origin, RecordedAttempt, RecordedEnd};
