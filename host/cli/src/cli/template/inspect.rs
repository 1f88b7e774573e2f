//! `sitewright template inspect`: one template, without running an order.

use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_failure::render;
use sitewright_runtime::plugin::contract::{Contract, PACKAGE, Target};
use sitewright_runtime::plugin::{CacheOutcome, Template};

/// Show one template: manifest, digest, contract, AI purposes and their routes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Name of the template, or path to a `.wasm` file.
    #[arg(value_name = "NAME|FILE.wasm")]
    template: String,
    /// Print only the JSON Schema of its orders.
    #[arg(long)]
    schema: bool,
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let catalogue = Setup::catalogue(&config, 1)?;
    let template = catalogue.load(&args.template).await?;
    if args.schema {
        output::print_json_text(&format!("{}\n", template.manifest.order_schema_text));
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

/// A template as `--json` prints it.
pub(super) fn describe(template: &Template) -> Value {
    let target = &template.target;
    json!({
        "name": template.name(),
        "manifest_name": template.manifest.name,
        "version": template.manifest.version,
        "summary": template.manifest.summary,
        "contract": format!("{PACKAGE}@{}", target.contract.version),
        "world": target.world,
        "newest_contract": format!("{PACKAGE}@{}", Contract::newest().version),
        "imports": target.imports,
        "file": template.path,
        "bytes": template.bytes,
        "digest": template.digest(),
        "ai_purposes": template.manifest.ai_purposes,
        "locales": template.manifest.locales,
    })
}

/// `sitewright:template@0.1.0, world template`.
pub(super) fn contract(target: &Target) -> String {
    let world = target.world.map(|world| format!(", world {world}")).unwrap_or_default();
    format!("{PACKAGE}@{}{world}", target.contract.version)
}

/// What a newer version of the contract offers, or that there is none.
pub(super) fn outlook(target: &Target) -> String {
    let newest = Contract::newest();
    if target.contract == newest {
        return "the newest there is".to_owned();
    }
    let missed: Vec<String> = target
        .contract
        .missed()
        .iter()
        .map(|(version, news)| format!("{news} ({version})"))
        .collect();
    format!("{} would give: {}", newest.version, missed.join("; "))
}

fn inspected(template: &Template, served: impl Fn(&str) -> bool) -> String {
    let manifest = &template.manifest;
    let locales: Vec<&str> = manifest.locales.iter().map(|locale| locale.as_str()).collect();
    let cache = match &template.cache {
        CacheOutcome::Hit => "loaded from the cache".to_owned(),
        CacheOutcome::Miss => "compiled and cached".to_owned(),
        CacheOutcome::Refused(reason) => {
            format!("compiled again: {}", render::clean(&reason.to_string()))
        }
        CacheOutcome::Off => "compiled; there is no cache".to_owned(),
    };
    let bold = anstyle::Style::new().bold();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = format!(
        "{bold}{} {}{bold:#}\n  {}\n\n  file      {} ({})\n  digest    {}\n  contract  {} ({})\n  \
         languages {}\n  start     {cache}\n",
        manifest.name,
        manifest.version,
        render::clean(&manifest.summary),
        render::clean(&template.path.display().to_string()),
        render::bytes(template.bytes),
        template.digest(),
        contract(&template.target),
        outlook(&template.target),
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
            format!(
                "    {bad}no route{bad:#}: add [ai.routes.{}] or [ai.routes.default]\n",
                purpose.name
            )
        };
        text +=
            &format!("    {:<20} {}\n{route}", purpose.name, render::clean(&purpose.description));
    }
    text
}
