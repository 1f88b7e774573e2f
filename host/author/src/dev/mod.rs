//! `sitewright template dev`: builds the template and makes its site after every save, and shows
//! the result in a browser.
//!
//! | file | question |
//! |---|---|
//! | [`watch`] | which files were saved? |
//! | `contents` | and which of them are as they were? |
//! | `round` | how does a change become a site or a failure? |
//! | [`server`] | what does the browser get? |
//! | `page` | how do failure pages and the reload script look? |
//! | `edit` | how are the order and the AI replies changed in the browser? |
//! | [`places`] | how do files and lines in a report open in the editor? |
//! | `ansi` | how does terminal output become HTML? |

mod ansi;
mod contents;
mod edit;
mod page;
pub mod places;
mod round;
pub mod server;
pub mod watch;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::build::{BuildError, Builder, Built, FilesRead, Listener};
use sitewright_ai::AiConfig;
use sitewright_http::Client;
use sitewright_model::failure::{Diagnostic, FailureRecord};
use sitewright_model::message::Message;
use sitewright_runtime::run::{Printed, Services};
use sitewright_site::SiteProblem;

pub use edit::Inputs;
pub use server::{Board, Server};

/// Folder of a project's cases of the conformance suite.
pub const CASES: &str = "conformance";

/// The source of AI replies.
#[derive(Debug, Clone)]
pub enum AiSource {
    /// Scripted replies; the rules are in this file.
    Script(PathBuf),
    /// The configured routes. Each request is sent once; its reply is kept in the journal.
    Recorded {
        ai: Box<AiConfig>,
        /// The folder for relative paths in `ai`.
        base: PathBuf,
        /// The reply journal's file.
        journal: PathBuf,
    },
}

/// A session of `dev`.
pub struct Dev {
    pub builder: Builder,
    pub ai: AiSource,
    /// What runs need. The gateway is replaced in each round, so that a script starts again.
    pub host: Services,
    pub client: Client,
}

/// What a session reports.
pub enum Event<'a> {
    /// A round starts. The saved files; empty in the first round.
    Begun(&'a [PathBuf]),
    /// The browser shows a new site.
    Shown(&'a Notes, Took),
    /// The browser shows the report of a failure.
    Failed(&'a Failed, Took),
}

/// What there is to say about a site that was made.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Notes {
    /// What the host and the template reported.
    pub diagnostics: Vec<Diagnostic>,
    /// What the checks of the site warn of.
    pub warnings: Vec<SiteProblem>,
    pub printed: Printed,
}

/// Durations of one round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// From the last save to the end of the round.
    pub total: Duration,
    /// The language's tools; `None` if the source had not changed.
    pub build: Option<Duration>,
    /// Compiling and linking the component.
    pub load: Duration,
    /// The run and the checks of the site.
    pub run: Duration,
}

/// Why a round made no site.
pub enum Failed {
    /// The template was not built.
    Build(BuildError),
    /// The attempt failed.
    Attempt(Box<FailureRecord>),
    /// No attempt started: the order or the script cannot be read.
    Before(Message),
}

/// What has changed since the last round that ended.
#[derive(Debug, Clone, Default)]
struct Dirty {
    source: bool,
    files: Vec<PathBuf>,
}

impl Dev {
    /// Makes the site, and makes it again after every save of a file that it depends on, until the
    /// future is dropped. A save during a round starts it anew, but the round after that ends
    /// first: however often a file is saved, every second round at least is shown.
    ///
    /// # Errors
    /// If the file system can no longer be watched.
    pub async fn run(
        &self,
        mut watcher: watch::Watcher,
        board: &Board,
        tool: Listener<'_>,
        report: &(dyn Fn(Event<'_>) + Send + Sync),
    ) -> Result<Infallible, watch::WatchError> {
        let mut dirty = Dirty { source: true, files: Vec::new() };
        let mut built: Option<Built> = None;
        let mut saved = Instant::now();
        let mut chosen = board.chosen();
        // Whether a save has cancelled the round before.
        let mut restarted = false;
        loop {
            report(Event::Begun(&dirty.files));
            let order = &board.orders()[*chosen.borrow_and_update()];
            let sources = round::Sources { order, changed: dirty.source, board };
            let read = files_read(built.as_ref());
            // Saved files that the last build did not read. The one of this round may.
            let mut unread = no_file();
            let change = {
                let mut round =
                    std::pin::pin!(round::round(self, sources, &mut built, saved, tool));
                loop {
                    // A save or a choice during the round cancels it: its site would be outdated. A
                    // save does so only once in a row, because a file that some program keeps
                    // writing would cancel all; the watcher keeps such a save until the round has
                    // ended.
                    tokio::select! {
                        biased;
                        change = watcher.next(), if !restarted => {
                            let (counted, others) = self.counted(change?, &read, board);
                            unread.at = others.at;
                            unread.paths.extend(others.paths);
                            if !counted.paths.is_empty() {
                                restarted = true;
                                break Some(counted);
                            }
                        }
                        // The board lives longer than the session.
                        Ok(()) = chosen.changed() => break Some(no_file()),
                        (end, took) = &mut round => {
                            match end {
                                Ok(site) => {
                                    let site = Arc::new(site);
                                    board.show(site.clone());
                                    report(Event::Shown(site.notes(), took));
                                }
                                Err(failed) => {
                                    board.fail(&failed);
                                    report(Event::Failed(&failed, took));
                                }
                            }
                            dirty = Dirty::default();
                            restarted = false;
                            break None;
                        }
                    }
                }
            };
            let change = match change {
                Some(change) => change,
                None => {
                    let read = files_read(built.as_ref());
                    let (late, _) = self.counted(unread, &read, board);
                    if late.paths.is_empty() {
                        self.next(&mut watcher, &mut chosen, &read, board).await?
                    } else {
                        late
                    }
                }
            };
            saved = change.at;
            dirty.source |= change.paths.iter().any(|path| !self.is_input(path, board));
            dirty.files = change.paths;
        }
    }

    /// Waits for a save of a file that the site depends on, or for the choice of another order,
    /// which is a change of no file.
    async fn next(
        &self,
        watcher: &mut watch::Watcher,
        chosen: &mut tokio::sync::watch::Receiver<usize>,
        read: &FilesRead,
        board: &Board,
    ) -> Result<watch::SavedFiles, watch::WatchError> {
        loop {
            let change = tokio::select! {
                biased;
                change = watcher.next() => self.counted(change?, read, board).0,
                // The board lives longer than the session.
                Ok(()) = chosen.changed() => return Ok(no_file()),
            };
            if !change.paths.is_empty() {
                return Ok(change);
            }
        }
    }

    /// The saved files that the site depends on (inputs of the run, and what the build read), and
    /// the others: a database that some program writes all the time, tests, documents.
    fn counted(
        &self,
        saved: watch::SavedFiles,
        read: &FilesRead,
        board: &Board,
    ) -> (watch::SavedFiles, watch::SavedFiles) {
        let watch::SavedFiles { at, paths } = saved;
        let counts = |path: &PathBuf| self.is_input(path, board) || read.contains(path);
        let (counted, others) = paths.into_iter().partition(counts);
        (watch::SavedFiles { at, paths: counted }, watch::SavedFiles { at, paths: others })
    }

    /// Whether a file is an input of the run (the order or the script) or a case, and not template
    /// source.
    fn is_input(&self, path: &Path, board: &Board) -> bool {
        if path.starts_with(self.builder.project().folder.join(CASES)) {
            return true;
        }
        let script = match &self.ai {
            AiSource::Script(script) => Some(script.as_path()),
            AiSource::Recorded { .. } => None,
        };
        board.orders().iter().any(|order| order == path) || Some(path) == script
    }
}

/// What the last build read; if it failed, any file counts as read.
fn files_read(built: Option<&Built>) -> FilesRead {
    built.map(|built| built.read.clone()).unwrap_or_default()
}

/// The change that a choice is.
fn no_file() -> watch::SavedFiles {
    watch::SavedFiles { paths: Vec::new(), at: Instant::now() }
}
