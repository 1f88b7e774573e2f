//! Runs the suite over one template.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use tokio::sync::watch;

use super::answers::AuthorRules;
use super::author_folder::{self, AuthorFolder};
use super::case::Case;
use super::contract;
use super::harness::{FinishedSite, Harness, TestOutcome, TestRun};
use super::judge::Judge;
use super::orders::Orders;
use super::plan::{self, Baseline, PlannedCase};
use super::report::{RuleReport, TemplateReport};
use super::rule::{Level, Rule};
use super::suite;
use super::summary::Summary;
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;
use sitewright_runtime::plugin::{Catalogue, Limits, Loader};

/// Milliseconds after which a run of the suite is at its end, when the configuration does not say
/// less.
const DEADLINE_MS: u64 = 30_000;

/// What all templates are tried with.
#[derive(Clone)]
pub struct Setting {
    /// Loads them.
    pub loader: Loader,
    /// What they may use.
    pub limits: Limits,
    /// The language of orders that name none.
    pub default_locale: Locale,
    /// Runs at once.
    pub at_once: usize,
    /// Never used to ask anybody.
    pub client: Client,
}

/// One template to be tried.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The `.wasm` file.
    pub file: PathBuf,
    /// The author's cases, when they are not beside it.
    pub cases: Option<PathBuf>,
    /// Only rules and cases whose names hold this.
    pub filter: Option<String>,
    /// Whether snapshots are written anew.
    pub update: bool,
    /// Is told how many test_cases are done, of how many.
    pub progress: watch::Sender<(usize, usize)>,
}

impl Candidate {
    fn wants_rule(&self, rule: Rule) -> bool {
        self.filter.as_ref().is_none_or(|filter| rule.id().contains(filter.as_str()))
    }

    /// Whether a test_case is asked for by its name.
    fn names(&self, planned: &PlannedCase) -> bool {
        self.filter.as_ref().is_some_and(|filter| planned.label.contains(filter.as_str()))
    }

    /// Limits and pages are seen in whatever is made of orders.
    fn wants(&self, planned: &PlannedCase) -> bool {
        let seen = |rule: Rule| {
            matches!(rule.level(), Level::Limits | Level::Site) && self.wants_rule(rule)
        };
        self.wants_rule(planned.rule)
            || self.names(planned)
            || (planned.rule == Rule::Whole
                && (self.wants_rule(Rule::Stops) || self.wants_rule(Rule::Blame)))
            || (planned.rule == Rule::Expected && self.wants_rule(Rule::Snapshot))
            || (planned.rule.level() == Level::Behaviour && Rule::all().into_iter().any(seen))
    }
}

/// Tries one template.
///
/// # Errors
/// When the host, or what the author has put beside the template, is no good. What is wrong with
/// the template is no error but the result.
pub async fn conform(setting: &Setting, candidate: &Candidate) -> Result<TemplateReport, Message> {
    let began = Instant::now();
    let mut summary = Summary::default();
    let folder = match &candidate.cases {
        Some(folder) if !folder.is_dir() => {
            return Err(message!("there is no folder {} (--cases)", folder.display()));
        }
        Some(folder) => Some(folder.clone()),
        None => {
            author_folder::folder_of(&candidate.file, setting.loader.source_of(&candidate.file))
        }
    };
    let read = folder.clone();
    let author = tokio::task::spawn_blocking(move || {
        read.map_or_else(|| Ok(AuthorFolder::default()), |folder| AuthorFolder::read(&folder))
    });
    let author = author
        .await
        .map_err(|error| message!("reading the author's cases did not end: {error}"))??;

    let limits = Limits {
        deadline_ms: setting.limits.deadline_ms.min(DEADLINE_MS),
        ..setting.limits.clone()
    };
    let template = contract::check(&setting.loader, &candidate.file, &limits, &mut summary).await;
    let mut report = TemplateReport::new(&candidate.file, template.as_deref());
    let broken =
        Rule::all().into_iter().any(|rule| rule.level() == Level::Contract && summary.failed(rule));
    if let Some(template) = template.filter(|_| !broken) {
        let catalogue = Catalogue::new(PathBuf::new(), setting.loader.clone());
        let harness = Harness::new(
            catalogue,
            candidate.file.clone(),
            limits.clone(),
            setting.default_locale.clone(),
            setting.client.clone(),
        )?;
        let (made, locale) = (template.clone(), setting.default_locale.clone());
        let max_bytes = limits.order_max_bytes();
        let suite = Suite {
            harness: Arc::new(harness),
            candidate,
            author: Arc::new(author),
            at_once: setting.at_once.max(1),
        };
        let orders = tokio::task::spawn_blocking(move || {
            Orders::new(made.manifest.clone(), max_bytes, &locale)
        });
        let orders =
            orders.await.map_err(|error| message!("making orders did not end: {error}"))??;
        summary = suite.run(Arc::new(orders), summary).await?;
    } else {
        for rule in Rule::all() {
            summary.skip(rule, "the template breaks the contract");
        }
    }
    summary.settle();
    report.test_cases = summary.test_cases;
    report.duration_ms = millis(began.elapsed());
    for rule in Rule::all() {
        let of = summary.rules.remove(&rule).unwrap_or_default();
        let shown =
            candidate.wants_rule(rule) || summary.named.contains(&rule) || !of.findings.is_empty();
        if shown {
            report.rules.push(RuleReport::new(rule, of));
        }
    }
    report.settle();
    Ok(report)
}

struct Suite<'a> {
    harness: Arc<Harness>,
    candidate: &'a Candidate,
    author: Arc<AuthorFolder>,
    at_once: usize,
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
        let made = self.made(&planned).await?;
        let baseline = planned.iter().zip(&made).find_map(|(planned, made)| match &made.ended {
            TestOutcome::Site(site) => Some((
                Baseline {
                    document: planned.test_case.document.clone(),
                    asked: made.asked.clone(),
                    took: made.took,
                },
                site.clone(),
            )),
            _ => None,
        });
        let site = baseline.as_ref().map(|(_, site)| site.clone());
        summary = self.judged(planned, made, site.clone(), summary).await?;
        match baseline {
            None => {
                for rule in Rule::all().into_iter().filter(|rule| rule.level() != Level::Author) {
                    summary.skip(rule, "neither the full nor the smallest order became a site");
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
                let made = self.made(&planned).await?;
                summary = self.judged(planned, made, site.clone(), summary).await?;
            }
        }
        let mut planned = self.authors_cases(&self.author.answers)?;
        planned.retain(|planned| self.candidate.wants(planned));
        let made = self.made(&planned).await?;
        summary = self.judged(planned, made, site, summary).await?;
        for rule in Rule::all() {
            let why = match rule {
                Rule::Expected => "there are no cases of the author's",
                Rule::Snapshot => "no case of the author's has a snapshot; `--update` writes one",
                Rule::Purposes | Rule::Blame | Rule::Stops => {
                    "no AI call failed it, or it makes none"
                }
                _ => "nothing of that kind came up",
            };
            summary.skip(rule, why);
        }
        Ok(summary)
    }

    fn authors_cases(&self, answers: &AuthorRules) -> Result<Vec<PlannedCase>, Message> {
        self.author.cases.iter().map(|case| plan::authors(case, answers)).collect()
    }

    /// Plans off the runtime's threads: a schema is a stranger's, and orders are held against it a
    /// thousand times.
    async fn planned(
        &self,
        mut summary: Summary,
        plan: impl FnOnce(&mut Summary) -> Result<Vec<PlannedCase>, Message> + Send + 'static,
    ) -> Result<(Vec<PlannedCase>, Summary), Message> {
        let planned = tokio::task::spawn_blocking(move || {
            plan(&mut summary).map(|planned| (planned, summary))
        });
        planned.await.map_err(|error| message!("planning the suite did not end: {error}"))?
    }

    /// Makes all test_cases, several at once; the results have the order of the test_cases.
    async fn made(&self, planned: &[PlannedCase]) -> Result<Vec<TestRun>, Message> {
        let before = *self.candidate.progress.borrow();
        let all = before.1 + planned.len();
        let done = |number: usize| self.candidate.progress.send_replace((before.0 + number, all));
        done(0);
        let test_cases = planned.iter().map(|planned| {
            let (harness, test_case) = (self.harness.clone(), planned.test_case.clone());
            async move {
                let made = tokio::spawn(harness.made(test_case)).await;
                made.unwrap_or_else(|error| Err(message!("a test_case did not end: {error}")))
            }
        });
        let mut results = stream::iter(test_cases).buffered(self.at_once);
        let mut made = Vec::with_capacity(planned.len());
        while let Some(one) = results.next().await {
            made.push(one?);
            done(made.len());
        }
        Ok(made)
    }

    /// Judges off the runtime's threads: pages are parsed.
    async fn judged(
        &self,
        planned: Vec<PlannedCase>,
        made: Vec<TestRun>,
        baseline: Option<FinishedSite>,
        mut summary: Summary,
    ) -> Result<Summary, Message> {
        summary.named.extend(
            planned
                .iter()
                .filter(|planned| self.candidate.names(planned))
                .map(|planned| planned.rule),
        );
        let (author, update) = (self.author.clone(), self.candidate.update);
        let judged = tokio::task::spawn_blocking(move || {
            let judge = Judge { baseline: baseline.as_ref(), external: &author.external, update };
            for (planned, made) in planned.iter().zip(made) {
                judge.judge(planned, made, &mut summary)?;
            }
            Ok(summary)
        });
        judged.await.map_err(|error| message!("judging the test_cases did not end: {error}"))?
    }
}

/// The names of the suite's cases with their rules, for people.
///
/// # Errors
/// As [`suite::cases`].
pub fn listed() -> Result<Vec<Case>, Message> {
    suite::cases()
}
