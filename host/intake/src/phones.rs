//! Phone numbers by the number plans of all countries (libphonenumber's data): the international
//! form of a number, and the country that it belongs to.

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, PhoneNumber, country};
use sitewright_order::Phone;

/// What the number plans say about a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// The number as it is dialled from everywhere.
    Number(Phone),
    /// Nothing: the country is unknown, or has no such number. It stays as written.
    Unknown,
    /// It has a country code and the digits of a number of that country, but the plan has no such
    /// area code or number. It may be newer than the plan, and stays as written.
    Unassigned {
        /// The country code: 1.
        code: u16,
    },
    /// It is international, but no country has that code, or no number of that country has as many
    /// digits.
    Impossible,
}

/// Looks a number up. `region` is the country of the business, as its two-letter code, if it is
/// known.
pub(super) fn known(phone: &Phone, region: Option<&str>) -> Known {
    let is_international = phone.is_international();
    let region = region.and_then(country_id).filter(|_| !is_international);
    if !is_international && region.is_none() {
        return Known::Unknown;
    }
    let Some(number) = parsed(region, &phone.dial()) else {
        return if is_international { Known::Impossible } else { Known::Unknown };
    };
    let is_valid = phonenumber::is_valid(&number);
    // A number with a country code may be too new for the data, so its length decides.
    if is_international && !is_valid {
        if has_possible_length(&number) {
            return Known::Unassigned { code: number.code().value() };
        }
        return Known::Impossible;
    }
    if !is_international && !is_valid {
        // A prefix that the country does not have, or has no more.
        let prefixes: &[&str] = match region.as_ref().map(AsRef::as_ref) {
            // For mobile telephones, until 2019.
            Some("MX") => &["044", "045"],
            // The zero is a part of the number.
            Some("IT" | "SM" | "VA") => &[],
            _ => &["0"],
        };
        let dial = phone.dial();
        let rest = prefixes.iter().find_map(|prefix| dial.strip_prefix(prefix));
        let number = rest
            .filter(|rest| rest.len() >= 7)
            .and_then(|rest| parsed(region, rest))
            .filter(phonenumber::is_valid)
            .and_then(|number| number.format().mode(Mode::International).to_string().parse().ok());
        return number.map_or(Known::Unknown, Known::Number);
    }
    let dialled = number.format().mode(Mode::E164).to_string();
    // As typed, if that is the number already.
    if phone.dial() == dialled {
        return Known::Number(phone.clone());
    }
    let written = number.format().mode(Mode::International).to_string();
    let read = written.parse::<Phone>().ok().filter(|read| read.dial() == dialled);
    read.or_else(|| dialled.parse().ok()).map_or(Known::Unknown, Known::Number)
}

/// The country of an international number; `None` if several share its code and the number does not
/// decide.
pub(super) fn region(phone: &Phone) -> Option<String> {
    let number = parsed(None, &phone.dial()).filter(|_| phone.is_international())?;
    let id = number.country().id()?;
    Some(id.as_ref().to_owned())
}

/// A number as it should be written, for a message: of the country, if its number plan has one.
pub(super) fn example(country: Option<&str>) -> String {
    country.and_then(example_of).unwrap_or_else(|| "+55 19 95550-1011".to_owned())
}

/// The number plan's own example, in the international form.
fn example_of(country: &str) -> Option<String> {
    let id = country_id(country)?;
    let national = DATABASE.by_id(country)?.descriptors().fixed_line()?.example()?;
    let number = parsed(Some(id), national).filter(phonenumber::is_valid)?;
    let written = number.format().mode(Mode::International).to_string();
    written.parse::<Phone>().is_ok().then_some(written)
}

/// The country, if the number plans have it: the library panics for those that they do not have.
fn country_id(region: &str) -> Option<country::Id> {
    DATABASE.by_id(region)?;
    region.parse().ok()
}

fn parsed(region: Option<country::Id>, dial: &str) -> Option<PhoneNumber> {
    phonenumber::parse(region, dial).ok()
}

fn has_possible_length(number: &PhoneNumber) -> bool {
    let digits = number.national().to_string().len();
    let Some(plans) = DATABASE.by_code(&number.code().value()) else { return false };
    plans.iter().any(|plan| {
        // The data has no lengths of all numbers together.
        let kinds = plan.descriptors();
        let kinds = [
            kinds.fixed_line(),
            kinds.mobile(),
            kinds.toll_free(),
            kinds.premium_rate(),
            kinds.shared_cost(),
            kinds.personal_number(),
            kinds.voip(),
            kinds.pager(),
            kinds.uan(),
        ];
        let mut lengths = kinds.into_iter().flatten().flat_map(|kind| kind.possible_length());
        lengths.any(|length| usize::from(*length) == digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, the country of the business, and the number that is dialled; empty if it is
    /// unknown, `?` and the country code if it is not assigned, `!` if it is impossible.
    #[test]
    fn the_number_that_was_written_is_dialled() {
        let table = [
            ("+44 20 7946 0123", None, "+442079460123"),
            ("020 7946 0123", Some("GB"), "+442079460123"),
            ("029 2018 0142", Some("GB"), "+442920180142"),
            ("02 47 55 01 42", Some("FR"), "+33247550142"),
            ("(503) 555-0142", Some("US"), "+15035550142"),
            ("1-503-555-0142", Some("US"), "+15035550142"),
            ("442079460123", Some("GB"), "+442079460123"),
            ("+55 (019) 95550-1011", None, "+5519955501011"),
            ("(19) 3555-0100", Some("BR"), "+551935550100"),
            ("019 3555-0100", Some("BR"), "+551935550100"),
            ("030 901820", Some("DE"), "+4930901820"),
            ("06 1234 5678", Some("IT"), "+390612345678"),
            ("+39 06 1234 5678", None, "+390612345678"),
            ("03-1234-5678", Some("JP"), "+81312345678"),
            ("011 555 0142", Some("SA"), "+966115550142"),
            ("03-555-0142", Some("IL"), "+97235550142"),
            ("555 010-2200", Some("US"), ""),
            ("044 123 45 67", Some("PL"), "+48441234567"),
            ("0 601 234 567", Some("PL"), "+48601234567"),
            ("044 55 1234 5678", Some("MX"), "+525512345678"),
            ("030 901820", None, ""),
            ("(555) 010-2200", Some("ZZ"), ""),
            ("+1 555 010 3301", None, "?1"),
            ("+1 503 010 3301", None, "?1"),
            ("+1 555 01033", None, "!"),
            ("+44 20 7946 0123 01", None, "!"),
            ("+999 123456", None, "!"),
        ];
        for (written, region, expected) in table {
            let phone = Phone::read(written).unwrap().phone;
            let dialled = match known(&phone, region) {
                Known::Number(phone) => phone.dial(),
                Known::Unknown => String::new(),
                Known::Unassigned { code } => format!("?{code}"),
                Known::Impossible => "!".to_owned(),
            };
            assert_eq!(dialled, expected, "{written} in {region:?}");
        }
    }

    #[test]
    fn the_code_of_a_number_names_its_country() {
        let table = [
            ("+55 19 95550-1011", Some("BR")),
            ("+966 11 555 0142", Some("SA")),
            ("+1 503 555 0142", Some("US")),
            ("030 901820", None),
        ];
        for (written, expected) in table {
            assert_eq!(region(&written.parse().unwrap()).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn an_example_is_a_number_of_the_country() {
        for (country, start) in [
            (Some("DE"), "+49 "),
            (Some("FI"), "+358 "),
            (Some("US"), "+1 "),
            (Some("ZZ"), "+55 "),
            (None, "+55 "),
        ] {
            let example = example(country);
            assert!(example.starts_with(start), "{country:?}: {example}");
            let phone: Phone = example.parse().unwrap();
            assert_eq!(known(&phone, None), Known::Number(phone), "{country:?}");
        }
    }

    /// All two-letter codes, so that none makes the library panic.
    #[test]
    fn no_country_panics() {
        for first in 'A'..='Z' {
            for second in 'A'..='Z' {
                let country = format!("{first}{second}");
                drop(known(&"0123 456789".parse().unwrap(), Some(&country)));
                assert!(example(Some(&country)).parse::<Phone>().is_ok(), "{country}");
            }
        }
    }
}
