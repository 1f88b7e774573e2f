//! Replays a recorded attempt: same failure, same frames, same files, without a model.
//!
//! | file | its question |
//! |---|---|
//! | `subject`, `find` | what was recorded of an attempt, and where is it stored? |
//! | `answers` | what was each AI call answered? |
//! | `drive`, `scratch` | how is the attempt replayed, and where does that write? |
//! | `compare`, `judge`, `report` | does the replay match the recording, and where does it not? |
//! | `bundle` | how is an attempt exported as one file? |
//! | `scrub` | how is it exported without the customer's texts? |
//!
//! **Invariant:** nothing is published. A replay's site goes to a private scratch folder.
//!
//! **Invariant:** a bundle is read as untrusted input. It does not know providers or keys.

mod answers;
mod bundle;
mod compare;
mod drive;
mod find;
mod judge;
mod report;
mod scratch;
mod scrub;
mod settings;
mod subject;

pub use bundle::{BundleError, ExportOptions, Exported, export};
pub use drive::{LiveReplay, ReplayError, ReplayOptions, replay};
pub use find::{FindError, Locations, find};
pub use report::{ReplayReport, ReplayVerdict};
pub use scratch::Scratch;
pub use settings::ReplaySettings;
pub use subject::{NotReplayable, RecordedAttempt, RecordedEnd};
