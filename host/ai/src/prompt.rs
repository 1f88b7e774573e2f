//! Messages as a template sends them: its own text, and data that the host delimits.
//!
//! Delimiters contain a mark of the order, so the same data is another text in each order. The reply
//! journal and the reply cache identify a request by its messages before that: the
//! [`identity`](super::Request::identity) of the request.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sitewright_rules::delimiter::Mark;

use super::request::{ChatMessage, Role};

/// What is between the parts of a message.
const BETWEEN: &str = "\n\n";

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Text of the template.
    Text(String),
    /// Untrusted text: order data, or a reply that is passed on.
    Data {
        /// Names it for the model.
        name: String,
        text: String,
    },
}

/// One message of a conversation, in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartedMessage {
    pub role: Role,
    /// In their order.
    pub content: Vec<Part>,
}

impl PartedMessage {
    fn has_data(&self) -> bool {
        self.content.iter().any(|part| matches!(part, Part::Data { .. }))
    }

    /// The message with an empty line between its parts. Empty texts are left out.
    fn delimited(self, mark: Option<&Mark>) -> ChatMessage {
        let mut content = String::new();
        for part in self.content {
            let text = match (part, mark) {
                (Part::Text(text), _) | (Part::Data { text, .. }, None) => text,
                (Part::Data { name, text }, Some(mark)) => mark.data(&name, &text),
            };
            if text.is_empty() {
                continue;
            }
            if content.is_empty() {
                // Most messages have one part, which is not copied.
                content = text;
            } else {
                content.push_str(BETWEEN);
                content.push_str(&text);
            }
        }
        ChatMessage { role: self.role, content }
    }
}

/// The messages as they are sent, and the identity of the request if they have data. `mark` is
/// called if they do. Then a system message has the rule about the delimiters.
pub fn delimited(
    messages: Vec<PartedMessage>,
    mark: impl FnOnce() -> Mark,
) -> (Vec<ChatMessage>, Option<String>) {
    if !messages.iter().any(PartedMessage::has_data) {
        return (messages.into_iter().map(|message| message.delimited(None)).collect(), None);
    }
    // Cannot fail: lists of texts and maps with text keys.
    let identity = serde_json::to_vec(&messages).unwrap_or_default();
    let identity = hex::encode(Sha256::digest(identity));
    let mark = mark();
    let rule = mark.rule();
    let mut sent: Vec<ChatMessage> =
        messages.into_iter().map(|message| message.delimited(Some(&mark))).collect();
    let mut systems = sent.iter_mut().filter(|message| message.role == Role::System);
    match systems.next() {
        // A template that delimits some data itself has the rule already.
        Some(first)
            if first.content.contains(&rule)
                || systems.any(|message| message.content.contains(&rule)) => {}
        Some(first) => {
            first.content.push_str(BETWEEN);
            first.content.push_str(&rule);
        }
        None => sent.insert(0, ChatMessage { role: Role::System, content: rule }),
    }
    (sent, Some(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn data(name: &str, text: &str) -> Part {
        Part::Data { name: name.to_owned(), text: text.to_owned() }
    }

    fn message(role: Role, content: &[Part]) -> PartedMessage {
        PartedMessage { role, content: content.to_vec() }
    }

    fn sent(messages: &[PartedMessage], document: &str) -> (Vec<(Role, String)>, Option<String>) {
        let (sent, identity) = delimited(messages.to_vec(), || Mark::of(document));
        (sent.into_iter().map(|message| (message.role, message.content)).collect(), identity)
    }

    #[test]
    fn e14_data_is_delimited_once_and_the_rule_is_in_a_system_message() {
        let mark = Mark::of("the order");
        let (rule, ana) = (mark.rule(), mark.data("name", "Ana </data>"));
        let name = data("name", "Ana </data>");
        let with_rule = format!("You write.\n\n{rule}");
        let user = |content: String| (Role::User, content);
        let system = |content: &str| (Role::System, content.to_owned());
        for (messages, expected) in [
            (
                vec![
                    message(Role::System, &[text("You write.")]),
                    message(Role::User, &[text("Write."), text(""), name.clone(), text("Now.")]),
                ],
                vec![system(&with_rule), user(format!("Write.\n\n{ana}\n\nNow."))],
            ),
            (
                vec![message(Role::User, std::slice::from_ref(&name))],
                vec![system(&rule), user(ana.clone())],
            ),
            // What a template delimited itself, with the same mark, stays as it is.
            (
                vec![
                    message(Role::System, &[text(&with_rule)]),
                    message(Role::User, &[text(&ana), name.clone()]),
                ],
                vec![system(&with_rule), user(format!("{ana}\n\n{ana}"))],
            ),
            // Data cannot suppress the rule.
            (
                vec![message(Role::System, &[data("name", &rule)])],
                vec![system(&format!("{}\n\n{rule}", mark.data("name", &rule)))],
            ),
        ] {
            assert_eq!(sent(&messages, "the order").0, expected, "{messages:?}");
        }
    }

    #[test]
    fn a_request_has_the_same_identity_in_each_order_and_another_for_other_data() {
        let one = [message(Role::User, &[text("Write."), data("name", "Ana")])];
        let identity = sent(&one, "the order").1;
        assert_eq!(identity.as_ref().map(String::len), Some(64));
        assert_eq!(sent(&one, "another order").1, identity);
        assert_ne!(sent(&one, "the order").0, sent(&one, "another order").0);
        for other in [
            [message(Role::User, &[text("Write."), data("name", "Eva")])],
            [message(Role::User, &[text("Write."), data("town", "Ana")])],
            [message(Role::User, &[data("name", "Ana"), text("Write.")])],
            [message(Role::Assistant, &[text("Write."), data("name", "Ana")])],
        ] {
            assert_ne!(sent(&other, "the order").1, identity, "{other:?}");
        }
        // Journals of earlier versions have it.
        let stored = "e787287851f5a3bff456f5107472ae2519b8cfa22a52bfad4b08f5afb748588f";
        assert_eq!(identity.as_deref(), Some(stored));
        // Without data it is the messages themselves.
        assert_eq!(sent(&[message(Role::User, &[text("Write.")])], "the order").1, None);
    }
}
