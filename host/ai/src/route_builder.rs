//! Builds the candidates of every route from the configuration: reads URLs, keys and scripts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::adapter::Adapter;
use super::anthropic::Anthropic;
use super::batch::BatchWire;
use super::candidate::Candidate;
use super::cloudflare::Cloudflare;
use super::config::{
    AiConfig, CandidateConfig, ConfigError, ConfigProblem, EndpointConfig, ProviderConfig,
    RetryConfig, RouteConfig, TextSource,
};
use super::gemini::Gemini;
use super::large_replies::LargeReplies;
use super::limiter::Limiter;
use super::ollama::Ollama;
use super::openai;
use super::provider::{HttpProvider, LimitsByModel, Provider, Refused};
use super::redact;
use super::reply_cache::CacheRule;
use super::route::Route;
use super::scripted::{self, Scripted};
use super::secret::{self, ApiKey};
use super::settings::Settings;
use sitewright_http::{Client, ClientError, ConnectionSettings, ProxySetting};
use sitewright_model::message;
use sitewright_model::message::Message;

/// What the configuration refers to.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// Paths are relative to this folder.
    pub(super) base_dir: &'a Path,
    /// Looks up environment variables.
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The HTTP client of the process.
    pub(super) client: &'a Client,
}

/// Every route with its candidates. Blocks on file I/O.
pub(super) fn routes(
    config: &AiConfig,
    from: Sources<'_>,
) -> Result<BTreeMap<String, Route>, ConfigError> {
    let mut problems = config.check();
    let mut providers = BTreeMap::new();
    let mut limiters = Limiters::default();
    for (name, config) in &config.providers {
        match provider(config, from) {
            Ok(provider) => match limiters.limiter(name, config, &provider) {
                Ok(limiter) => {
                    drop(providers.insert(name.as_str(), (Arc::new(provider), limiter)));
                }
                Err(problem) => problems.push(problem),
            },
            Err((field, message)) => {
                let key = format!("ai.providers.{name}.{field}");
                // `check` may have reported the same key already.
                if problems.iter().all(|problem| problem.key != key) {
                    problems.push(ConfigProblem { key, message });
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let mut routes = BTreeMap::new();
    for (name, route) in &config.routes {
        let mut candidates = Vec::with_capacity(route.candidates.len());
        for (index, candidate) in route.candidates.iter().enumerate() {
            // Both exist, because `check` reported no problem.
            let Some((provider, limiter)) = providers.get(candidate.provider.as_str()) else {
                continue;
            };
            match self::candidate(config, route, candidate, provider, from) {
                Ok(make) => candidates.push(make(limiter.clone())),
                Err((field, message)) => {
                    let key = format!("ai.routes.{name}.try[{index}].{field}");
                    problems.push(ConfigProblem { key, message });
                }
            }
        }
        let location = |candidate: &Candidate| candidate.provider.location().into_owned();
        let locations: Vec<String> = candidates.iter().map(location).collect();
        let hedge = route.hedge_ms.map(Duration::from_millis);
        let cache = CacheRule::of(name, route, &locations);
        routes.insert(name.clone(), Route { candidates, cache, hedge });
    }
    if problems.is_empty() { Ok(routes) } else { Err(ConfigError { problems }) }
}

/// One candidate, to which its limiter is added.
fn candidate(
    config: &AiConfig,
    route: &RouteConfig,
    candidate: &CandidateConfig,
    provider: &Arc<Provider>,
    from: Sources<'_>,
) -> Result<impl FnOnce(Arc<Limiter>) -> Candidate, (String, Message)> {
    let name = candidate.provider.as_str();
    let settings = Settings::read(candidate, from.base_dir, from.env)?;
    if let Provider::Http(http) = provider.as_ref() {
        http.key.redact_too(&settings.secrets);
    }
    let of_provider = config.providers.get(name);
    let default = match of_provider {
        Some(ProviderConfig::Scripted(_)) => RetryConfig::NEVER,
        _ => RetryConfig::default(),
    };
    let retry = route.retry.or(of_provider.and_then(ProviderConfig::retry)).or(config.retry);
    let model = candidate.model.clone().unwrap_or_else(|| scripted::MODEL.to_owned());
    let price = config.prices.get(&model).copied();
    let (provider, provider_name) = (provider.clone(), name.to_owned());
    let (max_output_tokens, temperature) = (candidate.max_output_tokens, candidate.temperature);
    let weight = candidate.weight.unwrap_or_default();
    Ok(move |limiter| Candidate {
        provider,
        limiter,
        retry: retry.unwrap_or(default),
        price,
        provider_name,
        model,
        weight,
        max_output_tokens,
        temperature,
        settings,
    })
}

/// One limiter for each pair of URL and key, because providers count their limits by those.
/// Configured providers with the same pair share it.
#[derive(Default)]
struct Limiters<'a>(Vec<Entry<'a>>);

struct Entry<'a> {
    name: &'a str,
    config: &'a ProviderConfig,
    location: String,
    key: Arc<ApiKey>,
    limiter: Arc<Limiter>,
}

impl<'a> Limiters<'a> {
    fn limiter(
        &mut self,
        name: &'a str,
        config: &'a ProviderConfig,
        provider: &Provider,
    ) -> Result<Arc<Limiter>, ConfigProblem> {
        let (limits, breaker) = config.limiter();
        let Provider::Http(http) = provider else {
            return Ok(Arc::new(Limiter::new(limits, breaker)));
        };
        let location = provider.location().into_owned();
        let same = |entry: &&Entry<'_>| entry.location == location && entry.key.is_same(&http.key);
        let shared = self.0.iter().find(same);
        let Some(entry) = shared else {
            let limiter = Arc::new(Limiter::new(limits, breaker));
            let (key, shared) = (http.key.clone(), limiter.clone());
            self.0.push(Entry { name, config, location, key, limiter: shared });
            return Ok(limiter);
        };
        let (theirs, their_breaker) = entry.config.limiter();
        for (field, same) in [("limits", limits == theirs), ("breaker", breaker == their_breaker)] {
            if !same {
                let other = entry.name;
                return Err(ConfigProblem {
                    key: format!("ai.providers.{name}.{field}"),
                    message: message!(
                        "the providers `{other}` and `{name}` have the same address and key and \
                         therefore share their `{field}`, which differ; set the same values in \
                         ai.providers.{other} and ai.providers.{name}"
                    ),
                });
            }
        }
        Ok(entry.limiter.clone())
    }
}

/// Builds one provider. The error names the field of the configuration.
fn provider(
    config: &ProviderConfig,
    from: Sources<'_>,
) -> Result<Provider, (&'static str, Message)> {
    match config {
        ProviderConfig::Openai(config) => {
            http(&config.endpoint, from, |key| openai::adapter(config, key))
        }
        ProviderConfig::Anthropic(config) => {
            http(&config.endpoint, from, |key| Ok(Box::new(Anthropic::new(config, key)?)))
        }
        ProviderConfig::Gemini(config) => {
            http(&config.endpoint, from, |key| Ok(Box::new(Gemini::new(config, key)?)))
        }
        ProviderConfig::Ollama(config) => {
            http(&config.endpoint, from, |key| Ok(Box::new(Ollama::new(config, key)?)))
        }
        ProviderConfig::Cloudflare(config) => {
            http(&config.endpoint, from, |key| Ok(Box::new(Cloudflare::new(config, key)?)))
        }
        ProviderConfig::Scripted(config) => {
            let field = if config.rules.is_some() { "rules" } else { "rules_inline" };
            Scripted::read(config, from.base_dir)
                .map(Provider::Scripted)
                .map_err(|message| (field, message))
        }
    }
}

/// Builds a provider behind an HTTP endpoint: reads the key and passes it to `adapter`.
fn http(
    config: &EndpointConfig,
    from: Sources<'_>,
    adapter: impl FnOnce(&ApiKey) -> Result<Box<dyn Adapter>, Message>,
) -> Result<Provider, (&'static str, Message)> {
    let key = ApiKey::read(config, from.base_dir, from.env)
        .map_err(|problem| (problem.field, problem.message))?;
    let limits = LimitsByModel::of(config);
    let adapter = adapter(&key).map_err(|message| ("base_url", message))?;
    let client = client(config, from)?;
    let batch = BatchWire::of(config.batch, adapter.as_ref());
    Ok(Provider::Http(Box::new(HttpProvider {
        batch,
        adapter,
        key: Arc::new(key),
        limits,
        client,
        propagates_trace: config.propagate_trace,
        refused: Refused::default(),
        large: LargeReplies::default(),
    })))
}

/// The client of a provider with a proxy or certificates of its own; `None` for the one of the
/// process. Blocks on file I/O.
fn client(
    config: &EndpointConfig,
    from: Sources<'_>,
) -> Result<Option<Client>, (&'static str, Message)> {
    let read = |field: &'static str, path: &Option<PathBuf>| {
        let Some(path) = path else { return Ok(None) };
        let path = from.base_dir.join(path);
        read_pem(&path).map(Some).map_err(|message| (field, message))
    };
    let chain = read("client_cert_file", &config.client_cert_file)?;
    let key = read("client_key_file", &config.client_key_file)?;
    let settings = ConnectionSettings {
        proxy: proxy(config, from).map_err(|message| ("proxy", message))?,
        roots: read("ca_file", &config.ca_file)?,
        identity: chain.zip(key),
    };
    if settings.are_default() {
        return Ok(None);
    }
    let field = match (&settings.identity, &settings.roots) {
        (Some(_), _) => "client_cert_file",
        (None, Some(_)) => "ca_file",
        (None, None) => "proxy",
    };
    let failed = |error: ClientError| (field, error.reason());
    from.client.with_settings(&settings).map(Some).map_err(failed)
}

fn proxy(config: &EndpointConfig, from: Sources<'_>) -> Result<ProxySetting, Message> {
    let url = match &config.proxy {
        None => return Ok(ProxySetting::None),
        Some(TextSource::Text(text)) => match text.trim() {
            "none" => return Ok(ProxySetting::None),
            "env" => return Ok(ProxySetting::Environment),
            url => {
                // The message must not contain the text, which may have the password.
                if Url::parse(url).is_ok_and(|url| url.password().is_some()) {
                    return Err(message!(
                        "the URL holds a password; put it into an environment variable and write \
                         proxy = {{ env = \"NAME\" }}"
                    ));
                }
                url.to_owned()
            }
        },
        Some(TextSource::Env(named)) => secret::from_env(&named.env, from.env)?,
        Some(TextSource::File(named)) => secret::from_file(&from.base_dir.join(&named.file))?,
    };
    let parsed = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let parsed = parsed.ok_or_else(|| {
        message!(
            "the proxy is neither `env`, `none` nor an http or https URL; write it like \
             http://proxy.example:3128"
        )
    })?;
    if let Some(password) = parsed.password() {
        redact::remember(&password.to_owned().into());
    }
    Ok(ProxySetting::Url(url))
}

/// Maximum size of a file with certificates, in bytes: all authorities of a machine have 300 KB.
const MAX_PEM_BYTES: u64 = 4 << 20;

fn read_pem(path: &Path) -> Result<Vec<u8>, Message> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| message!("the file {shown} cannot be read: {error}");
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_PEM_BYTES + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > MAX_PEM_BYTES {
        return Err(message!("the file {shown} is over {MAX_PEM_BYTES} bytes; name a PEM file"));
    }
    Ok(pem)
}
