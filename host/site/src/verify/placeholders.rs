//! Finds placeholders that a template forgot to replace, but not braces that the customer wrote.

use super::automaton::Automaton;
use super::data;
use super::work::Work;

/// The marks of placeholders in template languages.
const MARKERS: [&str; 3] = ["{{", "}}", "${"];
/// Maximum number of the order's texts with marks that are searched for. In further ones, a mark
/// counts as a placeholder.
const MAX_LITERALS: usize = 1000;
/// Maximum bytes of these texts, which bounds the memory of the search. 128 KiB.
const MAX_LITERAL_BYTES: usize = 128 << 10;
/// Maximum bytes of the text around a placeholder that are shown.
const SHOWN: usize = 400;

/// Whether a text contains a mark of a placeholder.
pub(super) fn is_marked(text: &str) -> bool {
    MARKERS.iter().any(|marker| text.contains(marker))
}

/// The texts of the order that contain marks and must be shown as they are.
#[derive(Debug, Default)]
pub(super) struct Literals(Automaton);

impl Literals {
    /// Takes whole texts and each of their lines: a template may show an address line by line.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        let mut literals = Vec::new();
        for text in texts.into_iter().filter(|text| is_marked(text)) {
            literals.push(comparable(text));
            literals.extend(text.lines().filter(|line| is_marked(line)).map(comparable));
        }
        literals.sort();
        literals.dedup();
        literals.truncate(MAX_LITERALS);
        let mut bytes = 0;
        literals.retain(|text| {
            // One long text does not push out the short ones.
            let fits = bytes + text.len() <= MAX_LITERAL_BYTES;
            bytes += if fits { text.len() } else { 0 };
            fits
        });
        Literals(Automaton::new(&literals))
    }

    /// The text around the first placeholder in `text` that is not in a text of the customer.
    /// `text` must be decoded. Each byte of it is read a bounded number of times, however many
    /// texts the customer wrote.
    pub(super) fn leftover(&self, text: &str, work: &Work) -> Option<String> {
        work.spend(text.len());
        if !is_marked(text) {
            return None;
        }
        // Two copies, the marks and the search.
        work.spend(9 * text.len());
        let text = collapsed(text);
        let compared = text.to_ascii_lowercase();
        let at = self.outside(&compared)?;
        // A text that was cut may be followed by others: `Joe's {{x… · Contact`.
        let mut from = 0;
        let mut parts = compared.split('…').map(|part| {
            let start = from;
            from += part.len() + '…'.len_utf8();
            (start, part)
        });
        let at = match compared.contains('…') {
            true => parts.find_map(|(start, part)| Some(start + self.outside(part)?))?,
            false => at,
        };
        let start = text.floor_char_boundary(at.saturating_sub(40));
        let end = text.floor_char_boundary(at.saturating_add(SHOWN));
        Some(text[start..end].to_owned())
    }

    /// The position of the first mark that is in no text of the customer, whole or cut at the end.
    fn outside(&self, compared: &str) -> Option<usize> {
        let end = compared.trim_end_matches(['…', '.', ' ']).len();
        self.0.first_outside(compared, end, marks(compared))
    }

    /// As [`leftover`](Self::leftover), for the texts of a JSON document. An error of syntax is not
    /// reported.
    ///
    /// # Errors
    /// If it is not JSON.
    pub(super) fn leftover_in_json(
        &self,
        json: &str,
        work: &Work,
    ) -> Result<Option<String>, serde_json::Error> {
        let mut leftover = None;
        work.spend(json.len());
        data::read_json(json, |_, text| {
            if leftover.is_none() {
                leftover = self.leftover(text, work);
            }
        })?;
        Ok(leftover)
    }

    /// As [`leftover`](Self::leftover), for an attribute. Event handlers are code, the value may be
    /// JSON, and in URLs the customer's text is percent-encoded.
    pub(super) fn leftover_in_attribute(
        &self,
        name: &str,
        value: &str,
        work: &Work,
    ) -> Option<String> {
        let leftover = self.leftover(value, work).filter(|_| !name.starts_with("on"))?;
        if let Ok(in_json) = self.leftover_in_json(value, work) {
            return in_json;
        }
        let spaced = value.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
        self.leftover(&decoded, work).map(|_| leftover)
    }
}

/// The positions of all marks, in increasing order.
fn marks(text: &str) -> impl Iterator<Item = usize> + '_ {
    let pairs = text.as_bytes().windows(2).enumerate();
    pairs
        .filter(|(_, pair)| matches!(*pair, [b'{', b'{'] | [b'}', b'}'] | [b'$', b'{']))
        .map(|(at, _)| at)
}

fn comparable(text: &str) -> String {
    collapsed(text).to_ascii_lowercase()
}

/// One space between words, and plain quotation marks, so that typesetting makes no difference.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|c| match c {
            '‘' | '’' => '\'',
            '“' | '”' => '"',
            other => other,
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as a search of every text in every place, which the automaton must agree with.
    fn leftover_slowly(texts: &[String], text: &str) -> Option<usize> {
        let end = text.trim_end_matches(['…', '.', ' ']).len();
        let covered = |at: usize| {
            let whole = texts.iter().any(|literal| {
                let from = at.saturating_sub(literal.len());
                (from..=at).any(|start| {
                    start + literal.len() > at
                        && text.get(start..).is_some_and(|t| t.starts_with(literal.as_str()))
                })
            });
            let cut = texts.iter().any(|literal| {
                (0..=at).any(|start| {
                    at < end && text.get(start..end).is_some_and(|tail| literal.starts_with(tail))
                })
            });
            whole || cut
        };
        marks(text).find(|at| !covered(*at))
    }

    fn automaton_agrees(texts: &[String], text: &str) -> bool {
        let end = text.trim_end_matches(['…', '.', ' ']).len();
        let found = Automaton::new(texts).first_outside(text, end, marks(text));
        found == leftover_slowly(texts, text)
    }

    proptest::proptest! {
        #[test]
        fn f6_the_search_of_many_texts_finds_what_a_search_of_each_finds(
            texts in proptest::collection::vec("[{}$a]{1,6}", 0..6),
            text in "[{}$a.…]{0,40}",
        ) {
            proptest::prop_assert!(automaton_agrees(&texts, &text), "{texts:?} in {text:?}");
        }
    }

    #[test]
    fn f6_a_text_that_is_cut_may_be_followed_by_others() {
        let literals = Literals::new(&["Joe's Bits {{BUSINESS_EMAIL}} Ltd".to_owned()]);
        let leftover = |text| literals.leftover(text, &Work::unlimited());
        assert_eq!(leftover("Joe's Bits {{BUSINESS_… · Contact"), None);
        assert_eq!(leftover("About … Joe's Bits {{BUSINESS_EMAIL}} Ltd …"), None);
        assert!(leftover("Joe's Bits {{BUSINESS_… · {{page}}").is_some());
        assert!(leftover("{{page… · Contact").is_some());
    }

    #[test]
    fn f6_a_long_text_does_not_push_out_a_short_one() {
        let texts = [format!("{{{{ {}", "a".repeat(MAX_LITERAL_BYTES)), "{{ z }}".to_owned()];
        let page = "<p>{{ z }}</p>";
        assert_eq!(Literals::new(&texts).leftover(page, &Work::unlimited()), None);
    }

    #[test]
    fn f6_the_customers_texts_cost_the_same_however_many_they_are() {
        let page = "{{ x }} y ".repeat(2000);
        let steps = |literals: usize| {
            let texts: Vec<String> =
                (1..=literals).map(|n| format!("{}{{{{ x", "y ".repeat(n))).collect();
            let work = Work::unlimited();
            let leftover = Literals::new(&texts).leftover(&page, &work);
            assert!(leftover.is_some());
            work.used()
        };
        assert_eq!(steps(1), steps(300));
    }
}
