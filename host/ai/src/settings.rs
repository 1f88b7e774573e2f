//! What the operator sets for one model of a route beside the parameters that all providers share:
//! headers, fields of the body, and how much the model thinks.

use std::ffi::OsString;
use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::config::{CandidateConfig, Reasoning, TextSource};
use super::parameters::{Parameter, Shape};
use super::provider::thinks;
use super::redact;
use super::secret;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The settings of one candidate, with secrets read.
#[derive(Clone)]
pub(super) struct Settings {
    headers: HeaderMap,
    /// Merged into the body.
    extra: Map<String, Value>,
    /// Fields that are not sent, as paths.
    drop: Vec<String>,
    /// What is never sent, because `drop` or `send_temperature` says so.
    pub(super) shape: Shape,
    pub(super) reasoning: Option<Reasoning>,
    /// Whether the model is known by its name to think; `None` if its name was not looked at.
    pub(super) thinks: Option<bool>,
    /// Maximum number of tokens that the model thinks.
    pub(super) reasoning_tokens: Option<u32>,
    pub(super) service_tier: Option<String>,
    pub(super) cache_prompt: bool,
    /// The secrets among these settings.
    pub(super) secrets: Vec<SecretString>,
}

/// Not the values, which may be secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .field("drop", &self.drop)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            headers: HeaderMap::new(),
            extra: Map::new(),
            drop: Vec::new(),
            shape: Shape::PLAIN,
            reasoning: None,
            thinks: None,
            reasoning_tokens: None,
            service_tier: None,
            cache_prompt: true,
            secrets: Vec::new(),
        }
    }
}

impl Settings {
    /// The settings of a candidate. Blocks on file I/O.
    ///
    /// # Errors
    /// The field of the candidate that cannot be used, and why.
    pub(super) fn read(
        config: &CandidateConfig,
        base_dir: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, (String, Message)> {
        let mut secrets: Vec<SecretString> = Vec::new();
        let mut read = |source: &TextSource| -> Result<(String, bool), Message> {
            let text = match source {
                TextSource::Text(text) => return Ok((text.clone(), false)),
                TextSource::Env(named) => secret::from_env(&named.env, env)?,
                TextSource::File(named) => secret::from_file(&base_dir.join(&named.file))?,
            };
            let secret = SecretString::from(text.clone());
            redact::remember(&secret);
            secrets.push(secret);
            Ok((text, true))
        };
        let mut headers = HeaderMap::new();
        for (name, source) in &config.headers {
            let failed = |message| (format!("headers.{name}"), message);
            let (text, secret) = read(source).map_err(failed)?;
            let key: HeaderName = name
                .parse()
                .map_err(|_| failed(message!("the text {name:?} is not the name of a header")))?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| {
                failed(message!("the value has characters that a header cannot have"))
            })?;
            value.set_sensitive(secret);
            headers.insert(key, value);
        }
        let mut extra = Value::Object(config.extra.clone());
        resolve(&mut extra, &mut |source| read(source).map(|(text, _)| text))
            .map_err(|message| ("extra".to_owned(), message))?;
        let extra = match extra {
            Value::Object(extra) => extra,
            _ => Map::new(),
        };
        let mut shape = Shape::PLAIN;
        let dropped = config.drop.iter().filter(|path| !path.contains('.'));
        for parameter in dropped.filter_map(|path| Parameter::of_field(path)) {
            shape.omit(parameter);
        }
        if !config.send_temperature {
            shape.omit(Parameter::Temperature);
        }
        Ok(Settings {
            headers,
            extra,
            drop: config.drop.clone(),
            shape,
            reasoning: config.reasoning,
            thinks: config.model.as_deref().map(thinks),
            reasoning_tokens: config.reasoning_tokens,
            service_tier: config.service_tier.clone(),
            cache_prompt: config.cache_prompt,
            secrets,
        })
    }

    /// Replaces headers by those of the operator.
    pub(super) fn set_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// The body without the dropped fields and with the extra ones.
    pub(super) fn set_fields(&self, body: Vec<u8>) -> Vec<u8> {
        if self.drop.is_empty() && self.extra.is_empty() {
            return body;
        }
        // Adapters write JSON objects.
        let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&body) else {
            return body;
        };
        for path in &self.drop {
            remove(&mut fields, path);
        }
        merge(&mut fields, &self.extra);
        serde_json::to_vec(&fields).unwrap_or(body)
    }
}

/// Replaces each table `{ "$env" = "NAME" }` or `{ "$file" = "PATH" }` by the text that it names.
fn resolve(
    value: &mut Value,
    read: &mut dyn FnMut(&TextSource) -> Result<String, Message>,
) -> Result<(), Message> {
    match value {
        Value::Object(fields) => {
            if let Some(source) = reference(fields) {
                *value = read(&source)?.into();
                return Ok(());
            }
            fields.values_mut().try_for_each(|value| resolve(value, read))
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| resolve(value, read)),
        _ => Ok(()),
    }
}

fn reference(fields: &Map<String, Value>) -> Option<TextSource> {
    let mut entries = fields.iter();
    let (name, value) = entries.next().filter(|_| fields.len() == 1)?;
    match name.as_str() {
        "$env" => Some(TextSource::env(value.as_str()?)),
        "$file" => Some(TextSource::file(value.as_str()?)),
        _ => None,
    }
}

fn remove(fields: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => {
            fields.shift_remove(path);
        }
        Some((name, rest)) => {
            if let Some(Value::Object(inner)) = fields.get_mut(name) {
                remove(inner, rest);
            }
        }
    }
}

/// Adds fields; tables are merged, everything else is replaced.
fn merge(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (fields.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::redact::Redactor;
    use super::*;

    fn read(toml: &str) -> Result<Settings, (String, Message)> {
        let config: CandidateConfig =
            toml::from_str(&format!("provider = \"p\"\nmodel = \"m\"\n{toml}")).unwrap();
        let env = |name: &str| (name == "TOKEN").then(|| OsString::from("tenant-secret-1234"));
        Settings::read(&config, Path::new("/nowhere"), &env)
    }

    #[test]
    fn fields_are_dropped_and_merged_and_secrets_are_read_by_reference() {
        let settings = read(
            "drop = [\"a\", \"options.b\", \"temperature\"]\n\
             headers = { x-tenant = { env = \"TOKEN\" }, x-plain = \"1\" }\n\
             [extra]\nprovider = { order = [\"x\"] }\noptions = { c = 2 }\n\
             user = { \"$env\" = \"TOKEN\" }\n",
        )
        .unwrap();
        let body = json!({"model": "m", "a": 1, "options": {"b": 1, "d": 3}, "user": "x"});
        let body: Value =
            serde_json::from_slice(&settings.set_fields(serde_json::to_vec(&body).unwrap()))
                .unwrap();
        assert_eq!(
            body,
            json!({"model": "m", "options": {"d": 3, "c": 2}, "user": "tenant-secret-1234",
                   "provider": {"order": ["x"]}})
        );
        let mut headers = HeaderMap::new();
        settings.set_headers(&mut headers);
        assert_eq!(headers["x-tenant"], "tenant-secret-1234");
        let shown = format!("{settings:?} {headers:?}");
        assert!(!shown.contains("tenant-secret"), "{shown}");
        assert_eq!(
            Redactor::new(settings.secrets).redact("a tenant-secret-1234 b"),
            "a [key removed] b"
        );
        assert!(!settings.shape.sends(Parameter::Temperature));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (toml, field, says) in [
            ("headers = { x = { env = \"NOPE\" } }", "headers.x", "NOPE is not set"),
            ("extra = { x = { \"$file\" = \"none\" } }", "extra", "/nowhere/none"),
            ("headers = { x = \"a\\nb\" }", "headers.x", "characters"),
        ] {
            let (found, message) = read(toml).unwrap_err();
            assert_eq!(found, field, "{toml}");
            assert!(message.as_str().contains(says), "{message}");
        }
    }
}
