//! The conformance suite: checks any template, rule by rule, against the contract.
//!
//! ```text
//! file ──contract──> template ──orders──> baseline ──plan──> test cases ──judge──> report
//! ```
//!
//! | file | question |
//! |---|---|
//! | [`rule`] | which rules are there, and what to do if one is broken? |
//! | [`case`], [`suite`] | which cases does the suite have? |
//! | `author_folder` | which cases and settings does the author add? |
//! | `contract` | does the file itself keep the contract? |
//! | `orders`, `answers` | which orders and replies are made from the template's schemas? |
//! | `plan` | which test cases does a case have? |
//! | `harness`, `recording_journal` | how does one test case run? |
//! | `judge`, `page_checks`, `snapshot` | which rules does its result break? |
//! | `run` | in which order does all of this happen? |
//! | `summary`, [`report`] | what is the result, and in which formats? |
//! | [`record`] | how does a run with real models become a case? |
//!
//! **Invariant:** an order of the suite runs through `runtime`, the code that makes every order.
//!
//! **Invariant:** this crate knows neither the queue nor real AI providers: every reply is
//! scripted, except in [`record`].

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
pub use rule::{Level, SuiteRule};
pub use run::{Candidate, Setting, conform, listed};
pub use summary::{BrokenRule, CaseReport, Finding, Measured, Unit};
