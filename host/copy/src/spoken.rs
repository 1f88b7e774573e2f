//! Numbers in words, in the languages of the shipped templates: "forty-five", "fünfundvierzig",
//! "quarante-cinq".

use std::ops::Range;

use crate::text::View;

/// Parts of numbers in folded form, by their value. German and Italian write several in one word.
const PARTS: &[(u32, &str)] = &[
    (0, "und"),
    (1, "one ein eins un une uno"),
    (2, "two zwei deux dos dois duas due"),
    (3, "three drei trois tres tre"),
    (4, "four vier quatre cuatro quatro quattro"),
    (5, "five funf cinq cinco cinque"),
    (6, "six sechs sech seis sei"),
    (7, "seven sieben sieb sept siete sete sette"),
    (8, "eight acht huit ocho oito otto"),
    (9, "nine neun neuf nueve nove"),
    (10, "ten zehn dix diez dieci dez"),
    (11, "eleven elf onze undici"),
    (12, "twelve zwolf douze doce doze dodici"),
    (13, "thirteen dreizehn treize trece treze tredici"),
    (14, "fourteen vierzehn quatorze catorce quattordici"),
    (15, "fifteen funfzehn quinze quince quindici"),
    (16, "sixteen sechzehn seize dezesseis sedici"),
    (17, "seventeen siebzehn dezessete diciassette"),
    (18, "eighteen achtzehn dezoito diciotto"),
    (19, "nineteen neunzehn dezenove diciannove"),
    (20, "twenty zwanzig veinte veinti vinte venti vent"),
    (VINGT, "vingt vingts"),
    (30, "thirty dreissig trente treinta trinta trenta trent"),
    (40, "forty vierzig quarante cuarenta quarenta quaranta quarant"),
    (50, "fifty funfzig cinquante cincuenta cinquenta cinquanta cinquant"),
    (60, "sixty sechzig soixante sesenta sessenta sessanta sessant"),
    (70, "seventy siebzig septante setenta settanta settant"),
    (80, "eighty achtzig ochenta oitenta ottanta ottant"),
    (90, "ninety neunzig nonante noventa novanta novant"),
    (HUNDRED, "hundred hundert cent cents cien ciento cientos cientas cem cento"),
    (200, "duzentos"),
    (300, "trezentos"),
    (400, "quatrocentos"),
    (500, "quinientos quinhentos"),
    (600, "seiscentos"),
    (700, "setecientos setecentos"),
    (800, "oitocentos"),
    (900, "novecientos novecentos"),
    (THOUSAND, "thousand tausend mille mil mila"),
];

/// Multiplies what precedes it by 100.
const HUNDRED: u32 = 1_000_001;
/// Multiplies what precedes it by 1,000.
const THOUSAND: u32 = 1_000_002;
/// 20, or 80 behind 4.
const VINGT: u32 = 1_000_003;

/// Words between the parts of a number.
const JOINTS: [&str; 5] = ["and", "und", "et", "y", "e"];

/// Maximum number of words of a number.
const MAX_WORDS: usize = 8;
/// Maximum bytes of a word of a number.
const MAX_WORD: usize = 48;

/// The number whose last word ends in front of a place in the folded text, with the range of its
/// words. `None` if the word there is no part of one.
pub(crate) fn before(view: &View<'_>, at: usize) -> Option<(u32, Range<usize>)> {
    let end = view.words.partition_point(|word| word.range().end <= at);
    let mut parts: Vec<Vec<u32>> = Vec::new();
    let mut start = end;
    for index in (end.saturating_sub(MAX_WORDS)..end).rev() {
        // The parts of a number have a space or hyphen between them.
        let next = view.words.get(index + 1).map_or(at, |word| word.range().start);
        let gap = view.folded.get(view.words.get(index)?.range().end..next)?;
        if !matches!(gap, " " | "-") {
            break;
        }
        let word = view.word(index);
        match parts_of(word) {
            Some(found) => {
                parts.push(found);
                start = index;
            }
            None if JOINTS.contains(&word) && !parts.is_empty() => {}
            None => break,
        }
    }
    if parts.is_empty() {
        return None;
    }
    let value = value(parts.into_iter().rev().flatten());
    let range = view.words.get(start)?.range().start..view.words.get(end - 1)?.range().end;
    Some((value, range))
}

/// The parts of a word; `None` if it is not made of them.
fn parts_of(word: &str) -> Option<Vec<u32>> {
    if word.is_empty() || word.len() > MAX_WORD || JOINTS.contains(&word) {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let all = PARTS.iter().flat_map(|(value, names)| {
            names.split_ascii_whitespace().map(move |name| (name, *value))
        });
        let starting = all.filter(|(name, _)| rest.starts_with(name));
        let (part, value) = starting.max_by_key(|(name, _)| name.len())?;
        parts.push(value);
        rest = rest.get(part.len()..)?;
    }
    Some(parts)
}

fn value(parts: impl Iterator<Item = u32>) -> u32 {
    let (mut all, mut current) = (0_u32, 0_u32);
    for part in parts {
        match part {
            HUNDRED => current = current.max(1).saturating_mul(100),
            THOUSAND => {
                all = all.saturating_add(current.max(1).saturating_mul(1_000));
                current = 0;
            }
            VINGT if current % 100 == 4 => current += 76,
            VINGT => current = current.saturating_add(20),
            part => current = current.saturating_add(part),
        }
    }
    all.saturating_add(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words_have_their_value() {
        let table = [
            ("a cut is forty-five euros", 45),
            ("two hundred and fifty euros", 250),
            ("one thousand two hundred euros", 1_200),
            ("nur fünfundvierzig euros", 45),
            ("zweihundertfünfzig euros", 250),
            ("dreißig euros", 30),
            ("sechzehn euros", 16),
            ("eintausendzweihundert euros", 1_200),
            ("quatre-vingt-dix euros", 90),
            ("soixante-quinze euros", 75),
            ("vingt et un euros", 21),
            ("deux cents euros", 200),
            ("treinta y cinco euros", 35),
            ("veinticinco euros", 25),
            ("doscientos euros", 200),
            ("trinta e cinco euros", 35),
            ("trezentos e cinquenta euros", 350),
            ("mil e duzentos euros", 1_200),
            ("quarantacinque euros", 45),
            ("ventotto euros", 28),
            ("duecentocinquanta euros", 250),
            ("some euros", 0),
            ("fifty. euros", 0),
        ];
        for (text, expected) in table {
            let view = View::of(text);
            let at = view.folded.rfind("euros").unwrap();
            assert_eq!(before(&view, at).map_or(0, |(value, _)| value), expected, "{text}");
        }
    }
}
