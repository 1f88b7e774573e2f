//! Does a template keep the contract? Says so for any `.wasm`, rule by rule, before an order does.
//!
//! ```text
//! the file ──contract──> loaded ──orders of its own schema──> baseline ──plan──> test_cases ──judge──> report
//! ```
//!
//! - [`rule`]: what is demanded, and what to do. [`case`], [`suite`]: the suite as data. `author`:
//!   what an author adds to it.
//! - `orders`, `answers`: what is made from the template's schemas. `plan`: from cases to test_cases.
//! - `harness`, `watch`: one test_case, through the code that makes every order. `contract`: before any
//!   order.
//! - `judge`, `pages`, `snapshot`: what is wrong with what came of it. `summary`, [`report`]: all of
//!   it together.
//! - [`record`]: a case from a run against real models.

mod answers;
mod author_folder;
pub mod case;
mod contract;
mod harness;
mod judge;
mod orders;
mod page_checks;
mod plan;
pub mod record;
mod recording_journal;
pub mod report;
pub mod rule;
mod run;
mod snapshot;
pub mod suite;
mod summary;

pub use author_folder::FOLDER;
pub use rule::{Level, Rule};
pub use run::{Candidate, Setting, conform, listed};
pub use summary::{Finding, Measured, Unit};
