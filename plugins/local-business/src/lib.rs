//! A complete multi-page site for a local business.
//!
//! ```text
//! order ──> plan of pages ──> strategy (one AI call) ──> copy (one call per page, all at once) ──> files
//! ```
//!
//! - [`pages`]: which pages there are. [`prompt`]: what the model is asked. [`copy`]: what it may answer.
//! - [`site`]: from order and copy to files, pure. [`views`] and `templates/`: the HTML. [`extras`]: everything else.
//! - [`palette`], [`art`], [`hours`], [`contact`], [`trade`], [`structured`], [`language`]: one question each.

pub mod art;
pub mod contact;
pub mod copy;
pub mod escape;
pub mod extras;
pub mod hours;
pub mod icons;
pub mod language;
pub mod pages;
pub mod palette;
pub mod site;
pub mod structured;
pub mod trade;
mod views;
