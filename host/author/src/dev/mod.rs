//! A template's site in a browser while the template is written: whoever saves sees what comes of
//! it.
//!
//! - [`watch`]: what has been saved
//! - [`round`](self): from there to a site, or to what went wrong
//! - [`server`]: the browser's side, on this machine alone
//! - `page`: what the browser gets beside the site: the report of a failure, and the script that
//!   looks for news

mod ansi;
mod page;
mod round;
pub mod server;
pub mod watch;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::build::{BuildError, Builder, Listener};
use sitewright_ai::AiConfig;
use sitewright_http::Client;
use sitewright_model::failure::FailureRecord;
use sitewright_model::message::Message;
use sitewright_runtime::run::Services;

pub use server::{Board, Server};

/// Who answers the template's AI calls.
#[derive(Debug, Clone)]
pub enum AiSource {
    /// The rules of a file.
    Script(PathBuf),
    /// The configured routes, each question once: the replies are kept in this file.
    Recorded {
        /// The routes.
        ai: Box<AiConfig>,
        /// The folder that its relative paths start from.
        base: PathBuf,
        /// The file.
        journal: PathBuf,
    },
}

/// What is shown, and how it is made.
pub struct Dev {
    /// Builds the template.
    pub builder: Builder,
    /// The order's document.
    pub order: PathBuf,
    /// Who answers.
    pub ai: AiSource,
    /// Runs the template. Its gateway is replaced for each round, so that a script begins anew.
    pub host: Services,
    /// The HTTP client.
    pub client: Client,
}

/// What a session tells.
pub enum Event<'a> {
    /// Something was saved, and the site is made again; nothing was for the first time.
    Begun(&'a [PathBuf]),
    /// The browser has a new site.
    Shown(Took),
    /// The browser has the report of a failure.
    Failed(&'a Failed, Took),
}

/// How long the way from saving to the page was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// All of it, from the moment when the last file was saved.
    pub total: Duration,
    /// The language's tools; nothing when the template was as it had been.
    pub build: Option<Duration>,
    /// Compiling and linking the component.
    pub load: Duration,
    /// The run and the checks of the site.
    pub run: Duration,
}

/// Why there is no site.
pub enum Failed {
    /// The template was not built.
    Build(BuildError),
    /// The attempt failed.
    Attempt(Box<FailureRecord>),
    /// It did not come to an attempt: the order cannot be read, the script is wrong.
    Before(Message),
}

/// What has changed since the site was made.
#[derive(Debug, Clone, Default)]
struct Dirty {
    source: bool,
    files: Vec<PathBuf>,
}

impl Dev {
    /// Makes the site, and again whenever something is saved, for as long as it is not dropped.
    ///
    /// # Errors
    /// When nothing can be watched any more.
    pub async fn run(
        &self,
        mut watcher: watch::Watcher,
        board: &Board,
        tool: Listener<'_>,
        tell: &(dyn Fn(Event<'_>) + Send + Sync),
    ) -> Result<Infallible, watch::WatchError> {
        let mut dirty = Dirty { source: true, files: Vec::new() };
        let mut built = None;
        let mut saved = Instant::now();
        loop {
            tell(Event::Begun(&dirty.files));
            let round = round::round(self, dirty.source, &mut built, saved, tool);
            // What is saved meanwhile ends the round: its site would be old before anybody saw it.
            let change = tokio::select! {
                biased;
                change = watcher.next() => Some(change?),
                (end, took) = round => {
                    match end {
                        Ok(site) => {
                            board.show(Arc::new(site));
                            tell(Event::Shown(took));
                        }
                        Err(failed) => {
                            board.fail(&failed);
                            tell(Event::Failed(&failed, took));
                        }
                    }
                    dirty = Dirty::default();
                    None
                }
            };
            let change = match change {
                Some(change) => change,
                None => watcher.next().await?,
            };
            saved = change.at;
            dirty.source |= change.paths.iter().any(|path| !self.is_input(path));
            dirty.files = change.paths;
        }
    }

    /// Whether a file is what the template is given, and no part of it.
    fn is_input(&self, path: &Path) -> bool {
        let script = match &self.ai {
            AiSource::Script(script) => Some(script.as_path()),
            AiSource::Recorded { .. } => None,
        };
        path == self.order || Some(path) == script
    }
}
