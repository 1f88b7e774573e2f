//! Reads the author's `conformance` folder: settings, replies and cases.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::answers::AuthorRules;
use super::case::{Case, OrderSource};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The folder's name beside a template or its source.
pub const FOLDER: &str = "conformance";
/// The settings in it.
const SETTINGS: &str = "conformance.toml";
/// A case's file in its folder.
const CASE: &str = "case.toml";

/// The content of a `conformance` folder.
#[derive(Debug, Default)]
pub(super) struct AuthorFolder {
    /// Hosts that pages may load from.
    pub(super) external: Vec<String>,
    /// Replies for the suite's own cases.
    pub(super) answers: AuthorRules,
    pub(super) cases: Vec<AuthorCase>,
}

/// One case of the author.
#[derive(Debug, Clone)]
pub(super) struct AuthorCase {
    pub(super) case: Case,
    pub(super) folder: PathBuf,
    pub(super) order: serde_json::Value,
    pub(super) answers: AuthorRules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Hosts that pages may load from, for example `fonts.example.com`.
    #[serde(default)]
    external: Vec<String>,
    /// A script with good replies for the suite's own cases, for requests without a schema.
    #[serde(default)]
    answers: Option<PathBuf>,
}

impl AuthorFolder {
    /// Reads a folder; a missing one is empty. Blocking.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid; the message names file and field.
    pub(super) fn read(folder: &Path) -> Result<Self, Message> {
        if !folder.is_dir() {
            return Ok(AuthorFolder::default());
        }
        let settings_file = folder.join(SETTINGS);
        let settings: Settings = if settings_file.exists() {
            parsed(&settings_file, &text(&settings_file)?)?
        } else {
            Settings::default()
        };
        let answers =
            settings.answers.map(|file| rules(&folder.join(file))).transpose()?.unwrap_or_default();
        let unreadable = |error: std::io::Error| {
            message!("the folder {} cannot be read: {error}", folder.display())
        };
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.join(CASE).is_file() {
                folders.push(path);
            } else if path.join("order.json").is_file() || path.join("ai.toml").is_file() {
                return Err(message!(
                    "the folder {} looks like a case and has no {CASE}; add one, `[expect]` alone \
                     is enough",
                    path.display()
                ));
            }
        }
        folders.sort();
        let cases = folders.into_iter().map(AuthorCase::read).collect::<Result<_, _>>()?;
        Ok(AuthorFolder { external: settings.external, answers, cases })
    }
}

impl AuthorCase {
    /// Reads one case. Blocking.
    fn read(folder: PathBuf) -> Result<Self, Message> {
        let file = folder.join(CASE);
        let mut case: Case = parsed(&file, &text(&file)?)?;
        for (field, set) in [
            ("rule", case.rule.is_some()),
            ("ai.fault", case.ai.fault.is_some()),
            ("ai.at", !case.ai.at.is_empty()),
        ] {
            if set {
                return Err(message!(
                    "in {}: `{field}` is for the suite's own cases; write faults as rules of \
                     `ai.toml`",
                    file.display()
                ));
            }
        }
        if case.name.is_empty() {
            case.name = folder
                .file_name()
                .map_or_else(|| "case".to_owned(), |name| name.to_string_lossy().into_owned());
        }
        let OrderSource::File(order) = &case.order else {
            return Err(message!(
                "in {}: `order` must name a file, like \"order.json\"",
                file.display()
            ));
        };
        let order_file = folder.join(order);
        let order = serde_json::from_str(&text(&order_file)?)
            .map_err(|error| message!("the order {} is not JSON: {error}", order_file.display()))?;
        let script = match &case.ai.script {
            Some(name) => Some(folder.join(name)),
            None => Some(folder.join("ai.toml")).filter(|file| file.exists()),
        };
        let answers = script.map(|file| rules(&file)).transpose()?.unwrap_or_default();
        Ok(AuthorCase { case, folder, order, answers })
    }
}

fn text(file: &Path) -> Result<String, Message> {
    std::fs::read_to_string(file)
        .map_err(|error| message!("the file {} cannot be read: {error}", file.display()))
}

fn rules(file: &Path) -> Result<AuthorRules, Message> {
    AuthorRules::read(&text(file)?).map_err(|error| message!("in {}: {error}", file.display()))
}

fn parsed<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T, Message> {
    toml::from_str(text)
        .map_err(|error| message!("the file {} cannot be read: {error}", file.display()))
}

/// The author's folder of a template: beside its file, or in the source folder from the
/// configuration.
pub(super) fn folder_of(template: &Path, source: Option<PathBuf>) -> Option<PathBuf> {
    let beside = template.parent().map(|folder| folder.join(FOLDER));
    // In a folder with several templates, each has a folder of cases of its own.
    let own = template.file_stem().and_then(|stem| Some(beside.as_ref()?.join(stem)));
    [source.map(|source| source.join(FOLDER)), own.filter(|own| !own.join(CASE).exists())]
        .into_iter()
        .flatten()
        .chain(beside)
        .find(|folder| folder.is_dir())
}
