//! From the operator's configuration to candidates that can be called: addresses, keys and scripts
//! are read here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::anthropic::Anthropic;
use super::attempt::Candidate;
use super::cloudflare::Cloudflare;
use super::config::{
    AiConfig, CandidateConfig, ConfigError, ConfigProblem, EndpointConfig, ProviderConfig,
    RetryConfig, RouteConfig,
};
use super::gemini::Gemini;
use super::limiter::Gate;
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::provider::{Adapter, CallLimits, HttpProvider, Provider};
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
    let mut gates = Gates::default();
    for (name, config) in &config.providers {
        match ready(config, base_dir, env) {
            Ok(provider) => match gates.gate(name, config, &provider) {
                Ok(gate) => drop(providers.insert(name.as_str(), (Arc::new(provider), gate))),
                Err(problem) => problems.push(problem),
            },
            Err((field, message)) => {
                let key = format!("ai.providers.{name}.{field}");
                // `check` has told what it could see without looking.
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
        // `check` has found that every provider of a route exists.
        let (provider, gate) = providers.get(name)?.clone();
        let settings = config.providers.get(name)?;
        let default = match settings {
            ProviderConfig::Scripted(_) => RetryConfig::NEVER,
            _ => RetryConfig::default(),
        };
        let model = candidate.model.clone().unwrap_or_else(|| scripted::MODEL.to_owned());
        Some(Candidate {
            provider,
            gate,
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

/// One gate for each address and key: who limits, limits by those. Providers of the configuration
/// that stand for the same two share it.
#[derive(Default)]
struct Gates<'a>(Vec<Entry<'a>>);

struct Entry<'a> {
    name: &'a str,
    config: &'a ProviderConfig,
    place: String,
    key: Option<SecretString>,
    gate: Arc<Gate>,
}

impl<'a> Gates<'a> {
    fn gate(
        &mut self,
        name: &'a str,
        config: &'a ProviderConfig,
        provider: &Provider,
    ) -> Result<Arc<Gate>, ConfigProblem> {
        let (limits, breaker) = config.gate();
        let Provider::Http(http) = provider else {
            return Ok(Arc::new(Gate::new(limits, breaker)));
        };
        let (place, key) = (provider.place().into_owned(), http.key.secret());
        let same_key = |entry: &&Entry<'_>| {
            entry.key.as_ref().map(ExposeSecret::expose_secret)
                == key.map(ExposeSecret::expose_secret)
        };
        let Some(entry) = self.0.iter().filter(|entry| entry.place == place).find(same_key) else {
            let gate = Arc::new(Gate::new(limits, breaker));
            self.0.push(Entry { name, config, place, key: key.cloned(), gate: gate.clone() });
            return Ok(gate);
        };
        let (theirs, their_breaker) = entry.config.gate();
        for (field, same) in [("limits", limits == theirs), ("breaker", breaker == their_breaker)] {
            if !same {
                let other = entry.name;
                return Err(ConfigProblem {
                    key: format!("ai.providers.{name}.{field}"),
                    message: message!(
                        "the providers `{other}` and `{name}` have the same address and key and \
                         so share what they can bear, but say different `{field}`; write the same \
                         in ai.providers.{other} and ai.providers.{name}"
                    ),
                });
            }
        }
        Ok(entry.gate.clone())
    }
}

/// Makes a provider ready: its address, key or script.
fn ready(
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

/// A provider behind an HTTP endpoint: the key is read, then `adapter` makes the kind's own part of
/// it.
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
