//! `order revise`: the same order with a changed document.

use std::path::PathBuf;

use serde_json::json;

use super::add;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::SetupError;
use crate::config::Config;
use sitewright_control::sent_digest;
use sitewright_failure::render::clean;
use sitewright_jobs::{Database, Revised, Revision};
use sitewright_model::message;

/// Make an order again with a changed document.
///
/// Its site stays as it is until the new one has passed its checks. AI replies whose request did
/// not change are reused. A running order is not revised: wait for it, or cancel it first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sitewright order revise 24 order-24.json\n  sitewright order \
                        add order-24.json --template local-business --revise"
)]
pub(in crate::cli) struct Args {
    /// Id of the order; the document must have the same one.
    #[arg(value_name = "ID", value_parser = super::kept_id)]
    order: String,
    /// The new document (JSON); `-` reads stdin.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Make it with this template from now on.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// URL that is told how the order ends, in the place of the one that it has.
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
}

pub(super) async fn run(
    database: &Database,
    config: &Config,
    args: Args,
    json: bool,
) -> Result<Exit, SetupError> {
    let Args { order: id, file, template, callback } = args;
    let callback = add::callback_option(config, callback.as_deref())?;
    if let Some(template) = &template {
        add::check_template(config, template).await?;
    }
    let mut documents = match add::read_all(config, &[file]).await? {
        Ok(documents) => documents,
        Err(invalid) => {
            add::refuse(&invalid, json);
            return Ok(Exit::InvalidOrder);
        }
    };
    let Some(document) = documents.pop() else {
        return Err(SetupError::Host(message!("no document was read")));
    };
    let own = document.order.id().to_string();
    if own != id {
        return Err(SetupError::Usage(message!(
            "the file {} is the document of order {own:?}, not of {id:?}; nothing was changed",
            document.file.display()
        )));
    }
    let known = match &template {
        Some(template) => template.clone(),
        None => database.order(&id).await?.template,
    };
    let checked = add::check_languages(config, std::slice::from_ref(&document), &known).await;
    if let Err(invalid) = checked {
        add::refuse(&invalid, json);
        return Ok(Exit::InvalidOrder);
    }
    let text = document.order.document();
    let sent = sent_digest(&document.order, text);
    let revision = Revision {
        document: text,
        template: template.as_deref(),
        config_version: Some(config.version.as_str()),
        sent_digest: Some(&sent),
        callback: callback.as_deref(),
    };
    let revised = database.revise_as(&id, revision).await?;
    if json {
        let mut value = json!(revised);
        if let serde_json::Value::Object(fields) = &mut value {
            fields.insert("order".to_owned(), json!(id));
        }
        output::print_json(&value);
    } else {
        output::print(&line(&id, revised));
    }
    Ok(Exit::Done)
}

/// What happened, as text.
pub(super) fn line(order: &str, revised: Revised) -> String {
    let order = clean(order);
    match revised {
        Revised::Queued { revision, job } => {
            format!("revision {revision} of order {order} is queued (job {job})\n")
        }
        Revised::Unchanged { revision } => {
            format!("order {order} has this document already (revision {revision})\n")
        }
    }
}
