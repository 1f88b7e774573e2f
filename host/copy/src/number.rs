//! Numbers in folded text: runs of digits with what may stand between them, and what such a run can
//! mean.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};

/// Maximum number of groups of one run; the rest is a run of its own.
const MAX_GROUPS: usize = 12;

/// Digits in groups, such as `+44 (0)20 7946 0000`, `1.234,50` or `2026-11-20`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run<'a> {
    text: &'a str,
    /// With the plus sign or bracket in front of it.
    pub(crate) range: Range<usize>,
    pub(crate) has_plus: bool,
    pub(crate) has_bracket: bool,
    groups: Vec<Range<usize>>,
}

impl<'a> Run<'a> {
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn group(&self, index: usize) -> &'a str {
        self.groups.get(index).and_then(|group| self.text.get(group.clone())).unwrap_or_default()
    }

    pub(crate) fn group_range(&self, index: usize) -> Range<usize> {
        self.groups.get(index).cloned().unwrap_or(self.range.end..self.range.end)
    }

    /// What is between a group and the next one.
    pub(crate) fn separator(&self, index: usize) -> &'a str {
        match (self.groups.get(index), self.groups.get(index + 1)) {
            (Some(one), Some(next)) => self.text.get(one.end..next.start).unwrap_or_default(),
            _ => "",
        }
    }

    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.groups.iter().map(Range::len).collect()
    }

    /// The digits, without a trunk zero in brackets.
    pub(crate) fn digits(&self) -> String {
        let mut digits = String::new();
        for (index, group) in self.groups.iter().enumerate() {
            let is_trunk = index > 0
                && self.group(index) == "0"
                && self.separator(index - 1).ends_with('(')
                && self.has_plus;
            if !is_trunk {
                digits.push_str(self.text.get(group.clone()).unwrap_or_default());
            }
        }
        digits
    }

    /// The values of the numbers that begin at a group, in hundredths: with the groups of thousands
    /// and the decimals that may belong to it, and without. With the index of the last group.
    pub(crate) fn values_from(&self, first: usize) -> Vec<(u64, usize)> {
        let mut values = Vec::new();
        let mut whole = String::new();
        for index in first..self.len() {
            let group = self.group(index);
            let joins = index == first
                || (group.len() == 3
                    && matches!(self.separator(index - 1), "." | "," | " " | "'")
                    && whole.len() <= 12
                    && (self.group(first).len() <= 3));
            if !joins {
                break;
            }
            whole.push_str(group);
            values.push((hundredths(&whole, ""), index));
            let is_decimal = matches!(self.separator(index), "." | ",")
                && matches!(self.group(index + 1).len(), 1 | 2);
            if is_decimal {
                values.push((hundredths(&whole, self.group(index + 1)), index + 1));
            }
        }
        values
    }
}

/// The value of digits and decimals in hundredths; the largest number if it is larger.
fn hundredths(whole: &str, decimals: &str) -> u64 {
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let decimals: u64 = decimals.parse().unwrap_or(0) * if decimals.len() == 1 { 10 } else { 1 };
    whole.saturating_mul(100).saturating_add(decimals)
}

/// The runs of a folded text, in order.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text.get(at..)?.find(|c: char| c.is_ascii_digit())?;
        let run = run(text, start);
        at = run.range.end;
        Some(run)
    })
}

/// The run whose first digit is at `start`.
fn run(text: &str, start: usize) -> Run<'_> {
    let bytes = text.as_bytes();
    let digits_end = |from: usize| {
        bytes[from..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |n| from + n)
    };
    let before = &bytes[..start];
    let has_bracket = before.ends_with(b"(") || before.ends_with(b"(+");
    let has_plus = before.ends_with(b"+") || before.ends_with(b"+(");
    let mut end = digits_end(start);
    let mut groups: Vec<Range<usize>> = Vec::new();
    groups.push(start..end);
    let is_phone = has_plus || has_bracket;
    while groups.len() < MAX_GROUPS {
        let rest = &bytes[end..];
        let gap = rest.iter().position(u8::is_ascii_digit).unwrap_or(rest.len());
        if gap == rest.len() || gap > 3 {
            break;
        }
        let separator = &text.as_bytes()[end..end + gap];
        let joins = match separator {
            b" " | b"." | b"," | b"-" | b"/" | b"'" | b" (" | b"(" | b") " | b")" | b")-" => true,
            b" - " | b" / " | b"-(" | b"/(" | b"  " => is_phone,
            _ => false,
        };
        if !joins {
            break;
        }
        groups.push(end + gap..digits_end(end + gap));
        end = digits_end(end + gap);
    }
    let sign = usize::from(has_plus || has_bracket);
    Run { text, range: start - sign..end, has_plus, has_bracket, groups }
}

/// Whether a run looks like a phone number; `has_cue` if a word such as "call" is in front of it.
pub(crate) fn is_phone(run: &Run<'_>, has_cue: bool) -> bool {
    let sizes = run.sizes();
    let digits: usize = sizes.iter().sum();
    if !(6..=17).contains(&digits) || is_date(run) || is_years(run) {
        return false;
    }
    if (run.has_plus || run.has_bracket && sizes.len() > 1) && digits >= 7 {
        return true;
    }
    if has_cue {
        return digits >= 7 || (digits == 6 && sizes.len() > 1);
    }
    let dashes = (0..sizes.len()).all(|index| matches!(run.separator(index), "-" | "." | ""));
    let starts_with_zero = run.group(0).starts_with('0');
    match sizes.as_slice() {
        [one] => (starts_with_zero && *one >= 9) || (10..=13).contains(one),
        [3, 4] => dashes,
        // Postal codes: Brazil, United States.
        [5, 3] | [5, 4] => starts_with_zero && *sizes.last().unwrap_or(&0) == 4 && !dashes,
        [_, _] => starts_with_zero && digits >= 8 && run.separator(0) != ",",
        // Phone numbers of Spain and Portugal are written like millions.
        [3, 3, 3] => run.separator(0) == " " && run.group(0).starts_with(['6', '7', '8', '9']),
        [first, rest @ ..] if *first <= 3 && rest.iter().all(|size| *size == 3) => {
            starts_with_zero && digits >= 9
        }
        _ => {
            let has_comma = (0..sizes.len()).any(|index| run.separator(index).contains(','));
            (9..=15).contains(&digits) && !has_comma || (starts_with_zero && digits >= 8)
        }
    }
}

/// Whether a run is a date in figures, such as `2026-11-20` or `20.11.2026`.
pub(crate) fn is_date(run: &Run<'_>) -> bool {
    let same = run.separator(0) == run.separator(1) && matches!(run.separator(0), "." | "-" | "/");
    match run.sizes().as_slice() {
        [1 | 2, 1 | 2, 4] | [4, 1 | 2, 1 | 2] => same && year_in(run).is_some(),
        _ => false,
    }
}

fn is_years(run: &Run<'_>) -> bool {
    run.len() == 2 && (0..2).all(|index| year(run.group(index)).is_some())
}

/// The index of the group of a date or range that is a year.
pub(crate) fn year_in(run: &Run<'_>) -> Option<usize> {
    (0..run.len()).find(|index| year(run.group(*index)).is_some())
}

/// A year from 1900 to 2099.
pub(crate) fn year(digits: &str) -> Option<u16> {
    let year = digits.parse().ok().filter(|_| digits.len() == 4)?;
    (1900..=2099).contains(&year).then_some(year)
}

/// Phone numbers, ready to be compared with others: each number of a text is compared with all of
/// them at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phones {
    count: usize,
    /// As they are, and in other notations, each from its last digit to the first: numbers that end
    /// alike are beside each other.
    reversed: BTreeSet<String>,
}

impl Phones {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds the digits of a number.
    pub(crate) fn add(&mut self, digits: &str) {
        self.count += 1;
        self.reversed.extend(notations(digits));
    }

    /// Whether one of them is this number, whatever is in front of either: zeros, the code of a
    /// country, a trunk digit. The shorter one has at least 6 digits.
    pub(crate) fn have(&self, digits: &str) -> bool {
        notations(digits).any(|notation| {
            let from = (Bound::Included(notation.as_str()), Bound::Unbounded);
            let next = self.reversed.range::<str, _>(from).next();
            let is_end = next.is_some_and(|known| known.starts_with(&notation));
            let lengths = SHORTEST..=notation.len().min(LONGEST);
            let mut ends = lengths.filter_map(|length| notation.get(..length));
            is_end || ends.any(|end| self.reversed.contains(end))
        })
    }
}

/// Minimum digits of a phone number.
const SHORTEST: usize = 6;
/// No phone number has more digits.
const LONGEST: usize = 20;

/// Digits as they are, without zeros in front, and without one that only some notations have. From
/// the last digit to the first; none that is shorter than a phone number.
fn notations(digits: &str) -> impl Iterator<Item = String> {
    let digits = digits.trim_start_matches('0');
    // A trunk zero behind the country code, or the digit for mobile phones of some countries.
    let without = (1..=3).filter_map(move |at| {
        let digit = *digits.as_bytes().get(at)?;
        let is_extra = digit == b'0' || (at == 2 && matches!(digit, b'1' | b'9'));
        is_extra.then(|| format!("{}{}", &digits[..at], &digits[at + 1..]))
    });
    let all = without.chain(std::iter::once(digits.to_owned()));
    all.filter(|all| all.len() >= SHORTEST).map(|all| all.chars().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Run<'_> {
        let mut found = runs(text);
        let run = found.next().unwrap();
        assert_eq!(found.next(), None, "{text}");
        run
    }

    #[test]
    fn phones_are_told_from_other_numbers() {
        let phones = [
            "+44 (0)20 7946 0000",
            "(503) 555-0142",
            "02 47 55 01 42",
            "555-0142",
            "089/1234567",
            "612 345 678",
            "0039 06 1234567",
            "03-555-0142",
        ];
        for text in phones {
            assert!(is_phone(&only(text), false), "{text}");
        }
        let others = [
            "895 000",
            "1.234,50",
            "2026-11-20",
            "20.11.2026",
            "1998-2024",
            "97211-1234",
            "13010-100",
            "1 800 000",
            "12345",
            "24/7",
        ];
        for text in others {
            assert!(!is_phone(&only(text), false), "{text}");
        }
        assert!(is_phone(&only("9123 4567"), true));
    }

    #[test]
    fn notations_of_one_phone_are_the_same() {
        let same = [
            ("442079460000", "02079460000"),
            ("4402079460000", "442079460000"),
            ("00442079460000", "2079460000"),
            ("15035550142", "5550142"),
            ("5491155550142", "541155550142"),
        ];
        let are_same = |one: &str, other: &str| {
            let mut phones = Phones::default();
            phones.add("0000000000");
            phones.add(one);
            phones.have(other)
        };
        for (one, other) in same {
            assert!(are_same(one, other) && are_same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("5035550142", "5055550142"),
            ("5035550142", "5035550143"),
            ("5035550142", "50142"),
            ("50142", "50142"),
            ("", ""),
        ] {
            assert!(!are_same(one, other) && !are_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn amounts_are_read_in_both_notations() {
        let values = |text: &str| -> Vec<u64> {
            let run = only(text);
            (0..run.len()).flat_map(|i| run.values_from(i)).map(|(value, _)| value).collect()
        };
        for text in ["1.234,50", "1,234.50", "1 234,50", "1'234.50"] {
            assert!(values(text).contains(&123_450), "{text}");
        }
        assert!(values("895 000").contains(&89_500_000));
        assert!(values("25.00").contains(&2_500));
    }
}
