//! Runs the suite over one template.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use tokio::sync::watch;

use super::answers::AuthorRules;
use super::author::{self, Author};
use super::case::Case;
use super::contract;
use super::harness::{Ended, Lab, Made, Site};
use super::judge::Judge;
use super::orders::Orders;
use super::plan::{self, Baseline, Planned};
use super::report::{RuleReport, TemplateReport};
use super::rule::{Level, Rule};
use super::suite;
use super::summary::Tally;
use sitewright_http::Client;
use sitewright_intake::Locale;
use sitewright_model::message;
use sitewright_model::message::Message;
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
pub struct Subject {
    /// The `.wasm` file.
    pub file: PathBuf,
    /// The author's cases, when they are not beside it.
    pub cases: Option<PathBuf>,
    /// Only rules and cases whose names hold this.
    pub filter: Option<String>,
    /// Whether snapshots are written anew.
    pub update: bool,
    /// Is told how many trials are done, of how many.
    pub progress: watch::Sender<(usize, usize)>,
}

impl Subject {
    fn wants_rule(&self, rule: Rule) -> bool {
        self.filter.as_ref().is_none_or(|filter| rule.id().contains(filter.as_str()))
    }

    /// Whether a trial is asked for by its name.
    fn names(&self, planned: &Planned) -> bool {
        self.filter.as_ref().is_some_and(|filter| planned.label.contains(filter.as_str()))
    }

    /// Limits and pages are seen in whatever is made of orders.
    fn wants(&self, planned: &Planned) -> bool {
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
pub async fn conform(setting: &Setting, subject: &Subject) -> Result<TemplateReport, Message> {
    let began = Instant::now();
    let mut tally = Tally::default();
    let folder = match &subject.cases {
        Some(folder) if !folder.is_dir() => {
            return Err(message!("there is no folder {} (--cases)", folder.display()));
        }
        Some(folder) => Some(folder.clone()),
        None => author::folder_of(&subject.file, setting.loader.source_of(&subject.file)),
    };
    let read = folder.clone();
    let author = tokio::task::spawn_blocking(move || {
        read.map_or_else(|| Ok(Author::default()), |folder| Author::read(&folder))
    });
    let author = author
        .await
        .map_err(|error| message!("reading the author's cases did not end: {error}"))??;

    let limits = Limits {
        deadline_ms: setting.limits.deadline_ms.min(DEADLINE_MS),
        ..setting.limits.clone()
    };
    let template = contract::check(&setting.loader, &subject.file, &limits, &mut tally).await;
    let mut report = TemplateReport::new(&subject.file, template.as_deref());
    let broken =
        Rule::all().into_iter().any(|rule| rule.level() == Level::Contract && tally.failed(rule));
    if let Some(template) = template.filter(|_| !broken) {
        let catalogue = Catalogue::new(PathBuf::new(), setting.loader.clone());
        let lab = Lab::new(
            catalogue,
            subject.file.clone(),
            limits.clone(),
            setting.default_locale.clone(),
            setting.client.clone(),
        )?;
        let (made, locale) = (template.clone(), setting.default_locale.clone());
        let max_bytes = limits.order_max_bytes();
        let suite = Suite {
            lab: Arc::new(lab),
            subject,
            author: Arc::new(author),
            at_once: setting.at_once.max(1),
        };
        let orders = tokio::task::spawn_blocking(move || {
            Orders::new(made.manifest.clone(), max_bytes, &locale)
        });
        let orders =
            orders.await.map_err(|error| message!("making orders did not end: {error}"))??;
        tally = suite.run(Arc::new(orders), tally).await?;
    } else {
        for rule in Rule::all() {
            tally.skipped(rule, "the template breaks the contract");
        }
    }
    tally.settle();
    report.trials = tally.trials;
    report.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    for rule in Rule::all() {
        let of = tally.rules.remove(&rule).unwrap_or_default();
        let shown =
            subject.wants_rule(rule) || tally.named.contains(&rule) || !of.findings.is_empty();
        if shown {
            report.rules.push(RuleReport::new(rule, of));
        }
    }
    report.settle();
    Ok(report)
}

struct Suite<'a> {
    lab: Arc<Lab>,
    subject: &'a Subject,
    author: Arc<Author>,
    at_once: usize,
}

impl Suite<'_> {
    async fn run(&self, orders: Arc<Orders>, mut tally: Tally) -> Result<Tally, Message> {
        let cases = Arc::new(suite::cases()?);
        let rules = self.author.clone();
        let (planned, back) = self
            .planned(tally, {
                let (cases, orders) = (cases.clone(), orders.clone());
                move |tally| plan::first(&cases, &orders, &rules.answers, tally)
            })
            .await?;
        tally = back;
        let made = self.made(&planned).await?;
        let baseline = planned.iter().zip(&made).find_map(|(planned, made)| match &made.ended {
            Ended::Site(site) => Some((
                Baseline {
                    document: planned.trial.document.clone(),
                    asked: made.asked.clone(),
                    took: made.took,
                },
                site.clone(),
            )),
            _ => None,
        });
        let site = baseline.as_ref().map(|(_, site)| site.clone());
        tally = self.judged(planned, made, site.clone(), tally).await?;
        match baseline {
            None => {
                for rule in Rule::all().into_iter().filter(|rule| rule.level() != Level::Author) {
                    tally.skipped(rule, "neither the full nor the smallest order became a site");
                }
            }
            Some((baseline, _)) => {
                let rules = self.author.clone();
                let (mut planned, back) = self
                    .planned(tally, move |tally| {
                        plan::rest(&cases, &orders, &baseline, &rules.answers, tally)
                    })
                    .await?;
                tally = back;
                planned.retain(|planned| self.subject.wants(planned));
                let made = self.made(&planned).await?;
                tally = self.judged(planned, made, site.clone(), tally).await?;
            }
        }
        let mut planned = self.authors_cases(&self.author.answers)?;
        planned.retain(|planned| self.subject.wants(planned));
        let made = self.made(&planned).await?;
        tally = self.judged(planned, made, site, tally).await?;
        for rule in Rule::all() {
            let why = match rule {
                Rule::Expected => "there are no cases of the author's",
                Rule::Snapshot => "no case of the author's has a snapshot; `--update` writes one",
                Rule::Purposes | Rule::Blame | Rule::Stops => {
                    "no AI call failed it, or it makes none"
                }
                _ => "nothing of that kind came up",
            };
            tally.skipped(rule, why);
        }
        Ok(tally)
    }

    fn authors_cases(&self, answers: &AuthorRules) -> Result<Vec<Planned>, Message> {
        self.author.cases.iter().map(|case| plan::authors(case, answers)).collect()
    }

    /// Plans off the runtime's threads: a schema is a stranger's, and orders are held against it a
    /// thousand times.
    async fn planned(
        &self,
        mut tally: Tally,
        plan: impl FnOnce(&mut Tally) -> Result<Vec<Planned>, Message> + Send + 'static,
    ) -> Result<(Vec<Planned>, Tally), Message> {
        let planned =
            tokio::task::spawn_blocking(move || plan(&mut tally).map(|planned| (planned, tally)));
        planned.await.map_err(|error| message!("planning the suite did not end: {error}"))?
    }

    /// Makes all trials, several at once; the results have the order of the trials.
    async fn made(&self, planned: &[Planned]) -> Result<Vec<Made>, Message> {
        let before = *self.subject.progress.borrow();
        let all = before.1 + planned.len();
        let done = |number: usize| self.subject.progress.send_replace((before.0 + number, all));
        done(0);
        let trials = planned.iter().map(|planned| {
            let (lab, trial) = (self.lab.clone(), planned.trial.clone());
            async move {
                let made = tokio::spawn(lab.made(trial)).await;
                made.unwrap_or_else(|error| Err(message!("a trial did not end: {error}")))
            }
        });
        let mut results = stream::iter(trials).buffered(self.at_once);
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
        planned: Vec<Planned>,
        made: Vec<Made>,
        baseline: Option<Site>,
        mut tally: Tally,
    ) -> Result<Tally, Message> {
        tally.named.extend(
            planned
                .iter()
                .filter(|planned| self.subject.names(planned))
                .map(|planned| planned.rule),
        );
        let (author, update) = (self.author.clone(), self.subject.update);
        let judged = tokio::task::spawn_blocking(move || {
            let judge = Judge { baseline: baseline.as_ref(), external: &author.external, update };
            for (planned, made) in planned.iter().zip(made) {
                judge.judge(planned, made, &mut tally)?;
            }
            Ok(tally)
        });
        judged.await.map_err(|error| message!("judging the trials did not end: {error}"))?
    }
}

/// The names of the suite's cases with their rules, for people.
///
/// # Errors
/// As [`suite::cases`].
pub fn listed() -> Result<Vec<Case>, Message> {
    suite::cases()
}
