//! Who looks at a site as its visitors see it, if somebody asked for it. The rules that begin with
//! `browser-` are checked in this way only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;

use super::problem::{Levels, SiteProblem};
use crate::path::SitePath;
use sitewright_model::message::Message;

/// A site to be looked at.
#[derive(Debug, Clone, Default)]
pub struct ViewedSite {
    pub files: BTreeMap<SitePath, Vec<u8>>,
    /// Pages that were looked at before, with the same other files.
    pub known: BTreeSet<SitePath>,
    /// As [`VerifyOptions::clean_urls`](super::VerifyOptions::clean_urls).
    pub clean_urls: bool,
    /// Rules whose level is [`Level::Off`](super::Level::Off) need not be checked.
    pub levels: Levels,
}

/// What was found, or why nobody could look.
pub type ViewFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<SiteProblem>, Message>> + Send + 'a>>;

/// Looks at sites in a browser.
pub trait Viewer: fmt::Debug + Send + Sync {
    /// Looks at all pages of a site that has passed its other checks. Dropping the future ends it.
    fn view(&self, site: ViewedSite) -> ViewFuture<'_>;
}
