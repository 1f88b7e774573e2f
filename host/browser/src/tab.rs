//! One page, looked at: loaded, shown at each width, measured.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sitewright_site::{Rule, SitePath, excerpt};
use tokio::sync::mpsc;

use crate::WIDTHS;
use crate::connection::Connection;
use crate::event::{Event, Place};
use crate::seen::Sight;
use crate::served::{Reply, ServedSite};

/// Finds what makes a page wider than the screen.
const OVERFLOW: &str = include_str!("overflow.js");
/// axe-core as its authors minify it.
const AXE: &str = include_str!("../axe/axe.min.js");
/// Runs it.
const RUN_AXE: &str = include_str!("axe.js");
/// The widths at which accessibility is checked: layouts differ most between them.
const AXE_WIDTHS: [u32; 2] = [360, 1440];
/// From this width on, the screen is that of a desk.
const DESK: u32 = 1_000;
/// The height of all screens, in CSS pixels.
const HEIGHT: u32 = 900;
/// A worker of the site is no part of a page, and could not be loaded here. It stays as it is in
/// the first moments of a visit: not there yet.
const NO_WORKERS: &str = "if (navigator.serviceWorker) \
                          navigator.serviceWorker.register = () => new Promise(() => {});";
/// Shows what is folded, as visitors do.
const UNFOLD: &str = "for (const details of document.querySelectorAll('details')) \
                      details.open = true";
/// Ends when fonts are there, two frames are drawn, and what a script does right after loading is
/// done.
const SETTLED: &str = "document.fonts.ready.then(() => new Promise((done) => \
                       requestAnimationFrame(() => requestAnimationFrame(() => \
                       setTimeout(done, 100)))))";
/// Maximum characters of a text of a page in a message.
const SHOWN: usize = 300;
/// Maximum requests and hosts of a page that are kept.
const MAX_REQUESTS: usize = 100;
/// Browsers ask for it by themselves.
const FAVICON: &str = "favicon.ico";

/// Why a page could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TabError {
    /// The browser ended.
    #[error("the browser has ended")]
    Closed,
    /// The browser refused a command.
    #[error("{0}")]
    Refused(String),
    /// The page led to this other host by itself.
    #[error("it leads visitors to `{0}` by itself")]
    Left(String),
    /// The page led to another file of the site by itself: this one, if the site has it.
    #[error("it leads to another page by itself")]
    Moved(Option<SitePath>),
    /// The page led to itself.
    #[error("it loads itself again; remove the script or the `<meta>` that does it")]
    Again,
    /// The page's process ended.
    #[error("the page crashed, or used all of its memory")]
    Crashed,
}

/// An open page.
pub(crate) struct Tab<'a> {
    connection: &'a Connection,
    site: &'a ServedSite,
    session: String,
    /// The id of the page's own frame: that of its target.
    frame: String,
    /// The page that is looked at, once it is.
    page: Option<SitePath>,
    /// Whether its document was asked for.
    navigated: bool,
    events: mpsc::Receiver<Event>,
    loaded: bool,
    /// Errors with their places.
    errors: Vec<(String, Place)>,
    /// Addresses in the site that have no file.
    missing: BTreeSet<String>,
    /// Other hosts that were asked.
    elsewhere: BTreeSet<String>,
}

/// The result of `overflow.js`.
#[derive(Debug, Deserialize)]
struct Overflow {
    width: f64,
    page: f64,
    elements: Vec<Sticking>,
}

#[derive(Debug, Deserialize)]
struct Sticking {
    selector: String,
    by: u64,
    inner: Option<String>,
    #[serde(default)]
    text: bool,
}

/// An entry of the result of `axe.js`.
#[derive(Debug, Deserialize)]
struct Violation {
    id: String,
    impact: Option<String>,
    help: String,
    count: usize,
    nodes: Vec<String>,
    why: String,
}

impl<'a> Tab<'a> {
    /// Opens an empty page in a context of the browser.
    pub(crate) async fn open(
        connection: &'a Connection,
        context: &str,
        site: &'a ServedSite,
    ) -> Result<Self, TabError> {
        let downloads = json!({ "behavior": "deny", "browserContextId": context });
        connection.call("Browser.setDownloadBehavior", downloads).await?;
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = connection.call("Target.createTarget", target).await?;
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = connection.call("Target.attachToTarget", attached).await?;
        let session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
        let mut tab = Tab {
            connection,
            site,
            events: connection.events(&session),
            session,
            frame: target["targetId"].as_str().unwrap_or_default().to_owned(),
            page: None,
            navigated: false,
            loaded: false,
            errors: Vec::new(),
            missing: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
        };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Inspector.enable"] {
            tab.call(domain, json!({})).await?;
        }
        tab.call("Fetch.enable", json!({ "patterns": [{ "urlPattern": "*" }] })).await?;
        tab.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": NO_WORKERS })).await?;
        // Without animations, because a colour in transition is not the final one.
        let features = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
        tab.call("Emulation.setEmulatedMedia", json!({ "features": features })).await?;
        Ok(tab)
    }

    /// Looks at a page. What is measured is added to `sights`.
    pub(crate) async fn look(
        &mut self,
        page: &SitePath,
        axe: bool,
        sights: &mut Vec<Sight>,
    ) -> Result<(), TabError> {
        self.page = Some(page.clone());
        let [first, ..] = WIDTHS;
        self.resize(first).await?;
        let address = json!({ "url": self.site.address(page) });
        let gone = self.call("Page.navigate", address).await?;
        if let Some(error) = gone["errorText"].as_str() {
            return Err(TabError::Refused(excerpt(error, SHOWN)));
        }
        while !self.loaded {
            let event = self.events.recv().await.ok_or(TabError::Closed)?;
            self.on(event).await?;
        }
        // A world of its own: what the page's scripts have changed does not matter in it.
        let world = json!({ "frameId": gone["frameId"], "worldName": "sitewright" });
        let world = self.call("Page.createIsolatedWorld", world).await?;
        let world = world["executionContextId"].clone();
        self.run(&world, UNFOLD).await?;
        if axe {
            self.run(&world, &format!("{AXE}\n0")).await?;
        }
        for width in WIDTHS {
            self.resize(width).await?;
            self.run(&world, SETTLED).await?;
            let overflow = measured(self.run(&world, OVERFLOW).await?)?;
            add_overflow(width, &overflow, sights);
            if axe && AXE_WIDTHS.contains(&width) {
                let violations: Vec<Violation> = measured(self.run(&world, RUN_AXE).await?)?;
                sights.extend(violations.iter().map(|violation| violation.sight(width)));
            }
        }
        Ok(())
    }

    /// Adds what the page did while it was looked at.
    pub(crate) fn finish(self, sights: &mut Vec<Sight>) {
        let blocked = match self.elsewhere.is_empty() {
            true => String::new(),
            false => {
                let hosts: Vec<&str> = self.elsewhere.iter().map(String::as_str).collect();
                format!(" (nothing was loaded from {})", excerpt(&hosts.join(", "), SHOWN))
            }
        };
        for (text, place) in &self.errors {
            // Without a file, the line counts for nothing.
            let at = self.site.file_at(&place.address).map(|file| (file, place.line));
            let text = format!("{text}{blocked}");
            sights.push(Sight { at, ..Sight::of_page(Rule::BrowserConsole, text) });
        }
        for address in &self.missing {
            let text = format!(
                "the page asks for `{}`, which the site does not have; write the file, or do not \
                 ask for it",
                excerpt(ServedSite::shown(address), SHOWN)
            );
            sights.push(Sight::of_page(Rule::BrowserRequest, text));
        }
    }

    async fn resize(&mut self, width: u32) -> Result<(), TabError> {
        let screen = json!({
            "width": width,
            "height": HEIGHT,
            "deviceScaleFactor": 1,
            "mobile": width < DESK,
        });
        self.call("Emulation.setDeviceMetricsOverride", screen).await.map(drop)
    }

    /// Runs a script in the page and returns its value, or that of the promise that it returns.
    async fn run(&mut self, world: &Value, script: &str) -> Result<Value, TabError> {
        let script = json!({
            "expression": script,
            "contextId": world,
            "awaitPromise": true,
            "returnByValue": true,
        });
        let mut result = self.call("Runtime.evaluate", script).await?;
        let thrown = &result["exceptionDetails"];
        if !thrown.is_null() {
            let why = thrown["exception"]["description"].as_str().unwrap_or("a script failed");
            return Err(TabError::Refused(excerpt(why, SHOWN)));
        }
        Ok(result.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Sends a command and waits for its result; events are handled meanwhile.
    async fn call(&mut self, method: &str, params: Value) -> Result<Value, TabError> {
        let mut answer = self.connection.send(Some(&self.session), method, params).await?;
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => event.ok_or(TabError::Closed)?,
                answer = &mut answer => return answer.unwrap_or(Err(TabError::Closed)),
            };
            self.on(event).await?;
        }
    }

    async fn on(&mut self, event: Event) -> Result<(), TabError> {
        match event {
            // The empty page was loaded, too.
            Event::Loaded => self.loaded = self.navigated,
            Event::Crashed => return Err(TabError::Crashed),
            Event::Requested { id, address, method, navigates } => {
                let is_page = navigates.is_some_and(|frame| frame == self.frame);
                if is_page && std::mem::replace(&mut self.navigated, true) {
                    return Err(self.left(address, &method));
                }
                self.answer(&id, address, &method).await?;
            }
            Event::Dialog => {
                let closed = json!({ "accept": false });
                self.connection.post(&self.session, "Page.handleJavaScriptDialog", closed).await?;
            }
            Event::Logged { text, place } => {
                self.error(format!("the console shows an error: {text}"), place);
            }
            Event::Thrown { text, place } => {
                self.error(format!("a script stops with an error: {text}"), place);
            }
        }
        Ok(())
    }

    /// Why a page that leads to this address by itself is not looked at.
    fn left(&mut self, address: String, method: &str) -> TabError {
        let site = self.site;
        match site.reply(&address, method) {
            Reply::Elsewhere(host) => TabError::Left(excerpt(&host, SHOWN)),
            Reply::File { .. } if site.file_at(&address) == self.page => TabError::Again,
            Reply::File { .. } => TabError::Moved(site.file_at(&address)),
            Reply::Redirect(to) => TabError::Moved(site.file_at(&to)),
            Reply::Missing { .. } => {
                self.add_missing(address);
                TabError::Moved(None)
            }
        }
    }

    fn error(&mut self, text: String, place: Place) {
        if self.errors.len() < MAX_REQUESTS {
            self.errors.push((text, place));
        }
    }

    fn add_missing(&mut self, address: String) {
        let is_kept = ServedSite::shown(&address) != FAVICON;
        if is_kept && self.missing.len() < MAX_REQUESTS {
            self.missing.insert(address);
        }
    }

    async fn answer(&mut self, id: &str, address: String, method: &str) -> Result<(), TabError> {
        let header = |name: &str, value: &str| json!({ "name": name, "value": value });
        let site = self.site;
        let (status, headers, bytes) = match site.reply(&address, method) {
            Reply::File { content_type, bytes } => {
                (200, json!([header("content-type", content_type)]), bytes)
            }
            Reply::Redirect(to) => (302, json!([header("location", &to)]), &[][..]),
            Reply::Missing { bytes } => {
                self.add_missing(address);
                (404, json!([header("content-type", "text/html; charset=utf-8")]), bytes)
            }
            Reply::Elsewhere(host) => {
                if self.elsewhere.len() < MAX_REQUESTS {
                    self.elsewhere.insert(host);
                }
                let refused = json!({ "requestId": id, "errorReason": "BlockedByClient" });
                return self.connection.post(&self.session, "Fetch.failRequest", refused).await;
            }
        };
        let answer = json!({
            "requestId": id,
            "responseCode": status,
            "responseHeaders": headers,
            "body": STANDARD.encode(bytes),
        });
        self.connection.post(&self.session, "Fetch.fulfillRequest", answer).await
    }
}

/// The value of a script of this crate.
fn measured<T: DeserializeOwned>(value: Value) -> Result<T, TabError> {
    serde_json::from_value(value)
        .map_err(|error| TabError::Refused(format!("it cannot be measured: {error}")))
}

fn add_overflow(width: u32, overflow: &Overflow, sights: &mut Vec<Sight>) {
    if overflow.page <= overflow.width {
        return;
    }
    let mut add = |text: String, by: u64| {
        let sight = Sight::of_page(Rule::BrowserOverflow, text);
        sights.push(Sight { width: Some((width, by)), ..sight });
    };
    for Sticking { selector, by, inner, text } in &overflow.elements {
        let of = if *text { "the text of " } else { "" };
        let inner = match inner {
            Some(inner) => format!(" with `{}`", excerpt(inner, SHOWN)),
            None => String::new(),
        };
        add(format!("{of}`{}`{inner} sticks out", excerpt(selector, SHOWN)), *by);
    }
    if overflow.elements.is_empty() {
        let what = "something that is no element, such as `::before` or a margin, sticks out";
        // Of two whole numbers.
        add(what.to_owned(), (overflow.page - overflow.width).max(0.0) as u64);
    }
}

impl Violation {
    fn sight(&self, width: u32) -> Sight {
        let Violation { id, impact, help, count, nodes, why } = self;
        let shown: Vec<String> =
            nodes.iter().map(|node| format!("`{}`", excerpt(node, SHOWN))).collect();
        let more = match count.saturating_sub(nodes.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!(
            "{} ({}): {}: {}{more}: {}",
            excerpt(id, SHOWN),
            excerpt(impact.as_deref().unwrap_or("no impact given"), SHOWN),
            excerpt(help, SHOWN),
            shown.join(", "),
            excerpt(why, SHOWN)
        );
        Sight { width: Some((width, 0)), ..Sight::of_page(Rule::BrowserAxe, text) }
    }
}
