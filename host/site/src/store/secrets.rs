//! Secrets of the environment, hidden from messages.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// Secrets that no message may show. The library prints responses, and some servers repeat the
/// request in them.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<Vec<SecretString>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// The values of the variables whose names say that they are secret, and the secrets inside
    /// these values: fields of a key file, the signature of a shared access token.
    pub(super) fn of(variables: &[(String, String)]) -> Self {
        let mut found = Vec::new();
        for (name, value) in variables.iter().filter(|(name, _)| holds_secret(name)) {
            found.push(value.clone());
            if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(value) {
                let texts = fields.iter().filter(|(field, _)| {
                    ["private", "secret", "token"].iter().any(|part| field.contains(part))
                });
                found.extend(texts.filter_map(|(_, text)| text.as_str().map(str::to_owned)));
            }
            if name.contains("SAS") {
                let pairs = url::form_urlencoded::parse(value.trim_start_matches('?').as_bytes());
                found
                    .extend(pairs.filter(|(key, _)| key == "sig").map(|(_, sig)| sig.into_owned()));
                found.extend(
                    value
                        .split('&')
                        .filter_map(|pair| pair.trim_start_matches('?').strip_prefix("sig="))
                        .map(str::to_owned),
                );
            }
        }
        // The longest first: one may contain another.
        found.retain(|secret| secret.len() >= 4);
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Secrets(Arc::new(found.into_iter().map(SecretString::from).collect()))
    }

    /// Replaces every secret in `text`.
    pub(super) fn hide(&self, mut text: String) -> String {
        for secret in self.0.iter() {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), "[hidden]");
            }
        }
        text
    }
}

fn holds_secret(name: &str) -> bool {
    let ending =
        ["_ID", "_FILE", "_PATH", "_URI", "_URL", "_CREDENTIALS", "_ALGORITHM", "_ENABLED"];
    ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD"].iter().any(|part| name.contains(part))
        && !ending.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whole_and_in_part() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "abcdSecret"),
            ("AWS_ACCESS_KEY_ID", "AKIDSHOWN"),
            (
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                r#"{"private_key": "pkpkpk", "client_email": "me@here"}"#,
            ),
            ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024&sig=a%2Fb%3D"),
        ];
        let secrets =
            Secrets::of(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let hidden =
            secrets.hide("abcdSecret AKIDSHOWN pkpkpk me@here sig=a%2Fb%3D a/b=".to_owned());
        assert_eq!(hidden, "[hidden] AKIDSHOWN [hidden] me@here sig=[hidden] [hidden]");
    }
}
