//! The rates of false alarms and misses on the corpus, by language.
//!
//! `cargo test -p sitewright-copy rates -- --nocapture` prints the tables of the reference, and the
//! texts that are judged wrongly.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use sitewright_copy::{CopyCheck, CopyRule, Facts, Finding, TextKind};

const GOOD: &str = include_str!("../../corpus/good.tsv");
const BAD: &str = include_str!("../../corpus/bad.tsv");
const HELD_OUT: &str = include_str!("../../corpus/held-out.tsv");
const ORDERS: &str = include_str!("../../corpus/orders.json");

/// The year in which the corpus was written.
const YEAR: u16 = 2026;
/// Maximum share of good texts with a finding, in percent.
const MAX_FALSE_ALARMS: f64 = 1.0;
/// Maximum share of bad texts without the finding that they are an example of, in percent.
const MAX_MISSES: f64 = 5.0;

/// The same for the texts that the rules are not tuned on.
const MAX_HELD_OUT: (f64, f64) = (1.0, 5.0);

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

/// What was measured on some files of the corpus.
struct Measured {
    /// The table of the reference.
    table: String,
    /// The texts that are judged wrongly.
    wrong: String,
    of_languages: BTreeMap<&'static str, Rates>,
    all: Rates,
}

fn measure(files: &[(&str, &'static str)]) -> Measured {
    let facts = facts();
    let mut of_languages: BTreeMap<&str, Rates> = BTreeMap::new();
    let mut wrong = String::new();
    for (file, table) in files {
        for sample in samples(table) {
            let found = findings(&sample, &facts);
            let rates = of_languages.entry(sample.language).or_default();
            let Sample { line, text, .. } = &sample;
            match (sample.rule, found.first()) {
                (None, None) => rates.good += 1,
                (None, Some(first)) => {
                    rates.good += 1;
                    rates.false_alarms += 1;
                    let Finding { rule, message, .. } = first;
                    writeln!(wrong, "{file}:{line}: {rule}: {text}\n    {message}").unwrap();
                }
                (Some(rule), _) => {
                    rates.bad += 1;
                    if !found.iter().any(|finding| finding.rule == rule) {
                        rates.misses += 1;
                        let others: Vec<CopyRule> = found.iter().map(|one| one.rule).collect();
                        writeln!(wrong, "{file}:{line}: not {rule} but {others:?}: {text}")
                            .unwrap();
                    }
                }
            }
        }
    }
    let mut table = "| language | good texts | false alarms | rate | bad texts | misses | rate |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut all = Rates::default();
    for (language, rates) in &of_languages {
        writeln!(table, "{}", rates.row(language)).unwrap();
        all.add(*rates);
    }
    writeln!(table, "{}", all.row("all")).unwrap();
    Measured { table, wrong, of_languages, all }
}

fn corpus() -> Measured {
    measure(&[("good.tsv", GOOD), ("bad.tsv", BAD)])
}

fn held_out() -> Measured {
    measure(&[("held-out.tsv", HELD_OUT)])
}

#[test]
fn rates_are_within_their_limits() {
    let measured = corpus();
    println!("{}\n{}", measured.table, measured.wrong);
    for (language, rates) in measured.of_languages {
        let false_alarms = Rates::percent(rates.false_alarms, rates.good);
        let misses = Rates::percent(rates.misses, rates.bad);
        assert!(false_alarms < MAX_FALSE_ALARMS, "{language}: {false_alarms:.1} % false alarms");
        assert!(misses < MAX_MISSES, "{language}: {misses:.1} % misses");
    }
}

#[test]
fn held_out_rates_are_within_their_limits() {
    let Measured { table, wrong, all, .. } = held_out();
    println!("{table}\n{wrong}");
    let (max_false_alarms, max_misses) = MAX_HELD_OUT;
    assert!(Rates::percent(all.false_alarms, all.good) < max_false_alarms, "{wrong}");
    assert!(Rates::percent(all.misses, all.bad) < max_misses, "{wrong}");
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
    for Measured { table, .. } in [corpus(), held_out()] {
        assert!(page.contains(&table), "docs/src/reference/copy-check.md lacks the table\n{table}");
    }
}
