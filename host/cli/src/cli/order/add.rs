//! `order add`: adds order documents to the queue.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{revise, wait};
use crate::cli::exit::Exit;
use crate::cli::generate::read_document;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::cli::when;
use crate::config::Config;
use sitewright_control::{Document as Read, Part, Submission, Submitted, submit};
use sitewright_failure::render::{clean, paragraph};
use sitewright_intake::{InvalidOrder, Notice, OrderSnapshot};
use sitewright_jobs::{Enqueued, Priority};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::{CatalogueError, component_names, template_names};
use sitewright_webhooks::CallbackRules;

/// Add orders to the queue.
///
/// Adds all documents, or none if one of them is not a valid order. The id in the document
/// identifies an order: if the queue has it already, it is reported and not added again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Order documents (JSON), as the CRM sends them or flat; `-` reads stdin.
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,
    /// Name of the template that makes the sites.
    #[arg(long, value_name = "NAME")]
    template: String,
    /// Idempotency key: an order with the same key is the same order.
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
    /// Label of whoever the orders are for: `[ai.budget]` can limit each tenant. At most 100
    /// characters.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Nobody waits for the orders: their AI calls go through the provider's batches, which answer
    /// within a day at a lower price. An order that the queue has keeps its own.
    #[arg(long)]
    batch: bool,
    /// The orders must not begin before this time: 2h or 7d from now, a day (in UTC), or a time like
    /// 2026-12-24T08:00:00Z. They are `waiting` until then; `order retry` does not wait. An order
    /// that the queue has keeps its own.
    #[arg(long, value_name = "TIME", value_parser = when::until)]
    due: Option<i64>,
    /// Priority: 1 is claimed before 2, 2 before 3, 3 before 4.
    #[arg(long, value_name = "1..4", default_value_t = 2, value_parser = clap::value_parser!(i64).range(1..=4))]
    priority: i64,
    /// Revise orders that the queue has with another document or template, as `order revise` does,
    /// and give those with another callback the new one.
    #[arg(long)]
    revise: bool,
    /// URL that is told how the orders end, signed, as `[callbacks]` says. An order that the queue
    /// has with another one, or with none, is reported and keeps what it has, unless `--revise` is
    /// given.
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
    /// Wait until the orders have ended; report and exit as `generate` does. Ctrl-C ends the
    /// waiting, not the orders.
    #[arg(long)]
    wait: bool,
}

const EXAMPLES: &str = "\
Examples:
  sitewright order add order.json --template local-business --wait
  sitewright order add orders/*.json --template local-business --priority 4
  sitewright order add order.json --template local-business --due 2026-12-24T08:00:00Z
  crm-export 24 | sitewright --json order add - --template local-business --key crm-24-v3

In the JSON, `orders[].outcome` is new, revised, already_queued, already_running or already_done; all of \
                        these exit with 0.
`orders[].differs` is document, template or callback if the order in the queue has another one.
To run an order again that has ended: `sitewright order retry ID`.";

/// A document that is a valid order.
pub(super) struct Document {
    pub(super) file: PathBuf,
    pub(super) order: OrderSnapshot,
}

pub(super) async fn run(config: &Config, args: Args, json: bool) -> Result<Exit, SetupError> {
    check_usage(&args)?;
    check_template(config, &args.template).await?;
    let priority = Priority::try_from(args.priority)
        .map_err(|error| SetupError::Usage(message!("--priority: {error}")))?;
    let callback = callback_option(config, args.callback.as_deref())?;
    let documents = match read_all(config, &args.files).await? {
        Ok(documents) => documents,
        Err(invalid) => {
            refuse(&invalid, json);
            return Ok(Exit::InvalidOrder);
        }
    };
    let notices = match check_languages(config, &documents, &args.template).await {
        Ok(notices) => notices,
        Err(invalid) => {
            refuse(&invalid, json);
            return Ok(Exit::InvalidOrder);
        }
    };
    let submissions = documents.iter().zip(notices).map(|(document, notices)| Submission {
        callback: callback.clone(),
        tenant: args.tenant.clone(),
        only_own: false,
        batch: args.batch,
        notices,
        order: document.order.clone(),
        template: args.template.clone(),
        priority,
        idempotency_key: args.key.clone(),
        traceparent: None,
        due_at: args.due,
    });
    let database = Setup::orders_or_new(config).await?;
    let revise = args.revise.then_some(config.version.as_str());
    let submitted = submit(&database, submissions.collect(), revise).await?;
    let added: Vec<Added> = documents
        .iter()
        .zip(submitted)
        .map(|(document, submitted)| Added { file: &document.file, submitted })
        .collect();
    let exit = if args.wait {
        // Results are reported at the end, differences at once.
        for added in added
            .iter()
            .filter(|added| added.submitted.differs.is_some() || added.submitted.is_another())
        {
            output::complain(&added.text());
        }
        let ids = added.iter().map(|added| added.submitted.answer.order().to_owned()).collect();
        wait::run(&database, config, ids, json).await
    } else {
        if json {
            let orders: Vec<Value> = added.iter().map(Added::json).collect();
            output::print_json(&json!({ "outcome": "accepted", "orders": orders }));
        } else {
            output::print(&added.iter().map(Added::text).collect::<String>());
        }
        Ok(Exit::Done)
    };
    database.close().await;
    exit
}

/// A callback that may be called, as with the HTTP API; or why it may not, as the rest of a
/// sentence about it.
pub(super) fn callback(config: &Config, url: &str) -> Result<String, Message> {
    sitewright_webhooks::callback(url, config.callbacks.as_ref().map(CallbackRules::from))
}

/// The callback of the option `--callback`.
pub(super) fn callback_option(
    config: &Config,
    url: Option<&str>,
) -> Result<Option<String>, SetupError> {
    let read = url.map(|url| callback(config, url)).transpose();
    read.map_err(|why| SetupError::Usage(message!("--callback {why}")))
}

fn check_usage(args: &Args) -> Result<(), SetupError> {
    if args.key.is_some() && args.files.len() > 1 {
        return Err(SetupError::Usage(message!(
            "--key names one order, and {} files were given: add each with a key of its own",
            args.files.len()
        )));
    }
    if args.files.iter().filter(|file| *file == Path::new("-")).count() > 1 {
        return Err(SetupError::Usage(message!(
            "`-` was given more than once: stdin is one document"
        )));
    }
    if Path::new(&args.template).extension().is_some_and(|extension| extension == "wasm") {
        return Err(SetupError::Usage(message!(
            "--template {} is a file, but a worker knows templates by their names: copy it into \
             the worker's templates and give its name without `.wasm`, or use `sitewright \
             generate`",
            args.template
        )));
    }
    Ok(())
}

/// The template must be in the folder. A folder that cannot be read on this machine may exist on
/// that of the worker.
pub(super) async fn check_template(config: &Config, template: &str) -> Result<(), SetupError> {
    match template_names(&config.templates).await {
        Ok(known) if known.iter().any(|name| name == template) => Ok(()),
        Ok(_) => {
            let known = component_names(&config.templates).await?;
            let folder = config.templates.clone();
            Err(CatalogueError::Unknown { name: template.to_owned(), folder, known }.into())
        }
        Err(error) => {
            output::complain(&format!(
                "warning: cannot check whether the template `{}` exists: {error}\n",
                clean(template)
            ));
            Ok(())
        }
    }
}

/// What is said about the orders whose language the template does not write, for each of them; or
/// all of those for which it has no other language.
pub(super) async fn check_languages(
    config: &Config,
    documents: &[Document],
    template: &str,
) -> Result<Vec<Vec<Notice>>, Invalid> {
    let languages = Setup::languages(config);
    let (mut notices, mut invalid) = (Vec::with_capacity(documents.len()), Vec::new());
    for document in documents {
        match languages.check(&document.order, template).await {
            Ok(notice) => notices.push(notice.into_iter().collect()),
            Err(error) => invalid.push((document.file.clone(), error)),
        }
    }
    if invalid.is_empty() { Ok(notices) } else { Err(invalid) }
}

pub(super) type Invalid = Vec<(PathBuf, InvalidOrder)>;

/// All documents, or all problems of all of them.
pub(super) async fn read_all(
    config: &Config,
    files: &[PathBuf],
) -> Result<Result<Vec<Document>, Invalid>, SetupError> {
    let (mut documents, mut invalid) = (Vec::new(), Vec::new());
    for file in files {
        let bytes = read_document(file, config.limits.order_bytes).await.map_err(|error| {
            SetupError::Usage(message!("the order {} cannot be read: {error}", file.display()))
        })?;
        match sitewright_control::read(bytes, &config.reading()).await? {
            Read::Order(order) => documents.push(Document { file: file.clone(), order }),
            Read::Invalid(error) => invalid.push((file.clone(), error)),
        }
    }
    Ok(if invalid.is_empty() { Ok(documents) } else { Err(invalid) })
}

pub(super) fn refuse(invalid: &Invalid, json: bool) {
    if json {
        let orders: Vec<Value> = invalid
            .iter()
            .map(|(file, error)| {
                let problems: Vec<Value> = error
                    .problems()
                    .map(|problem| json!({ "at": problem.pointer, "message": problem.message }))
                    .collect();
                json!({
                    "file": file, "order": error.id(), "outcome": "invalid", "problems": problems,
                    "warnings": error.notices(),
                })
            })
            .collect();
        // With the keys of every report, so that scripts can read them without a check.
        output::print_json(&json!({
            "outcome": "invalid", "release": null, "files": [], "ai": null, "usage": null, "failure": null, "orders": orders,
        }));
        return;
    }
    let mut text = String::new();
    for (file, error) in invalid {
        let order = error.id().map_or_else(|| "it ".to_owned(), |id| format!("order {id} "));
        text.push_str(&format!(
            "error: {}: {}is not valid\n",
            clean(&file.display().to_string()),
            clean(&order)
        ));
        for problem in error.problems() {
            let at = if problem.pointer.is_empty() { "(whole document)" } else { &problem.pointer };
            text.push_str(&paragraph(&format!("{at} {}", problem.message), "  ", output::width()));
        }
        for notice in error.notices().iter().filter(|notice| notice.is_warning()) {
            text.push_str(&paragraph(&format!("! {notice}"), "  ", output::width()));
        }
    }
    text.push_str("No order was added.\n");
    output::complain(&text);
}

/// The result for one document.
struct Added<'a> {
    file: &'a Path,
    submitted: Submitted,
}

impl Added<'_> {
    fn json(&self) -> Value {
        let mut report = serde_json::Map::new();
        report.insert("file".to_owned(), json!(self.file));
        if let Value::Object(fields) = json!(self.submitted.report()) {
            report.extend(fields);
        }
        Value::Object(report)
    }

    fn text(&self) -> String {
        let Submitted { answer, due_at, sent_as, warnings, differs, revised } = &self.submitted;
        if let Some(revised) = *revised {
            return revise::line(answer.order(), revised);
        }
        let order = clean(answer.order());
        let mut text = match answer {
            Enqueued::New { job, .. } => match *due_at {
                None => format!("order {order} is queued (job {job})\n"),
                Some(due) => {
                    let due = when::time_and_distance(due);
                    format!("order {order} waits until {due} (job {job})\n")
                }
            },
            Enqueued::AlreadyQueued { .. } => {
                format!("order {order} is queued already; nothing was added\n")
            }
            Enqueued::AlreadyRunning { .. } => {
                format!("order {order} is running already; nothing was added\n")
            }
            Enqueued::AlreadyDone { state, release, .. } => {
                let release = release
                    .as_deref()
                    .map(|release| format!(", release {release}"))
                    .unwrap_or_default();
                format!(
                    "order {order} has ended already ({state}{release}); nothing was added\n  to \
                     make it again: sitewright order retry {order}\n"
                )
            }
        };
        if self.submitted.is_another() {
            text.push_str(&format!(
                "  the key is that order's, though it was sent as {}\n",
                clean(sent_as.as_ref())
            ));
        }
        for notice in warnings {
            let sign = if notice.is_warning() { "!" } else { "·" };
            text.push_str(&paragraph(&format!("{sign} {notice}"), "  ", output::width()));
        }
        match differs.as_ref().map(|differs| differs.part) {
            Some(part @ (Part::Document | Part::Template)) => text.push_str(&format!(
                "  its {} is not the one that was sent now; the queue keeps the one it has\n",
                part.as_str()
            )),
            Some(Part::Callback) => text.push_str(&format!(
                "  it has another callback than was sent now, or none, and keeps that\n  to give \
                 it this one: sitewright order callback set {order} URL, or --revise\n"
            )),
            None => {}
        }
        text
    }
}
