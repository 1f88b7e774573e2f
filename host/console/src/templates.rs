//! Templates and workers: who has which version, and what is paused.

use std::collections::BTreeMap;

use askama::Template as _;
use sitewright_jobs::{HoldKind, OrderState, Stats};

use super::address;
use super::frame::Frame;
use super::now::{HoldRow, Worker, one_hold, one_worker};
use super::text::{count, count_of, short};

/// A template, as the page needs it.
#[derive(Debug, Clone)]
pub struct TemplateFacts {
    pub name: String,
    /// SHA-256 of its file, as workers have it.
    pub digests: Vec<String>,
    /// The number of workers that have it.
    pub workers: i64,
    /// Whether it is in the templates folder of the server's machine.
    pub in_folder: bool,
}

/// What the page is made of.
#[derive(Debug)]
pub struct TemplatesFacts {
    pub templates: Vec<TemplateFacts>,
    /// Why the templates folder of the server's machine cannot be read.
    pub folder_error: Option<String>,
    pub stats: Stats,
    pub unfinished: BTreeMap<(String, OrderState), i64>,
    /// Failures of the last 24 hours, by the template's own name.
    pub failures: BTreeMap<String, u64>,
    /// Names of the routes for AI calls.
    pub routes: Vec<String>,
}

#[derive(askama::Template)]
#[template(path = "templates.html")]
struct Page<'a> {
    f: &'a Frame,
    is_paused: bool,
    rows: Vec<Row>,
    folder_error: Option<&'a str>,
    holds: Vec<HoldRow>,
    routes: Vec<String>,
    workers: Vec<Worker>,
}

struct Row {
    name: String,
    href: String,
    digests: Vec<(String, String)>,
    workers: String,
    is_served: bool,
    in_folder: bool,
    queued: String,
    running: String,
    waiting: String,
    failures: String,
    failures_href: String,
    /// The hold of the template.
    hold: String,
    is_held: bool,
}

/// Templates and workers.
///
/// # Errors
/// Never, as far as is known.
pub fn templates(frame: &Frame, facts: &TemplatesFacts) -> Result<String, askama::Error> {
    let TemplatesFacts { stats, unfinished, failures, .. } = facts;
    let held = |kind: HoldKind, name: &str| {
        stats.holds.iter().any(|hold| hold.kind == kind && hold.name == name)
    };
    let row = |template: &TemplateFacts| {
        let name = &template.name;
        let orders = |state| {
            let number = unfinished.get(&(name.clone(), state)).copied().unwrap_or_default();
            if number == 0 { String::new() } else { count(number) }
        };
        let failed = failures.get(name).copied().unwrap_or_default();
        let digest =
            |digest: &String| (digest.chars().take(19).collect::<String>(), digest.clone());
        Row {
            name: name.clone(),
            href: address::with("/console/orders", &[("template", Some(name))]),
            digests: template.digests.iter().take(4).map(digest).collect(),
            workers: count(template.workers),
            is_served: template.workers > 0,
            in_folder: template.in_folder,
            queued: orders(OrderState::Queued),
            running: orders(OrderState::Running),
            waiting: orders(OrderState::Waiting),
            failures: if failed == 0 { String::new() } else { count_of(failed) },
            failures_href: address::with("/console/failures", &[("template", Some(name))]),
            hold: format!("template:{name}"),
            is_held: held(HoldKind::Template, name),
        }
    };
    let routes = facts.routes.iter().filter(|name| !held(HoldKind::Route, name));
    Page {
        f: frame,
        is_paused: stats.paused,
        rows: facts.templates.iter().map(row).collect(),
        folder_error: facts.folder_error.as_deref(),
        holds: stats.holds.iter().map(|hold| one_hold(hold, frame.now)).collect(),
        routes: routes.map(|name| short(name, 100)).collect(),
        workers: stats.workers.iter().map(|worker| one_worker(worker, frame.now)).collect(),
    }
    .render()
}
