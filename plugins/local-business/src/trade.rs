//! The name of the trade, figures about the business, and its initials.

use sitewright_order::{Niche, Order};

use crate::language::Language;

/// Name of the trade: the customer's own, or the standard name in this language.
pub fn name(order: &Order, language: Language) -> String {
    if let Some(own) = order.custom_niche.as_deref().map(str::trim).filter(|own| !own.is_empty()) {
        return own.to_owned();
    }
    language.words().trade(order.niche).to_owned()
}

/// A figure with its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `22`.
    pub number: String,
    /// `anos de história`.
    pub words: &'static str,
}

/// Figures that the order contains; a count of one is not worth showing.
pub fn facts(order: &Order, language: Language) -> Vec<Fact> {
    let words = language.words();
    let offered =
        if order.niche == Niche::Restaurant { words.dishes_count } else { words.services_count };
    let mut facts = Vec::new();
    if let Some(years) = order.years_in_business {
        facts.push(Fact {
            number: years.to_string(),
            words: if years == 1 { words.year } else { words.years },
        });
    }
    for (count, words) in
        [(order.services.len(), offered), (order.service_areas.len(), words.service_areas_count)]
    {
        if count > 1 {
            facts.push(Fact { number: count.to_string(), words });
        }
    }
    facts
}

/// Up to two letters or digits for the logo: those of the first and second word of at least three
/// characters. One letter of a script whose letters join: two of them would look like a word. Empty
/// if the name has no letter and no digit.
pub fn initials(name: &str) -> String {
    let joins = |c: &char| ('\u{600}'..='\u{6ff}').contains(c);
    let mut letters = name
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .map(|word| word.strip_prefix("ال").unwrap_or(word))
        .filter(|word| word.chars().count() > 2)
        .filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = letters.next().or_else(|| name.chars().find(|c| c.is_alphanumeric()));
    let second =
        letters.next().filter(|second| !joins(second) && !first.as_ref().is_some_and(joins));
    first.into_iter().chain(second).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn initials_skip_short_words() {
        assert_eq!(initials("Cantina do Vale"), "CV");
        assert_eq!(initials("Webb & Sons Plumbing"), "WS");
        assert_eq!(initials("Zé"), "Z");
        assert_eq!(initials("💾"), "");
        assert_eq!(initials("حضانة براعم الغد"), "ح");
        assert_eq!(initials("מאפיית הכרמל"), "מה");
        assert_eq!(initials("東京庭園"), "東");
    }
}
