//! Sitewright turns website orders into finished websites: sandboxed wasm templates make the pages,
//! AI models write the copy, and whatever goes wrong leaves one complete record.
//!
//! | room | its question |
//! |---|---|
//! | [`order`] | what was asked? |
//! | [`plugin`] | which templates are there, and what may they use? |
//! | [`interface`] | what do a template's calls do? |
//! | [`ai`] | who answers its AI calls? |
//! | [`site`] | is what it made a website, and where does it go? |
//! | [`run`] | one order through one instance: the boundary that gives one outcome |
//! | [`failure`] | what went wrong, whole? |
//! | [`replay`] | does it happen again? |
//! | [`conformance`] | does a template keep the contract? |
//! | [`jobs`] | which orders are there, who has them, and how did they end? |
//! | [`worker`] | how does an order of the queue become a site? |
//! | [`author`] | how is a template written? |
//! | [`config`], [`cli`], [`telemetry`], [`http`] | what the operator sets, calls and reads |
//!
//! Data flows one way: an order document becomes an [`order::OrderSnapshot`], [`run::attempt`]
//! makes a [`run::Outcome`] of it: a release, or one [`failure::FailureRecord`].

pub mod ai;
pub mod author;
pub mod build;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod failure;
pub mod http;
pub mod interface;
pub mod jobs;
pub mod message;
pub mod order;
pub mod plugin;
pub mod replay;
pub mod run;
pub mod schema;
pub mod site;
pub mod telemetry;
pub mod worker;
