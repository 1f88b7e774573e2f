//! `sitewright template`: what there is and what it needs.

use serde_json::{Value, json};

use super::output::{self, Exit};
use super::setup::{Setup, SetupError};
use crate::failure::render;
use crate::message::causes_of;
use crate::plugin::{CacheOutcome, Template};

/// What can be asked of templates.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the templates of the folder, the broken ones with the reason.
    List,
    /// Keeps one run against real models as a conformance case.
    Record(super::template_record::Args),
    /// Tells all about one template: its manifest, its digest, the routes its AI calls need.
    Inspect {
        /// A template's name, or a path to a `.wasm` file.
        #[arg(value_name = "NAME|FILE.wasm")]
        template: String,
        /// Prints the JSON Schema of its orders and nothing else.
        #[arg(long)]
        schema: bool,
    },
}

pub(super) async fn run(setup: &Setup, command: Command, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let catalogue = Setup::catalogue(&config, 1)?;
    match command {
        Command::Record(args) => super::template_record::run(setup, args, json).await,
        Command::List => {
            let templates = catalogue.load_all().await?;
            let broken = templates.iter().filter(|template| template.is_err()).count();
            if json {
                let all: Vec<Value> = templates
                    .iter()
                    .map(|template| match template {
                        Ok(template) => describe(template),
                        Err(error) => json!({ "file": error.path, "error": error.to_string(), "causes": causes_of(error) }),
                    })
                    .collect();
                output::print_json(&json!({ "templates": all }));
            } else {
                let mut text = String::new();
                for template in &templates {
                    text += &match template {
                        Ok(template) => format!(
                            "{:<24} {:<10} {:>9}  {}\n",
                            template.manifest.name,
                            template.manifest.version,
                            render::bytes(template.bytes),
                            render::clean(&template.manifest.summary)
                        ),
                        Err(error) => {
                            let causes: Vec<String> =
                                causes_of(error).iter().map(ToString::to_string).collect();
                            format!("{} cannot be used: {}\n", error.path.display(), causes.join(": "))
                        }
                    };
                }
                if templates.is_empty() {
                    text += &format!("There are no templates in {}.\n", catalogue.folder().display());
                }
                output::print(&text);
            }
            Ok(if broken == 0 { Exit::Done } else { Exit::Template })
        }
        Command::Inspect { template, schema } => {
            let template = catalogue.load(&template).await?;
            if schema {
                output::print(&format!("{}\n", template.manifest.order_schema_text));
            } else if json {
                output::print_json(&describe(&template));
            } else {
                let routes = Setup::gateway(&config)?;
                output::print(&inspected(&template, |purpose| {
                    routes.purposes_without_route([purpose]).is_empty()
                }));
            }
            Ok(Exit::Done)
        }
    }
}

fn describe(template: &Template) -> Value {
    json!({
        "name": template.manifest.name,
        "version": template.manifest.version,
        "summary": template.manifest.summary,
        "contract": "sitewright:template@0.1.0",
        "file": template.path,
        "bytes": template.bytes,
        "digest": template.digest(),
        "ai_purposes": template.manifest.ai_purposes,
        "locales": template.manifest.locales,
    })
}

fn inspected(template: &Template, served: impl Fn(&str) -> bool) -> String {
    let manifest = &template.manifest;
    let locales: Vec<&str> = manifest.locales.iter().map(|locale| locale.as_str()).collect();
    let cache = match &template.cache {
        CacheOutcome::Hit => "loaded from the cache".to_owned(),
        CacheOutcome::Miss => "compiled and cached".to_owned(),
        CacheOutcome::Refused(reason) => format!("compiled again: {reason}"),
        CacheOutcome::Off => "compiled; there is no cache".to_owned(),
    };
    let bold = anstyle::Style::new().bold();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = format!(
        "{bold}{} {}{bold:#}\n  {}\n\n  file      {} ({})\n  digest    {}\n  contract  sitewright:template@0.1.0\n  languages {}\n  start     {cache}\n",
        manifest.name,
        manifest.version,
        render::clean(&manifest.summary),
        template.path.display(),
        render::bytes(template.bytes),
        template.digest(),
        locales.join(", "),
    );
    text.push_str(&format!("\n  {bold}AI purposes{bold:#}\n"));
    if manifest.ai_purposes.is_empty() {
        text.push_str("    none\n");
    }
    for purpose in &manifest.ai_purposes {
        let route = if served(&purpose.name) {
            String::new()
        } else {
            format!("    {bad}no route{bad:#}: add [ai.routes.{}] or [ai.routes.default]\n", purpose.name)
        };
        text += &format!("    {:<20} {}\n{route}", purpose.name, render::clean(&purpose.description));
    }
    text
}
