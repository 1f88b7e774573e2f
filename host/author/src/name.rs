//! Template names: the manifest's rule, with messages that say what to change.

use std::fmt;
use std::str::FromStr;

use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::MAX_NAME_BYTES;

/// A template's name: 1 to 64 lower-case letters, digits and `-`, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateName(String);

/// Why a text is not a valid template name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(Message);

impl FromStr for TemplateName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match problem(text) {
            None => Ok(TemplateName(text.to_owned())),
            Some(problem) => {
                let better = suggestion(text)
                    .map(|name| format!("; `{name}` would be one"))
                    .unwrap_or_default();
                let shown: String = text.chars().take(80).collect();
                Err(NameError(message!(
                    "a template cannot be called {shown:?}: the name {problem}{better}"
                )))
            }
        }
    }
}

fn problem(text: &str) -> Option<String> {
    let first = text.chars().next();
    let strange =
        text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'));
    match (first, strange) {
        (None, _) => Some("is empty".to_owned()),
        (_, Some(c)) if c.is_ascii_uppercase() => {
            Some(format!("has the capital letter {c:?}, and letters are lower-case"))
        }
        (_, Some(c)) => {
            Some(format!("has {c:?}, and only letters from a to z, digits and `-` are allowed"))
        }
        (Some(first), None) if !first.is_ascii_lowercase() => {
            Some(format!("begins with {first:?} and not with a letter"))
        }
        _ if text.len() > MAX_NAME_BYTES => {
            Some(format!("has {} characters, and at most {MAX_NAME_BYTES} are allowed", text.len()))
        }
        _ => None,
    }
}

/// The closest valid name; `None` if nothing valid is left.
fn suggestion(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name: String = name.chars().take(MAX_NAME_BYTES).collect();
    let name = name.trim_end_matches('-').to_owned();
    problem(&name).is_none().then_some(name)
}

impl TemplateName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a Rust or Python module: `green_gate` for `green-gate`.
    pub fn module(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The name as a type: `GreenGateTemplate` for `green-gate`. The suffix avoids conflicts with
    /// names of the SDK.
    pub fn type_name(&self) -> String {
        let word = |word: &str| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        };
        let camel: String = self.0.split('-').filter_map(word).collect();
        if camel.len() > SUFFIX.len() && camel.ends_with(SUFFIX) { camel } else { camel + SUFFIX }
    }
}

const SUFFIX: &str = "Template";

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_what_is_wrong_with_it_and_what_would_be_right() {
        let long = "a".repeat(65);
        for (text, parts) in [
            ("", &["the name is empty"][..]),
            ("Green", &["capital letter 'G'", "`green` would be one"]),
            ("green gate", &["has ' '", "`green-gate`"]),
            ("jardín", &["has 'í'", "`jard-n`"]),
            ("2gates", &["begins with '2'", "`gates`"]),
            ("-gates", &["begins with '-'", "`gates`"]),
            ("../up", &["has '.'", "`up`"]),
            ("42", &["begins with '4'"]),
            (&long, &["has 65 characters", "at most 64"]),
        ] {
            let error = text.parse::<TemplateName>().unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {part:?} is missing in {error}");
            }
        }
        assert!(!"42".parse::<TemplateName>().unwrap_err().to_string().contains("would be"));
    }

    #[test]
    fn a_name_becomes_a_module_and_a_type_of_its_own() {
        for (name, module, of_type) in [
            ("green-gate", "green_gate", "GreenGateTemplate"),
            ("site", "site", "SiteTemplate"),
            ("template", "template", "TemplateTemplate"),
            ("page-template", "page_template", "PageTemplate"),
            ("a1--b-", "a1__b_", "A1BTemplate"),
        ] {
            let parsed: TemplateName = name.parse().unwrap();
            assert_eq!((parsed.module().as_str(), parsed.type_name().as_str()), (module, of_type));
        }
    }
}
