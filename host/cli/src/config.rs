//! What the operator sets: `sitewright.toml`, and every key also as an environment variable.
//!
//! `SITEWRIGHT_LIMITS__CPU_MS=5000` is `cpu_ms` in `[limits]`: the prefix, then the key's parts in
//! capitals with two underscores between them. A variable beats the file, the file beats the
//! default. Unknown keys are errors.
//!
//! Relative paths in the file start from the file's folder, and so do the defaults; those of
//! variables and flags start from the working directory (catalogue F3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use figment::value::magic::RelativePathBuf;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sitewright_order::Locale;

use sitewright_ai::AiConfig;
pub use sitewright_replay::ReplaySettings;
use sitewright_runtime::plugin::{CoreDumpLimits, Limits, TemplateSetting, TemplateSettings};
pub use sitewright_worker::{MOST_ORDERS, WorkerConfig};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "sitewright.toml";
/// What variables begin with.
pub const PREFIX: &str = "SITEWRIGHT_";
/// Variables with the prefix that are no keys.
const NOT_KEYS: [&str; 3] = ["config", "log", "log_format"];

/// The keys of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    templates: Option<RelativePathBuf>,
    /// A folder, or a table: see [`SitesKeys`].
    #[serde(default)]
    sites: Option<figment::value::Value>,
    cache: Option<RelativePathBuf>,
    #[serde(default = "default_locale")]
    default_locale: Locale,
    #[serde(default = "default_keep")]
    keep_releases: usize,
    #[serde(default = "default_concurrency")]
    concurrency: u32,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    database: DatabaseKeys,
    #[serde(default)]
    worker: WorkerConfig,
    #[serde(default)]
    ai: AiConfig,
    #[serde(default)]
    template: BTreeMap<String, TemplateKeys>,
    #[serde(default)]
    coredump: CoreDumpLimits,
}

/// What is set for one template: `[template.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateKeys {
    source: Option<RelativePathBuf>,
    #[serde(default)]
    coredump: bool,
}

/// Where the queue and the store of orders are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseKeys {
    url: Option<String>,
    url_env: Option<String>,
    url_file: Option<RelativePathBuf>,
}

/// The address of the database, which may hold a password: it is never printed.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The address, for whoever connects.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(hidden)")
    }
}

/// `sites` as a table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SitesKeys {
    path: Option<RelativePathBuf>,
    store: Option<String>,
}

fn default_locale() -> Locale {
    // The literal is a language tag; should it ever not be, the tests say so.
    "en".parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn default_keep() -> usize {
    sitewright_site::DEFAULT_KEEP
}

fn default_concurrency() -> u32 {
    16
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of `.wasm` files. Default `templates`.
    pub templates: PathBuf,
    /// Where sites and failure records go. Default `sites`.
    pub sites: PathBuf,
    /// Where a worker keeps releases when that is not the folder: `s3://bucket/prefix`, `gs://...`
    /// or `az://...`.
    pub store: Option<String>,
    /// Where compiled templates are kept. Default `sitewright` in the user's cache folder; none
    /// without one.
    pub cache: Option<PathBuf>,
    /// The language of orders that name none. Default `en`.
    pub default_locale: Locale,
    /// Releases of an order that stay, the current one included. Default 5.
    pub keep_releases: usize,
    /// Runs at once. Default 16.
    pub concurrency: u32,
    /// What a run may use.
    pub limits: Limits,
    /// Where the queue and the store of orders are. Default `sqlite://sitewright.db` beside the
    /// file.
    pub database: DatabaseUrl,
    /// How a worker works.
    pub worker: WorkerConfig,
    /// Providers and routes.
    pub ai: AiConfig,
    /// What is set for single templates, and for core dumps.
    pub template_settings: TemplateSettings,
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// The folder that relative paths of the AI part start from.
    pub base: PathBuf,
    /// The first 12 digits of the SHA-256 of all keys: stands in every record (catalogue E13).
    pub version: String,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A named file is not there.
    #[error("the configuration file {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys or values are wrong.
    #[error("the configuration is wrong:\n{}", .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<String>),
}

impl Config {
    /// Reads the file (or `sitewright.toml` when it exists, or nothing) and the environment.
    /// Blocking: for the start.
    ///
    /// # Errors
    /// [`ConfigError`] naming file or variable, key, and what would be right.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) => {
                let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
                if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
                    return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
                }
                Some(path.to_owned())
            }
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()),
        };
        let mut figment = Figment::new();
        if let Some(path) = &file {
            figment = figment.merge(Toml::file_exact(path));
        }
        let environment = Env::prefixed(PREFIX).ignore(&NOT_KEYS).split("__");
        figment = figment.merge(environment);
        let wrong = |error: figment::Error| {
            ConfigError::Wrong(error.into_iter().map(|error| explain(&figment, &error)).collect())
        };
        let keys: Keys = figment.extract().map_err(wrong)?;
        let sites = match &keys.sites {
            None => SitesKeys::default(),
            Some(figment::value::Value::Dict(..)) => {
                figment.extract_inner("sites").map_err(|error| {
                    // The library tells the parts of the path of such a part in no order that could
                    // be shown.
                    let source = origin(&figment, &["sites".to_owned()]).unwrap_or_default();
                    let problems =
                        error.into_iter().map(|error| format!("{source}: `sites`: {}", error.kind));
                    ConfigError::Wrong(problems.collect())
                })?
            }
            Some(_) => SitesKeys {
                path: Some(figment.extract_inner("sites").map_err(wrong)?),
                store: None,
            },
        };

        let base = file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        let version = version(&keys, &sites);
        let database = keys.database.url(&base).map_err(|(key, problem)| {
            let path = ["database".to_owned(), key.to_owned()];
            let source = origin(&figment, &path).unwrap_or_else(|| "the configuration".to_owned());
            ConfigError::Wrong(vec![format!("{source}: `database.{key}` {problem}")])
        })?;
        let path = |key: Option<RelativePathBuf>, default: &str| {
            key.map_or_else(|| base.join(default), |key| key.relative())
        };
        let config = Config {
            version,
            templates: path(keys.templates, "templates"),
            sites: path(sites.path, "sites"),
            store: sites.store,
            cache: keys.cache.map(|key| key.relative()).or_else(default_cache),
            default_locale: keys.default_locale,
            keep_releases: keys.keep_releases,
            concurrency: keys.concurrency,
            limits: keys.limits,
            database,
            worker: keys.worker,
            ai: keys.ai,
            template_settings: template_settings(keys.template, keys.coredump),
            base,
            file,
        };
        let problems: Vec<String> = config
            .problems()
            .into_iter()
            .map(|(key, problem)| {
                let path: Vec<String> = key.split('.').map(str::to_owned).collect();
                let source =
                    origin(&figment, &path).unwrap_or_else(|| "the configuration".to_owned());
                format!("{source}: `{key}` {problem}")
            })
            .collect();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Wrong(problems)) }
    }

    /// The part that finding and exporting a recorded attempt needs.
    pub fn for_replay(&self) -> ReplaySettings {
        ReplaySettings {
            sites: self.sites.clone(),
            templates: self.templates.clone(),
            limits: self.limits.clone(),
            default_locale: self.default_locale.clone(),
            ai: self.ai.clone(),
            version: self.version.clone(),
        }
    }

    /// What the types do not rule out: keys, and what is wrong with them.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut at_least = |key, value: u64, least: u64| {
            if value < least {
                problems.push((key, format!("is {value}, but must be at least {least}")));
            }
        };
        at_least("keep_releases", self.keep_releases as u64, 1);
        at_least("concurrency", u64::from(self.concurrency), 1);
        let limits = &self.limits;
        let worker = &self.worker;
        at_least("worker.max_orders", u64::from(worker.max_orders), 1);
        at_least("worker.attempts", u64::from(worker.attempts), 1);
        at_least("worker.crashes", u64::from(worker.crashes), 1);
        at_least("worker.reload_ms", worker.reload_ms, 100);
        at_least("worker.beat_ms", worker.beat_ms, 10);
        at_least("worker.silent_ms", worker.silent_ms, worker.beat_ms.saturating_mul(3));
        at_least("coredump.keep", self.template_settings.coredump.keep as u64, 1);
        at_least("coredump.max_bytes", self.template_settings.coredump.max_bytes, 1 << 10);
        at_least("limits.memory_bytes", limits.memory_bytes, 1 << 20);
        at_least("limits.cpu_ms", limits.cpu_ms, 10);
        at_least("limits.deadline_ms", limits.deadline_ms, 10);
        at_least("limits.files", limits.files, 1);
        at_least("limits.file_bytes", limits.file_bytes, 1);
        at_least("limits.total_bytes", limits.total_bytes, 1);
        at_least("limits.path_bytes", limits.path_bytes, 16);
        at_least("limits.order_bytes", limits.order_bytes, 64);
        at_least("limits.compile_ms", limits.compile_ms, 100);
        at_least("limits.compile_memory_bytes", limits.compile_memory_bytes, 64 << 20);
        if worker.max_orders > MOST_ORDERS {
            let most = format!(
                "is {}, but a worker can have at most {MOST_ORDERS} orders at once; start a \
                 second worker",
                worker.max_orders
            );
            problems.push(("worker.max_orders", most));
        }
        if limits.memory_bytes > 4 << 30 {
            problems.push((
                "limits.memory_bytes",
                format!(
                    "is {}, but a guest can have at most {} (4 GiB)",
                    limits.memory_bytes,
                    4_u64 << 30
                ),
            ));
        }
        problems
    }
}

impl DatabaseKeys {
    /// The one of the three that is given, or a file beside the configuration. A relative path of
    /// SQLite starts from the configuration's folder, as all paths do (catalogue F3).
    ///
    /// # Errors
    /// The key in `[database]`, and what is wrong with it.
    fn url(self, base: &Path) -> Result<DatabaseUrl, (&'static str, String)> {
        let wrong = |key: &'static str, problem: String| (key, problem);
        let url = match (self.url, self.url_env, self.url_file) {
            (None, None, None) => "sqlite://sitewright.db".to_owned(),
            (Some(url), None, None) => url,
            (None, Some(name), None) => std::env::var(&name).map_err(|error| {
                wrong(
                    "url_env",
                    format!("names the variable {name}, which cannot be read: {error}"),
                )
            })?,
            (None, None, Some(path)) => {
                let path = path.relative();
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    wrong(
                        "url_file",
                        format!("names {}, which cannot be read: {error}", path.display()),
                    )
                })?;
                text.trim().to_owned()
            }
            _ => {
                return Err(wrong(
                    "url",
                    "stands beside `url_env` or `url_file`; give one of the three".to_owned(),
                ));
            }
        };
        let url = match url.strip_prefix("sqlite://") {
            Some(path) if !path.starts_with('/') && !path.starts_with(":memory:") => {
                let path = base.join(path);
                let path = std::path::absolute(&path).unwrap_or(path);
                format!("sqlite://{}", path.display())
            }
            _ => url,
        };
        if !["sqlite://", "postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            let problem = "is no address of a database; write it like sqlite://sitewright.db or \
                           postgres://user@host/name";
            return Err(wrong("url", problem.to_owned()));
        }
        Ok(DatabaseUrl(SecretString::from(url)))
    }
}

/// File or variable, key, and what is wrong with it.
fn explain(figment: &Figment, error: &figment::Error) -> String {
    // figment's own wrapping of paths is no key.
    let mut path: Vec<String> =
        error.path.iter().filter(|part| !part.starts_with("___figment")).cloned().collect();
    if let figment::error::Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    let source = origin(figment, &path).unwrap_or_else(|| {
        match error.metadata.as_ref().and_then(|metadata| metadata.source.as_ref()) {
            Some(figment::Source::File(file)) => file.display().to_string(),
            _ => "the configuration".to_owned(),
        }
    });
    let key = path.iter().fold(String::new(), |key, part| match part.parse::<usize>() {
        Ok(index) => format!("{key}[{index}]"),
        Err(_) if key.is_empty() => part.clone(),
        Err(_) => format!("{key}.{part}"),
    });
    if key.is_empty() {
        format!("{source}: {}", error.kind)
    } else {
        format!("{source}: `{key}`: {}", error.kind)
    }
}

/// The file or the variable that sets a key, or what holds the key when it is not there. An error's
/// own metadata blames the place of a whole table, which may be half file and half variables.
fn origin(figment: &Figment, path: &[String]) -> Option<String> {
    (1..=path.len()).rev().find_map(|length| {
        let path = &path[..length];
        Some(match &figment.find_metadata(&path.join("."))?.source {
            Some(figment::Source::File(file)) => file.display().to_string(),
            _ => format!("the environment variable {PREFIX}{}", path.join("__").to_uppercase()),
        })
    })
}

/// Digest of every key's value, wherever it comes from and whatever its default. Secrets are never
/// among them: keys of providers are named, not given.
fn version(keys: &Keys, sites: &SitesKeys) -> String {
    fn path(key: &Option<RelativePathBuf>) -> Option<&Path> {
        key.as_ref().map(RelativePathBuf::original)
    }
    let mut values = serde_json::json!({
        "templates": path(&keys.templates),
        "sites": path(&sites.path),
        "store": sites.store,
        "cache": path(&keys.cache),
        "default_locale": keys.default_locale.as_str(),
        "keep_releases": keys.keep_releases,
        "concurrency": keys.concurrency,
        "limits": keys.limits,
        "worker": keys.worker,
        "ai": keys.ai,
    });
    // Only where something is set, so that a version without them stays what it was.
    if keys.template.values().any(|keys| keys.coredump || keys.source.is_some()) {
        let of = |keys: &TemplateKeys| serde_json::json!([path(&keys.source), keys.coredump]);
        values["template"] =
            keys.template.iter().map(|(name, keys)| (name.clone(), of(keys))).collect();
    }
    if keys.coredump != CoreDumpLimits::default() {
        values["coredump"] = serde_json::json!(keys.coredump);
    }
    hex::encode(Sha256::digest(values.to_string()))[..12].to_owned()
}

fn template_settings(
    templates: BTreeMap<String, TemplateKeys>,
    coredump: CoreDumpLimits,
) -> TemplateSettings {
    let setting = |keys: TemplateKeys| TemplateSetting {
        source: keys.source.map(|path| path.relative()),
        coredump: keys.coredump,
    };
    TemplateSettings {
        by_name: templates.into_iter().map(|(name, keys)| (name, setting(keys))).collect(),
        of_all: TemplateSetting::default(),
        coredump,
    }
}

fn default_cache() -> Option<PathBuf> {
    let base =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .map(|base| base.join("sitewright"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every example of a configuration in the documents is a whole configuration.
    #[test]
    fn the_examples_in_the_documents_are_read() {
        let page = include_str!("../../../README.md");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 3);
        for example in examples {
            let keys: Result<Keys, figment::Error> = Figment::from(Toml::string(example)).extract();
            let ai = keys.unwrap_or_else(|error| panic!("{error}:\n{example}")).ai;
            assert_eq!(ai.check(), [], "{example}");
        }
    }
}
