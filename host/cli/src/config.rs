//! The configuration: `sitewright.toml`, and every key also as an environment variable.
//!
//! `SITEWRIGHT_LIMITS__CPU_MS=5000` is `cpu_ms` in `[limits]`: the prefix, then the key's parts in
//! upper case, joined by two underscores. A variable overrides the file, the file overrides the
//! default. Unknown keys are errors that suggest the key that was probably meant.
//!
//! Relative paths in the file start from the file's folder, and so do the defaults; those of
//! variables and flags start from the working directory (catalogue F3).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use figment::value::Dict;
use figment::value::magic::RelativePathBuf;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sitewright_order::{Locale, web_address};

use sitewright_ai::AiConfig;
use sitewright_control::Reading;
use sitewright_jobs::DatabaseOptions;
use sitewright_model::time::millis;
pub use sitewright_replay::ReplaySettings;
use sitewright_runtime::plugin::{
    CoreDumpLimits, DEFAULT_CACHE_BYTES, DEFAULT_FUNCTION_CACHE_BYTES, Limits, TemplateSetting,
    TemplateSettings,
};
use sitewright_runtime::run::OrderReading;
#[cfg(feature = "server")]
pub use sitewright_server::ServerConfig;
use sitewright_site::{Level, Levels, Rule, SitePolicy};
use sitewright_webhooks::{CallbackConfig, HookConfig, WebhookConfig};
pub use sitewright_worker::{MOST_ORDERS, RetentionConfig, WorkerConfig};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "sitewright.toml";
/// Prefix of environment variables that set keys.
pub const PREFIX: &str = "SITEWRIGHT_";
/// Variables with the prefix that are flags instead of keys.
const NOT_KEYS: [&str; 3] = ["config", "log", "log_format"];

/// The keys of the file. `sitewright reference configuration` makes the reference from these
/// comments and those of the types inside.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// Folder of `.wasm` files; the name of a file is the name of the template.
    #[schemars(with = "Option<String>", extend("x-type" = "path", "x-default" = "`templates`"))]
    templates: Option<RelativePathBuf>,
    /// Folder for sites and failure records; or a table with the keys `path` (the folder) and
    /// `store`: the URL of the object store where a worker keeps releases, `s3://bucket/prefix`,
    /// `gs://...` or `az://...`, with a prefix of at most 512 bytes.
    // A table, see `SitesKeys`, is read by hand.
    #[serde(default)]
    #[schemars(
        with = "Option<String>",
        extend("x-type" = "path, or table", "x-default" = "`sites`")
    )]
    sites: Option<figment::value::Value>,
    /// Folder of compiled templates; must be writable by this user only. Without a home folder
    /// there is no cache.
    #[schemars(
        with = "Option<String>",
        extend(
            "x-type" = "path",
            "x-default" = "`$XDG_CACHE_HOME/sitewright`, else `~/.cache/sitewright`"
        )
    )]
    cache: Option<RelativePathBuf>,
    /// Maximum bytes of the compiled templates in `cache`; those that were not used for the longest
    /// time are deleted.
    #[serde(default = "default_cache_bytes")]
    cache_bytes: u64,
    /// Maximum bytes of the compiled functions in `cache`, besides `cache_bytes`, that the builds of
    /// an author's templates share; those that were not used for the longest time are deleted, and 0
    /// keeps none. Without them, each build in Python or JavaScript compiles the interpreter again.
    /// Used by `conformance` and by `template build`, `dev`, `inspect`, `record` and `test`, never by
    /// `worker`.
    #[serde(default = "default_function_cache_bytes")]
    function_cache_bytes: u64,
    /// Language (BCP 47) of orders that name none, if neither their texts nor their country say one.
    #[serde(default = "default_locale")]
    #[schemars(with = "String", extend("x-type" = "language tag", "x-default" = "`en`"))]
    default_locale: Locale,
    #[serde(default)]
    orders: OrderKeys,
    #[serde(default)]
    forms: FormKeys,
    #[serde(default)]
    checks: CheckKeys,
    /// Program of Chromium or Google Chrome for `--browser`.
    #[schemars(
        with = "Option<String>",
        extend("x-type" = "path", "x-default" = "the first in `PATH`")
    )]
    browser: Option<RelativePathBuf>,
    /// Releases of an order that are kept, the current one included.
    #[serde(default = "default_keep")]
    keep_releases: usize,
    /// Runs at once of `sitewright conformance`, and the size of its instance pool. A worker uses
    /// `worker.max_orders` instead; every other command makes one run.
    #[schemars(extend("x-default" = "2 for each processor core"))]
    concurrency: Option<u32>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    database: DatabaseKeys,
    #[serde(default)]
    worker: WorkerConfig,
    #[serde(default)]
    retention: RetentionConfig,
    #[cfg(feature = "server")]
    #[serde(default)]
    server: ServerConfig,
    // A configuration is the same for all builds.
    #[cfg(not(feature = "server"))]
    #[serde(default)]
    #[schemars(skip)]
    #[expect(dead_code, reason = "it is accepted, and nothing reads it")]
    server: serde::de::IgnoredAny,
    #[serde(default)]
    webhooks: BTreeMap<String, WebhookConfig>,
    callbacks: Option<CallbackConfig>,
    #[serde(default)]
    hooks: BTreeMap<String, HookConfig>,
    #[serde(default)]
    ai: AiConfig,
    #[serde(default)]
    template: BTreeMap<String, TemplateKeys>,
    #[serde(default)]
    coredump: CoreDumpLimits,
}

/// One template. NAME is the name of its file without `.wasm`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TemplateKeys {
    /// Folder of the template's source, for the lines around a frame and for `conformance/`.
    #[schemars(with = "Option<String>", extend("x-type" = "path"))]
    source: Option<RelativePathBuf>,
    /// Whether to keep a memory dump when the template is stopped.
    #[serde(default)]
    coredump: bool,
}

/// How orders are read.
#[derive(Debug, Default, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderKeys {
    /// Whether to refuse an order if a value of it cannot be used. Otherwise the value is left out,
    /// and a warning names it.
    #[serde(default)]
    strict: bool,
    /// Language (BCP 47) of the site if the template does not write the order's own. Without it,
    /// such an order fails before its first AI call.
    #[schemars(with = "Option<String>", extend("x-type" = "language tag"))]
    fallback_locale: Option<Locale>,
}

/// The forms of sites.
#[derive(Debug, Default, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct FormKeys {
    /// Where forms post to if the order names no address of its own: `https://…`. Without it,
    /// templates let visitors write to the business's mailbox.
    #[schemars(extend("x-type" = "URL"))]
    endpoint: Option<String>,
}

/// The checks of sites and of AI replies.
#[derive(Debug, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckKeys {
    /// Whether your web server answers `/about` with the file `about.html`, so that links may leave
    /// out `.html`.
    #[serde(default)]
    clean_urls: bool,
    /// The levels of rules: `"off"`, `"warning"` (published and reported) or `"error"` (not
    /// published). The rules and their own levels are listed in [Site checks](site-checks.md).
    #[serde(default)]
    #[schemars(
        with = "Option<BTreeMap<String, String>>",
        extend("x-type" = "table of levels", "x-default" = "each rule's own")
    )]
    levels: BTreeMap<Rule, Level>,
    /// Whether AI replies and the texts of pages are held against the order: no placeholder, no
    /// refusal of a model, no fact that the order does not have.
    #[serde(default = "yes")]
    copy: bool,
    /// Words and phrases that no text of a site may have, in any case. At most 1,000.
    #[serde(default)]
    forbidden_words: Vec<String>,
    /// Purposes whose AI replies are not copy, so that their texts are not checked.
    #[serde(default = "default_exempt")]
    exempt_purposes: Vec<String>,
}

fn yes() -> bool {
    true
}

fn default_exempt() -> Vec<String> {
    vec!["code".to_owned()]
}

impl Default for CheckKeys {
    fn default() -> Self {
        CheckKeys {
            clean_urls: false,
            levels: BTreeMap::new(),
            copy: true,
            forbidden_words: Vec::new(),
            exempt_purposes: default_exempt(),
        }
    }
}

/// The database of the queue. At most one of `url`, `url_env` and `url_file`.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DatabaseKeys {
    /// URL of the database: `sqlite://PATH` or `postgres://user@host/name`. In user name and
    /// password the characters `/ ? # [ ] @ : %` and spaces are percent-encoded.
    #[schemars(extend("x-default" = "`sqlite://sitewright.db` beside the file"))]
    url: Option<String>,
    /// Environment variable that holds the URL.
    url_env: Option<String>,
    /// File that holds the URL.
    #[schemars(with = "Option<String>", extend("x-type" = "path"))]
    url_file: Option<RelativePathBuf>,
    /// PostgreSQL: maximum connections of this process, without the one on which a worker is
    /// notified of new orders. Default: 10.
    connections: u32,
    /// PostgreSQL: prepared statements that each connection keeps; 0 keeps none. Default: 100.
    #[schemars(extend("x-default" = "100"))]
    statement_cache: Option<u32>,
    /// Milliseconds to wait for another process that migrates the database. Default: 60000.
    migration_wait_ms: u64,
}

impl Default for DatabaseKeys {
    fn default() -> Self {
        let options = DatabaseOptions::default();
        DatabaseKeys {
            url: None,
            url_env: None,
            url_file: None,
            connections: options.connections,
            statement_cache: None,
            migration_wait_ms: millis(options.migration_wait),
        }
    }
}

/// The URL of the database. It may contain a password, so `Debug` does not print it.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The URL with its password, to connect.
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
    "en".parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn default_keep() -> usize {
    sitewright_site::DEFAULT_KEEP
}

/// The JSON Schema of the keys, all types written out where they are used. `x-type` and `x-default`
/// are for the reference, where the schema's own words say less.
pub(crate) fn schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Keys>().into()
}

/// A key, its least value, and its value in a configuration.
type Least = (&'static str, u64, fn(&Config) -> u64);

/// The keys with a least value. `worker.silent_ms` depends on another key, see
/// [`Config::problems`].
const LEAST: &[Least] = &[
    ("keep_releases", 1, |config| config.keep_releases as u64),
    ("concurrency", 1, |config| config.concurrency.map_or(1, u64::from)),
    ("database.connections", 2, |config| u64::from(config.database_options.connections)),
    ("worker.max_orders", 1, |config| u64::from(config.worker.max_orders)),
    ("worker.attempts", 1, |config| u64::from(config.worker.attempts)),
    ("worker.crashes", 1, |config| u64::from(config.worker.crashes)),
    ("worker.reload_ms", 100, |config| config.worker.reload_ms),
    ("worker.beat_ms", 10, |config| config.worker.beat_ms),
    ("coredump.keep", 1, |config| config.template_settings.coredump.keep as u64),
    ("coredump.max_bytes", 1 << 10, |config| config.template_settings.coredump.max_bytes),
    ("limits.memory_bytes", 1 << 20, |config| config.limits.memory_bytes),
    ("limits.cpu_ms", 10, |config| config.limits.cpu_ms),
    ("limits.deadline_ms", 10, |config| config.limits.deadline_ms),
    ("limits.files", 1, |config| config.limits.files),
    ("limits.file_bytes", 1, |config| config.limits.file_bytes),
    ("limits.total_bytes", 1, |config| config.limits.total_bytes),
    ("limits.path_bytes", 16, |config| config.limits.path_bytes),
    ("limits.order_bytes", 64, |config| config.limits.order_bytes),
    ("limits.compile_ms", 100, |config| config.limits.compile_ms),
    ("limits.compile_memory_bytes", 64 << 20, |config| config.limits.compile_memory_bytes),
    ("limits.artifact_bytes", 64 << 10, |config| config.limits.artifact_bytes),
    ("limits.check_ms", 100, |config| config.limits.check_ms),
    ("limits.check_memory_bytes", 64 << 20, |config| config.limits.check_memory_bytes),
    ("cache_bytes", 1 << 20, |config| config.cache_bytes),
    #[cfg(feature = "server")]
    ("server.body_bytes", 1 << 10, |config| config.server.body_bytes),
    #[cfg(feature = "server")]
    ("server.request_ms", 100, |config| config.server.request_ms),
    #[cfg(feature = "server")]
    ("server.header_ms", 100, |config| config.server.header_ms),
    #[cfg(feature = "server")]
    ("server.connections", 1, |config| u64::from(config.server.connections)),
    #[cfg(feature = "server")]
    ("server.heartbeat_ms", 100, |config| config.server.heartbeat_ms),
];

/// Most bytes of linear memory that a guest can address: 4 GiB.
const MOST_MEMORY: u64 = 4 << 30;

/// Most connections of one process: PostgreSQL's own default for all together is 100.
const MOST_CONNECTIONS: u32 = 1_000;

/// The limits of a key, as the reference shows them.
pub(crate) fn limits_of(key: &str) -> (Option<u64>, Option<u64>) {
    let least = LEAST.iter().find(|(name, ..)| *name == key).map(|(_, least, _)| *least);
    let most = match key {
        "database.connections" => Some(u64::from(MOST_CONNECTIONS)),
        "worker.max_orders" => Some(u64::from(MOST_ORDERS)),
        "limits.memory_bytes" => Some(MOST_MEMORY),
        _ => None,
    };
    (least, most)
}

/// A checked configuration. Keys, units and defaults are in `docs/src/reference/configuration.md`.
#[derive(Debug, Clone)]
pub struct Config {
    pub templates: PathBuf,
    pub sites: PathBuf,
    /// URL of the object store where a worker keeps releases. `None` for the folder `sites`.
    pub store: Option<String>,
    /// Folder of compiled templates. `None` without a key and without a home folder.
    pub cache: Option<PathBuf>,
    /// Maximum bytes of all compiled templates.
    pub cache_bytes: u64,
    /// Maximum bytes of all compiled functions that templates share. 0 for none.
    pub function_cache_bytes: u64,
    /// Folder of compiled functions that templates share. `None` unless the command compiles only
    /// what whoever runs it trusts.
    pub functions: Option<PathBuf>,
    /// `[orders]` and `[forms]`.
    pub orders: OrderReading,
    /// `[checks]`.
    pub checks: SitePolicy,
    /// Program of the browser for `--browser`. `None` for the first in `PATH`.
    pub browser: Option<PathBuf>,
    pub default_locale: Locale,
    pub keep_releases: usize,
    /// Runs at once of `conformance`. `None` for two on each processor core.
    pub concurrency: Option<u32>,
    pub limits: Limits,
    pub database: DatabaseUrl,
    /// `[database]` without the URL.
    pub database_options: DatabaseOptions,
    pub worker: WorkerConfig,
    pub retention: RetentionConfig,
    /// `[server]`.
    #[cfg(feature = "server")]
    pub server: ServerConfig,
    /// `[webhooks.NAME]`.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// `[callbacks]`.
    pub callbacks: Option<CallbackConfig>,
    /// `[hooks.NAME]`.
    pub hooks: BTreeMap<String, HookConfig>,
    pub ai: AiConfig,
    /// `[template.NAME]` and `[coredump]`.
    pub template_settings: TemplateSettings,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The file, variable or flag that sets a key, by the key with the names of its tables
    /// (`worker.max_orders`). Keys that nothing sets are not in it.
    pub sources: BTreeMap<String, String>,
    /// Folder from which relative paths of the AI part start.
    pub base: PathBuf,
    /// The first 12 digits of the SHA-256 of all keys. Every failure record contains it (catalogue
    /// E13).
    pub version: String,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} cannot be read: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The URL of the database is not where a key says. It may be there after a restart.
    #[error("the configuration cannot be completed: {0}")]
    Secret(String),
    /// All problems, each with its file or variable and its key.
    #[error("the configuration is wrong:\n{}", .0.iter().map(|problem| format!("  - {problem}")).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<String>),
}

impl Config {
    /// Reads the environment and the file; without `file`, `sitewright.toml` if it exists.
    /// Blocking: call it at the start of the process.
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
                    // figment does not return the parts of this path in order.
                    let source = origin(&figment, &["sites".to_owned()]).unwrap_or_default();
                    let problems = error
                        .into_iter()
                        .map(|error| format!("{source}: `sites`: {}", problem(&error)));
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
        let database_options = keys.database.options();
        let database = keys.database.url(&base).map_err(|problem| {
            let place = |key: &str, problem: &str| {
                let path = ["database".to_owned(), key.to_owned()];
                let source =
                    origin(&figment, &path).unwrap_or_else(|| "the configuration".to_owned());
                format!("{source}: `database.{key}` {problem}")
            };
            match &problem {
                UrlProblem::Wrong(problem) => ConfigError::Wrong(vec![place("url", problem)]),
                UrlProblem::Secret(key, problem) => ConfigError::Secret(place(key, problem)),
            }
        })?;
        let path = |key: Option<RelativePathBuf>, default: &str| {
            key.map_or_else(|| base.join(default), |key| key.relative())
        };
        let CheckKeys { clean_urls, levels, copy, forbidden_words, exempt_purposes } = keys.checks;
        let levels = Levels::new(levels).map_err(|rule| {
            let key = format!("checks.levels.{rule}");
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            let source = origin(&figment, &path).unwrap_or_else(|| "the configuration".to_owned());
            ConfigError::Wrong(vec![format!(
                "{source}: `{key}` cannot be changed: without this rule, others cannot be checked"
            )])
        })?;
        let config = Config {
            version,
            templates: path(keys.templates, "templates"),
            sites: path(sites.path, "sites"),
            store: sites.store,
            cache: keys.cache.map(|key| key.relative()).or_else(default_cache),
            cache_bytes: keys.cache_bytes,
            function_cache_bytes: keys.function_cache_bytes,
            functions: None,
            orders: OrderReading {
                strict: keys.orders.strict,
                fallback_locale: keys.orders.fallback_locale,
                form_endpoint: keys.forms.endpoint,
            },
            checks: SitePolicy {
                levels,
                clean_urls,
                copy,
                forbidden_words,
                exempt_purposes,
                // Templates declare them.
                external_hosts: Vec::new(),
            },
            browser: keys.browser.map(|key| key.relative()),
            default_locale: keys.default_locale,
            keep_releases: keys.keep_releases,
            concurrency: keys.concurrency,
            limits: keys.limits,
            database,
            database_options,
            worker: keys.worker,
            retention: keys.retention,
            #[cfg(feature = "server")]
            server: keys.server,
            webhooks: keys.webhooks,
            callbacks: keys.callbacks,
            hooks: keys.hooks,
            ai: keys.ai,
            template_settings: template_settings(keys.template, keys.coredump),
            base,
            file,
            sources: sources(&figment),
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

    /// The files, variables and flags that set a key, or keys of a table. `None` if none does, and
    /// the default is in force.
    pub fn source(&self, key: &str) -> Option<String> {
        let in_table = format!("{key}.");
        let found: BTreeSet<&str> = self
            .sources
            .iter()
            .filter(|(name, _)| *name == key || name.starts_with(&in_table))
            .map(|(_, source)| source.as_str())
            .collect();
        let found: Vec<&str> = found.into_iter().collect();
        (!found.is_empty()).then(|| found.join(", "))
    }

    /// The settings that finding and exporting a recorded attempt needs.
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

    /// How documents of orders are read.
    pub fn reading(&self) -> Reading {
        Reading {
            max_bytes: self.limits.order_max_bytes(),
            default_locale: self.default_locale.clone(),
            strict: self.orders.strict,
        }
    }

    /// Keys whose values the types allow but no command can use, and why.
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut at_least = |key, value: u64, least: u64| {
            if value < least {
                problems.push((key, format!("is {value}, but must be at least {least}")));
            }
        };
        let (limits, worker) = (&self.limits, &self.worker);
        for &(key, least, value) in LEAST {
            at_least(key, value(self), least);
        }
        at_least("worker.silent_ms", worker.silent_ms, worker.beat_ms.saturating_mul(3));
        if worker.max_orders > MOST_ORDERS {
            let most = format!(
                "is {}, but a worker can have at most {MOST_ORDERS} orders at once; start a \
                 second worker",
                worker.max_orders
            );
            problems.push(("worker.max_orders", most));
        }
        let (kept, least) =
            (self.retention.hook_deliveries, RetentionConfig::LEAST_HOOK_DELIVERIES);
        if kept.is_shorter_than(least) {
            let least = String::from(least);
            let why = format!(
                "is {}, but must be at least {least}: an event that is sent again is known for \
                 this time only",
                String::from(kept)
            );
            problems.push(("retention.hook_deliveries", why));
        }
        if let Some(endpoint) = &self.orders.form_endpoint
            && let Err(wrong) = web_address(endpoint)
        {
            problems.push(("forms.endpoint", format!("cannot be used: {wrong}")));
        }
        let connections = self.database_options.connections;
        if connections > MOST_CONNECTIONS {
            let most = format!("is {connections}, but must be at most {MOST_CONNECTIONS}");
            problems.push(("database.connections", most));
        }
        if limits.memory_bytes > MOST_MEMORY {
            problems.push((
                "limits.memory_bytes",
                format!(
                    "is {}, but a guest can have at most {} (4 GiB)",
                    limits.memory_bytes, MOST_MEMORY
                ),
            ));
        }
        problems
    }
}

/// Why there is no URL of the database.
enum UrlProblem {
    /// `database.url`, or what it was read from, is wrong.
    Wrong(String),
    /// The variable or file that this key names cannot be read.
    Secret(&'static str, String),
}

impl DatabaseKeys {
    fn options(&self) -> DatabaseOptions {
        DatabaseOptions {
            connections: self.connections,
            statement_cache: self.statement_cache.map(|statements| statements as usize),
            migration_wait: Duration::from_millis(self.migration_wait_ms),
            ..DatabaseOptions::default()
        }
    }

    /// The URL from the key that is set; default: a file beside the configuration. A relative path
    /// of SQLite starts from the configuration's folder, as all paths do (catalogue F3).
    ///
    /// # Errors
    /// The key in `[database]`, and why it cannot be used.
    fn url(self, base: &Path) -> Result<DatabaseUrl, UrlProblem> {
        let url = match (self.url, self.url_env, self.url_file) {
            (None, None, None) => "sqlite://sitewright.db".to_owned(),
            (Some(url), None, None) => url,
            (None, Some(name), None) => {
                let read = std::env::var(&name);
                read.map_err(|error| {
                    // The text of a variable that is not Unicode is in the error.
                    let why = match error {
                        std::env::VarError::NotPresent => "is not set",
                        std::env::VarError::NotUnicode(_) => "is not valid UTF-8",
                    };
                    UrlProblem::Secret("url_env", format!("names the variable {name}, which {why}"))
                })?
            }
            (None, None, Some(path)) => {
                let path = path.relative();
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    let path = path.display();
                    let problem = format!("names {path}, which cannot be read: {error}");
                    UrlProblem::Secret("url_file", problem)
                })?;
                text.trim().to_owned()
            }
            _ => {
                let problem = "is set beside `url_env` or `url_file`; set one of the three";
                return Err(UrlProblem::Wrong(problem.to_owned()));
            }
        };
        // Before its path becomes a name that messages show.
        if sitewright_jobs::has_sqlite_password(&url) {
            let problem = "has a user name and a password, and SQLite is a file, which has none; \
                           write it like sqlite://sitewright.db, or postgres://... for a server";
            return Err(UrlProblem::Wrong(problem.to_owned()));
        }
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
            let problem = "is not the URL of a database; write it like sqlite://sitewright.db or \
                           postgres://user@host/name";
            return Err(UrlProblem::Wrong(problem.to_owned()));
        }
        Ok(DatabaseUrl(SecretString::from(url)))
    }
}

/// The problem of one error; for an unknown key with the key that was probably meant.
fn problem(error: &figment::Error) -> String {
    let figment::error::Kind::UnknownField(field, expected) = &error.kind else {
        return error.kind.to_string();
    };
    let is_variable = matches!(
        error.metadata.as_ref(),
        Some(metadata) if !matches!(metadata.source, Some(figment::Source::File(_)))
    );
    let flags = NOT_KEYS.iter().filter(|_| is_variable);
    let nearest = expected
        .iter()
        .chain(flags)
        .map(|known| (strsim::jaro_winkler(field, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SIMILAR);
    match nearest {
        Some((_, known)) => format!("{}; did you mean `{known}`?", error.kind),
        None => error.kind.to_string(),
    }
}

/// Jaro-Winkler similarity from which a known key is suggested for an unknown one; clap uses 0.7
/// for flags.
const SIMILAR: f64 = 0.7;

/// File or variable, key, and the problem.
fn explain(figment: &Figment, error: &figment::Error) -> String {
    // figment wraps paths in a table of its own, which is not a key.
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
        format!("{source}: {}", problem(error))
    } else {
        format!("{source}: `{key}`: {}", problem(error))
    }
}

/// The file or the variable that sets a key; if the key is not set, that of the table around it. An
/// error's own metadata names one source for a whole table, which may be half file and half
/// variables.
fn origin(figment: &Figment, path: &[String]) -> Option<String> {
    (1..=path.len()).rev().find_map(|length| {
        let path = &path[..length];
        Some(source_of(figment.find_metadata(&path.join("."))?, path))
    })
}

/// The file, or the variable, that a value with this path comes from.
fn source_of(metadata: &figment::Metadata, path: &[String]) -> String {
    match &metadata.source {
        Some(figment::Source::File(file)) => file.display().to_string(),
        _ => format!("the environment variable {PREFIX}{}", path.join("__").to_uppercase()),
    }
}

/// What sets each key that is set, by the key with its tables.
fn sources(figment: &Figment) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    // It was read before: it has no error.
    let keys = figment.find_value("").ok().and_then(figment::value::Value::into_dict);
    add_sources(figment, &[], &keys.unwrap_or_default(), &mut sources);
    sources
}

/// Adds what sets the keys of a table, and of the tables in it. Each by the tag of its value: to
/// look one up by its path takes as long as reading all of them, and finds no name with a dot.
fn add_sources(
    figment: &Figment,
    table: &[String],
    keys: &Dict,
    sources: &mut BTreeMap<String, String>,
) {
    for (key, value) in keys {
        let mut path = table.to_vec();
        path.push(key.clone());
        match value {
            figment::value::Value::Dict(_, keys) => add_sources(figment, &path, keys, sources),
            _ => {
                let metadata = figment.get_metadata(value.tag());
                sources.extend(metadata.map(|found| (path.join("."), source_of(found, &path))));
            }
        }
    }
}

/// Digest of the value of every key that an attempt depends on, defaults included. It contains no
/// secret: API keys are only named in the configuration.
fn version(keys: &Keys, sites: &SitesKeys) -> String {
    fn path(key: &Option<RelativePathBuf>) -> Option<&Path> {
        key.as_ref().map(RelativePathBuf::original)
    }
    let database = &keys.database;
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
    // Only if set, so that the version of a configuration without them does not change.
    if keys.orders.strict || keys.orders.fallback_locale.is_some() {
        values["orders"] = serde_json::json!(keys.orders);
    }
    if keys.forms.endpoint.is_some() {
        values["forms"] = serde_json::json!(keys.forms);
    }
    if keys.checks != CheckKeys::default() {
        values["checks"] = serde_json::json!(keys.checks);
    }
    if keys.template.values().any(|keys| keys.coredump || keys.source.is_some()) {
        let of = |keys: &TemplateKeys| serde_json::json!([path(&keys.source), keys.coredump]);
        values["template"] =
            keys.template.iter().map(|(name, keys)| (name.clone(), of(keys))).collect();
    }
    let defaults = DatabaseKeys::default();
    if (database.connections, database.statement_cache) != (defaults.connections, None) {
        values["database"] = serde_json::json!([database.connections, database.statement_cache]);
    }
    if keys.cache_bytes != DEFAULT_CACHE_BYTES {
        values["cache_bytes"] = keys.cache_bytes.into();
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
        read_stacks: false,
    }
}

fn default_cache_bytes() -> u64 {
    DEFAULT_CACHE_BYTES
}

fn default_function_cache_bytes() -> u64 {
    DEFAULT_FUNCTION_CACHE_BYTES
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

    /// Every example of a configuration in the documents is a complete configuration.
    #[test]
    fn the_examples_in_the_documents_are_read() {
        let page = include_str!("../../../docs/src/operate/configuration.md");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 3);
        for example in examples {
            let keys: Result<Keys, figment::Error> = Figment::from(Toml::string(example)).extract();
            let ai = keys.unwrap_or_else(|error| panic!("{error}:\n{example}")).ai;
            assert_eq!(ai.check(), [], "{example}");
        }
    }

    #[test]
    fn a_key_has_the_file_or_variable_that_sets_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let text = "keep_releases = 3\n[worker]\nmax_orders = 5\npoll_ms = 7\n\
                    [table.\"a.b\"]\nkey = 1\n";
        std::fs::write(&file, text).unwrap();
        // A value of no file is one of a variable.
        let figment = Figment::from(Toml::file_exact(&file))
            .merge(("worker.max_orders", 6))
            .merge(("table", BTreeMap::from([("c.d", 8)])));
        let file = file.display().to_string();
        let found = sources(&figment);
        let variable = "the environment variable SITEWRIGHT_WORKER__MAX_ORDERS";
        for (key, source) in [
            ("keep_releases", file.as_str()),
            ("worker.max_orders", variable),
            ("worker.poll_ms", file.as_str()),
            // A dot may be a part of a name.
            ("table.a.b.key", file.as_str()),
            ("table.c.d", "the environment variable SITEWRIGHT_TABLE__C.D"),
        ] {
            assert_eq!(found.get(key).map(String::as_str), Some(source), "{key}: {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn an_unknown_key_suggests_the_key_that_was_meant() {
        let cases = [
            ("limit = {}", "`limits`"),
            ("[limits]\ncpu_mss = 5", "`cpu_ms`"),
            ("[worker]\nmax_order = 5", "`max_orders`"),
            ("[ai.providers.a]\nkind = \"openai\"\nbaseurl = \"\"", "`base_url`"),
            ("[ai.routes.default]\ntry = [{ provider = \"a\", modle = \"m\" }]", "`model`"),
            ("[template.a]\nsources = \"x\"", "`source`"),
        ];
        for (text, meant) in cases {
            let figment = Figment::from(Toml::string(text));
            let error = figment.extract::<Keys>().err().into_iter().flatten().next();
            let told = explain(&figment, &error.unwrap_or_else(|| panic!("{text} is read")));
            assert!(told.ends_with(&format!("did you mean {meant}?")), "{told}");
        }
        let figment = Figment::from(Toml::string("[limits]\nxyzzy = 5"));
        let error = figment.extract::<Keys>().err().into_iter().flatten().next().unwrap();
        assert!(!explain(&figment, &error).contains("did you mean"));
    }
}
