//! A recorded attempt, made again: same failure, same frames, same files, without a model.
//!
//! | room | its question |
//! |---|---|
//! | `subject`, `find` | what was recorded, and where does it lie? |
//! | `answers` | what was each AI call told then? |
//! | `drive` | how is it made again? |
//! | `compare`, `judge`, `report` | is it the same, and where is it not? |
//! | `bundle` | how does all of it travel, in one file? |
//! | `scratch` | where does a replay write? |
//! | `scrub` | how does it travel without what the customer wrote? |
//!
//! Nothing is published: a replay's site goes to a scratch folder that is removed with it.

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
