//! Phone numbers.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{ascii_digit, visible};

/// Maximum length of a text that is read as a phone number, in bytes.
const MAX_WRITTEN: usize = 300;

/// A phone number for display: 6 to 15 digits, separators and an optional leading `+`, at most 60
/// bytes. The host writes numbers whose country is known in the international form, so that
/// [`Phone::dial`] and [`Phone::digits`] reach them from everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[+0-9(][0-9 ()./\u{a0}\u{2010}-\u{2015}-]*$"))]
pub struct Phone(String);

/// The error for a text that is not a phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a phone number; write it like `+55 19 95550-1011` or `(555) 010-2200`, with 6 to \
     15 digits and no words",
    crate::problem::truncated(.0)
)]
pub struct PhoneError(pub String);

/// A phone number as it was meant, and what was left out of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPhone {
    /// The number.
    pub phone: Phone,
    /// What of the text is not dialled, for a message: a second number, an extension.
    pub left_out: Vec<String>,
}

impl Phone {
    /// The number as it is displayed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number for `tel:` links: a leading `+` if it is international, then only digits.
    pub fn dial(&self) -> String {
        let plus = if self.is_international() { "+" } else { "" };
        format!("{plus}{}", self.digits())
    }

    /// The digits of the number, for `https://wa.me/` links.
    pub fn digits(&self) -> String {
        self.0.chars().filter(char::is_ascii_digit).collect()
    }

    /// Whether the number begins with `+`.
    pub fn is_international(&self) -> bool {
        self.0.starts_with('+')
    }

    /// Reads a number as people and spreadsheets write it: with invisible characters, digits of
    /// other scripts, `00` for `+`, a trunk zero in brackets, a word before it, an extension or a
    /// second number after it, or as `442079460123.0`.
    ///
    /// # Errors
    /// [`PhoneError`] if the text is not one number.
    pub fn read(text: &str) -> Result<WrittenPhone, PhoneError> {
        let wrong = || PhoneError(text.to_owned());
        // Longer than two numbers with words: the search for a second number is not linear.
        if text.len() > MAX_WRITTEN {
            return Err(wrong());
        }
        let plain: String = visible(text).chars().map(unified).collect();
        let plain = plain.trim().trim_start_matches(['\'', '"', '=']);
        if let Some(digits) = exact_float(plain).or_else(|| spelled(plain)) {
            let phone: Phone = digits.parse().map_err(|_| wrong())?;
            return Ok(WrittenPhone { phone, left_out: Vec::new() });
        }
        let (plain, always) = without_hours(plain);
        let plain = plain.replace("(0xx", "(0").replace("(xx", "(");
        let plain = match plain.trim_start().strip_prefix("0xx") {
            Some(rest) => format!("0{rest}"),
            None => plain,
        };
        let plain = without_label(plain.trim());
        let (first, mut left_out) = first_number(plain);
        left_out.extend(always);
        let (number, extension) = without_extension(first);
        left_out.extend(extension);
        let (number, words) = without_words(number).ok_or_else(wrong)?;
        left_out.extend(words);
        let number = without_fraction(number);
        let number = international(number);
        if is_placeholder(&number) {
            return Err(wrong());
        }
        let phone: Phone = number.parse().map_err(|_| wrong())?;
        // As typed, if that says the same.
        let typed = text.parse::<Phone>().ok().filter(|typed| typed.dial() == phone.dial());
        Ok(WrittenPhone { phone: typed.unwrap_or(phone), left_out })
    }
}

/// A character with the one that it stands for in a number.
fn unified(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '＋' => '+',
        '（' | '[' => '(',
        '）' | ']' => ')',
        // A line is a number of its own.
        '\n' => '|',
        '\t' => ' ',
        '·' | '•' | '∙' => '.',
        c => ascii_digit(c),
    }
}

/// The text without a word before the number: `Tel.: +44 …`.
fn without_label(text: &str) -> &str {
    let Some(at) = text.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) else {
        return text;
    };
    let (label, number) = text.split_at(at);
    let word = label.trim_end_matches([' ', ':', '.', '-', '=']);
    let known = [
        "",
        "t",
        "tel",
        "tél",
        "telefon",
        "telefone",
        "teléfono",
        "telefono",
        "téléphone",
        "telephone",
        "phone",
        "ph",
        "p",
        "fone",
        "fon",
        "mobile",
        "mobil",
        "móvil",
        "movil",
        "cell",
        "cel",
        "celular",
        "handy",
        "gsm",
        "portable",
        "call",
        "whatsapp",
        "wa",
        "zap",
        "call us",
        "hotline",
        "電話",
        "电话",
        "هاتف",
        "جوال",
        "טלפון",
        "office",
        "work",
        "home",
        "main",
        "n",
    ];
    if known.contains(&word.to_lowercase().as_str()) { number } else { text }
}

/// The first of the numbers in a text, and the others.
fn first_number(text: &str) -> (&str, Vec<String>) {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    // A trunk zero in brackets is not a digit of the number.
    let significant = |text: &str| digits(text) - text.matches("(0)").count();
    let words = [" or ", " and ", " e ", " ou ", " o ", " y ", " oder ", " und ", " et ", " / "];
    // No number has as many digits, so that what is between blanks separates two.
    let are_two =
        !text.contains(char::is_alphabetic) && digits(text.strip_prefix("00").unwrap_or(text)) > 15;
    let between = [" - ", " . "];
    let mut at = text.len();
    let mut after = text.len();
    for (start, c) in text.char_indices() {
        let rest = &text[start..];
        let length = if matches!(c, ',' | ';' | '|' | '/' | '&' | '\\') {
            c.len_utf8()
        } else if are_two && between.iter().any(|sign| rest.starts_with(sign)) {
            if digits(rest) >= 7 { " - ".len() } else { 0 }
        } else {
            words.iter().find(|word| rest.starts_with(**word)).map_or(0, |word| word.len())
        };
        // `030/1234567` is one number: what is before the separator is too short for one.
        if length > 0 && significant(&text[..start]) >= 7 && digits(&rest[length..]) > 0 {
            (at, after) = (start, start + length);
            break;
        }
    }
    // A second `+` begins a second number.
    if let Some((second, _)) =
        text.char_indices().skip(1).find(|(at, c)| *c == '+' && significant(&text[..*at]) >= 7)
        && second < at
    {
        (at, after) = (second, second);
    }
    let others = text[after..].trim();
    let left_out = if others.is_empty() { Vec::new() } else { vec![others.to_owned()] };
    (text[..at].trim_matches([' ', ',', ';', '-', '|']), left_out)
}

/// The number among words that are beside it and not in it, and what is left out: `020 7946 0123
/// (office)`, `Tel. 06 6982 1234 Fax 06 6982 1235`. `None` if it is uncertain which one is meant,
/// or if it is that of a fax machine.
fn without_words(text: &str) -> Option<(&str, Vec<String>)> {
    if !text.contains(char::is_alphabetic) {
        return Some((text, Vec::new()));
    }
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    // `12O 555 0123`: a letter in a number is a mistake, or a word that is dialled.
    let touches = chars.windows(2).any(|pair| match pair {
        [(_, one), (_, other)] => {
            one.is_ascii_digit() && other.is_alphabetic()
                || one.is_alphabetic() && other.is_ascii_digit()
        }
        _ => false,
    });
    if touches {
        return None;
    }
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let mut found: Option<&str> = None;
    let mut left_out = Vec::new();
    let mut is_fax = false;
    let mut end = 0;
    for part in text.split_inclusive(char::is_alphabetic) {
        end += part.len();
        // Each part ends with a letter, but the last one.
        let number = part.trim_end_matches(char::is_alphabetic);
        let number = number
            .trim_start_matches(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '('))
            .trim_end_matches(|c: char| !c.is_ascii_digit());
        match digits(number) {
            0 => {}
            // Too short for a number: of a room, or of the hour until which one may call.
            1..6 => return None,
            _ if found.is_some() || is_fax => left_out.push(number.to_owned()),
            _ => found = Some(number),
        }
        if digits(number) > 0 {
            is_fax = false;
        }
        let word = text[..end].rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        is_fax |= matches!(word.to_lowercase().as_str(), "fax" | "telefax" | "télécopie");
    }
    let found = found?;
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    if !words.is_empty() {
        left_out.push(words.join(" "));
    }
    Some((found, left_out))
}

/// The text without the hours that some write behind a number: `24/7`, `24h`, `(24 hours)`.
fn without_hours(text: &str) -> (String, Option<String>) {
    const SIGNS: [&str; 10] = [
        "24/7",
        "24 / 7",
        "24 hours",
        "24 horas",
        "24 stunden",
        "24 heures",
        "24 ore",
        "24 uur",
        "24h",
        "24 h",
    ];
    let lower = text.to_ascii_lowercase();
    let found = SIGNS.iter().find_map(|sign| {
        let at = lower.find(sign)?;
        let rest = &lower[at + sign.len()..];
        let begins = lower[..at].ends_with([' ', '(', ',', '-', '|']);
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric());
        (begins && ends).then_some((at, sign.len()))
    });
    match found {
        Some((at, length)) => {
            let before = text[..at].trim_end_matches([' ', '(', ',', '-', '|']);
            let after = text[at + length..].trim_start_matches(')');
            (format!("{before}{after}"), Some(text[at..at + length].to_owned()))
        }
        None => (text.to_owned(), None),
    }
}

/// The digits of a number that a spreadsheet wrote as a float and did not cut:
/// `5.519987654321E+12`.
fn exact_float(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent.trim_start_matches('+').parse().ok()?;
    let (first, rest) = mantissa.split_once(['.', ','])?;
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let whole = first.len() == 1 && rest.len() == exponent && is_digits(first) && is_digits(rest);
    whole.then(|| format!("{first}{rest}"))
}

/// The digits of a number of North America that is dialled as a word: `1-800-FLOWERS`.
fn spelled(text: &str) -> Option<String> {
    const FREE: [&str; 8] = ["800", "833", "844", "855", "866", "877", "888", "900"];
    let plain: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '+')).collect();
    let number = plain.strip_prefix('1').unwrap_or(&plain);
    let is_word = number.len() == 10
        && FREE.iter().any(|code| number.starts_with(code))
        && number.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && number.ends_with(|c: char| c.is_ascii_uppercase());
    let key = |c: char| match c {
        'A'..='C' => '2',
        'D'..='F' => '3',
        'G'..='I' => '4',
        'J'..='L' => '5',
        'M'..='O' => '6',
        'P'..='S' => '7',
        'T'..='V' => '8',
        'W'..='Z' => '9',
        c => c,
    };
    is_word.then(|| {
        let dialled: String = number.chars().map(key).collect();
        format!("+1 {}-{}-{}", &dialled[..3], &dialled[3..6], &dialled[6..])
    })
}

/// Whether a number only fills a field: `000-000-0000`, `1234567890`.
fn is_placeholder(number: &str) -> bool {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let same = digits.bytes().all(|b| Some(b) == digits.bytes().next());
    same || matches!(digits.as_str(), "1234567" | "12345678" | "123456789" | "1234567890")
}

/// The text without an extension: `x12`, `ext. 12`, `ramal 12`, `#12`.
fn without_extension(text: &str) -> (&str, Option<String>) {
    let lower = text.to_ascii_lowercase();
    let signs = [
        "extension",
        "ext.",
        "ext",
        "ramal",
        "poste",
        "durchwahl",
        "interno",
        "int.",
        "anexo",
        "toestel",
        "wew.",
        "x",
        "#",
    ];
    let found = signs
        .iter()
        .filter_map(|sign| {
            let at = lower.find(sign)?;
            let number = lower[at + sign.len()..].trim_matches([' ', '.', ':', ')']);
            let short =
                (1..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
            (at > 0 && short).then_some(at)
        })
        .min();
    match found {
        Some(at) => {
            let number = text[..at].trim_end_matches([' ', ',', ';', '(', '-', '/']);
            (number, Some(text[at..].trim_end_matches(')').to_owned()))
        }
        None => (text, None),
    }
}

/// The number without the fraction that a spreadsheet wrote: `442079460123.0`.
fn without_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some((digits, fraction))
            if digits.len() >= 6
                && digits.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit())
                && !fraction.is_empty()
                && fraction.bytes().all(|b| b == b'0')
                && fraction.len() <= 2 =>
        {
            digits
        }
        _ => text,
    }
}

/// The number with `+` for `00`, and without the trunk zero of an international number.
fn international(text: &str) -> String {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number = match text.strip_prefix("00").or_else(|| text.strip_prefix("(00)")) {
        // `00` and a country code, which never begins with 0.
        Some(rest)
            if digits >= 10
                && rest.trim_start().starts_with(|c: char| ('1'..='9').contains(&c)) =>
        {
            format!("+{}", rest.trim_start())
        }
        _ => text
            .strip_prefix("(+")
            .map_or_else(|| text.to_owned(), |rest| format!("+{}", rest.replacen(')', " ", 1))),
    };
    if !number.starts_with('+') {
        return number;
    }
    // Numbers of these countries keep the zero also behind the country code: +39 06.
    let keeps_zero = ["39", "378", "379", "225", "241", "242"];
    let dialled: String = number.chars().filter(char::is_ascii_digit).take(3).collect();
    let zero = if keeps_zero.iter().any(|code| dialled.starts_with(code)) { "0" } else { " " };
    let number = number.replace("+ ", "+").replacen("(0)", zero, 1);
    let number = number.split_whitespace().collect::<Vec<_>>().join(" ");
    // Mexico's mobile numbers had a 1 behind the country code until 2019.
    match number.strip_prefix("+52 1").or_else(|| number.strip_prefix("+521")) {
        Some(rest) if digits == 13 => format!("+52 {}", rest.trim_start_matches([' ', '-'])),
        _ => number,
    }
}

impl FromStr for Phone {
    type Err = PhoneError;

    fn from_str(text: &str) -> Result<Self, PhoneError> {
        let text = text.trim();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let clean = text.char_indices().all(|(at, c)| match c {
            '0'..='9' | '(' => true,
            // Office programs replace blanks and hyphens by non-breaking and typographic ones.
            ' ' | ')' | '-' | '.' | '/' | '\u{a0}' | '\u{2010}'..='\u{2015}' => at > 0,
            '+' => at == 0,
            _ => false,
        });
        if clean && (6..=15).contains(&digits) && text.len() <= 60 {
            Ok(Phone(text.to_owned()))
        } else {
            Err(PhoneError(text.to_owned()))
        }
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Phone {
    type Error = PhoneError;
    fn try_from(text: String) -> Result<Self, PhoneError> {
        text.parse()
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> String {
        phone.0
    }
}
