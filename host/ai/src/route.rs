//! One route: its candidates, and how they are asked.

use std::time::Duration;

use super::candidate::Candidate;
use super::reply_cache::CacheRule;

/// One route.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// In the order in which they are tried.
    pub(super) candidates: Vec<Candidate>,
    /// `None` if each call asks a model.
    pub(super) cache: Option<CacheRule>,
    /// How long a candidate may take to begin its reply before the next one is asked too; `None` if
    /// they are asked in turn.
    pub(super) hedge: Option<Duration>,
}
