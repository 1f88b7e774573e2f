//! The rules, and what a violation of one looks like.

use serde::{Deserialize, Serialize};

/// Maximum number of characters of an excerpt.
pub(crate) const EXCERPT: usize = 120;

/// A rule that every text for visitors must keep. Serialized in kebab case.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CopyRule {
    Refusal,
    Placeholder,
    LeftOver,
    Markdown,
    PromptFragment,
    Language,
    Repetition,
    Heading,
    CutSentence,
    UnknownPhone,
    UnknownEmail,
    UnknownPrice,
    UnknownYear,
    UnknownAward,
    UnknownFigure,
    UnknownAddress,
    ForbiddenWord,
}

impl CopyRule {
    /// All rules, in the order of the reference.
    pub const VARIANTS: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// What a text must be like, in one sentence.
    pub const fn demand(self) -> &'static str {
        match self {
            Self::Refusal => {
                "The text speaks for the business: no refusal, and no word of a model about itself \
                 or its task."
            }
            Self::Placeholder => {
                "Every value is filled in: no `[Business Name]`, `{name}`, `%s`, `XXX`, TODO or \
                 lorem ipsum."
            }
            Self::LeftOver => {
                "No value of a program is shown as text: no `undefined`, `null`, `NaN`, \
                 `[object Object]`, markup, entities or escapes."
            }
            Self::Markdown => {
                "The text is plain: no Markdown marks, because they would be shown as they are."
            }
            Self::PromptFragment => {
                "Nothing of a prompt or of a chat protocol is in the text, and no label such as \
                 `Headline:` in front of it."
            }
            Self::Language => "The text is in the language of the site.",
            Self::Repetition => "No sentence, group of words or character is repeated in a loop.",
            Self::Heading => {
                "A heading says something: it is not only a date, a number, an id, a file name or \
                 an address."
            }
            Self::CutSentence => "The text ends where its last sentence ends.",
            Self::UnknownPhone => "Each phone number is in the order, in whatever notation.",
            Self::UnknownEmail => "Each e-mail address is in the order.",
            Self::UnknownPrice => "Each amount of money is in the order.",
            Self::UnknownYear => {
                "Each year is in the order, follows from it, or is the current one, the last or \
                 the next."
            }
            Self::UnknownAward => {
                "Awards, certificates and ratings are claimed only if the order mentions them."
            }
            Self::UnknownFigure => {
                "Years of experience, numbers of customers and service around the clock are in the \
                 order, or follow from it."
            }
            Self::UnknownAddress => "Each web address is in the order.",
            Self::ForbiddenWord => {
                "The text has no word that the operator or the template forbids."
            }
        }
    }
}

/// What a text is for. Some rules only hold for headings, others only for running text.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TextKind {
    /// The heading of a page or section, or a title.
    Heading,
    /// A few words: a button, a keyword, an entry of a list.
    Label,
    /// Sentences.
    Text,
}

impl TextKind {
    /// A guess from the name of a field and its text. The name may be empty.
    pub fn of_field(name: &str, text: &str) -> Self {
        const HEADING: [&str; 7] =
            ["heading", "headline", "title", "titulo", "titre", "titel", "titolo"];
        const LABEL: [&str; 9] =
            ["label", "cta", "button", "keyword", "tag", "name", "caption", "badge", "link"];
        const SHORT: usize = 60;
        let name = name.to_lowercase();
        let is_short = text.chars().nth(2 * SHORT).is_none();
        if HEADING.iter().any(|part| name.contains(part)) && is_short {
            return Self::Heading;
        }
        let is_sentence = text.contains(['.', '!', '?', '。', '\n', '؟']);
        let is_brief = text.chars().nth(SHORT).is_none() && !is_sentence;
        match is_brief || (LABEL.iter().any(|part| name.contains(part)) && is_short) {
            true => Self::Label,
            false => Self::Text,
        }
    }
}

/// One violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: CopyRule,
    /// The offending text with a little of what is around it, at most 120 characters.
    pub excerpt: String,
    /// What is wrong, and what would be right. Never empty.
    pub message: String,
}
