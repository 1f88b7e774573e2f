//! Whether a text is in the language that is wanted.

use std::collections::HashMap;
use std::sync::LazyLock;

use whatlang::{Detector, Lang};

use crate::text::View;

/// Minimum number of letters of a text whose language is judged by its words.
const MIN_LETTERS: usize = 40;
/// Minimum number of letters of a text whose language is detected.
const MIN_DETECTED: usize = 90;
/// Maximum number of bytes of a text that are looked at.
const MAX_TEXT: usize = 4_000;

/// A script in which languages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Arabic,
    Hebrew,
    Cyrillic,
    Greek,
    Kana,
    Han,
    Hangul,
    Other,
}

/// Languages with their names and, for Latin ones of our templates, words in folded form that the
/// others of these do not have.
const LANGUAGES: [(&str, &str, Lang, &[&str]); 22] = [
    (
        "en",
        "English",
        Lang::Eng,
        &[
            "the", "and", "of", "with", "our", "your", "you", "we", "is", "are", "for", "from",
            "that", "this", "have", "every", "by", "when", "what", "not", "will", "it", "to",
            "their", "they", "or", "be", "can", "has", "was", "i", "at", "who", "there", "so",
            "us",
        ],
    ),
    (
        "pt",
        "Portuguese",
        Lang::Por,
        &[
            "nao", "uma", "com", "voce", "voces", "em", "ao", "aos", "sao", "seu", "seus",
            "tambem", "nossa", "nosso", "nossos", "nossas", "pela", "pelas", "quem", "ate", "ja",
            "muito", "sem", "foi", "tem", "os", "mesmo", "melhor", "fazer", "feito", "feita",
            "hoje", "agora", "e", "mais", "o", "do", "da", "um", "cada", "para", "que", "fale",
            "sobre", "sua", "suas", "na", "nas", "das", "dos", "pelo", "pelos", "ainda", "depois",
            "onde", "tudo", "ou", "nem", "estamos", "venha", "conosco",
        ],
    ),
    (
        "es",
        "Spanish",
        Lang::Spa,
        &[
            "el", "los", "las", "y", "nuestro", "nuestra", "nuestros", "nuestras", "sus",
            "tambien", "muy", "pero", "donde", "cuando", "hasta", "sin", "usted", "ustedes", "hay",
            "hoy", "hace", "hacer", "siempre", "ya", "ni", "mejor", "quien", "puede", "tiene",
            "mucho", "del", "una", "con", "en", "cada", "para", "que", "mas", "su", "por", "lo",
        ],
    ),
    (
        "fr",
        "French",
        Lang::Fra,
        &[
            "les", "des", "et", "vous", "nous", "votre", "notre", "vos", "est", "dans", "pour",
            "avec", "sur", "une", "du", "aux", "qui", "ce", "cette", "ces", "chez", "sans", "leur",
            "par", "depuis", "chaque", "sont", "tout", "toute", "le", "ou", "en", "plus", "d", "l",
            "au",
        ],
    ),
    (
        "de",
        "German",
        Lang::Deu,
        &[
            "der", "die", "das", "und", "ist", "sind", "mit", "fur", "von", "wir", "sie", "ihr",
            "ihre", "ihren", "unser", "unsere", "unserer", "nicht", "auf", "ein", "eine", "einen",
            "einem", "dem", "zu", "zum", "zur", "im", "bei", "auch", "aus", "wie", "oder", "seit",
            "sich", "nach", "uber", "werden", "wird", "haben", "ohne", "jeden", "den", "des", "am",
            "es",
        ],
    ),
    (
        "it",
        "Italian",
        Lang::Ita,
        &[
            "il", "di", "che", "per", "gli", "della", "dei", "delle", "nel", "nella", "sono",
            "anche", "piu", "questo", "questa", "nostro", "nostra", "nostri", "nostre", "vostro",
            "vostra", "dal", "dalla", "ogni", "tutti", "tutto", "senza", "siamo", "sul", "sulla",
            "degli", "dello", "molto", "dove", "perche", "ha", "e", "con", "una", "la", "i", "si",
            "non", "alla",
        ],
    ),
    (
        "nl",
        "Dutch",
        Lang::Nld,
        &[
            "het", "een", "van", "voor", "met", "zijn", "ons", "onze", "niet", "ook", "uw", "wij",
            "bij", "naar", "dat", "op", "aan", "wordt", "worden", "je", "jij", "jouw", "maar",
            "om", "door", "nog", "deze", "dit", "geen", "heeft", "hebben", "kunt", "kan", "alle",
            "elke", "iedere", "altijd", "zonder", "graag", "goed", "hier", "bent", "welkom",
            "samen", "meer", "dag", "onder", "tot", "uit", "als",
        ],
    ),
    ("ar", "Arabic", Lang::Ara, &[]),
    ("he", "Hebrew", Lang::Heb, &[]),
    ("ja", "Japanese", Lang::Jpn, &[]),
    ("zh", "Chinese", Lang::Cmn, &[]),
    ("ko", "Korean", Lang::Kor, &[]),
    ("ru", "Russian", Lang::Rus, &[]),
    ("uk", "Ukrainian", Lang::Ukr, &[]),
    ("el", "Greek", Lang::Ell, &[]),
    ("pl", "Polish", Lang::Pol, &[]),
    ("cs", "Czech", Lang::Ces, &[]),
    ("da", "Danish", Lang::Dan, &[]),
    ("sv", "Swedish", Lang::Swe, &[]),
    ("fi", "Finnish", Lang::Fin, &[]),
    ("ro", "Romanian", Lang::Ron, &[]),
    ("tr", "Turkish", Lang::Tur, &[]),
];

/// The number of languages that have words; they are the first ones.
const LISTS: usize = 7;

/// The words of the lists, each with a bit for each language that has it.
static LISTED: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    let mut listed: HashMap<&'static str, u8> = HashMap::new();
    for (number, row) in LANGUAGES.iter().take(LISTS).enumerate() {
        for word in row.3 {
            *listed.entry(*word).or_default() |= 1 << number;
        }
    }
    listed
});

/// Languages that are not told apart, because a text of one looks like the other.
const RELATED: [&[&str]; 5] = [
    &["pt", "gl"],
    &["es", "gl", "ca"],
    &["da", "no", "nb", "nn", "sv"],
    &["cs", "sk"],
    &["nl", "af"],
];

/// Languages that share many words: a short text of one has several that only the list of another
/// knows. Spanish "la dirección ha cambiado" is none of Italian.
const CLOSE: [&str; 3] = ["pt", "es", "it"];
/// Minimum number of words that tell such a language from another one.
const MIN_CLOSE: usize = 5;

/// The name of the language that a text is in, and of the one that is wanted, if they differ for
/// certain. `wanted` is a primary language tag.
pub(crate) fn other(view: &View<'_>, wanted: &str) -> Option<(&'static str, &'static str)> {
    let text = &view.original[..view.original.floor_char_boundary(MAX_TEXT)];
    let wanted_name =
        LANGUAGES.iter().find(|row| row.0 == wanted).map_or("another language", |row| row.1);
    let found = by_script(text, wanted)
        .or_else(|| by_words(view, wanted))
        .or_else(|| detected(text, view, wanted))?;
    Some((found, wanted_name))
}

fn script(c: char) -> Option<Script> {
    let script = match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Script::Latin,
        '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' => Script::Arabic,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{370}'..='\u{3ff}' => Script::Greek,
        '\u{3041}'..='\u{30ff}' => Script::Kana,
        '\u{4e00}'..='\u{9fff}' => Script::Han,
        '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        c if c.is_alphabetic() && c > '\u{24f}' => Script::Other,
        _ => return None,
    };
    c.is_alphabetic().then_some(script)
}

/// The scripts of a language; empty if they are unknown.
fn scripts(language: &str) -> &'static [Script] {
    match language {
        "ar" | "fa" | "ur" | "ps" => &[Script::Arabic],
        "he" | "iw" | "yi" => &[Script::Hebrew],
        "ru" | "uk" | "bg" | "mk" | "be" => &[Script::Cyrillic],
        "el" => &[Script::Greek],
        "ja" => &[Script::Kana, Script::Han],
        "zh" => &[Script::Han],
        "ko" => &[Script::Hangul, Script::Han],
        "en" | "pt" | "es" | "fr" | "de" | "it" | "nl" | "pl" | "cs" | "da" | "sv" | "fi"
        | "ro" | "tr" | "no" | "nb" | "ca" | "gl" | "hu" => &[Script::Latin],
        _ => &[],
    }
}

/// A text whose letters are mostly those of other languages.
fn by_script(text: &str, wanted: &str) -> Option<&'static str> {
    const FEW: usize = 8;
    let expected = scripts(wanted);
    if expected.is_empty() {
        return None;
    }
    let mut all = 0;
    let mut others: [usize; 9] = [0; 9];
    let mut of_kana = 0;
    for script in text.chars().filter_map(script) {
        all += 1;
        of_kana += usize::from(script == Script::Kana);
        if !expected.contains(&script) {
            others[script as usize] += 1;
        }
    }
    let (script, count) = others.iter().enumerate().max_by_key(|(_, count)| **count)?;
    // Names and terms are often in Latin letters.
    let limit = if script == Script::Latin as usize { MIN_LETTERS } else { FEW };
    if *count >= limit && count * 10 >= all * 6 {
        return Some(match script {
            s if s == Script::Latin as usize => "Latin letters",
            s if s == Script::Arabic as usize => "Arabic letters",
            s if s == Script::Hebrew as usize => "Hebrew letters",
            s if s == Script::Cyrillic as usize => "Cyrillic letters",
            s if s == Script::Greek as usize => "Greek letters",
            s if s == Script::Kana as usize => "Japanese",
            s if s == Script::Han as usize => "Chinese characters",
            s if s == Script::Hangul as usize => "Korean",
            _ => "letters of another language",
        });
    }
    // Japanese sentences have kana.
    let is_sentence = all >= 20;
    (wanted == "ja" && is_sentence && of_kana == 0).then_some("Chinese")
}

/// The number of words of a text that belong to each language with a list.
fn counts(view: &View<'_>) -> [usize; LISTS] {
    let mut counts = [0; LISTS];
    for index in 0..view.words.len().min(MAX_TEXT / 4) {
        let listed = LISTED.get(view.word(index)).copied().unwrap_or_default();
        let letters = letters_of(view.original_word(index));
        if listed == 0 && letters.is_none() {
            continue;
        }
        for (number, (count, row)) in counts.iter_mut().zip(&LANGUAGES).enumerate() {
            *count += usize::from(listed & (1 << number) != 0 || letters == Some(row.0));
        }
    }
    counts
}

/// The language that a word is in because of its letters.
fn letters_of(word: &str) -> Option<&'static str> {
    match () {
        () if word.is_ascii() => (word.contains("ij") && word.len() > 2).then_some("nl"),
        () if word.contains(['ã', 'õ', 'ç']) && !word.contains('\'') => Some("pt"),
        () if word.contains('ñ') => Some("es"),
        () if word.contains(['ß', 'ü']) => Some("de"),
        () if word.contains("ij") && word.len() > 2 => Some("nl"),
        () => None,
    }
}

fn is_related(one: &str, other: &str) -> bool {
    one == other || RELATED.iter().any(|group| group.contains(&one) && group.contains(&other))
}

/// Whether so many words are enough to take a text for one of `found` where `wanted` is expected.
fn is_enough(count: usize, found: &str, wanted: &str) -> bool {
    count >= MIN_CLOSE || !(CLOSE.contains(&found) && CLOSE.contains(&wanted))
}

/// A text with many short words of another language and few of the one that is wanted.
fn by_words(view: &View<'_>, wanted: &str) -> Option<&'static str> {
    let letters = view.folded.chars().filter(|c| c.is_alphabetic()).count();
    if letters < MIN_LETTERS || scripts(wanted) != [Script::Latin] {
        return None;
    }
    let counts = counts(view);
    let own = LANGUAGES.iter().zip(counts).find(|(row, _)| row.0 == wanted);
    let own = own.filter(|(row, _)| !row.3.is_empty()).map_or(0, |(_, count)| count);
    let (row, count) = LANGUAGES.iter().zip(counts).max_by_key(|(_, count)| *count)?;
    let is_other = (count >= 4 || count >= 3 && own == 0)
        && count * 2 >= own * 3 + 2
        && count * 7 >= view.words.len().min(MAX_TEXT / 4)
        && is_enough(count, row.0, wanted)
        && !is_related(row.0, wanted);
    is_other.then_some(row.1)
}

/// A longer text that is in another language for certain.
fn detected(text: &str, view: &View<'_>, wanted: &str) -> Option<&'static str> {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if letters < MIN_DETECTED {
        return None;
    }
    let counts = counts(view);
    let own = LANGUAGES.iter().zip(counts).find(|(row, _)| row.0 == wanted);
    // Enough of its own words: a text with many names.
    if own.is_some_and(|(row, count)| !row.3.is_empty() && count * 10 >= view.words.len()) {
        return None;
    }
    let detector = Detector::with_allowlist(LANGUAGES.map(|row| row.2).to_vec());
    let info = detector.detect(text).filter(whatlang::Info::is_reliable)?;
    let row = LANGUAGES.iter().find(|row| row.2 == info.lang())?;
    // A language with a list has its words in such a text.
    let is_plain = LANGUAGES.iter().zip(counts).any(|(other, count)| {
        let has_words = count >= 4 && is_enough(count, row.0, wanted);
        other.0 == row.0 && (other.3.is_empty() || has_words)
    });
    (is_plain && !is_related(row.0, wanted) && !scripts(wanted).is_empty()).then_some(row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_counts_for_the_languages_that_have_it() {
        assert!(LANGUAGES.iter().skip(LISTS).all(|row| row.3.is_empty()));
        for (number, row) in LANGUAGES.iter().take(LISTS).enumerate() {
            for word in row.3 {
                let counts = counts(&View::of(word));
                let expected = LANGUAGES.map(|row| usize::from(row.3.contains(word)));
                assert_eq!(counts, expected[..LISTS], "{word}");
                assert_eq!(counts[number], 1, "{word}");
            }
        }
    }

    #[test]
    fn another_language_is_found_for_certain() {
        let of = |text: &str, wanted: &str| other(&View::of(text), wanted).map(|(found, _)| found);
        let english =
            "Book your table today and enjoy the best pasta in the city with your family.";
        let portuguese = "Reserve a sua mesa hoje e aproveite as massas da casa com a sua família.";
        let spanish =
            "Reserve su mesa hoy y disfrute de la mejor pasta de la ciudad con los suyos.";
        assert_eq!(of(english, "en"), None);
        assert_eq!(of(english, "pt"), Some("English"));
        assert_eq!(of(portuguese, "pt"), None);
        assert_eq!(of(portuguese, "en"), Some("Portuguese"));
        assert_eq!(of(spanish, "pt"), Some("Spanish"));
        assert_eq!(of(portuguese, "es"), Some("Portuguese"));
        assert_eq!(of(english, "ja"), Some("Latin letters"));
        assert_eq!(of("مرحبا بكم في مخبزنا", "en"), Some("Arabic letters"));
        assert_eq!(of("The Old Bakery and Sons of Bristol, Clifton", "pt"), None);
        assert_eq!(of("毎朝、店で焼いたパンをお届けします。", "ja"), None);
    }

    /// The shortest pages of our templates, as one text and by paragraph.
    #[test]
    fn pages_for_lost_visitors_are_in_their_own_language() {
        for (language, heading, text) in [
            (
                "en",
                "Page not found",
                "The address has changed or never existed. The home page is just a step away.",
            ),
            (
                "pt",
                "Página não encontrada",
                "O endereço mudou ou nunca existiu. A página inicial está logo ali.",
            ),
            (
                "es",
                "Página no encontrada",
                "La dirección ha cambiado o nunca existió. La página de inicio está a un paso.",
            ),
            (
                "fr",
                "Page introuvable",
                "L’adresse a changé ou n’a jamais existé. La page d’accueil est à un clic.",
            ),
            (
                "de",
                "Seite nicht gefunden",
                "Die Adresse hat sich geändert oder war nie vergeben. Zur Startseite ist es nur \
                 ein Klick.",
            ),
            (
                "it",
                "Pagina non trovata",
                "L’indirizzo è cambiato o non è mai esistito. La home è a un passo.",
            ),
            (
                "ar",
                "الصفحة غير موجودة",
                "تغيّر العنوان أو لم يكن موجودًا. الصفحة الرئيسية على بُعد نقرة واحدة.",
            ),
            (
                "he",
                "העמוד לא נמצא",
                "הכתובת השתנתה או מעולם לא הייתה קיימת. דף הבית נמצא במרחק לחיצה.",
            ),
            (
                "ja",
                "ページが見つかりません",
                "アドレスが変わったか、存在しないページです。ホームからお探しください。",
            ),
        ] {
            for text in [heading.to_owned(), text.to_owned(), format!("{heading} {text}")] {
                assert_eq!(other(&View::of(&text), language), None, "{language}: {text}");
            }
        }
    }
}
