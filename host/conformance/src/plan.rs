//! Plans the test cases of a case: the orders, the replies, and the call that fails.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::answers::{AuthorRules, CaseScript, ScriptRule, faulty};
use super::author_folder::AuthorCase;
use super::case::{Answers, CallPosition, Case, Delay, Derive, Fault, NamedFault, OrderSource};
use super::harness::{Stop, TestCase};
use super::orders::Orders;
use super::recording_journal::{RecordedCall, ReplyDelay};
use super::rule::SuiteRule;
use super::summary::Summary;

/// Additional delay of each reply compared with the one before, in cases with delayed replies.
const STEP: Duration = Duration::from_millis(25);

/// One test case of a case.
#[derive(Debug, Clone)]
pub(super) struct PlannedCase {
    pub(super) case: Case,
    pub(super) rule: SuiteRule,
    /// The case's name and the detail that identifies this test case.
    pub(super) label: String,
    pub(super) test_case: TestCase,
    /// The folder of an author's case; `None` for the suite's own.
    pub(super) folder: Option<PathBuf>,
}

/// An order that became a site without any fault; most test cases are compared with it.
#[derive(Debug, Clone)]
pub(super) struct Baseline {
    pub(super) document: Value,
    pub(super) asked: Vec<RecordedCall>,
    pub(super) took: Duration,
}

fn script(fault: Option<ScriptRule>, author: &AuthorRules, answers: Answers) -> CaseScript {
    CaseScript { fault, author: author.clone(), answers }
}

fn test_case(document: Value, script: CaseScript) -> TestCase {
    TestCase {
        document,
        script,
        hold: ReplyDelay::None,
        budget: None,
        short_timeout: false,
        attempt: 0,
        stop: Stop::Never,
    }
}

/// The test cases of the full and the minimal order, one of which becomes the baseline.
pub(super) fn first(
    cases: &[Case],
    orders: &Orders,
    author: &AuthorRules,
    summary: &mut Summary,
) -> Vec<PlannedCase> {
    let mut planned = Vec::new();
    // The full order first, because it covers most.
    for wanted in [Derive::Full, Derive::Minimal] {
        for case in cases.iter().filter(|case| derives(case) == Some(wanted)) {
            planned.extend(derived(case, orders, None, author, summary));
        }
    }
    planned
}

/// All other test cases of the suite.
pub(super) fn rest(
    cases: &[Case],
    orders: &Orders,
    baseline: &Baseline,
    author: &AuthorRules,
    summary: &mut Summary,
) -> Vec<PlannedCase> {
    let mut planned = Vec::new();
    for case in
        cases.iter().filter(|case| !matches!(derives(case), Some(Derive::Full | Derive::Minimal)))
    {
        planned.extend(derived(case, orders, Some(baseline), author, summary));
    }
    planned
}

/// An author's case.
pub(super) fn authors(case: &AuthorCase, author: &AuthorRules) -> PlannedCase {
    let script = script(None, &case.answers.before(author), case.case.ai.answers);
    PlannedCase {
        case: case.case.clone(),
        rule: SuiteRule::Expected,
        label: case.case.name.clone(),
        test_case: TestCase {
            hold: hold(case.case.ai.delay, 8),
            ..test_case(case.order.clone(), script)
        },
        folder: Some(case.folder.clone()),
    }
}

pub(super) fn derives(case: &Case) -> Option<Derive> {
    match &case.order {
        OrderSource::Derived(derived) => Some(derived.derive),
        OrderSource::File(_) => None,
    }
}

fn hold(delay: Delay, calls: usize) -> ReplyDelay {
    match delay {
        Delay::None => ReplyDelay::None,
        Delay::Rising => ReplyDelay::Rising(STEP),
        Delay::Falling => ReplyDelay::Falling { step: STEP, calls },
    }
}

fn derived(
    case: &Case,
    orders: &Orders,
    baseline: Option<&Baseline>,
    author: &AuthorRules,
    summary: &mut Summary,
) -> Vec<PlannedCase> {
    let (Some(rule), Some(how)) = (case.rule, derives(case)) else { return Vec::new() };
    let documents = match (how, baseline) {
        (Derive::Baseline, Some(baseline)) => vec![(String::new(), baseline.document.clone())],
        _ => match orders.derive(how, baseline.map(|baseline| &baseline.document)) {
            Ok(made) => made.into_iter().map(|order| (order.name, order.document)).collect(),
            Err(why) => {
                summary.skip(rule, why);
                return Vec::new();
            }
        },
    };
    let label = |detail: &str| {
        if detail.is_empty() { case.name.clone() } else { format!("{}: {detail}", case.name) }
    };
    let calls = baseline.map_or(0, |baseline| baseline.asked.len());
    let mut planned = Vec::new();
    for (name, document) in documents {
        if let (Some(fault), Some(baseline)) = (&case.ai.fault, baseline) {
            for (at, asked, index) in places(&case.ai.at, &baseline.asked) {
                let Some(test_case) =
                    with_fault(fault, asked, index, baseline, document.clone(), case, author)
                else {
                    continue;
                };
                let detail = format!("the {} of {calls} AI calls", at.as_str());
                planned.push(PlannedCase {
                    case: case.clone(),
                    rule,
                    label: label(&detail),
                    test_case,
                    folder: None,
                });
            }
            continue;
        }
        let script = script(None, author, case.ai.answers);
        let test_case = TestCase {
            hold: hold(case.ai.delay, calls),
            attempt: u64::from(case.other_attempt),
            ..test_case(document, script)
        };
        for _ in 0..case.repeat {
            planned.push(PlannedCase {
                case: case.clone(),
                rule,
                label: label(&name),
                test_case: test_case.clone(),
                folder: None,
            });
        }
    }
    if planned.is_empty() && baseline.is_some() {
        let why = if calls == 0 {
            "the template makes no AI call"
        } else {
            "the fault applies to none of its AI calls"
        };
        summary.skip(rule, why);
    }
    planned
}

fn places<'a>(
    at: &[CallPosition],
    asked: &'a [RecordedCall],
) -> Vec<(CallPosition, &'a RecordedCall, usize)> {
    at.iter()
        .filter_map(|at| {
            let index = at.index(asked.len())?;
            Some((*at, asked.get(index)?, index))
        })
        .collect()
}

fn with_fault(
    fault: &Fault,
    asked: &RecordedCall,
    index: usize,
    baseline: &Baseline,
    document: Value,
    case: &Case,
    author: &AuthorRules,
) -> Option<TestCase> {
    let good = |document: Value| test_case(document, script(None, author, case.ai.answers));
    // Three times the baseline's duration: a template that does not wait for the reply has ended
    // by then.
    let delay = (baseline.took * 3).max(Duration::from_millis(50));
    let hold = ReplyDelay::Forever(index);
    Some(match fault {
        Fault::Named(NamedFault::Budget) => {
            TestCase { budget: Some(index as u64), ..good(document) }
        }
        Fault::Named(NamedFault::Drop) => {
            TestCase { hold, stop: Stop::Drop(delay), ..good(document) }
        }
        Fault::Named(NamedFault::Cancel) => {
            TestCase { hold, stop: Stop::Cancel(delay), ..good(document) }
        }
        fault => {
            let rule = faulty(fault, asked)?;
            let short_timeout =
                matches!(fault, Fault::Scripted(table) if table.contains_key("hang"));
            TestCase {
                short_timeout,
                ..test_case(document, script(Some(rule), author, case.ai.answers))
            }
        }
    })
}
