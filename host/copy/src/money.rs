//! Amounts of money in folded text: numbers beside a sign, code or word of a currency.

use crate::number::Run;

/// Signs, codes and words of money in front of an amount, in folded form.
const MONEY_BEFORE: [&str; 21] = [
    "$", "€", "£", "¥", "₪", "₽", "₹", "r$", "chf", "usd", "eur", "euro", "gbp", "brl", "cad",
    "aud", "jpy", "ils", "sar", "aed", "nis",
];

/// Signs, codes and words of money behind an amount. Not "pounds" and "libras", which are weights.
const MONEY_AFTER: [&str; 49] = [
    "$",
    "€",
    "£",
    "¥",
    "₪",
    "₽",
    "₹",
    "chf",
    "usd",
    "eur",
    "euro",
    "euros",
    "gbp",
    "brl",
    "cad",
    "aud",
    "jpy",
    "ils",
    "sar",
    "aed",
    "dollar",
    "dollars",
    "dolar",
    "dolares",
    "dollari",
    "reais",
    "real",
    "pesos",
    "yen",
    "francs",
    "franken",
    "bucks",
    "cents",
    "centavos",
    "centimos",
    "quid",
    "円",
    "ريال",
    "ر.س",
    "درهم",
    "دولار",
    "شيكل",
    "جنيه",
    "يورو",
    "שקל",
    "שקלים",
    "ש\"ח",
    "ש'ח",
    "אירו",
];

/// Whether a sign, code or word of money is in front of a run.
pub(crate) fn is_before(text: &str, at: usize) -> bool {
    const REACH: usize = 8;
    let from = text.floor_char_boundary(at.saturating_sub(REACH));
    let before = &text[from..at];
    let before = before.strip_suffix(' ').unwrap_or(before);
    MONEY_BEFORE.iter().any(|money| {
        before.strip_suffix(money).is_some_and(|rest| {
            let is_word = money.starts_with(|c: char| c.is_alphabetic());
            !is_word || !rest.ends_with(char::is_alphabetic)
        })
    })
}

/// Whether a sign, code or word of money is behind a place.
fn is_behind(text: &str, at: usize) -> bool {
    let after = text.get(at..).unwrap_or_default();
    // "k", "mil" and "mio" multiply.
    let after = ["k", " mil", " mille", " million", " mio", " tsd"]
        .iter()
        .find_map(|word| after.strip_prefix(word))
        .unwrap_or(after);
    let after = after.strip_prefix(",-").unwrap_or(after);
    let after = after.strip_prefix(' ').unwrap_or(after);
    MONEY_AFTER.iter().any(|money| {
        after.strip_prefix(money).is_some_and(|rest| {
            let is_latin = |c: char| c.is_alphabetic() && c < '\u{250}';
            !money.ends_with(is_latin) || !rest.starts_with(is_latin)
        })
    })
}

/// Whether a run is an amount of money.
pub(crate) fn is_money(text: &str, run: &Run<'_>) -> bool {
    is_before(text, run.range.start) || is_behind(text, run.range.end)
}
