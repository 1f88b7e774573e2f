//! What came of replaying a recorded attempt.

use askama::Template as _;
use serde_json::Value;

use super::address;
use super::frame::Frame;
use super::text::{count_of, short};

/// Differences that are shown.
const SHOWN: usize = 20;

#[derive(askama::Template)]
#[template(path = "replay.html")]
struct Page<'a> {
    f: &'a Frame,
    record: &'a str,
    href: String,
    verdict: String,
    class: &'static str,
    summary: String,
    missing: Vec<String>,
    differences: Vec<[String; 3]>,
    more: String,
    notes: Vec<String>,
}

/// The report of a replay, as `sitewright replay --json` prints it.
///
/// # Errors
/// Never, as far as is known.
pub fn replayed(frame: &Frame, record: &str, report: &Value) -> Result<String, askama::Error> {
    let text = |value: &Value, most| short(value.as_str().unwrap_or_default(), most);
    let list = |name: &str| report[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = |name: &str| list(name).iter().map(|value| text(value, 400)).collect::<Vec<_>>();
    let verdict = report["verdict"].as_str().unwrap_or_default();
    let differences = list("differences");
    let difference = |value: &Value| {
        [text(&value["what"], 100), text(&value["recorded"], 300), text(&value["now"], 300)]
    };
    let more = differences.len().saturating_sub(SHOWN);
    Page {
        f: frame,
        record,
        href: address::record(record),
        verdict: short(verdict, 40).replace('_', " "),
        class: match verdict {
            "reproduced" | "reproduced_up_to_the_end" | "fixed" => "good",
            "not_replayable" => "bad",
            _ => "warn",
        },
        summary: match verdict {
            "not_replayable" => "The attempt cannot be replayed: something is missing.".to_owned(),
            _ => text(&report["summary"], 400),
        },
        missing: texts("missing"),
        differences: differences.iter().take(SHOWN).map(difference).collect(),
        more: if more == 0 { String::new() } else { count_of(more as u64) },
        notes: texts("notes"),
    }
    .render()
}
