//! Looks at finished sites as their visitors see them, in a headless Chromium: `--browser`.
//!
//! | file | question |
//! |---|---|
//! | `find` | which program is the browser? |
//! | `process` | how is it started, and how does it end with all that it has started? |
//! | `connection` | how are its commands sent, and to whom do answers and events go? |
//! | `event` | which events of a page matter, and what is kept of them? |
//! | `served` | what does a page get that asks for something? |
//! | `tab` | how is one page looked at? |
//! | `seen` | what is wrong with what was seen? |
//! | `overflow.js`, `axe.js` | what is measured inside a page |
//! | `axe/` | axe-core, which checks accessibility: a file of others, MPL-2.0 |
//!
//! The browser is spoken to by its DevTools protocol over a pipe, and no port is opened. Every
//! request of a page comes to this crate, which answers from the site in memory; the browser itself
//! resolves no name and no address, and its WebRTC sends no datagrams, so nothing else is reached.
//! Each page gets a profile of its own and is loaded once, at the smallest width.
//!
//! **Invariant:** the browser is not believed: a message of it has a maximum length, texts are cut
//! when they arrive, and each page and each site has a time limit.
//!
//! **Invariant:** it gets none of this process's environment but what it needs to start, and
//! nothing outlives it: its folder is removed even if this process is killed.
//!
//! **Invariant:** this crate does not know templates, orders or AI calls.

mod connection;
mod event;
mod find;
mod process;
mod seen;
mod served;
mod tab;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde_json::json;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::{Level, Rule, SitePath, SiteProblem, ViewFuture, ViewedSite, Viewer};
use tokio::time::Instant;

use self::connection::Connection;
use self::process::Process;
use self::seen::{Findings, Sight, problem};
use self::served::ServedSite;
use self::tab::{Tab, TabError};

pub use self::find::{NoBrowser, find};

/// The widths at which pages are looked at, in CSS pixels: small and common phones, and a desktop.
pub const WIDTHS: [u32; 3] = [360, 390, 1440];
/// The version of axe-core in this program.
pub const AXE_VERSION: &str = "4.14.1";
/// Maximum number of pages that are open at once; no more than there are processors.
const MAX_AT_ONCE: usize = 4;
/// How long the browser may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the browser may take to close a page.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What looking at a site may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewLimits {
    /// How long one page may take. Default: 30 s.
    pub page: Duration,
    /// How long all pages may take. Default: 300 s.
    pub site: Duration,
    /// Maximum number of pages. Default: 100.
    pub pages: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        let (page, site) = (Duration::from_secs(30), Duration::from_secs(300));
        ViewLimits { page, site, pages: 100 }
    }
}

/// A browser that runs. Dropping it ends it too, in the background: [`close`](Self::close) waits.
#[derive(Debug)]
pub struct Browser {
    // Before the process: closing the pipe is what asks the browser to end.
    connection: Connection,
    process: parking_lot::Mutex<Option<Process>>,
    sandboxed: bool,
    limits: ViewLimits,
}

/// The browser cannot be used. The message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BrowserError(pub Message);

impl Browser {
    /// Starts the program and waits until it answers, for at most a minute.
    ///
    /// # Errors
    /// If it does not start or speaks no DevTools protocol, with the last lines of its stderr.
    pub async fn start(program: &Path) -> Result<Self, BrowserError> {
        let sandboxed = !process::is_root();
        let (process, input, output) = Process::start(program, sandboxed)?;
        let connection = Connection::new(input, output);
        let version = connection.call("Browser.getVersion", json!({}));
        let failed = match tokio::time::timeout(START_LIMIT, version).await {
            Ok(Ok(version)) => {
                let version = version["product"].as_str().unwrap_or_default().to_owned();
                tracing::debug!(program = %program.display(), version, "the browser runs");
                let process = parking_lot::Mutex::new(Some(process));
                let limits = ViewLimits::default();
                return Ok(Browser { connection, process, sandboxed, limits });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it does not answer within {} s", START_LIMIT.as_secs()),
        };
        drop(connection);
        let stderr = process.end().await;
        let advice = match sandboxed {
            true => {
                "; if its sandbox is missing, allow user namespaces, which some containers forbid"
            }
            false => "",
        };
        Err(BrowserError(message!(
            "the browser {} does not start: {failed}{stderr}{advice}",
            program.display()
        )))
    }

    /// The same browser with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ViewLimits) -> Self {
        Browser { limits, ..self }
    }

    /// Whether the browser confines the code of pages. It cannot do so for root.
    pub fn is_sandboxed(&self) -> bool {
        self.sandboxed
    }

    /// Ends the browser with all its processes and removes its folder. Waits for at most some
    /// seconds. Sites cannot be looked at afterwards.
    pub async fn close(&self) {
        let process = self.process.lock().take();
        if let Some(process) = process {
            self.connection.close();
            process.end().await;
        }
    }

    /// Looks at all pages of a site, some at a time.
    async fn look(&self, site: ViewedSite) -> Result<Vec<SiteProblem>, BrowserError> {
        let axe = site.levels.of(Rule::BrowserAxe) != Level::Off;
        let site = ServedSite::new(site);
        let until = Instant::now() + self.limits.site;
        let mut findings = Findings::default();
        let pages = site.pages();
        let looks = pages.iter().take(self.limits.pages);
        let looks: Vec<_> = looks.map(|page| self.look_at(page, &site, axe, until)).collect();
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut looks = stream::iter(looks).buffered(at_once.min(MAX_AT_ONCE));
        let mut looked_at = 0;
        let mut moved = BTreeMap::new();
        while let Some(looked) = looks.next().await {
            let (Some(looked), Some(page)) = (looked?, pages.get(looked_at)) else { break };
            findings.add(page, looked.sights);
            moved.extend(looked.leads_to.map(|to| (page.clone(), to)));
            looked_at += 1;
        }
        for (page, to) in moved.iter().filter(|(page, _)| leads_in_a_circle(page, &moved)) {
            let text = format!(
                "a browser cannot look at the page: it leads visitors in a circle by itself, first \
                 to `{to}`; remove the script or the `<meta>` that does it"
            );
            findings.add(page, vec![Sight::of_page(Rule::BrowserConsole, text)]);
        }
        let mut problems = findings.problems();
        if let Some(left) = pages.get(looked_at) {
            problems.push(problem(
                left,
                Rule::TooLarge,
                message!(
                    "a browser looked at {looked_at} of the {} pages only: it looks at most at {} \
                     pages, and for {} s in all; make fewer pages or simpler ones",
                    pages.len(),
                    self.limits.pages,
                    self.limits.site.as_secs()
                ),
            ));
        }
        Ok(problems)
    }

    /// Looks at one page in a profile of its own. `None` if the time of the site is over.
    async fn look_at(
        &self,
        page: &SitePath,
        site: &ServedSite,
        axe: bool,
        until: Instant,
    ) -> Result<Option<Looked>, BrowserError> {
        if Instant::now() >= until {
            return Ok(None);
        }
        let limit = self.limits.page;
        let opened = async {
            let context = self
                .connection
                .call("Target.createBrowserContext", json!({ "disposeOnDetach": true }))
                .await?;
            let context = context["browserContextId"].as_str().unwrap_or_default().to_owned();
            Ok::<_, TabError>((Tab::open(&self.connection, &context, site).await?, context))
        };
        let (mut tab, context) = match tokio::time::timeout(limit, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(broken(page, &error.to_string())),
            Err(_) => return Err(broken(page, "it does not open a page in time")),
        };
        let mut sights = Vec::new();
        let looked = tokio::time::timeout(limit, tab.look(page, axe, &mut sights)).await;
        tab.finish(&mut sights);
        let gone = json!({ "browserContextId": context });
        let gone = self.connection.call("Target.disposeBrowserContext", gone);
        let closed = tokio::time::timeout(CLOSE_LIMIT, gone).await;
        let mut leads_to = None;
        match looked {
            Ok(Ok(())) => {}
            // The other page is looked at by itself.
            Ok(Err(TabError::Moved(to))) => leads_to = to,
            Ok(Err(TabError::Closed)) => return Err(broken(page, &TabError::Closed.to_string())),
            Ok(Err(error)) => sights.push(Sight::of_page(
                Rule::BrowserConsole,
                format!("a browser cannot look at the page: {error}"),
            )),
            Err(_) => sights.push(Sight::of_page(
                Rule::TooLarge,
                format!(
                    "a browser is not done with the page after {} s: its scripts keep it busy, it \
                     is too large, or this machine has too much to do; make it simpler, or run the \
                     command again",
                    limit.as_secs()
                ),
            )),
        }
        match closed {
            Ok(Err(TabError::Closed)) => Err(broken(page, &TabError::Closed.to_string())),
            Ok(_) => Ok(Some(Looked { sights, leads_to })),
            Err(_) => Err(broken(page, "it does not close the page")),
        }
    }
}

impl Viewer for Browser {
    fn view(&self, site: ViewedSite) -> ViewFuture<'_> {
        Box::pin(async move { self.look(site).await.map_err(|BrowserError(message)| message) })
    }
}

/// What was seen of a page.
struct Looked {
    sights: Vec<Sight>,
    /// The page that it led to by itself, instead of being looked at.
    leads_to: Option<SitePath>,
}

/// Whether the pages that a page leads to by itself never end at one that stays.
fn leads_in_a_circle(page: &SitePath, moved: &BTreeMap<SitePath, SitePath>) -> bool {
    let mut at = page;
    for _ in 0..=moved.len() {
        match moved.get(at) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// The browser ended or hangs.
fn broken(page: &SitePath, why: &str) -> BrowserError {
    BrowserError(message!("the browser failed at the page `{page}`: {why}; run the command again"))
}

/// All files of a site by their paths.
type Files = BTreeMap<String, Vec<u8>>;
