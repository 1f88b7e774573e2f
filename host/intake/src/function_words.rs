//! The small words of languages in Latin letters, which no text is without: they tell a language
//! where names, code and words of several languages look like any.
//!
//! `host/copy` has a table of its own (`language.rs`) for another question: whether the text of a
//! site contradicts a language that is known. Its words are folded and are those that few other
//! languages have, because one of them counts against the site. Here a language is found among all
//! of them, by the words with their accents (`é` and `e`, `è` and `e`) and also by those that
//! several languages share. Neither table can be made of the other.

use std::collections::HashSet;

/// Minimum number of small words that tell a language without further evidence.
const ENOUGH: usize = 3;

/// Languages with their small words, separated by blanks.
const WORDS: [(&str, &str); 12] = [
    (
        "de",
        "als auf aus bei bieten das dem den der die ein eine einen für haben ich ihr ihre im \
         ist mit nach nicht oder ohne seit sie sind und unser unsere unserer vom von was \
         welche wie wir zu zum zur über",
    ),
    (
        "en",
        "all and any are as at be by do every for from has have in is it of offer on our \
         since that the their this to we what which who will with you your",
    ),
    (
        "es",
        "al como con de del desde el en es la las los más nuestra nuestro para por que se sin \
         son su sus tu una uno y",
    ),
    (
        "fr",
        "au aux avec chez dans de depuis des du en est et la le les nos notre nous ou par \
         pour qui sans sur une un vos votre vous à",
    ),
    (
        "it",
        "al alla che come con da dal dalla degli dei del della delle di e gli i il in la le \
         nel nella nostra nostro per più si sono su un una",
    ),
    (
        "nl",
        "aan al alle bij binnen de een en het in is met naar niet onze ook op sinds te tot \
         uit uw van voor wij zijn",
    ),
    ("pl", "dla do i jest na nasza nasze nie od oraz po przez się w z za ze"),
    (
        "pt",
        "ao as com da das de desde do dos e em mais na nas no nos nossa nosso não o os para \
         pela pelo por que seu sua uma à é",
    ),
    ("cs", "do je jsme jsou na nebo od pro se za ze"),
    ("da", "af at den det efter en er et for fra har hos ikke med og om på som til vi vores"),
    ("ro", "al ale care cu de din este la nu pe pentru prin sau sunt și un în"),
    ("sv", "av den det efter en ett från för har hos inte med och om på som till vi vår våra är"),
];

/// The language whose small words a text has: at least [`ENOUGH`] different ones, and twice as many
/// as of any other. `None` of a text that is mostly in letters that are not Latin.
pub(super) fn language_of(text: &str) -> Option<&'static str> {
    let (latin, others): (Vec<char>, Vec<char>) =
        text.chars().filter(|c| c.is_alphabetic()).partition(|c| *c < '\u{250}');
    if latin.len() < 4 * others.len() {
        return None;
    }
    let counts = counts(text);
    let (language, most) = counts.iter().max_by_key(|(_, count)| *count).copied()?;
    let others = counts.iter().filter(|(other, _)| *other != language);
    let second = others.map(|(_, count)| *count).max().unwrap_or_default();
    (most >= ENOUGH && most >= 2 * second).then_some(language)
}

/// The one of some languages whose small words a text has most of; `None` if two have as many.
pub(super) fn language_among(text: &str, languages: &[&'static str]) -> Option<&'static str> {
    let mut counts = counts(text);
    counts.retain(|(language, _)| languages.contains(language));
    let most = counts.iter().map(|(_, count)| *count).max().filter(|most| *most > 0)?;
    let mut best = counts.iter().filter(|(_, count)| *count == most);
    let (language, _) = best.next()?;
    best.next().is_none().then_some(*language)
}

/// Whether a text has more small words of another language than of this one. Not if those of this
/// one are not known.
pub(super) fn contradict(text: &str, language: &str) -> bool {
    let counts = counts(text);
    let own = counts.iter().find(|(known, _)| *known == language).map(|(_, count)| *count);
    own.is_some_and(|own| counts.iter().any(|(_, count)| *count > own))
}

/// The number of different small words of each language in a text.
fn counts(text: &str) -> Vec<(&'static str, usize)> {
    let lower = text.to_lowercase();
    let words: HashSet<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    let count = |known: &str| known.split(' ').filter(|word| words.contains(word)).count();
    WORDS.iter().map(|(language, known)| (*language, count(known))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_words_tell_which_of_some_languages_it_is() {
        let table = [
            ("Les meilleures frites de Bruxelles", &["nl", "fr", "de"][..], Some("fr")),
            ("De lekkerste frietjes van het dorp", &["nl", "fr", "de"], Some("nl")),
            ("Ihr Partner für das Auto", &["de", "fr", "it"], Some("de")),
            ("Frites", &["nl", "fr", "de"], None),
        ];
        for (text, languages, expected) in table {
            assert_eq!(language_among(text, languages), expected, "{text}");
        }
        for (text, language, expected) in [
            ("PIZZA OF ROME", "it", true),
            ("PIZZA OF ROME", "en", false),
            ("PIZZA OF ROME", "hu", false),
            ("Pizza", "it", false),
        ] {
            assert_eq!(contradict(text, language), expected, "{text} in {language}");
        }
    }
}
