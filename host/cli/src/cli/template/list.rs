//! `sitewright template list`: the templates of the folder.

use serde_json::{Value, json};

use super::inspect::describe;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::cli::table::{Align, table};
use sitewright_failure::render;
use sitewright_model::message::causes_of;
use sitewright_runtime::plugin::Listed;

pub(super) async fn run(setup: &Setup, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let catalogue = Setup::catalogue(&config, 1)?;
    let templates = catalogue.list().await?;
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
        let rows: Vec<[String; 4]> = templates.iter().flatten().map(row).collect();
        let usable = table([Align::Left, Align::Left, Align::Right, Align::Left], &rows);
        let mut usable = usable.lines();
        let mut text = String::new();
        for template in &templates {
            match template {
                Ok(_) => text.push_str(usable.next().unwrap_or_default()),
                Err(error) => {
                    let causes: Vec<String> =
                        causes_of(error).iter().map(ToString::to_string).collect();
                    let path = render::clean(&error.path.display().to_string());
                    let why = output::lines(&causes.join(": "), "  ");
                    text += &format!("{path} cannot be used: {why}");
                }
            }
            text.push('\n');
        }
        if templates.is_empty() {
            text += &format!("There are no templates in {}.\n", catalogue.folder().display());
        }
        output::print(&text);
    }
    Ok(if broken == 0 { Exit::Done } else { Exit::Template })
}

/// The row of a template: the name by which orders name it, version, size, summary; and the name of
/// its manifest if that is another one.
fn row(template: &Listed) -> [String; 4] {
    let manifest = template.manifest();
    let name = template.name();
    let own = match name == manifest.name {
        true => String::new(),
        false => format!(" (manifest: {})", manifest.name),
    };
    [
        render::clean(&format!("{name}{own}")),
        manifest.version.clone(),
        render::bytes(template.bytes()),
        render::clean(&manifest.summary),
    ]
}
