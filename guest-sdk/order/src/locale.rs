//! Language tags.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A BCP 47 language tag in canonical case: `pt-BR`, `en`, `zh-Hant-TW`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
#[schemars(extend("pattern" = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "maxLength" = 35))]
pub struct Locale(String);

/// The error for a text that is not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a language tag; write it like `pt-BR` or `en`", crate::problem::truncated(.0))]
pub struct LocaleError(pub String);

impl Locale {
    /// The whole tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region subtag, in upper case: `BR` of `pt-BR`; `None` if the tag has none.
    pub fn region(&self) -> Option<&str> {
        let is_region =
            |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_uppercase());
        self.0.split('-').skip(1).find(is_region)
    }

    /// Reads a language as forms write it: a tag (`pt_BR.UTF-8` too) or the name of a language,
    /// such as `English`, `português` or `Deutsch`.
    ///
    /// # Errors
    /// [`LocaleError`] if it is neither.
    pub fn read(text: &str) -> Result<Self, LocaleError> {
        let plain = crate::text::visible(text);
        let tag = plain.split(['.', '@', ' ', ';', ',']).next().unwrap_or_default();
        let whole =
            tag.len() == plain.len() || plain[tag.len()..].starts_with(['.', '@', ';', ',']);
        if whole && let Ok(locale) = tag.parse() {
            return Ok(locale);
        }
        let folded = crate::hours::fold_words(&plain);
        let name = folded.split(['(', '-', '–', '/']).next().unwrap_or_default().trim();
        let named = NAMES.iter().find(|(_, names)| names.contains(&name));
        let tag = named.map(|(tag, _)| *tag).ok_or_else(|| LocaleError(text.to_owned()))?;
        // `Portuguese (Brazil)`
        let region = folded
            .split_once(['(', '-', '–', '/'])
            .and_then(|(_, region)| crate::country_code(region.trim().trim_end_matches(')')));
        match region {
            Some(region) => format!("{tag}-{region}").parse(),
            None => tag.parse(),
        }
    }

    /// The language subtag, in lower case: `pt` of `pt-BR`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }
}

/// Names of languages as forms write them, folded.
const NAMES: &[(&str, &[&str])] = &[
    ("ar", &["arabic", "العربيه", "عربي"]),
    ("cs", &["czech", "cestina"]),
    ("da", &["danish", "dansk"]),
    ("de", &["german", "deutsch", "alemao", "aleman", "allemand"]),
    ("el", &["greek", "ελληνικα"]),
    ("en", &["english", "ingles", "anglais", "englisch", "inglese", "engels"]),
    ("es", &["spanish", "espanol", "espanhol", "castellano", "espagnol", "spanisch"]),
    ("fi", &["finnish", "suomi"]),
    ("fr", &["french", "francais", "frances", "franzosisch", "francese"]),
    ("he", &["hebrew", "עברית"]),
    ("it", &["italian", "italiano", "italien", "italienisch"]),
    ("ja", &["japanese", "日本語"]),
    ("ko", &["korean", "한국어"]),
    ("nb", &["norwegian", "norsk"]),
    ("nl", &["dutch", "nederlands"]),
    ("pl", &["polish", "polski"]),
    ("pt", &["portuguese", "portugues", "portugais", "portugiesisch", "portoghese"]),
    ("ro", &["romanian", "romana"]),
    ("ru", &["russian", "русскии", "русский"]),
    ("sv", &["swedish", "svenska"]),
    ("tr", &["turkish", "turkce"]),
    ("uk", &["ukrainian", "українська"]),
    ("zh", &["chinese", "中文", "汉语", "漢語", "mandarin"]),
];

impl FromStr for Locale {
    type Err = LocaleError;

    fn from_str(text: &str) -> Result<Self, LocaleError> {
        let wrong = || LocaleError(text.to_owned());
        // RFC 5646, section 4.4.1, recommends a limit of 35 characters.
        if text.trim().len() > 35 {
            return Err(wrong());
        }
        let mut parts = text.trim().split(['-', '_']);
        let language = parts.next().unwrap_or_default();
        if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic())
        {
            return Err(wrong());
        }
        let mut tag = language.to_ascii_lowercase();
        for part in parts {
            if !(2..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(wrong());
            }
            tag.push('-');
            match part.len() {
                2 => tag.push_str(&part.to_ascii_uppercase()),
                4 if part.bytes().all(|b| b.is_ascii_alphabetic()) => {
                    tag.push_str(&part[..1].to_ascii_uppercase());
                    tag.push_str(&part[1..].to_ascii_lowercase());
                }
                _ => tag.push_str(&part.to_ascii_lowercase()),
            }
        }
        Ok(Locale(tag))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Locale {
    type Error = LocaleError;
    fn try_from(text: String) -> Result<Self, LocaleError> {
        text.parse()
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> String {
        locale.0
    }
}
