//! `order release`: the releases of an order, what differs between two, and which one visitors see.

use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use crate::cli::table::{Align, table};
use crate::cli::when;
use crate::config::Config;
use sitewright_control::{
    FileDiff, LineChange, ReleaseDiff, choose_release, compare, release, release_store, releases,
};
use sitewright_failure::render::{self, clean};
use sitewright_jobs::{Database, ReleaseChoice};
use sitewright_model::message;
use sitewright_site::{Manifest, SiteStore, SitesRoot, StoredRelease};

const DIM: anstyle::Style = anstyle::Style::new().dimmed();
const GONE: anstyle::Style = anstyle::AnsiColor::Red.on_default();
const NEW: anstyle::Style = anstyle::AnsiColor::Green.on_default();

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the releases that are kept, newest first.
    List {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
    },
    /// Show what differs between two releases: files, and lines of those that are text.
    Diff {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
        /// Id of the release that is compared to.
        #[arg(value_name = "BEFORE")]
        before: String,
        /// Id of the other one.
        #[arg(value_name = "AFTER")]
        after: String,
    },
    /// Make a release the one that visitors see, until the next one is made.
    ///
    /// Nothing is made again and nothing is paid for. The other releases stay, so that this can be
    /// undone in the same way.
    Use {
        /// Id of the order.
        #[arg(value_name = "ID")]
        order: String,
        /// Id of the release.
        #[arg(value_name = "RELEASE")]
        release: String,
    },
}

pub(super) async fn run(
    database: &Database,
    config: &Config,
    command: Command,
    json: bool,
) -> Result<Exit, SetupError> {
    let store = store(config).await?;
    match command {
        Command::List { order } => {
            let found = releases(database, &store, &order).await?;
            list(&order, &found, json);
        }
        Command::Diff { order, before, after } => {
            let manifest = async |id: &str| -> Result<Manifest, SetupError> {
                let found = release(database, &store, &order, id).await?;
                found.manifest.map_err(|why| {
                    SetupError::Host(message!("the manifest of release {id} is unreadable: {why}"))
                })
            };
            let diff = compare(&store, &manifest(&before).await?, &manifest(&after).await?).await?;
            if json {
                output::print_json(&diff);
            } else {
                output::print(&diff_text(&diff));
            }
        }
        Command::Use { order, release } => {
            let keep = config.keep_releases;
            let choice = choose_release(database, &store, &order, &release, None, keep).await?;
            used(&order, &release, &choice, json);
        }
    }
    Ok(Exit::Done)
}

/// Where releases are.
async fn store(config: &Config) -> Result<SiteStore, SetupError> {
    if config.store.is_some() {
        let sites = SitesRoot::open(&config.sites)?;
        return Setup::store(config, &sites, &sitewright_http::client()?).await;
    }
    release_store(&config.sites, None).await?.ok_or_else(|| {
        SetupError::Usage(message!(
            "there is no sites folder `{}` on this machine; run this where the workers keep it",
            config.sites.display()
        ))
    })
}

fn list(order: &str, releases: &[StoredRelease], json: bool) {
    if json {
        let all: Vec<Value> = releases
            .iter()
            .map(|release| {
                let manifest = release.manifest.as_ref();
                json!({
                    "id": release.id,
                    "current": release.current,
                    "manifest": manifest.ok(),
                    "error": manifest.err(),
                })
            })
            .collect();
        output::print_json(&json!({ "order": order, "releases": all }));
        return;
    }
    if releases.is_empty() {
        output::print(&format!("order {} has no release\n", clean(order)));
        return;
    }
    let heading = ["RELEASE", "", "MADE", "TEMPLATE", "DOCUMENT", "FILES", "SIZE"];
    let mut rows = vec![heading.map(|name| format!("{DIM}{name}{DIM:#}"))];
    rows.extend(releases.iter().map(row));
    let columns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
    ];
    output::print(&table(columns, &rows));
}

fn row(release: &StoredRelease) -> [String; 7] {
    let current = if release.current { format!("{NEW}current{NEW:#}") } else { String::new() };
    let id = release.id.to_string();
    match &release.manifest {
        Ok(manifest) => {
            let made = manifest.created_at.unix_timestamp().saturating_mul(1_000);
            let template = format!("{} {}", manifest.template.name, manifest.template.version);
            [
                id,
                current,
                when::time_and_distance(made),
                output::one_line(&template, 40),
                manifest.revision.map(|revision| revision.to_string()).unwrap_or_default(),
                manifest.files.len().to_string(),
                render::bytes(manifest.total_bytes),
            ]
        }
        Err(why) => {
            let why = output::one_line(why.as_str(), 60);
            [id, current, why, String::new(), String::new(), String::new(), String::new()]
        }
    }
}

fn diff_text(diff: &ReleaseDiff) -> String {
    if diff.files.is_empty() {
        return "Both releases have the same files.\n".to_owned();
    }
    let mut text = String::new();
    for file in &diff.files {
        text.push_str(&file_text(file));
    }
    let alike = i64::try_from(diff.same).unwrap_or(i64::MAX);
    text.push_str(&format!("{} alike\n", output::count(alike, "file")));
    text
}

fn file_text(file: &FileDiff) -> String {
    let size = match (file.bytes_before, file.bytes_after) {
        (Some(before), Some(after)) => {
            format!("{} -> {}", render::bytes(before), render::bytes(after))
        }
        (one, other) => one.or(other).map(render::bytes).unwrap_or_default(),
    };
    let mut text = format!("{}  {}  {DIM}{size}{DIM:#}\n", file.path, file.change);
    for line in &file.lines {
        let shown = clean(&line.text);
        text.push_str(&match line.change {
            LineChange::Same => format!("    {shown}\n"),
            LineChange::Removed => format!("  {GONE}- {shown}{GONE:#}\n"),
            LineChange::Added => format!("  {NEW}+ {shown}{NEW:#}\n"),
            LineChange::Gap => format!("  {DIM}...{DIM:#}\n"),
        });
    }
    if let Some(note) = file.note {
        text.push_str(&format!("  {DIM}it {note}{DIM:#}\n"));
    }
    if file.is_cut && !file.lines.is_empty() {
        text.push_str(&format!("  {DIM}more lines differ{DIM:#}\n"));
    }
    text
}

fn used(order: &str, release: &str, choice: &ReleaseChoice, json: bool) {
    let (outcome, before) = match choice {
        ReleaseChoice::Chosen { before } => ("chosen", before.as_deref()),
        ReleaseChoice::Unchanged => ("unchanged", None),
        ReleaseChoice::Moved { current } => ("moved", current.as_deref()),
    };
    if json {
        output::print_json(&json!({
            "outcome": outcome, "order": order, "release": release, "before": before,
        }));
        return;
    }
    let (order, release) = (clean(order), clean(release));
    output::print(&match choice {
        ReleaseChoice::Chosen { before: Some(before) } => format!(
            "visitors of order {order} see release {release}\n  undo: sitewright order release use \
             {order} {}\n",
            clean(before)
        ),
        ReleaseChoice::Chosen { before: None } => {
            format!("visitors of order {order} see release {release}\n")
        }
        ReleaseChoice::Unchanged => {
            format!("release {release} of order {order} was the current one already\n")
        }
        // Only if a worker completes the order at this moment.
        ReleaseChoice::Moved { .. } => format!(
            "nothing was changed: a new release of order {order} became current at this moment\n"
        ),
    });
}
