//! Builds the candidates of every route from the configuration: reads URLs, keys and scripts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::adapter::Adapter;
use super::anthropic::Anthropic;
use super::candidate::Candidate;
use super::cloudflare::Cloudflare;
use super::config::{
    AiConfig, CandidateConfig, ConfigError, ConfigProblem, EndpointConfig, ProviderConfig,
    RetryConfig, RouteConfig,
};
use super::gemini::Gemini;
use super::limiter::Limiter;
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::provider::{CallLimits, HttpProvider, Provider};
use super::scripted::{self, Scripted};
use super::secret::ApiKey;
use sitewright_model::message;
use sitewright_model::message::Message;

type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The candidates of every route. Blocks on file I/O.
pub(super) fn routes(
    config: &AiConfig,
    base_dir: &Path,
    env: Env<'_>,
) -> Result<BTreeMap<String, Vec<Candidate>>, ConfigError> {
    let mut problems = config.check();
    let mut providers = BTreeMap::new();
    let mut limiters = Limiters::default();
    for (name, config) in &config.providers {
        match provider(config, base_dir, env) {
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
    let candidate = |route: &RouteConfig, candidate: &CandidateConfig| {
        let name = candidate.provider.as_str();
        // Both exist, because `check` reported no problem.
        let (provider, limiter) = providers.get(name)?.clone();
        let settings = config.providers.get(name)?;
        let default = match settings {
            ProviderConfig::Scripted(_) => RetryConfig::NEVER,
            _ => RetryConfig::default(),
        };
        let model = candidate.model.clone().unwrap_or_else(|| scripted::MODEL.to_owned());
        Some(Candidate {
            provider,
            limiter,
            retry: route.retry.or(settings.retry()).or(config.retry).unwrap_or(default),
            price: config.prices.get(&model).copied(),
            provider_name: name.to_owned(),
            model,
            max_output_tokens: candidate.max_output_tokens,
            temperature: candidate.temperature,
            send_temperature: candidate.send_temperature,
        })
    };
    let candidates = |route: &RouteConfig| {
        route.candidates.iter().filter_map(|one| candidate(route, one)).collect::<Vec<_>>()
    };
    Ok(config.routes.iter().map(|(name, route)| (name.clone(), candidates(route))).collect())
}

/// One limiter for each pair of URL and key, because providers count their limits by those.
/// Configured providers with the same pair share it.
#[derive(Default)]
struct Limiters<'a>(Vec<Entry<'a>>);

struct Entry<'a> {
    name: &'a str,
    config: &'a ProviderConfig,
    location: String,
    key: Option<SecretString>,
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
        let (location, key) = (provider.location().into_owned(), http.key.secret());
        let same_key = |entry: &&Entry<'_>| {
            entry.key.as_ref().map(ExposeSecret::expose_secret)
                == key.map(ExposeSecret::expose_secret)
        };
        let shared = self.0.iter().filter(|entry| entry.location == location).find(same_key);
        let Some(entry) = shared else {
            let limiter = Arc::new(Limiter::new(limits, breaker));
            let (key, shared) = (key.cloned(), limiter.clone());
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
    base_dir: &Path,
    env: Env<'_>,
) -> Result<Provider, (&'static str, Message)> {
    match config {
        ProviderConfig::Openai(config) => {
            http(&config.endpoint, base_dir, env, |key| Ok(Box::new(OpenAi::new(config, key)?)))
        }
        ProviderConfig::Anthropic(config) => {
            http(&config.endpoint, base_dir, env, |key| Ok(Box::new(Anthropic::new(config, key)?)))
        }
        ProviderConfig::Gemini(config) => {
            http(&config.endpoint, base_dir, env, |key| Ok(Box::new(Gemini::new(config, key)?)))
        }
        ProviderConfig::Ollama(config) => {
            http(&config.endpoint, base_dir, env, |key| Ok(Box::new(Ollama::new(config, key)?)))
        }
        ProviderConfig::Cloudflare(config) => {
            http(&config.endpoint, base_dir, env, |key| Ok(Box::new(Cloudflare::new(config, key)?)))
        }
        ProviderConfig::Scripted(config) => {
            let field = if config.rules.is_some() { "rules" } else { "rules_inline" };
            Scripted::read(config, base_dir)
                .map(Provider::Scripted)
                .map_err(|message| (field, message))
        }
    }
}

/// Builds a provider behind an HTTP endpoint: reads the key and passes it to `adapter`.
fn http(
    config: &EndpointConfig,
    base_dir: &Path,
    env: Env<'_>,
    adapter: impl FnOnce(&ApiKey) -> Result<Box<dyn Adapter>, Message>,
) -> Result<Provider, (&'static str, Message)> {
    let key =
        ApiKey::read(config, base_dir, env).map_err(|problem| (problem.field, problem.message))?;
    let limits = CallLimits {
        connect: Duration::from_millis(config.connect_ms),
        first_byte: Duration::from_millis(config.first_byte_ms),
        idle: Duration::from_millis(config.idle_ms),
        call: Duration::from_millis(config.call_ms),
    };
    let adapter = adapter(&key).map_err(|message| ("base_url", message))?;
    Ok(Provider::Http(HttpProvider { adapter, key, limits }))
}
