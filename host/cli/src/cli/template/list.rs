//! `sitewright template list`: the templates of the folder.

use serde_json::{Value, json};

use super::inspect::describe;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_failure::render;
use sitewright_model::message::causes_of;

pub(super) async fn run(setup: &Setup, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let catalogue = Setup::catalogue(&config, 1)?;
    let templates = catalogue.load_all().await?;
    let broken = templates.iter().filter(|template| template.is_err()).count();
    if json {
        let all: Vec<Value> = templates
            .iter()
            .map(|template| match template {
                Ok(template) => describe(template),
                Err(error) => {
                    json!({ "file": error.path, "error": error.to_string(), "causes": causes_of(error) })
                }
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
                    let path = render::clean(&error.path.display().to_string());
                    let why = output::lines(&causes.join(": "), "  ");
                    format!("{path} cannot be used: {why}\n")
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
