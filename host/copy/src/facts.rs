//! What an order says: the facts that a text may state.

use std::collections::HashSet;

use serde_json::Value;

use crate::address;
use crate::award;
use crate::money;
use crate::number::{self, Phones, Run, runs};
use crate::text::fold;

/// Maximum bytes of the order's texts that are kept, to bound memory. Intake limits documents to
/// far less.
const MAX_TEXT: usize = 1 << 20;
/// Maximum number of facts of each kind.
const MAX_FACTS: usize = 20_000;
/// Maximum number of phone numbers.
const MAX_PHONES: usize = 200;
/// Ages are below it: each year of a text is compared with each of them.
const MAX_AGE: u16 = 400;
/// Maximum bytes of a page whose facts are read. 64 KiB.
const MAX_PAGE: usize = 64 << 10;
/// Maximum depth of the document that is read, the same as the parser's.
const MAX_DEPTH: usize = 128;

/// Everything that an order says, ready to be compared with.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The folded texts of the order, one a line, with a line break before the first.
    text: String,
    /// Where the lines of the text begin and end, sorted by what they say.
    lines: Vec<(u32, u32)>,
    /// All numbers that are long enough to be a phone number.
    phones: Phones,
    emails: HashSet<String>,
    hosts: HashSet<String>,
    /// The domains above the hosts.
    domains: HashSet<String>,
    /// All numbers, in hundredths.
    numbers: HashSet<u64>,
    /// Those that may be prices.
    amounts: HashSet<u64>,
    years: HashSet<u16>,
    /// Numbers of years, such as the age of the business.
    ages: HashSet<u16>,
    claims: HashSet<award::Claim>,
}

/// Whether a text is a whole page: markup of a program, not what the customer wrote word for word.
fn is_page(text: &str) -> bool {
    const START: usize = 512;
    let start = text[..text.floor_char_boundary(START)].to_ascii_lowercase();
    start.contains("<html") || start.contains("<!doctype")
}

impl Facts {
    /// Reads an order document.
    ///
    /// # Errors
    /// The document is not JSON.
    pub fn of_order(document: &str) -> Result<Self, serde_json::Error> {
        Ok(Self::of_value(&serde_json::from_str(document)?))
    }

    /// Reads an order document that is already parsed.
    pub fn of_value(document: &Value) -> Self {
        let mut facts = Facts { text: "\n".to_owned(), ..Facts::default() };
        facts.add(document, "", false, 0);
        facts.claims = award::of_order(&facts.text);
        facts.lines = lines(&facts.text);
        facts
    }

    fn add(&mut self, value: &Value, name: &str, is_bookkeeping: bool, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.add_text(text, name),
            // What the customer paid for the site is no price of the business.
            Value::Number(_) if is_bookkeeping => {}
            Value::Number(number) => {
                let text = number.to_string();
                let text = text.strip_suffix(".0").unwrap_or(&text);
                if name.contains("year") {
                    self.ages.extend(text.parse::<u16>().ok().filter(|age| *age < MAX_AGE));
                }
                self.add_text(text, name);
            }
            Value::Array(entries) => {
                for entry in entries {
                    self.add(entry, name, is_bookkeeping, depth + 1);
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    let is_bookkeeping = is_bookkeeping || (depth == 0 && field == "order");
                    self.add(value, field, is_bookkeeping, depth + 1);
                }
            }
        }
    }

    fn add_text(&mut self, text: &str, name: &str) {
        let is_page = is_page(text);
        if is_page && text.len() > MAX_PAGE {
            return;
        }
        let mut end = text.len().min(MAX_TEXT.saturating_sub(self.text.len()));
        end = text.floor_char_boundary(end);
        let text = fold(&text[..end]);
        if name.contains("year") {
            self.ages.extend(text.trim().parse::<u16>().ok().filter(|age| *age < MAX_AGE));
        }
        for run in runs(&text) {
            let is_amount = money::is_money(&text, &run) || may_be_price(&text, &run, name);
            self.add_run(&run, is_amount);
            self.ages.extend(age(&text, &run));
        }
        for address in address::find(&text) {
            if self.hosts.len() >= MAX_FACTS {
                break;
            }
            self.hosts.insert(address.host.to_owned());
            self.domains.extend(above(address.host).skip(1).map(str::to_owned));
            if address.is_email {
                self.emails.insert(address.text.to_owned());
            }
        }
        if !is_page {
            self.text.push_str(text.trim());
            self.text.push('\n');
        }
    }

    fn add_run(&mut self, run: &Run<'_>, is_amount: bool) {
        let digits = run.digits();
        if digits.len() >= 6 && self.phones.len() < MAX_PHONES {
            self.phones.add(&digits);
        }
        for index in 0..run.len() {
            if self.numbers.len() >= MAX_FACTS {
                return;
            }
            let values = run.values_from(index).into_iter().map(|(value, _)| value);
            self.numbers.extend(values.clone());
            if is_amount {
                self.amounts.extend(values);
            }
            self.years.extend(number::year(run.group(index)));
        }
    }

    /// Bytes that are searched for a text.
    pub(crate) fn searched_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether the order has this folded text word for word.
    pub(crate) fn says(&self, folded: &str) -> bool {
        let folded = folded.trim();
        if folded.is_empty() {
            return true;
        }
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let starts = is_word(folded.chars().next());
        let ends = is_word(folded.chars().next_back());
        // Few occurrences are looked at: a short text is in the order many times or at once.
        const OCCURRENCES: usize = 16;
        self.text.match_indices(folded).take(OCCURRENCES).any(|(at, _)| {
            let before = self.text[..at].chars().next_back();
            let after = self.text[at + folded.len()..].chars().next();
            !(starts && is_word(before) || ends && is_word(after))
        })
    }

    /// Whether a whole value of the order is this folded text.
    pub(crate) fn has_value(&self, folded: &str) -> bool {
        let folded = folded.trim();
        if folded.is_empty() {
            return false;
        }
        // A value of several lines is in the text as it is.
        if folded.contains('\n') {
            return self.text.match_indices(folded).any(|(at, _)| {
                self.text[..at].ends_with('\n') && self.text[at + folded.len()..].starts_with('\n')
            });
        }
        let found = self.lines.binary_search_by(|place| line(&self.text, *place).cmp(folded));
        found.is_ok()
    }

    /// Bytes of the longest value of the order with which a folded text begins, if a word ends
    /// there. Values of one or two letters are none: "en" is a language, and a word of another.
    pub(crate) fn value_at_start(&self, folded: &str) -> Option<usize> {
        // Each is shorter than the one before.
        const VALUES: usize = 16;
        const SHORTEST: usize = 3;
        let mut rest = folded;
        for _ in 0..VALUES {
            // All values with which the text begins are beginnings of the last one before it.
            let after = self.lines.partition_point(|place| line(&self.text, *place) <= rest);
            let value = line(&self.text, *self.lines.get(after.checked_sub(1)?)?);
            let equal = value.bytes().zip(rest.bytes()).take_while(|(one, other)| one == other);
            let mut common = rest.floor_char_boundary(equal.count());
            if common < SHORTEST {
                return None;
            }
            if common == value.len() {
                if is_between_words(folded, common) {
                    return Some(common);
                }
                common = rest.floor_char_boundary(common - 1);
            }
            rest = &rest[..common];
        }
        None
    }

    /// Whether a folded word is nothing but whole values of the order without a gap: the monogram
    /// "X" and the name "X" of a business, in two elements of a page.
    pub(crate) fn has_joined_values(&self, folded: &str) -> bool {
        const LONGEST: usize = 24;
        let word = folded.trim();
        if word.len() > LONGEST || !word.chars().all(char::is_alphabetic) {
            return false;
        }
        // The places that values lead to.
        let mut ends = vec![0];
        for end in 1..=word.len() {
            let is_value =
                |start: &usize| word.get(*start..end).is_some_and(|part| self.has_value(part));
            if ends.iter().any(is_value) {
                ends.push(end);
            }
        }
        ends.len() > 1 && ends.last() == Some(&word.len())
    }

    pub(crate) fn has_phone(&self, digits: &str) -> bool {
        self.phones.have(digits)
    }

    pub(crate) fn has_email(&self, address: &str) -> bool {
        self.emails.contains(address)
    }

    /// Whether the order has a host, or one above or below it.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.domains.contains(host) || above(host).any(|host| self.hosts.contains(host))
    }

    pub(crate) fn has_amount(&self, hundredths: u64) -> bool {
        self.amounts.contains(&hundredths)
    }

    pub(crate) fn has_number(&self, hundredths: u64) -> bool {
        self.numbers.contains(&hundredths)
    }

    /// Whether the order has a year, or it follows from an age that the order has.
    pub(crate) fn has_year(&self, year: u16, current: u16) -> bool {
        let follows = |age: &u16| current.saturating_sub(*age).abs_diff(year) <= 1;
        self.years.contains(&year) || self.ages.iter().any(follows)
    }

    /// Whether the order has an age of so many years, give or take one, or it follows from a year
    /// of the order. `is_at_least` if the age may be up to ten years more: "over 20 years".
    pub(crate) fn has_age(&self, age: u16, current: u16, is_at_least: bool) -> bool {
        let since = self.years.iter().map(|year| current.saturating_sub(*year));
        let mut ages = self.ages.iter().copied().chain(since);
        ages.any(|known| {
            known.abs_diff(age) <= 1
                || is_at_least && (age..age.saturating_add(10)).contains(&known)
        })
    }

    pub(crate) fn makes(&self, claim: award::Claim) -> bool {
        self.claims.contains(&claim)
    }
}

/// Whether no word of the text goes on at a place. Scripts that have no spaces between words have
/// such places everywhere.
pub(crate) fn is_between_words(text: &str, at: usize) -> bool {
    const FIRST_WITHOUT_SPACES: char = '\u{2e80}';
    let is_of_word = |c: char| c.is_alphanumeric() && c < FIRST_WITHOUT_SPACES;
    let (before, after) = text.split_at(at);
    !(before.chars().next_back().is_some_and(is_of_word)
        && after.chars().next().is_some_and(is_of_word))
}

/// The places of the lines of a text, sorted by what they say: each text of a page is looked up
/// among them.
fn lines(text: &str) -> Vec<(u32, u32)> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let end = start + line.len();
        if !line.is_empty() {
            // The text is far shorter than 4 GiB.
            lines.push((start as u32, end as u32));
        }
        start = end + 1;
    }
    lines.sort_unstable_by(|one, other| line(text, *one).cmp(line(text, *other)));
    lines
}

fn line(text: &str, (start, end): (u32, u32)) -> &str {
    &text[start as usize..end as usize]
}

/// Whether a number without a currency may be a price: "Haircut 45". Not the figures of phones,
/// dates, times and addresses.
fn may_be_price(text: &str, run: &Run<'_>, name: &str) -> bool {
    const PRICES: [&str; 12] = [
        "price", "fee", "cost", "rate", "amount", "prec", "prix", "preis", "prezz", "tarif",
        "deposit", "total",
    ];
    const OTHERS: [&str; 19] = [
        "phone", "whatsapp", "mobile", "fax", "tel", "address", "street", "zip", "post", "hour",
        "open", "color", "colour", "url", "id", "year", "date", "license", "number",
    ];
    let name = name.to_lowercase();
    let is_of = |parts: &[&str]| {
        parts.iter().any(|part| name.split('_').any(|word| word.starts_with(part)))
    };
    if is_of(&PRICES) {
        return true;
    }
    let rest = text.get(run.range.end..).unwrap_or_default().trim_start();
    let is_time = ["am", "pm", "a.m", "p.m", "h", ":", "uhr", "min"];
    let is_time = is_time.iter().any(|end| rest.starts_with(end));
    let is_large = run.values_from(0).iter().any(|(value, _)| *value >= 1_000);
    is_large
        && !is_time
        && !is_of(&OTHERS)
        && !number::is_phone(run, false)
        && !number::is_date(run)
}

/// A host and the domains above it that have a dot.
fn above(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |host: &&str| {
        let (_, rest) = host.split_once('.')?;
        rest.contains('.').then_some(rest)
    })
}

/// The number of years that a text states: "22 years", "seit 22 Jahren", "há 22 anos".
fn age(text: &str, run: &Run<'_>) -> Option<u16> {
    const YEARS: [&str; 14] = [
        "year",
        "yr",
        "ano",
        "ans",
        "an ",
        "jahr",
        "anni",
        "anno",
        "jaar",
        "سنه",
        "سنوات",
        "عاما",
        "שנ",
        "年",
    ];
    let rest = text.get(run.range.end..)?.trim_start_matches([' ', '+', '-']);
    let is_age = YEARS.iter().any(|word| rest.starts_with(word));
    run.group(run.len().checked_sub(1)?).parse().ok().filter(|age| is_age && *age < MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{
        "order": {"id": 77, "total_price": 399.0, "customer_email": "ana@example.com"},
        "onboarding": {
            "business_phone": "+44 (0)20 7946 0000 ext. 12",
            "site_url": "https://www.ovenlane.example/shop",
            "prices": [{"price": "£1,234.50"}, {"price": 25}],
            "years_in_business": 22,
            "about": "Opened in 2016. Winner of the Loaf Award."
        }
    }"#;

    #[test]
    fn an_order_has_its_facts() {
        let facts = Facts::of_order(ORDER).unwrap();
        assert!(facts.has_phone("02079460000"));
        assert!(facts.has_email("ana@example.com"));
        assert!(facts.has_host("ovenlane.example"));
        assert!(facts.has_host("shop.ovenlane.example"));
        assert!(!facts.has_host("example"));
        assert!(facts.has_amount(123_450) && facts.has_amount(2_500));
        assert!(!facts.has_amount(39_900), "a price of the order itself");
        assert!(facts.has_year(2016, 2026) && facts.has_year(2004, 2026));
        assert!(!facts.has_year(1987, 2026));
        assert!(facts.says("loaf award") && !facts.says("oaf award"));
    }

    #[test]
    fn a_whole_value_is_found_and_no_part_of_one() {
        let order = r#"{"a": "We bake bread", "b": ["Zoo", "apple pie", "Zoo"],
                        "c": "First line\nSecond line", "d": 7}"#;
        let facts = Facts::of_order(order).unwrap();
        for (text, expected) in [
            ("we bake bread", true),
            (" zoo ", true),
            ("apple pie", true),
            ("7", true),
            ("first line", true),
            ("first line\nsecond line", true),
            ("second line\n7", true),
            ("line\nsecond line", false),
            ("we bake", false),
            ("bake bread", false),
            ("pie", false),
            ("", false),
            (" ", false),
        ] {
            assert_eq!(facts.has_value(text), expected, "{text:?}");
        }
        assert!(!Facts::default().has_value("zoo"));
    }

    #[test]
    fn the_longest_value_at_the_start_of_a_text_is_found() {
        let order = r#"{"a": "Ana", "b": "Ana Lima", "c": "Ana Lima e Filhos", "d": "Ana Lisboa",
                        "e": "en", "f": "東京建設"}"#;
        let facts = Facts::of_order(order).unwrap();
        for (text, expected) in [
            ("ana lima, campinas", Some("ana lima")),
            ("ana lima e filhos", Some("ana lima e filhos")),
            ("ana lima e filha", Some("ana lima")),
            ("ana limao", Some("ana")),
            ("ana", Some("ana")),
            ("anapolis", None),
            ("en casa", None),
            ("東京建設は", Some("東京建設")),
            ("", None),
        ] {
            let found = facts.value_at_start(text).map(|length| &text[..length]);
            assert_eq!(found, expected, "{text:?}");
        }
        assert_eq!(Facts::default().value_at_start("ana"), None);
    }

    #[test]
    fn values_without_a_gap_are_the_orders_own() {
        for (name, word, expected) in [
            ("X", "xx", true),
            ("X", "xxx", true),
            ("É", "ee", true),
            ("TBD", "tbd", true),
            ("Y", "xx", false),
            ("X", "xy", false),
            ("X", "x x", false),
            ("1", "11", false),
            ("X", "", false),
        ] {
            let facts = Facts::of_value(&serde_json::json!({ "business_name": name }));
            assert_eq!(facts.has_joined_values(word), expected, "{name}: {word}");
        }
    }
}
