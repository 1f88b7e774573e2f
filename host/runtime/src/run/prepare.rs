//! What comes before the run: the order, the template, the template's schema and the journal.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sitewright_order::Locale;

use super::RunError;
use super::attempt::Attempt;
use super::classify::{Classified, classify};
use super::copy::CopyJudge;
use super::outcome::AttemptId;
use super::request::{JournalUse, ReplayInput};
use super::stage::Stage;
use super::state::AttemptError;
use crate::plugin::{CatalogueError, Manifest, Template};
use sitewright_ai::{FileJournal, RunJournal};
use sitewright_intake::{Notice, NoticeLevel, OrderSnapshot, Reading, other_language};
use sitewright_json_schema::CheckError;
use sitewright_model::ai::{AiError, AiErrorKind};
use sitewright_model::failure::{Diagnostic, FailureKind, Problem, Severity};
use sitewright_model::message;
use sitewright_model::message::causes_of;
use sitewright_site::{OrderDir, Staging};

/// What a run needs of its attempt, and what [`Attempt::finish`] needs afterwards.
pub(super) struct Prepared {
    /// The normalised order as JSON text. Thousands of runs wait, and a parsed tree takes many
    /// times the memory.
    pub(super) document: Arc<str>,
    pub(super) locale: Locale,
    pub(super) template: Arc<Template>,
    pub(super) staging: Staging,
    /// Judges AI replies. `None` in a replay: the recorded replies were judged.
    pub(super) judge: Option<Arc<CopyJudge>>,
    /// Whether the address for forms is the operator's, because the order names none.
    pub(super) forms_of_operator: bool,
}

impl Attempt<'_> {
    pub(super) async fn prepare(&mut self) -> Result<Box<Prepared>, Box<AttemptError>> {
        self.enter_stage(Stage::Order);
        let snapshot = self.read_order().await?;

        self.enter_stage(Stage::Template);
        let template = self.load_template().await?;
        self.check_purposes(&template)?;
        let snapshot = self.in_a_language_of(&template, snapshot)?;
        self.note_unused_fields(&template, &snapshot)?;
        let names_forms = snapshot.order().form_endpoint.is_some();
        let snapshot = self.with_forms(snapshot)?;
        let forms_of_operator = !names_forms && snapshot.order().form_endpoint.is_some();
        let document = self.document_for(&template, &snapshot)?;
        self.check_schema(&document, &template).await?;

        self.enter_stage(Stage::Run);
        let staging = Staging::new(
            &self.services.sites,
            order_dir(&self.state.order)?,
            order_dir(&self.request.id.to_string())?,
            self.services.limits.site(),
        );
        self.state.staging = Some(staging.clone());
        self.state.journal = self.open_journal().await?;
        let locale = snapshot.order().locale.clone();
        let judge = match &self.request.journal {
            JournalUse::Replay(_) => None,
            _ if !self.services.checks.copy => None,
            _ => {
                let policy = template.manifest.policy(&self.services.checks);
                let document = document.clone();
                let year = self.request.id.year();
                Some(Arc::new(CopyJudge::new(document, locale.clone(), year, policy)))
            }
        };
        let prepared = Prepared { document, locale, template, staging, judge, forms_of_operator };
        Ok(Box::new(prepared))
    }

    async fn read_order(&mut self) -> Result<OrderSnapshot, Box<AttemptError>> {
        let document = std::mem::take(&mut self.request.document);
        let max_bytes = self.services.limits.order_max_bytes();
        let strict = self.services.orders.strict;
        let default_locale = self.services.default_locale.clone();
        let witnessed = self.witnessed.clone();
        // A document can be written so that reading it takes a second.
        let reading = tokio::task::spawn_blocking(move || {
            let reading = Reading { max_bytes, default_locale: &default_locale, strict };
            let load = || sitewright_intake::load_as(&document, reading);
            let loaded = witnessed.blocking(load);
            (document, loaded)
        });
        let (document, loaded) = reading.await.map_err(|error| {
            let message = message!("the order could not be read: {error}");
            Box::new(match error.try_into_panic() {
                Ok(panic) => AttemptError::panicked(panic.as_ref()),
                Err(_) => AttemptError::new(FailureKind::Host, message),
            })
        })?;
        let id = match &loaded {
            Ok(snapshot) => Some(snapshot.id()),
            Err(error) => error.id(),
        };
        if let Some(id) = id {
            self.state.order = id.to_string();
            self.span.record("order", self.state.order.as_str());
        }
        if matches!(self.request.journal, JournalUse::Keep | JournalUse::Resume(_)) {
            self.archive_document(document).await;
        }
        if let Ok(snapshot) = &loaded {
            for notice in &snapshot.order().notices {
                self.trace.notice(diagnostic(notice, self.trace.now_ms()));
            }
        }
        loaded.map_err(|error| {
            let problems = error
                .problems()
                .map(|problem| at_pointer(&problem.pointer, &problem.message))
                .collect();
            let message = message!("the order is not valid{}", error.reason());
            let invalid = AttemptError::new(FailureKind::InvalidOrder, message);
            Box::new(invalid.with_causes(causes_of(&error)).with_problems(problems))
        })
    }

    async fn load_template(&mut self) -> Result<Arc<Template>, Box<AttemptError>> {
        let loading = self.services.catalogue.load(&self.request.template);
        let error = match self.unless_stopped(Box::pin(loading)).await? {
            Ok(template) => {
                self.state.template = template.reference();
                self.state.loaded = Some(template.clone());
                return Ok(template);
            }
            Err(error) => error,
        };
        let (mut kind, mut refused) = (FailureKind::TemplateLoad, None);
        if let CatalogueError::Unusable(unusable) = &error {
            if unusable.is_of_host() {
                kind = FailureKind::Host;
            }
            // Such an order waits, and uses no attempt.
            refused = unusable.is_of_busy_machine().then_some(ErrorKind::ResourceBusy);
            // Which file it was is the first question when a template that worked does not load
            // (catalogue G1).
            self.state.template.digest = unusable.digest().await.unwrap_or_default();
            self.state.compile_limit = unusable.limit();
        }
        let message = message!("the template cannot be run: {error}");
        let unusable = Classified { refused, ..Classified::new(kind, message) };
        let unusable = AttemptError::from(unusable);
        Err(Box::new(unusable.with_causes(causes_of(&error))))
    }

    fn check_purposes(&self, template: &Template) -> Result<(), Box<AttemptError>> {
        let manifest = &template.manifest;
        let purposes = manifest.ai_purposes.iter().map(|purpose| purpose.name.as_str());
        self.services.gateway.check_purposes(purposes).map_err(|unrouted| {
            let message = message!("the template `{}` cannot be run: {unrouted}", manifest.name);
            let kind = AiErrorKind::NoRoute;
            let ai = AiError::before_any_attempt(None, &unrouted.first, kind, message.clone());
            let classified =
                Classified { ai: Some(ai), ..Classified::new(FailureKind::Ai, message) };
            Box::new(classified.into())
        })
    }

    /// The order, if the template writes its language, or else in the operator's fallback language.
    /// A site in a language that nobody ordered is never made.
    fn in_a_language_of(
        &self,
        template: &Template,
        snapshot: OrderSnapshot,
    ) -> Result<OrderSnapshot, Box<AttemptError>> {
        let Manifest { name, .. } = &template.manifest;
        let writes = template.manifest.languages();
        let fallback = self.services.orders.fallback_locale.as_ref();
        let other = other_language(&snapshot, name, &writes, fallback).map_err(|invalid| {
            let why: Vec<_> = invalid.problems().map(|problem| problem.message.as_str()).collect();
            let message = message!("the site cannot be made: {}", why.join("; "));
            let problem = at_pointer("/locale", message.as_ref());
            let unknown = AttemptError::new(FailureKind::InvalidOrder, message);
            Box::new(unknown.with_problems(vec![problem]))
        })?;
        let Some((locale, notice)) = other else { return Ok(snapshot) };
        self.trace.diagnose(diagnostic(&notice, self.trace.now_ms()));
        snapshot.in_locale(locale).map_err(|error| unwritable(&error))
    }

    /// Notes the fields of the order that the template does not use, if it says which ones it does.
    fn note_unused_fields(
        &self,
        template: &Template,
        snapshot: &OrderSnapshot,
    ) -> Result<(), Box<AttemptError>> {
        let Manifest { name, used_order_fields, .. } = &template.manifest;
        let Some(used) = used_order_fields else { return Ok(()) };
        let order = snapshot.order().for_templates().map_err(|error| unwritable(&error))?;
        let unused = unused_fields(&order, used);
        if !unused.is_empty() {
            let text = format!(
                "the template `{name}` does not use `{}`: its pages do not show what they say",
                unused.join("`, `")
            );
            let notice = Notice::new(NoticeLevel::Note, "", text);
            self.trace.notice(diagnostic(&notice, self.trace.now_ms()));
        }
        Ok(())
    }

    /// The order with the operator's address for forms, if it names none.
    fn with_forms(&self, snapshot: OrderSnapshot) -> Result<OrderSnapshot, Box<AttemptError>> {
        let Some(endpoint) = &self.services.orders.form_endpoint else { return Ok(snapshot) };
        snapshot.with_form_endpoint(endpoint).map_err(|error| unwritable(&error))
    }

    fn document_for(
        &self,
        template: &Template,
        snapshot: &OrderSnapshot,
    ) -> Result<Arc<str>, Box<AttemptError>> {
        template.manifest.document_of(snapshot).map_err(|error| unwritable(&error))
    }

    /// Checks the order against the template's own schema.
    async fn check_schema(
        &mut self,
        document: &str,
        template: &Template,
    ) -> Result<(), Box<AttemptError>> {
        let schema = &template.manifest.order_schema;
        let checking = schema.check(document, Some(self.deadline.into_std()));
        let problems = match self.unless_stopped(checking).await? {
            Ok(problems) => problems,
            Err(error) => {
                if let CheckError::TooCostly { exceeded, .. } = &error {
                    self.state.compile_limit = exceeded.limit();
                }
                return Err(self.unchecked(&error, template));
            }
        };
        let Some(first) = problems.first() else { return Ok(()) };
        let more = match problems.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        let message = message!(
            "the template `{}` does not accept this order: {} at {:?}{more}",
            template.manifest.name,
            first.message,
            first.pointer,
        );
        let problems =
            problems.iter().map(|problem| at_pointer(&problem.pointer, &problem.message)).collect();
        Err(Box::new(AttemptError::new(FailureKind::InvalidOrder, message).with_problems(problems)))
    }

    /// The order could not be checked against the template's schema.
    fn unchecked(&self, error: &CheckError, template: &Template) -> Box<AttemptError> {
        match error {
            CheckError::Deadline => {
                let limits = &self.services.limits;
                Box::new(classify(RunError::Deadline, &self.trace, "", limits, 0).into())
            }
            CheckError::TooCostly { .. } => {
                let name = &template.manifest.name;
                let message = message!("the template `{name}` cannot be run: {error}");
                Box::new(AttemptError::new(FailureKind::TemplateLoad, message))
            }
            CheckError::NotJson(_) | CheckError::Host(_) => Box::new(AttemptError::new(
                FailureKind::Host,
                message!("the order could not be checked: {error}"),
            )),
        }
    }

    /// The journal of this attempt. One that cannot be read is an error: going on without it would
    /// pay for its replies again.
    async fn open_journal(&self) -> Result<Option<Arc<RunJournal>>, Box<AttemptError>> {
        let order = self.state.order.as_str();
        let file = |attempt| journal_file(self.services.sites.path(), order, attempt);
        let earlier = match &self.request.journal {
            JournalUse::Off => return Ok(None),
            JournalUse::Of(journal) | JournalUse::Replay(ReplayInput { journal, .. }) => {
                return Ok(Some(journal.clone()));
            }
            JournalUse::Keep => None,
            JournalUse::Resume(attempt) => Some(file(*attempt)),
        };
        let own = file(self.request.id);
        let (sites, folder) = (self.services.sites.clone(), order_dir(order)?);
        let open = move || {
            // Refuses a link in the place of the order's folder.
            sites
                .ensure_order(&folder)
                .map_err(|error| message!("the journal could not be opened: {error}"))?;
            FileJournal::open(own, earlier.as_deref())
        };
        let opened = tokio::task::spawn_blocking(open)
            .await
            .unwrap_or_else(|error| Err(message!("the journal could not be opened: {error}")));
        match opened {
            Ok(journal) => Ok(Some(Arc::new(RunJournal::new(Arc::new(journal))))),
            Err(message) => Err(Box::new(AttemptError::new(FailureKind::Host, message))),
        }
    }

    /// What `work` returns, unless the attempt is cancelled or its deadline passes first.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Box<AttemptError>> {
        let stopped = tokio::select! {
            biased;
            () = self.request.cancel.cancelled() => RunError::Cancelled,
            () = tokio::time::sleep_until(self.deadline) => RunError::Deadline,
            done = work => return Ok(done),
        };
        Err(Box::new(classify(stopped, &self.trace, "", &self.services.limits, 0).into()))
    }
}

/// The file of an attempt's AI replies: `<sites>/<order>/journal/<attempt>.jsonl`.
pub fn journal_file(sites: &Path, order: &str, attempt: AttemptId) -> PathBuf {
    sites.join(order).join("journal").join(format!("{attempt}.jsonl"))
}

/// Fields that every order has, or that reading derives from others.
const DERIVED: [&str; 7] =
    ["id", "locale", "niche", "tone", "primary_cta", "primary_service", "country"];

/// The fields of an order that have a value, and are neither in `used` nor in [`DERIVED`]. Of
/// `extra`, each field is one.
fn unused_fields(order: &Value, used: &[String]) -> Vec<String> {
    /// Maximum number of fields of `extra` that are named.
    const MAX_EXTRA: usize = 20;
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    };
    let is_used = |name: &str| DERIVED.contains(&name) || used.iter().any(|used| used == name);
    let mut unused = Vec::new();
    for (name, value) in order.as_object().into_iter().flatten() {
        if !says(value) || is_used(name.as_str()) {
            continue;
        }
        match value.as_object().filter(|_| name == "extra") {
            Some(extra) => {
                unused.extend(extra.iter().filter(|(_, value)| says(value)).take(MAX_EXTRA).map(
                    |(name, _)| format!("extra.{}", name.chars().take(60).collect::<String>()),
                ))
            }
            None => unused.push(name.clone()),
        }
    }
    unused
}

/// A notice about the order as a diagnostic of the attempt: so it is in the report of the release,
/// the failure record and their JSON.
fn diagnostic(notice: &Notice, at_ms: u64) -> Diagnostic {
    let (severity, code) = match notice.level {
        NoticeLevel::Warning => (Severity::Warning, "order-value"),
        NoticeLevel::Note => (Severity::Info, "order-note"),
    };
    Diagnostic {
        seq: None,
        at_ms,
        severity,
        code: code.to_owned(),
        message: message!("the order: {notice}"),
        causes: Vec::new(),
        location: None,
        attributes: [("pointer".to_owned(), notice.pointer.clone())].into(),
    }
}

fn unwritable(error: &serde_json::Error) -> Box<AttemptError> {
    let message = message!("the order could not be written for the template: {error}");
    Box::new(AttemptError::new(FailureKind::Host, message))
}

fn at_pointer(pointer: &str, message: &str) -> Problem {
    Problem { at: pointer.to_owned(), rule: None, message: message.to_owned() }
}

fn order_dir(name: &str) -> Result<OrderDir, Box<AttemptError>> {
    OrderDir::new(name).map_err(|error| {
        let message = message!("the order's id cannot name a folder: {error}");
        Box::new(AttemptError::new(FailureKind::InvalidOrder, message))
    })
}

#[cfg(test)]
mod tests {
    use super::unused_fields;

    #[test]
    fn fields_with_a_value_that_a_template_does_not_use_are_named() {
        let order = serde_json::json!({
            "id": "1", "locale": "en", "tone": "friendly", "business_name": "B", "services": [],
            "has_whatsapp": false, "menu": [{ "items": [] }], "team": [{ "name": "A" }],
            "years_in_business": 7, "legal": {}, "extra": { "a": 1, "b": "" },
        });
        for (used, expected) in [
            (&["business_name", "menu", "extra"][..], &["team", "years_in_business"][..]),
            (&["business_name", "menu", "team", "years_in_business", "extra"], &[]),
            (&["services"], &["business_name", "menu", "team", "years_in_business", "extra.a"]),
        ] {
            let used: Vec<String> = used.iter().map(|name| (*name).to_owned()).collect();
            let mut found = unused_fields(&order, &used);
            let mut expected: Vec<&str> = expected.to_vec();
            // With or without the order of the document.
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{used:?}");
        }
    }
}
