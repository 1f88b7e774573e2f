//! Facts that a text states and the order does not: phones, prices, years, awards, addresses.

use std::ops::Range;

use crate::address;
use crate::award;
use crate::facts::Facts;
use crate::figure;
use crate::money;
use crate::number::{self, Run, runs};
use crate::rule::CopyRule;
use crate::spoken;
use crate::text::View;

/// A statement that the order does not make, with its place in the folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) rule: CopyRule,
    pub(crate) range: Range<usize>,
}

/// Words in front of a phone number, in folded form.
const PHONE_CUES: [&str; 50] = [
    "call",
    "phone",
    "tel",
    "telephone",
    "telefono",
    "telefone",
    "fone",
    "whatsapp",
    "zap",
    "mobile",
    "cell",
    "fax",
    "ring",
    "text",
    "ligue",
    "ligar",
    "celular",
    "telemovel",
    "chame",
    "llame",
    "llamenos",
    "llama",
    "llamanos",
    "movil",
    "appelez",
    "appeler",
    "portable",
    "anruf",
    "anrufen",
    "ruf",
    "rufen",
    "rufnummer",
    "handy",
    "mobil",
    "telefon",
    "telefonisch",
    "chiama",
    "chiamaci",
    "chiamate",
    "cellulare",
    "unter",
    "dial",
    "هاتف",
    "الهاتف",
    "اتصل",
    "واتساب",
    "טלפון",
    "חייגו",
    "התקשרו",
    "נייד",
];

/// The same as parts of words, for Japanese.
const PHONE_PARTS: [&str; 4] = ["電話", "tel", "お電話", "携帯"];

/// Words behind a number from 1900 to 2099 that is not a year.
const UNITS: [&str; 78] = [
    "m2",
    "m",
    "qm",
    "km",
    "kg",
    "g",
    "ml",
    "l",
    "lt",
    "lb",
    "lbs",
    "sq",
    "sqft",
    "square",
    "feet",
    "foot",
    "ft",
    "people",
    "guests",
    "clients",
    "customers",
    "homes",
    "houses",
    "families",
    "members",
    "seats",
    "items",
    "pieces",
    "bottles",
    "books",
    "reviews",
    "projects",
    "hours",
    "square",
    "miles",
    "meters",
    "metres",
    "calories",
    "kcal",
    "watts",
    "w",
    "lumens",
    "pessoas",
    "clientes",
    "lugares",
    "metros",
    "familias",
    "livros",
    "garrafas",
    "alunos",
    "personas",
    "alumnos",
    "libros",
    "botellas",
    "plazas",
    "metres",
    "personnes",
    "clients",
    "livres",
    "bouteilles",
    "familles",
    "heures",
    "meter",
    "quadratmeter",
    "kunden",
    "gaste",
    "personen",
    "bucher",
    "flaschen",
    "stunden",
    "projekte",
    "clienti",
    "persone",
    "metri",
    "libri",
    "bottiglie",
    "famiglie",
    "متر",
];

/// Words in front of a number from 1900 to 2099 that is not a year.
const AMOUNT_CUES: [&str; 34] = [
    "over",
    "than",
    "nearly",
    "almost",
    "about",
    "approximately",
    "around",
    "no",
    "nr",
    "number",
    "unit",
    "room",
    "suite",
    "route",
    "de",
    "cerca",
    "casi",
    "quase",
    "unas",
    "unos",
    "que",
    "environ",
    "pres",
    "uber",
    "rund",
    "fast",
    "etwa",
    "knapp",
    "oltre",
    "circa",
    "quasi",
    "iso",
    "din",
    "en",
];

/// Words in front of a year, in folded form.
const YEAR_CUES: [&str; 44] = [
    "since",
    "in",
    "from",
    "est",
    "established",
    "founded",
    "opened",
    "of",
    "year",
    "until",
    "desde",
    "em",
    "fundada",
    "fundado",
    "ano",
    "en",
    "ano",
    "fundada",
    "depuis",
    "fondee",
    "fonde",
    "annee",
    "seit",
    "jahr",
    "gegrundet",
    "anno",
    "dal",
    "nel",
    "del",
    "fondata",
    "fondato",
    "al",
    "منذ",
    "عام",
    "سنه",
    "בשנת",
    "משנת",
    "מאז",
    "ב",
    "spring",
    "summer",
    "autumn",
    "winter",
    "class",
];

/// The statements of a text that the order does not make, in order of the scans.
///
/// `says` returns whether the order has a folded text word for word.
pub(crate) fn find(
    view: &View<'_>,
    facts: &Facts,
    says: &dyn Fn(&str) -> bool,
    current_year: u16,
) -> Vec<Stated> {
    let mut found = Vec::new();
    let addresses: Vec<_> = address::find(&view.folded).collect();
    let mut within = addresses.iter().peekable();
    for run in runs(&view.folded) {
        while within.next_if(|address| address.range.end <= run.range.start).is_some() {}
        if within.peek().is_some_and(|address| address.range.start <= run.range.start) {
            continue;
        }
        of_run(view, facts, says, current_year, &run, &mut found);
    }
    for index in 0..view.words.len() {
        found.extend(spoken_price(view, facts, index));
    }
    for address in addresses {
        let rule = match address.is_email {
            true if facts.has_email(address.text) => continue,
            true => CopyRule::UnknownEmail,
            false if is_known(&address, facts, says) => continue,
            false => CopyRule::UnknownAddress,
        };
        found.push(Stated { rule, range: address.range });
    }
    for (claim, range) in award::claims(&view.folded) {
        let rule = claim.rule(view.after(range.end)).filter(|_| !facts.makes(claim));
        found.extend(rule.map(|rule| Stated { rule, range }));
    }
    found
}

/// Whether an address leads to something that the order names. On a network, the page counts.
fn is_known(address: &address::Address<'_>, facts: &Facts, says: &dyn Fn(&str) -> bool) -> bool {
    if !address.is_of_network() {
        return facts.has_host(address.host);
    }
    let mut path = address.path().peekable();
    if path.peek().is_none() {
        return facts.has_host(address.host);
    }
    says(address.text)
        || path.any(|part| match part.bytes().all(|b| b.is_ascii_digit() || b == b'+') {
            true => part.len() >= 6 && facts.has_phone(part.trim_start_matches('+')),
            false => says(part),
        })
}

fn of_run(
    view: &View<'_>,
    facts: &Facts,
    says: &dyn Fn(&str) -> bool,
    year: u16,
    run: &Run<'_>,
    found: &mut Vec<Stated>,
) {
    let has_cue = has_phone_cue(view, run.range.start);
    if money::is_money(&view.folded, run) {
        found.extend(prices(view, facts, run));
    } else if number::is_phone(run, has_cue) {
        let digits = run.digits();
        if !facts.has_phone(&digits) {
            let rule = match is_sample(&digits) {
                true => CopyRule::Placeholder,
                false => CopyRule::UnknownPhone,
            };
            found.push(Stated { rule, range: run.range.clone() });
        }
    } else {
        found.extend(rating(view, facts, run));
        if figure::is_unknown(view, facts, year, run) {
            // With the word behind it: the order may have the number for something else.
            let word = view.words_behind(run.range.end).next().unwrap_or_default();
            let end = view.folded.get(run.range.end..).and_then(|rest| rest.find(word));
            let end = end.map_or(run.range.end, |at| run.range.end + at + word.len());
            found.push(Stated { rule: CopyRule::UnknownFigure, range: run.range.start..end });
        }
        found.extend(years(view, facts, says, year, run));
    }
}

/// A rating such as "4.9 stars", "4,8/5" or "4.9 on Google" that the order does not have.
fn rating(view: &View<'_>, facts: &Facts, run: &Run<'_>) -> Option<Stated> {
    const NEAR: usize = 4;
    const CUES: [&str; 19] = [
        "google",
        "yelp",
        "tripadvisor",
        "trustpilot",
        "star",
        "stars",
        "rating",
        "rated",
        "sterne",
        "sternen",
        "estrelas",
        "estrellas",
        "etoiles",
        "stelle",
        "نجوم",
        "כוכבים",
        "reviews",
        "bewertung",
        "bewertungen",
    ];
    let is_rating = matches!(run.group(0), "3" | "4" | "5")
        && run.group(1).len() == 1
        && matches!(run.separator(0), "." | ",");
    if !is_rating {
        return None;
    }
    let of_five = run.len() == 3 && run.separator(1) == "/" && run.group(2) == "5";
    let rest = view.folded.get(run.range.end..).unwrap_or_default();
    let is_of = ["out of 5", "of 5", "sobre 5", "de 5", "sur 5", "von 5", "su 5", "/5", "/ 5"];
    let behind = view.words_behind(run.range.end).take(NEAR);
    let has_cue = view
        .words_before(run.range.start)
        .take(NEAR)
        .chain(behind)
        .any(|word| CUES.contains(&word))
        || is_of.iter().any(|of| rest.trim_start().starts_with(of));
    let value =
        run.values_from(0).into_iter().any(|(value, last)| last == 1 && facts.has_number(value));
    ((of_five || has_cue) && !value)
        .then(|| Stated { rule: CopyRule::UnknownAward, range: run.range.clone() })
}

/// Numbers of forms: 555-5555, 123-456-7890.
fn is_sample(digits: &str) -> bool {
    let subscriber = digits.get(digits.len().saturating_sub(7)..).unwrap_or_default();
    let first = subscriber.bytes().next().unwrap_or_default();
    let is_same = subscriber.bytes().all(|b| b == first);
    is_same
        || "01234567890".contains(digits)
        || digits.ends_with("1234567890")
        || digits.ends_with("5551234")
        || digits.ends_with("123456789")
}

fn has_phone_cue(view: &View<'_>, at: usize) -> bool {
    const NEAR: usize = 3;
    const REACH: usize = 40;
    let from = view.folded.floor_char_boundary(at.saturating_sub(REACH));
    view.words_before(at).take(NEAR).any(|word| PHONE_CUES.contains(&word))
        || PHONE_PARTS.iter().any(|part| view.folded[from..at].contains(part))
}

/// The amounts of a run with money that the order does not have.
fn prices(view: &View<'_>, facts: &Facts, run: &Run<'_>) -> Option<Stated> {
    // Both ends of a range are prices; "8 895 000 €" can have a number of its own in front.
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for index in 0..run.len() {
        if matches!(run.separator(index), "-" | " - " | "/") {
            parts.push(start..index + 1);
            start = index + 1;
        }
    }
    parts.push(start..run.len());
    let is_before = money::is_before(&view.folded, run.range.start);
    let rest = view.folded.get(run.range.end..).unwrap_or_default().trim_start();
    let factor = match rest {
        _ if rest.starts_with('k') || rest.starts_with("mil ") || rest.starts_with("mille ") => {
            1_000
        }
        _ if rest.starts_with("mi") => 1_000_000,
        _ => 1,
    };
    let is_known = |value: u64| {
        value == 0 || facts.has_amount(value) || facts.has_amount(value.saturating_mul(factor))
    };
    let unknown = parts.into_iter().find(|part| {
        let all = part.clone().flat_map(|first| {
            run.values_from(first).into_iter().map(move |(value, last)| (value, first, last))
        });
        // With the money in front, the amount begins there; behind, it ends there. Only a space
        // can be the other end of it: "$45 40 min", "2 895 000 €".
        let mut amounts = all.filter(|(_, first, last)| {
            let ends = *last + 1 == part.end || run.separator(*last) == " ";
            let starts = *first == part.start
                || (run.separator(*first - 1) == " " && !run.group(*first).starts_with('0'));
            if is_before { *first == part.start && ends } else { starts && *last + 1 == part.end }
        });
        // Figures that are no amount in any notation are not judged.
        let mut is_amount = false;
        !amounts.any(|(value, ..)| {
            is_amount = true;
            is_known(value)
        }) && is_amount
    });
    unknown.map(|part| {
        // With the sign or word of money: "49 €" is not in an order because of "+49".
        const REACH: usize = 8;
        let range = run.group_range(part.start).start..run.group_range(part.end - 1).end;
        let from = view.folded.floor_char_boundary(range.start.saturating_sub(REACH));
        let before = view.folded[from..range.start].trim_end();
        let start = from + before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let start = if is_before { start } else { range.start };
        let to = view.folded.floor_char_boundary((range.end + REACH).min(view.folded.len()));
        let behind = &view.folded[range.end..to];
        let gap = behind.len() - behind.trim_start().len();
        let length = behind[gap..].find(char::is_whitespace).unwrap_or(behind.len() - gap);
        let end = if is_before { range.end } else { range.end + gap + length };
        Stated { rule: CopyRule::UnknownPrice, range: start..end }
    })
}

/// An amount of money in words that the order does not have: "forty-five euros".
fn spoken_price(view: &View<'_>, facts: &Facts, index: usize) -> Option<Stated> {
    /// Words of money that mean nothing else, unlike "pounds" and "real".
    const MONEY: [&str; 14] = [
        "euro", "euros", "dollar", "dollars", "dolar", "dolares", "dollari", "reais", "pesos",
        "franken", "francs", "quid", "yen", "bucks",
    ];
    if !MONEY.contains(&view.word(index)) {
        return None;
    }
    let money = view.words.get(index)?.range();
    let (value, range) = spoken::before(view, money.start)?;
    let hundredths = u64::from(value) * 100;
    let is_known = value < 2 || facts.has_amount(hundredths);
    let range = range.start..money.end;
    (!is_known).then_some(Stated { rule: CopyRule::UnknownPrice, range })
}

/// The first year of a run that the order does not have.
fn years(
    view: &View<'_>,
    facts: &Facts,
    says: &dyn Fn(&str) -> bool,
    current: u16,
    run: &Run<'_>,
) -> Option<Stated> {
    let is_alone = run.len() == 1;
    let is_range = run.len() == 2 && matches!(run.separator(0), "-" | "/");
    /// Maximum number of words between "best" and its year.
    const NEAR: usize = 5;
    const BEST: [&str; 18] = [
        "best",
        "top",
        "finest",
        "melhor",
        "melhores",
        "mejor",
        "mejores",
        "meilleur",
        "meilleure",
        "meilleurs",
        "meilleures",
        "beste",
        "bester",
        "bestes",
        "besten",
        "miglior",
        "migliore",
        "migliori",
    ];
    // "2019, 2021", "12.05.1998", "May 5, 1998"; not "1,950".
    if !(is_alone || is_range || number::is_date(run)) {
        return None;
    }
    if run.has_plus || run.range.start > 0 && is_joined(view, run) {
        return None;
    }
    (0..run.len()).find_map(|index| {
        let year = number::year(run.group(index))?;
        let range = run.group_range(index);
        let before = view.words_before(range.start).take(NEAR);
        let behind = view.words_behind(range.end).take(NEAR);
        if before.chain(behind).any(|word| BEST.contains(&word)) && !says(run.group(index)) {
            return Some(Stated { rule: CopyRule::UnknownAward, range });
        }
        let is_known = facts.has_year(year, current) || year.abs_diff(current) <= 1;
        let is_year = !is_alone || is_year(view, &range, year);
        (!is_known && is_year).then_some(Stated { rule: CopyRule::UnknownYear, range })
    })
}

/// Whether a number belongs to a word or a longer number: "ISO 9001:2015", "2000m²", "1950s".
fn is_joined(view: &View<'_>, run: &Run<'_>) -> bool {
    let is_joint = |c: char| c.is_alphabetic() && c < '\u{250}' || ":.,#/".contains(c);
    let before = view.before(run.range.start);
    before.is_some_and(|c| is_joint(c) && c != '.')
}

fn is_year(view: &View<'_>, range: &Range<usize>, year: u16) -> bool {
    let is_latin = |c: char| c.is_alphabetic() && c < '\u{250}';
    if view.after(range.end).is_some_and(|c| is_latin(c) || c == '%' || c == '°') {
        return false;
    }
    let last = view.words_before(range.start).next().unwrap_or_default();
    let next = view.word_after(range.end);
    let is_near = view.after(range.end) == Some(' ');
    if is_near && UNITS.contains(&next) {
        return false;
    }
    if view.before(range.start) == Some('#') {
        return false;
    }
    let has_cue = YEAR_CUES.contains(&last);
    let is_round = year.is_multiple_of(100);
    match has_cue {
        true => {
            !is_round || !is_near || !next.starts_with(char::is_alphabetic) || is_verb_like(last)
        }
        false => !is_round && !AMOUNT_CUES.contains(&last),
    }
}

/// Cues that only years have.
fn is_verb_like(cue: &str) -> bool {
    const ONLY_YEARS: [&str; 14] = [
        "since",
        "established",
        "founded",
        "desde",
        "depuis",
        "seit",
        "dal",
        "nel",
        "fundada",
        "fundado",
        "fondee",
        "fondata",
        "منذ",
        "est",
    ];
    ONLY_YEARS.contains(&cue)
}
