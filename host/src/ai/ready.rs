//! From the operator's configuration to candidates that can be called: addresses, keys and scripts are read here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Candidate;
use super::config::{
    AiConfig, CandidateConfig, ConfigError, ConfigProblem, OpenAiConfig, ProviderConfig, endpoint,
};
use super::openai::OpenAi;
use super::provider::Provider;
use super::scripted::{self, Scripted};
use super::secret::ApiKey;
use crate::message::Message;

type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The candidates of every route. Blocks on file I/O.
pub(super) fn routes(
    config: &AiConfig,
    base_dir: &Path,
    env: Env<'_>,
) -> Result<BTreeMap<String, Vec<Candidate>>, ConfigError> {
    let mut problems = config.check();
    let mut providers = BTreeMap::new();
    for (name, config) in &config.providers {
        match ready(config, base_dir, env) {
            Ok(provider) => {
                providers.insert(name.as_str(), Arc::new(provider));
            }
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
    let candidate = |candidate: &CandidateConfig| {
        Some(Candidate {
            // `check` has found that every provider of a route exists.
            provider: providers.get(candidate.provider.as_str())?.clone(),
            provider_name: candidate.provider.clone(),
            model: candidate.model.clone().unwrap_or_else(|| scripted::MODEL.to_owned()),
            max_output_tokens: candidate.max_output_tokens,
            temperature: candidate.temperature,
        })
    };
    let routes = config.routes.iter();
    Ok(routes
        .map(|(name, route)| (name.clone(), route.candidates.iter().filter_map(candidate).collect()))
        .collect())
}

/// Makes a provider ready: its address, key or script.
fn ready(
    config: &ProviderConfig,
    base_dir: &Path,
    env: Env<'_>,
) -> Result<Provider, (&'static str, Message)> {
    match config {
        ProviderConfig::Openai(config) => openai(config, base_dir, env).map(Provider::OpenAi),
        ProviderConfig::Scripted(config) => {
            let field = if config.rules.is_some() { "rules" } else { "rules_inline" };
            Scripted::read(config, base_dir).map(Provider::Scripted).map_err(|message| (field, message))
        }
    }
}

fn openai(config: &OpenAiConfig, base_dir: &Path, env: Env<'_>) -> Result<OpenAi, (&'static str, Message)> {
    let url = endpoint(&config.base_url, "chat/completions").map_err(|message| ("base_url", message))?;
    let key = ApiKey::read(config, base_dir, env).map_err(|problem| (problem.field, problem.message))?;
    let connect_limit = Duration::from_millis(config.connect_ms);
    let call_limit = Duration::from_millis(config.call_ms);
    OpenAi::new(url, key, connect_limit, call_limit).map_err(|message| ("api_key_env", message))
}
