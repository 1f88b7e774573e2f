//! Runs the suite on one template.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::answers::AuthorRules;
use super::author_folder::{self, AuthorFolder};
use super::case::Case;
use super::contract;
use super::harness::{FinishedSite, Harness, TestCase, TestOutcome, TestRun};
use super::judge::Judge;
use super::orders::Orders;
use super::plan::{self, Baseline, PlannedCase};
use super::report::{RuleReport, TemplateReport};
use super::rule::{Level, SuiteRule};
use super::suite;
use super::summary::Summary;
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;
use sitewright_runtime::plugin::{Catalogue, Limits, Loader};
use sitewright_site::{SitePath, SiteProblem, ViewedSite, Viewer};

/// Upper bound of a run's deadline in milliseconds; the configuration can set a lower one.
const DEADLINE_MS: u64 = 30_000;

/// Settings that all templates share.
#[derive(Clone)]
pub struct Setting {
    pub loader: Loader,
    pub limits: Limits,
    /// The locale of orders that name none.
    pub default_locale: Locale,
    /// Maximum number of concurrent runs.
    pub at_once: usize,
    /// The gateway needs one; the suite sends no request.
    pub client: Client,
    /// Looks at sites in a browser. `None`: the rules that need one are not tested.
    pub viewer: Option<Arc<dyn Viewer>>,
}

/// One template to check.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The `.wasm` file.
    pub file: PathBuf,
    /// The folder of the author's cases. Default: beside the file or its source.
    pub cases: Option<PathBuf>,
    /// Runs only rules and cases whose names contain this text.
    pub filter: Option<String>,
    /// Whether snapshots are replaced.
    pub update: bool,
    /// Gets the number of completed test cases and the total.
    pub progress: watch::Sender<(usize, usize)>,
}

impl Candidate {
    fn wants_rule(&self, rule: SuiteRule) -> bool {
        self.filter.as_ref().is_none_or(|filter| rule.id().contains(filter.as_str()))
    }

    /// Whether a rule is wanted that needs a browser.
    fn wants_browser(&self) -> bool {
        let needs = |rule: SuiteRule| matches!(rule, SuiteRule::Site(rule) if rule.needs_browser());
        SuiteRule::all().into_iter().any(|rule| needs(rule) && self.wants_rule(rule))
    }

    /// Whether the filter matches the test case's label.
    fn names(&self, planned: &PlannedCase) -> bool {
        self.filter.as_ref().is_some_and(|filter| planned.label.contains(filter.as_str()))
    }

    /// Whether a test case checks a wanted rule. Limits and pages are checked in every site of an
    /// order.
    fn wants(&self, planned: &PlannedCase) -> bool {
        let seen = |rule: SuiteRule| {
            matches!(rule.level(), Level::Limits | Level::Site) && self.wants_rule(rule)
        };
        self.wants_rule(planned.rule)
            || self.names(planned)
            || (planned.rule == SuiteRule::Whole
                && (self.wants_rule(SuiteRule::Stops) || self.wants_rule(SuiteRule::Blame)))
            || (planned.rule == SuiteRule::Expected && self.wants_rule(SuiteRule::Snapshot))
            || (planned.rule.level() == Level::Behaviour && SuiteRule::all().into_iter().any(seen))
    }
}

/// Checks one template.
///
/// # Errors
/// If the host fails or the author's folder is invalid. A broken rule is not an error but part of
/// the report.
pub async fn conform(setting: &Setting, candidate: &Candidate) -> Result<TemplateReport, Message> {
    let began = Instant::now();
    let mut summary = Summary::default();
    let folder = match &candidate.cases {
        Some(folder) if !folder.is_dir() => {
            return Err(message!(
                "there is no folder {} (--cases); give the folder with the author's cases",
                folder.display()
            ));
        }
        Some(folder) => Some(folder.clone()),
        None => {
            author_folder::folder_of(&candidate.file, setting.loader.source_of(&candidate.file))
        }
    };
    let (read, order_bytes) = (folder.clone(), setting.limits.order_bytes);
    let author = tokio::task::spawn_blocking(move || match read {
        Some(folder) => AuthorFolder::read(&folder, order_bytes),
        None => Ok(AuthorFolder::default()),
    });
    let author =
        author.await.map_err(|error| message!("reading the author's cases failed: {error}"))??;

    let limits = Limits {
        deadline_ms: setting.limits.deadline_ms.min(DEADLINE_MS),
        ..setting.limits.clone()
    };
    let template = contract::check(&setting.loader, &candidate.file, &limits, &mut summary).await;
    let mut report = TemplateReport::new(&candidate.file, template.as_deref());
    let broken = SuiteRule::all()
        .into_iter()
        .filter(|rule| rule.level() == Level::Contract && !rule.only_warns())
        .any(|rule| summary.failed(rule));
    if let Some(template) = template.filter(|_| !broken) {
        let catalogue = Catalogue::new(PathBuf::new(), setting.loader.clone());
        let harness = Harness::new(
            catalogue,
            candidate.file.clone(),
            limits.clone(),
            setting.default_locale.clone(),
            setting.client.clone(),
            author.external.clone(),
        )?;
        let (made, locale) = (template.clone(), setting.default_locale.clone());
        let max_bytes = limits.order_max_bytes();
        let suite = Suite {
            harness: Arc::new(harness),
            candidate,
            author: Arc::new(author),
            at_once: setting.at_once.max(1),
            viewer: setting.viewer.clone().filter(|_| candidate.wants_browser()),
            viewed: Mutex::default(),
        };
        let orders = tokio::task::spawn_blocking(move || {
            Orders::new(made.manifest.clone(), max_bytes, &locale)
        });
        let orders =
            orders.await.map_err(|error| message!("deriving orders failed: {error}"))??;
        summary = suite.run(Arc::new(orders), summary).await?;
    } else {
        for rule in SuiteRule::all() {
            summary.skip(rule, "the template breaks the contract");
        }
    }
    summary.check_head_room();
    report.test_cases = summary.test_cases;
    report.cases = std::mem::take(&mut summary.cases);
    report.duration_ms = millis(began.elapsed());
    for rule in SuiteRule::all() {
        let of = summary.rules.remove(&rule).unwrap_or_default();
        let shown = candidate.wants_rule(rule)
            || summary.named.contains(&rule)
            || (!of.findings.is_empty() && !rule.only_warns());
        if shown {
            report.rules.push(RuleReport::new(rule, of));
        }
    }
    report.set_passed();
    Ok(report)
}

struct Suite<'a> {
    harness: Arc<Harness>,
    candidate: &'a Candidate,
    author: Arc<AuthorFolder>,
    at_once: usize,
    /// `None` if no rule that needs a browser is wanted.
    viewer: Option<Arc<dyn Viewer>>,
    /// Digests of the pages that were looked at, each behind that of its site's other files.
    viewed: Mutex<HashSet<([u8; 32], [u8; 32])>>,
}

impl Suite<'_> {
    async fn run(&self, orders: Arc<Orders>, mut summary: Summary) -> Result<Summary, Message> {
        let cases = Arc::new(suite::cases()?);
        let rules = self.author.clone();
        let (planned, back) = self
            .planned(summary, {
                let (cases, orders) = (cases.clone(), orders.clone());
                move |summary| plan::first(&cases, &orders, &rules.answers, summary)
            })
            .await?;
        summary = back;
        let made = self.run_all(&planned).await?;
        let baseline = planned.iter().zip(&made).find_map(|(planned, made)| match &made.ended {
            TestOutcome::Site(site) => Some((
                Baseline {
                    document: planned.test_case.document.clone(),
                    asked: made.asked.clone(),
                    took: made.took,
                },
                Arc::new(site.clone()),
            )),
            _ => None,
        });
        let site = baseline.as_ref().map(|(_, site)| site.clone());
        for (planned, made) in planned.into_iter().zip(made) {
            summary = self.judged(planned, made, site.clone(), summary).await?;
        }
        match baseline {
            None => {
                for rule in
                    SuiteRule::all().into_iter().filter(|rule| rule.level() != Level::Author)
                {
                    summary.skip(rule, "neither the full nor the minimal order became a site");
                }
            }
            Some((baseline, _)) => {
                let rules = self.author.clone();
                let (mut planned, back) = self
                    .planned(summary, move |summary| {
                        plan::rest(&cases, &orders, &baseline, &rules.answers, summary)
                    })
                    .await?;
                summary = back;
                planned.retain(|planned| self.candidate.wants(planned));
                summary = self.run_and_judge(planned, site.clone(), summary).await?;
            }
        }
        let mut planned = self.authors_cases(&self.author.answers);
        planned.retain(|planned| self.candidate.wants(planned));
        summary = self.run_and_judge(planned, site, summary).await?;
        for rule in SuiteRule::all() {
            let why = match rule {
                SuiteRule::Expected => "the author has no cases",
                SuiteRule::Snapshot => {
                    "no case of the author has a snapshot; `--update` writes one"
                }
                SuiteRule::Purposes | SuiteRule::Blame | SuiteRule::Stops => {
                    "no AI call failed, or the template makes none"
                }
                SuiteRule::Site(rule) if rule.needs_browser() => "it needs `--browser`",
                _ => "no test case checked it",
            };
            summary.skip(rule, why);
        }
        Ok(summary)
    }

    fn authors_cases(&self, answers: &AuthorRules) -> Vec<PlannedCase> {
        self.author.cases.iter().map(|case| plan::authors(case, answers)).collect()
    }

    /// Plans on the blocking pool: orders are validated many times against an untrusted schema.
    async fn planned(
        &self,
        mut summary: Summary,
        plan: impl FnOnce(&mut Summary) -> Vec<PlannedCase> + Send + 'static,
    ) -> Result<(Vec<PlannedCase>, Summary), Message> {
        let planned = tokio::task::spawn_blocking(move || {
            let planned = plan(&mut summary);
            (planned, summary)
        });
        planned.await.map_err(|error| message!("planning the suite failed: {error}"))
    }

    /// Runs all test cases concurrently; the results have the order of the test cases. Only for few
    /// test cases, because it holds the sites of all of them.
    async fn run_all(&self, planned: &[PlannedCase]) -> Result<Vec<TestRun>, Message> {
        let progress = Progress::begin(self.candidate, planned.len());
        let test_cases =
            planned.iter().map(|planned| run_one(self.harness.clone(), planned.test_case.clone()));
        let mut results = stream::iter(test_cases).buffered(self.at_once);
        let mut made = Vec::with_capacity(planned.len());
        while let Some(one) = results.next().await {
            made.push(one?);
            progress.done(made.len());
        }
        Ok(made)
    }

    /// Runs all test cases concurrently and judges each when it has ended, in their order. So only
    /// as many sites are in memory as run at once.
    async fn run_and_judge(
        &self,
        planned: Vec<PlannedCase>,
        baseline: Option<Arc<FinishedSite>>,
        mut summary: Summary,
    ) -> Result<Summary, Message> {
        let progress = Progress::begin(self.candidate, planned.len());
        let test_cases = planned.into_iter().map(|planned| {
            let running = run_one(self.harness.clone(), planned.test_case.clone());
            async move { running.await.map(|made| (planned, made)) }
        });
        let mut results = stream::iter(test_cases).buffered(self.at_once);
        for number in 1.. {
            let Some(one) = results.next().await else { break };
            let (planned, made) = one?;
            summary = self.judged(planned, made, baseline.clone(), summary).await?;
            progress.done(number);
        }
        Ok(summary)
    }

    /// Judges on the blocking pool, because pages are parsed.
    async fn judged(
        &self,
        planned: PlannedCase,
        made: TestRun,
        baseline: Option<Arc<FinishedSite>>,
        mut summary: Summary,
    ) -> Result<Summary, Message> {
        if self.candidate.names(&planned) {
            summary.named.insert(planned.rule);
        }
        let viewed = self.view(&planned, &made).await?;
        let update = self.candidate.update;
        let judged = tokio::task::spawn_blocking(move || {
            let judge = Judge { baseline: baseline.as_deref(), viewed: viewed.as_deref(), update };
            judge.judge(&planned, made, &mut summary)?;
            Ok(summary)
        });
        judged.await.map_err(|error| message!("judging a test case failed: {error}"))?
    }

    /// The site for a browser, which knows the pages that were looked at before.
    fn unseen(&self, site: &FinishedSite) -> ViewedSite {
        let files = site.files.iter().filter_map(|(path, bytes)| {
            Some((SitePath::parse(path, usize::MAX).ok()?, bytes.clone()))
        });
        let files: BTreeMap<SitePath, Vec<u8>> = files.collect();
        let is_page = |path: &SitePath| path.extension().as_deref() == Some("html");
        // What pages may load.
        let shared = digest(files.iter().filter(|(path, _)| !is_page(path)));
        let mut viewed = self.viewed.lock();
        let mut is_known = |file| !viewed.insert((shared, digest(std::iter::once(file))));
        let known = files.iter().filter(|(path, _)| is_page(path)).filter(|file| is_known(*file));
        let known = known.map(|(path, _)| path.clone()).collect();
        ViewedSite { known, files, ..ViewedSite::default() }
    }

    /// What a browser finds in the site of a test case. `None` if there is no browser or no site.
    /// Layouts differ with lengths, languages and colours; the sites of other orders look like these.
    async fn view(
        &self,
        planned: &PlannedCase,
        made: &TestRun,
    ) -> Result<Option<Vec<SiteProblem>>, Message> {
        let (Some(viewer), TestOutcome::Site(site)) = (&self.viewer, &made.ended) else {
            return Ok(None);
        };
        let differs = matches!(
            planned.rule,
            SuiteRule::Minimal
                | SuiteRule::Full
                | SuiteRule::Locales
                | SuiteRule::Hostile
                | SuiteRule::Colours
                | SuiteRule::EmptyLists
                | SuiteRule::LongLists
                | SuiteRule::Expected
        );
        if !differs {
            return Ok(None);
        }
        let site = self.unseen(site);
        let found = viewer.view(site).await;
        found.map(Some).map_err(|error| {
            message!("the site of the case `{}` cannot be looked at: {error}", planned.label)
        })
    }
}

/// Identifies files by their paths and content.
fn digest<'a>(files: impl Iterator<Item = (&'a SitePath, &'a Vec<u8>)>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_str().as_bytes(), bytes] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

/// Runs one test case in a task of its own.
async fn run_one(harness: Arc<Harness>, test_case: TestCase) -> Result<TestRun, Message> {
    let running = tokio::spawn(harness.run(test_case));
    running.await.unwrap_or_else(|error| Err(message!("a test case failed: {error}")))
}

/// The number of completed test cases, for the one who watches.
struct Progress<'a> {
    shown: &'a watch::Sender<(usize, usize)>,
    before: usize,
    all: usize,
}

impl<'a> Progress<'a> {
    /// Adds these test cases to those there were before.
    fn begin(candidate: &'a Candidate, test_cases: usize) -> Self {
        let (before, all) = *candidate.progress.borrow();
        let progress = Progress { shown: &candidate.progress, before, all: all + test_cases };
        progress.done(0);
        progress
    }

    fn done(&self, number: usize) {
        self.shown.send_replace((self.before + number, self.all));
    }
}

/// The suite's cases with their rules.
///
/// # Errors
/// If an embedded file is invalid, which is a bug.
pub fn listed() -> Result<Vec<Case>, Message> {
    suite::cases()
}
