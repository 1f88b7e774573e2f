//! Figures that a business boasts with: years of experience, numbers of customers and projects.

use crate::facts::Facts;
use crate::number::Run;
use crate::text::View;

/// Years, in folded form.
const YEARS: &str = "year years yr yrs anos ano ans annees jahre jahren anni سنه سنوات عاما שנה \
    שנים שנות";

/// What years of a business are said of, behind them.
const OF_BUSINESS: &str = "experience experiencia business trade craft service serving tradition \
    tradicao tradicion tradizione history historia histoire storia erfahrung geschichte expertise \
    metier oficio mestiere handwerk mercado esperienza attivita خبره ניסיון";

/// What a business does for years, in front of them.
const DONE: &str = "serving serve served";

/// What makes years those of a business, in front of them.
const OF_TIME: &str = "since over than almost nearly seit uber fast desde ha hace mais mas \
    depuis plus da dal oltre piu quasi quase casi من منذ מעל";

/// What makes years those of something else.
const OF_OTHERS: &str = "old age aged guarantee guaranteed warranty garantia garantie garanzia \
    garantiert alt idade edad eta age ago loan lease mortgage contract agreement vertrag contrato \
    contrat contratto";

/// Whom and what a business counts, in folded form.
const COUNTED: &str = "clients client customers families homes households projects reviews \
    students pupils patients weddings installations repairs jobs businesses companies clientes \
    familias projetos proyectos avaliacoes alunos pacientes casamentos obras empresas resenas \
    opiniones alumnos bodas familles projets avis eleves mariages chantiers entreprises kunden \
    kundinnen familien projekte bewertungen schuler patienten hochzeiten auftrage unternehmen \
    mandanten haushalte clienti famiglie progetti recensioni allievi pazienti matrimoni cantieri \
    aziende عميل عملاء زبون לקוחות משפחות פרויקטים";

/// What makes a number a boast.
const BOASTS: &str = "over than nearly almost uber mehr rund fast mais mas cerca quase casi plus \
    environ pres oltre piu circa quasi اكثر מעל";

/// What makes a number a limit.
const LIMITS: &str = "to up bis ate hasta jusqu fino maximum max";

/// What makes a percentage a share of those, behind it.
const SHARE: &str = "of der unserer de des dos das dei delle degli di del";

/// The number of words that are looked at in front of a number and behind it.
const NEAR: usize = 5;
/// Numbers of customers from here on are a boast without a word for it.
const MANY: u64 = 100;

/// Whether a run is a figure that a business boasts with and the order does not have.
pub(crate) fn is_unknown(view: &View<'_>, facts: &Facts, year: u16, run: &Run<'_>) -> bool {
    // In hundredths: "1,200" is 1200.
    let Some((value, last)) =
        run.values_from(0).into_iter().rev().find(|(_, last)| *last + 1 == run.len())
    else {
        return false;
    };
    if value % 100 != 0 || run.has_bracket || last + 1 != run.len() {
        return false;
    }
    let number = value / 100;
    let before: Vec<&str> = view.words_before(run.range.start).take(NEAR).collect();
    let behind: Vec<&str> = view.words_behind(run.range.end).take(NEAR).collect();
    let has = |list: &str, words: &[&str]| words.iter().any(|word| is_in(word, list));
    let rest = view.folded.get(run.range.end..).unwrap_or_default();
    let has_plus = rest.starts_with('+');
    // `98% of our clients`
    if rest.trim_start().starts_with('%') {
        let is_share = behind.first().is_some_and(|word| is_in(word, SHARE));
        return is_share && has(COUNTED, &behind) && !facts.has_number(value);
    }
    let is_years = behind.first().is_some_and(|word| is_in(word, YEARS));
    if is_years {
        let is_of_business = has(OF_BUSINESS, &behind[1..])
            || has(DONE, &before)
            || number >= 10 && (has_plus || has(OF_TIME, near(&before)));
        let is_of_others = has(OF_OTHERS, &behind) || has(OF_OTHERS, &before);
        let is_at_least = has_plus || has(BOASTS, near(&before));
        return number >= 2
            && is_of_business
            && !is_of_others
            && !facts.has_age(u16::try_from(number).unwrap_or(u16::MAX), year, is_at_least);
    }
    let is_counted = has(COUNTED, near(&behind));
    let is_boast = has_plus || number >= MANY || has(BOASTS, near(&before));
    is_counted && is_boast && !has(LIMITS, near(&before)) && !facts.has_number(value)
}

/// The next two words.
fn near<'w, 'v>(words: &'w [&'v str]) -> &'w [&'v str] {
    words.get(..2).unwrap_or(words)
}

/// Whether a word is in a list of words with spaces between them.
fn is_in(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}
