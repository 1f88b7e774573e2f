//! The AI replies of a test case, as a script.

use std::sync::Arc;

use serde::Serialize;
use sitewright_script::Script;
use toml::{Table, Value};

use super::case::{Answers, Fault, NamedFault};
use super::recording_journal::{RecordedCall, ReplyFormat};
use sitewright_model::message;
use sitewright_model::message::Message;

/// A rule of a script.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScriptRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) contains: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
    pub(crate) answer: Table,
}

/// The rules of an author's scripts, unchanged. Shared, because each test case has them.
#[derive(Debug, Clone, Default)]
pub(super) struct AuthorRules(Vec<Arc<Vec<Value>>>);

impl AuthorRules {
    /// Reads and checks a script.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        Script::from_toml(text).map_err(|error| error.to_string())?;
        let mut document: Table =
            text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        match document.remove("rule") {
            Some(Value::Array(rules)) => Ok(AuthorRules(vec![Arc::new(rules)])),
            _ => Ok(AuthorRules::default()),
        }
    }

    /// Its own rules, followed by those of `others`.
    pub(super) fn before(&self, others: &AuthorRules) -> AuthorRules {
        AuthorRules(self.0.iter().chain(&others.0).cloned().collect())
    }

    fn rules(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().flat_map(|rules| rules.iter())
    }
}

fn table(key: &str, value: impl Into<Value>) -> Table {
    Table::from_iter([(key.to_owned(), value.into())])
}

/// The rule that makes one call fail. `None` if the fault is not a reply, or does not apply to the
/// call: prose is a valid reply to a request for text.
pub(super) fn faulty(fault: &Fault, asked: &RecordedCall) -> Option<ScriptRule> {
    let answer = match fault {
        Fault::Scripted(scripted) => table("fault", scripted.clone()),
        Fault::Named(NamedFault::NotJson) if asked.format != ReplyFormat::Text => {
            table("text", "Sure! I would be glad to help with that. Let me know what you think.")
        }
        Fault::Named(NamedFault::OffSchema) => match &asked.format {
            ReplyFormat::Text => return None,
            ReplyFormat::Json => table("json_text", "[\"off the schema\"]"),
            ReplyFormat::Schema(_) => table("from_schema", "off"),
        },
        Fault::Named(_) => return None,
    };
    Some(ScriptRule {
        purpose: Some(asked.purpose.clone()),
        contains: asked.messages.clone(),
        times: None,
        answer,
    })
}

/// The script of one test case: the fault, then the author's rules, then replies that are generated
/// from the requests' schemas. Its text is made when the test case runs, because an author's script
/// may be large.
#[derive(Debug, Clone)]
pub(super) struct CaseScript {
    pub(super) fault: Option<ScriptRule>,
    pub(super) author: AuthorRules,
    pub(super) answers: Answers,
}

impl CaseScript {
    /// The script as TOML.
    pub(super) fn text(&self) -> Result<String, Message> {
        let plain = match self.answers {
            Answers::Full => "A quiet workshop near the harbour.\n\nPeople come back because the \
                              work lasts."
                .to_owned(),
            Answers::Smallest => "ok".to_owned(),
            Answers::Hostile => format!("A text of a model {}", sitewright_script::HOSTILE),
        };
        let made = [table("from_schema", self.answers.as_str()), table("text", plain)]
            .map(|answer| ScriptRule { purpose: None, contains: Vec::new(), times: None, answer });
        // The author's good replies would hide the smallest and hostile ones.
        let full = self.answers == Answers::Full;
        let author = self.author.rules().filter(|_| full).cloned().map(Ok);
        write(self.fault.iter().map(value).chain(author).chain(made.iter().map(value)))
    }
}

fn value(rule: &ScriptRule) -> Result<Value, toml::ser::Error> {
    Value::try_from(rule)
}

/// Rules as the text of a script.
pub(crate) fn text(rules: &[ScriptRule]) -> Result<String, Message> {
    write(rules.iter().map(value))
}

fn write(rules: impl Iterator<Item = Result<Value, toml::ser::Error>>) -> Result<String, Message> {
    let failed =
        |error: toml::ser::Error| message!("cannot serialize the scripted replies: {error}");
    let rules = rules.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    toml::to_string(&Table::from_iter([("rule".to_owned(), Value::Array(rules))])).map_err(failed)
}
