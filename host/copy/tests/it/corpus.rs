//! The rates of false alarms and misses on the corpus, by language.
//!
//! `SITEWRIGHT_COPY_TABLE=1 cargo test -p sitewright-copy rates -- --nocapture` prints the table of
//! the reference.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use sitewright_copy::{CopyCheck, CopyRule, Facts, Finding, TextKind};

const GOOD: &str = include_str!("../../corpus/good.tsv");
const BAD: &str = include_str!("../../corpus/bad.tsv");
const ORDERS: &str = include_str!("../../corpus/orders.json");

/// The year in which the corpus was written.
const YEAR: u16 = 2026;
/// Maximum share of good texts with a finding, in percent.
const MAX_FALSE_ALARMS: f64 = 1.0;
/// Maximum share of bad texts without the finding that they are an example of, in percent.
const MAX_MISSES: f64 = 5.0;

/// A line: language, order, kind, rule or `-`, text. `⏎` is a line break.
struct Sample {
    line: usize,
    language: &'static str,
    order: &'static str,
    kind: TextKind,
    rule: Option<CopyRule>,
    text: String,
}

fn samples(table: &'static str) -> Vec<Sample> {
    let lines = (1..).zip(table.lines()).filter(|(_, line)| !line.starts_with("//"));
    lines
        .map(|(line, columns)| {
            let columns: Vec<&str> = columns.split('\t').collect();
            let [language, order, kind, rule, text] = columns[..] else {
                panic!("line {line} has {} columns", columns.len())
            };
            Sample {
                line,
                language,
                order,
                kind: kind.parse().unwrap_or_else(|_| panic!("line {line}: kind {kind}")),
                rule: (rule != "-")
                    .then(|| rule.parse().unwrap_or_else(|_| panic!("line {line}: rule {rule}"))),
                text: text.replace('⏎', "\n"),
            }
        })
        .collect()
}

fn facts() -> HashMap<String, Facts> {
    let orders: BTreeMap<String, serde_json::Value> = serde_json::from_str(ORDERS).unwrap();
    let read = |(name, order): (String, serde_json::Value)| {
        (name, Facts::of_order(&order.to_string()).unwrap())
    };
    orders.into_iter().map(read).collect()
}

fn findings(sample: &Sample, facts: &HashMap<String, Facts>) -> Vec<Finding> {
    let facts = facts
        .get(sample.order)
        .unwrap_or_else(|| panic!("line {}: no order {}", sample.line, sample.order));
    let check = CopyCheck::new(facts, YEAR).language(Some(sample.language));
    check.forbid(["cheapest"]).check(&sample.text, sample.kind)
}

#[derive(Default, Clone, Copy)]
struct Rates {
    good: usize,
    false_alarms: usize,
    bad: usize,
    misses: usize,
}

impl Rates {
    fn percent(part: usize, all: usize) -> f64 {
        if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
    }

    fn row(&self, language: &str) -> String {
        format!(
            "| {language} | {} | {} | {:.1} % | {} | {} | {:.1} % |",
            self.good,
            self.false_alarms,
            Self::percent(self.false_alarms, self.good),
            self.bad,
            self.misses,
            Self::percent(self.misses, self.bad),
        )
    }

    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.false_alarms += other.false_alarms;
        self.bad += other.bad;
        self.misses += other.misses;
    }
}

/// The table of the reference, the texts that are judged wrongly, and the rates.
fn measure() -> (String, String, BTreeMap<&'static str, Rates>) {
    let facts = facts();
    let mut rates: BTreeMap<&str, Rates> = BTreeMap::new();
    let mut wrong = String::new();
    for sample in samples(GOOD) {
        let found = findings(&sample, &facts);
        let of_language = rates.entry(sample.language).or_default();
        of_language.good += 1;
        if let Some(first) = found.first() {
            of_language.false_alarms += 1;
            writeln!(
                wrong,
                "good.tsv:{}: {}: {}\n    {}",
                sample.line, first.rule, sample.text, first.message
            )
            .unwrap();
        }
    }
    for sample in samples(BAD) {
        let found = findings(&sample, &facts);
        let of_language = rates.entry(sample.language).or_default();
        of_language.bad += 1;
        let rule = sample.rule.unwrap_or_else(|| panic!("bad.tsv:{}: no rule", sample.line));
        if !found.iter().any(|finding| finding.rule == rule) {
            of_language.misses += 1;
            let others: Vec<CopyRule> = found.iter().map(|finding| finding.rule).collect();
            let text = &sample.text;
            writeln!(wrong, "bad.tsv:{}: not {rule} but {others:?}: {text}", sample.line).unwrap();
        }
    }
    let mut table = "| language | good texts | false alarms | rate | bad texts | misses | rate |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut all = Rates::default();
    for (language, of_language) in &rates {
        writeln!(table, "{}", of_language.row(language)).unwrap();
        all.add(*of_language);
    }
    writeln!(table, "{}", all.row("all")).unwrap();
    (table, wrong, rates)
}

#[test]
fn rates_are_within_their_limits() {
    let (table, wrong, rates) = measure();
    println!("{table}\n{wrong}");
    for (language, of_language) in rates {
        let false_alarms = Rates::percent(of_language.false_alarms, of_language.good);
        let misses = Rates::percent(of_language.misses, of_language.bad);
        assert!(false_alarms < MAX_FALSE_ALARMS, "{language}: {false_alarms:.1} % false alarms");
        assert!(misses < MAX_MISSES, "{language}: {misses:.1} % misses");
    }
}

#[test]
fn the_corpus_is_large_enough() {
    let (good, bad) = (samples(GOOD), samples(BAD));
    for language in ["en", "pt", "es", "fr", "de", "it"] {
        for samples in [&good, &bad] {
            let number = samples.iter().filter(|sample| sample.language == language).count();
            assert!(number >= 50, "{language}: {number}");
        }
    }
    assert!(good.len() >= 300 && bad.len() >= 300, "{} {}", good.len(), bad.len());
    for rule in CopyRule::VARIANTS {
        assert!(bad.iter().any(|sample| sample.rule == Some(*rule)), "no example of {rule}");
    }
}

#[test]
fn the_reference_has_the_rules_and_the_table() {
    let page = include_str!("../../../../docs/src/reference/copy-check.md");
    for rule in CopyRule::VARIANTS {
        let row = format!("| `{rule}` | {} |", rule.demand());
        assert!(page.contains(&row), "docs/src/reference/copy-check.md lacks the row\n{row}");
    }
    let (table, ..) = measure();
    assert!(page.contains(&table), "docs/src/reference/copy-check.md lacks the table\n{table}");
}
