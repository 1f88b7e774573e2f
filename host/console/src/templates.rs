//! Templates and workers: who has which version, and what is paused.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template as _;
use sitewright_jobs::{Hold, HoldId, HoldKind, OrderState, Stats, TemplateVersion};

use super::address;
use super::frame::Frame;
use super::now::{HoldRow, Worker, one_hold, one_worker};
use super::text::{When, count, count_of, counted, share, short};

/// With fewer orders than this, the share of those that failed says little.
const ENOUGH: i64 = 10;

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
    /// How orders ended with its last two versions, the current one first.
    pub versions: Vec<TemplateVersion>,
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
    /// The template that fails most first.
    versions: Vec<VersionsRow>,
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
    /// The hold of the template, and the page that asks before it is released.
    hold: String,
    release: String,
    is_held: bool,
    /// Whose orders wait, if only those of some tenants do; else empty.
    held_for: String,
}

/// Tenants that are named for which a template is paused.
const TENANTS: usize = 3;

/// How orders ended with the last two versions of a template.
struct VersionsRow {
    name: String,
    failures_href: String,
    fails: bool,
    /// What the current version did, in words.
    says: String,
    current: VersionCells,
    before: Option<VersionCells>,
    /// In percent, for a bar.
    percent: i64,
}

/// How orders ended with a version, also on the page of the template.
pub(crate) struct VersionCells {
    /// The beginning of its digest, and all of it.
    pub(crate) digest: (String, String),
    pub(crate) since: Option<When>,
    pub(crate) ended: String,
    pub(crate) failed: String,
    pub(crate) share: String,
}

impl VersionCells {
    pub(crate) fn of(version: &TemplateVersion, now: i64) -> Self {
        VersionCells {
            digest: digest(&version.digest),
            since: When::optional(version.since, now),
            ended: count(version.ended),
            failed: count(version.failed),
            share: share(version.failed, version.ended),
        }
    }
}

/// The beginning of a digest, and all of it.
pub(crate) fn digest(digest: &str) -> (String, String) {
    (digest.chars().take(19).collect(), digest.to_owned())
}

/// The last two versions of each template with which orders have ended, the template that fails
/// most first.
fn versions(templates: &[TemplateFacts], now: i64) -> Vec<VersionsRow> {
    let mut pairs: Vec<(&TemplateFacts, &TemplateVersion, Option<&TemplateVersion>)> = templates
        .iter()
        .filter_map(|template| {
            let (current, before) = (template.versions.first()?, template.versions.get(1));
            let has_ended = current.ended > 0 || before.is_some_and(|before| before.ended > 0);
            has_ended.then_some((template, current, before))
        })
        .collect();
    // Those that are alike stay in the order of their names.
    pairs.sort_by_key(|(_, current, _)| {
        let parts = current.failed.saturating_mul(1_000_000) / current.ended.max(1);
        Reverse((current.failed > 0, current.ended >= ENOUGH, parts, current.failed))
    });
    pairs
        .into_iter()
        .map(|(template, current, before)| VersionsRow {
            name: short(&template.name, 100),
            failures_href: address::with(
                "/console/failures",
                &[("template", Some(&template.name))],
            ),
            fails: current.failed > 0,
            says: format!(
                "{} of {}",
                share(current.failed, current.ended),
                counted(current.ended, "order", "orders")
            ),
            current: VersionCells::of(current, now),
            before: before.map(|before| VersionCells::of(before, now)),
            percent: (current.failed.saturating_mul(100) / current.ended.max(1)).clamp(0, 100),
        })
        .collect()
}

/// The tenants for whose orders alone a template is paused, in words; empty if there are none.
pub(crate) fn held_tenants(holds: &[Hold], template: &str) -> String {
    let template = HoldId::new(HoldKind::Template, template);
    let of_tenants = holds.iter().filter(|hold| hold.id.is_of_same(&template));
    let tenants: Vec<&str> = of_tenants.filter_map(|hold| hold.id.scope.tenant()).collect();
    let name = |tenant: &&str| match *tenant {
        "" => "orders without a tenant".to_owned(),
        tenant => short(tenant, 60),
    };
    let mut names: Vec<String> = tenants.iter().take(TENANTS).map(name).collect();
    match tenants.len().saturating_sub(TENANTS) {
        0 => {}
        more => names.push(format!("{more} more")),
    }
    names.join(", ")
}

/// Templates and workers.
///
/// # Errors
/// Never, as far as is known.
pub fn templates(frame: &Frame, facts: &TemplatesFacts) -> Result<String, askama::Error> {
    let TemplatesFacts { stats, unfinished, failures, .. } = facts;
    let held = |kind: HoldKind, name: &str| {
        // Not of one tenant's orders only: those of others go on.
        let all = HoldId::new(kind, name);
        stats.holds.iter().any(|hold| hold.id == all)
    };
    let row = |template: &TemplateFacts| {
        let name = &template.name;
        let orders = |state| {
            let number = unfinished.get(&(name.clone(), state)).copied().unwrap_or_default();
            if number == 0 { String::new() } else { count(number) }
        };
        let failed = failures.get(name).copied().unwrap_or_default();
        Row {
            name: name.clone(),
            href: address::template(name),
            digests: template.digests.iter().take(4).map(|one| digest(one)).collect(),
            workers: count(template.workers),
            is_served: template.workers > 0,
            in_folder: template.in_folder,
            queued: orders(OrderState::Queued),
            running: orders(OrderState::Running),
            waiting: orders(OrderState::Waiting),
            failures: if failed == 0 { String::new() } else { count_of(failed) },
            failures_href: address::with("/console/failures", &[("template", Some(name))]),
            hold: format!("template:{name}"),
            release: address::release_hold(&format!("template:{name}")),
            is_held: held(HoldKind::Template, name),
            held_for: held_tenants(&stats.holds, name),
        }
    };
    let routes = facts.routes.iter().filter(|name| !held(HoldKind::Route, name));
    Page {
        f: frame,
        is_paused: stats.paused,
        versions: versions(&facts.templates, frame.now),
        rows: facts.templates.iter().map(row).collect(),
        folder_error: facts.folder_error.as_deref(),
        holds: stats.holds.iter().map(|hold| one_hold(hold, frame.now)).collect(),
        routes: routes.map(|name| short(name, 100)).collect(),
        workers: stats.workers.iter().map(|worker| one_worker(worker, frame.now)).collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use sitewright_jobs::{HoldCause, HoldScope};

    use super::*;

    #[test]
    fn tenants_whose_orders_of_a_template_wait_are_named() {
        let hold = |template: &str, scope: HoldScope| {
            let id = HoldId::new(HoldKind::Template, template).within(scope);
            Hold {
                kind: id.kind,
                name: id.name.clone(),
                tenant: id.scope.tenant().map(str::to_owned),
                id,
                cause: HoldCause::Circuit,
                reason: "it failed".to_owned(),
                fingerprint: None,
                since: 0,
                probes: 0,
                next_probe_at: None,
                probe_order: None,
                expired_at: None,
                orders: 1,
            }
        };
        let tenant = |name: &str| HoldScope::Tenant(name.to_owned());
        let mut holds = vec![hold("flora", HoldScope::All), hold("fauna", tenant("other"))];
        assert_eq!(held_tenants(&holds, "flora"), "");
        holds.extend([hold("flora", HoldScope::NoTenant), hold("flora", tenant("acme"))]);
        assert_eq!(held_tenants(&holds, "flora"), "orders without a tenant, acme");
        holds.extend(["b", "c"].map(|name| hold("flora", tenant(name))));
        assert_eq!(held_tenants(&holds, "flora"), "orders without a tenant, acme, b, 1 more");
        assert_eq!(held_tenants(&holds, "fauna"), "other");
    }

    #[test]
    fn the_template_that_fails_most_is_first() {
        let facts = |name: &str, ended_and_failed: &[(i64, i64)]| TemplateFacts {
            name: name.to_owned(),
            digests: Vec::new(),
            workers: 0,
            in_folder: true,
            versions: ended_and_failed
                .iter()
                .map(|&(ended, failed)| TemplateVersion {
                    ended,
                    failed,
                    ..TemplateVersion::unused("sha256:0".to_owned())
                })
                .collect(),
        };
        let templates = [
            facts("often", &[(100, 9), (100, 90)]),
            facts("most", &[(20, 3)]),
            facts("all of few", &[(2, 2)]),
            facts("never", &[(5_000, 0)]),
            facts("not yet", &[(0, 0), (7, 7)]),
            facts("unused", &[(0, 0)]),
            facts("unknown", &[]),
        ];
        let rows = versions(&templates, 0);
        let said: Vec<(&str, &str, bool)> =
            rows.iter().map(|row| (&*row.name, &*row.says, row.fails)).collect();
        let wanted = [
            ("most", "15.0 % of 20 orders", true),
            ("often", "9.0 % of 100 orders", true),
            ("all of few", "100.0 % of 2 orders", true),
            ("never", "0.0 % of 5\u{202f}000 orders", false),
            ("not yet", "– of 0 orders", false),
        ];
        assert_eq!(said, wanted);
    }
}
