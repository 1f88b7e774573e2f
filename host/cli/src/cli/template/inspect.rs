//! `sitewright template inspect`: one template, without running an order.

use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_failure::render;
use sitewright_runtime::plugin::contract::{Contract, PACKAGE, Target};
use sitewright_runtime::plugin::{CacheOutcome, Listed, Manifest};

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
    let config = setup.author_config()?;
    let catalogue = Setup::catalogue(&config, 1)?;
    let template = catalogue.look_up(&args.template).await?;
    if args.schema {
        output::print_json_text(&format!("{}\n", template.manifest().order_schema_text));
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
pub(super) fn describe(template: &Listed) -> Value {
    let (target, manifest) = (template.target(), template.manifest());
    json!({
        "name": template.name(),
        "manifest_name": manifest.name,
        "version": manifest.version,
        "summary": manifest.summary,
        "contract": format!("{PACKAGE}@{}", target.contract.version),
        "world": target.world,
        "newest_contract": format!("{PACKAGE}@{}", Contract::newest().version),
        "imports": target.imports,
        "file": template.path(),
        "bytes": template.bytes(),
        "digest": template.digest(),
        "ai_purposes": manifest.ai_purposes,
        "locales": manifest.locales,
        "fallback_locale": manifest.fallback_locale,
        "order_fields": manifest.used_order_fields,
        "copy_marks": manifest.copy_marks,
        "site_bytes": manifest.site_bytes,
        "external_hosts": manifest.external_hosts,
        "exempt_purposes": manifest.exempt_purposes,
        "loaded": matches!(template, Listed::Loaded(_)),
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

/// The languages, and the one for orders in others.
fn languages(manifest: &Manifest) -> String {
    let locales: Vec<&str> = manifest.locales.iter().map(|locale| locale.as_str()).collect();
    let locales = locales.join(", ");
    match &manifest.fallback_locale {
        Some(fallback) => format!("{locales}; for orders in others: {fallback}"),
        None => locales,
    }
}

/// Lines for what a manifest may leave out.
fn optional(manifest: &Manifest) -> String {
    let marks = (!manifest.copy_marks.is_empty()).then(|| manifest.copy_marks.join(", "));
    let fields = manifest.used_order_fields.as_ref().map(|fields| fields.join(", "));
    let size = manifest.site_bytes.map(|most| format!("at most {}", render::bytes(most)));
    let hosts = (!manifest.external_hosts.is_empty()).then(|| manifest.external_hosts.join(", "));
    let exempt = (!manifest.exempt_purposes.is_empty())
        .then(|| format!("replies for {}", manifest.exempt_purposes.join(", ")));
    [("uses", fields), ("never", marks), ("sites", size), ("loads", hosts), ("no copy", exempt)]
        .into_iter()
        .filter_map(|(what, value)| Some(format!("  {what:<9} {}\n", render::clean(&value?))))
        .collect()
}

fn inspected(template: &Listed, served: impl Fn(&str) -> bool) -> String {
    let manifest = template.manifest();
    let cache = match template {
        Listed::Stated(_) => "not compiled: the manifest is in the file".to_owned(),
        Listed::Loaded(template) => match &template.cache {
            CacheOutcome::Hit => "loaded from the cache".to_owned(),
            CacheOutcome::Miss => "compiled and cached".to_owned(),
            CacheOutcome::Refused(reason) => {
                format!("compiled again: {}", render::clean(&reason.to_string()))
            }
            CacheOutcome::Off => "compiled; there is no cache".to_owned(),
        },
    };
    let bold = anstyle::Style::new().bold();
    let bad = anstyle::AnsiColor::Red.on_default().bold();
    let mut text = format!(
        "{bold}{} {}{bold:#}\n  {}\n\n  file      {} ({})\n  digest    {}\n  contract  {} ({})\n  \
         languages {}\n  start     {cache}\n",
        manifest.name,
        manifest.version,
        render::clean(&manifest.summary),
        render::clean(&template.path().display().to_string()),
        render::bytes(template.bytes()),
        template.digest(),
        contract(template.target()),
        outlook(template.target()),
        languages(manifest),
    );
    text.push_str(&optional(manifest));
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
