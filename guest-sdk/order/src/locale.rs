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
#[error(
    "`{}` is not the tag of a language; write it like `pt-BR` or `en`",
    crate::problem::truncated(.0)
)]
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

    /// Reads a language as forms write it: a tag (`pt_BR.UTF-8` and `por` too) or the name of a
    /// language, such as `English`, `português` or `Deutsch`.
    ///
    /// # Errors
    /// [`LocaleError`] if it is neither, or a tag of a language that does not exist.
    pub fn read(text: &str) -> Result<Self, LocaleError> {
        let plain = crate::text::visible(text);
        let tag = plain.split(['.', '@', ' ', ';', ',']).next().unwrap_or_default();
        let whole =
            tag.len() == plain.len() || plain[tag.len()..].starts_with(['.', '@', ';', ',']);
        if whole && let Some(locale) = tag.parse::<Locale>().ok().and_then(Locale::known) {
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

    /// The tag, with the two letters of its language if there are any; `None` if there is no such
    /// language.
    fn known(self) -> Option<Self> {
        // Codes that were replaced, and that some programs still send.
        const REPLACED: [(&str, &str); 4] =
            [("iw", "he"), ("in", "id"), ("ji", "yi"), ("jp", "ja")];
        let language = self.language();
        if let Some((_, new)) = REPLACED.iter().find(|(old, _)| *old == language) {
            return Some(Locale(format!("{new}{}", &self.0[2..])));
        }
        if language.len() == 2 {
            return LANGUAGES.split(' ').any(|known| known == language).then_some(self);
        }
        if let Some((_, short)) = SHORTER.iter().find(|(long, _)| *long == language) {
            return Some(Locale(format!("{short}{}", &self.0[language.len()..])));
        }
        // Thousands of languages have three letters. These are codes for none.
        let is_none = matches!(language, "und" | "mul" | "mis" | "zxx" | "xxx")
            || ("qaa"..="qtz").contains(&language);
        (!is_none).then_some(self)
    }

    /// The language subtag, in lower case: `pt` of `pt-BR`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }
}

/// The languages of ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch \
    co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha \
    he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv ka kg ki kj kk kl km kn \
    ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne \
    ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk \
    sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi \
    vo wa wo xh yi yo za zh zu";

/// Three letters of languages that have two (ISO 639-2), as forms send them.
const SHORTER: &[(&str, &str)] = &[
    ("ara", "ar"),
    ("chi", "zh"),
    ("ces", "cs"),
    ("cze", "cs"),
    ("dan", "da"),
    ("deu", "de"),
    ("dut", "nl"),
    ("ell", "el"),
    ("eng", "en"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("fre", "fr"),
    ("ger", "de"),
    ("gre", "el"),
    ("heb", "he"),
    ("hun", "hu"),
    ("ita", "it"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("nld", "nl"),
    ("nor", "no"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rum", "ro"),
    ("rus", "ru"),
    ("spa", "es"),
    ("swe", "sv"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("zho", "zh"),
];

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
