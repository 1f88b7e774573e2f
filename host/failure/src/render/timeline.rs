//! Host calls and diagnostics in one order, with what ran side by side.

use std::collections::{BTreeMap, BTreeSet};

use sitewright_model::failure::{AiCallTries, Diagnostic, FailureRecord, Severity};
use sitewright_model::failure::{TrailEntry, TrailOutcome};

/// Calls side by side that get a column of their own; further ones share the last.
const MAX_LANES: usize = 6;

/// Something that happened.
pub(super) struct Moment<'a> {
    /// Milliseconds from the start of the run.
    pub(super) at_ms: u64,
    pub(super) what: What<'a>,
    /// A column for each call that ran beside another: `●` where it begins, `│` while it runs.
    /// Empty where nothing ran beside anything.
    pub(super) lanes: String,
}

pub(super) enum What<'a> {
    /// A host call, with the tries of an AI call.
    Call(&'a TrailEntry, Option<&'a AiCallTries>),
    /// What the template reported.
    Report(&'a Diagnostic),
}

impl Moment<'_> {
    /// Whether a report on the failure should show it although it is long ago.
    pub(super) fn matters(&self) -> bool {
        match self.what {
            What::Call(entry, _) => {
                entry.outcome == TrailOutcome::InFlight
                    || (entry.call.starts_with("ai.") && entry.outcome != TrailOutcome::Ok)
            }
            What::Report(diagnostic) => diagnostic.severity >= Severity::Warning,
        }
    }
}

/// Everything that the record knows of what happened, in the order in which it did.
pub(super) fn of(record: &FailureRecord) -> Vec<Moment<'_>> {
    let tries: BTreeMap<&str, &AiCallTries> =
        record.ai_calls.iter().map(|call| (call.call_id.as_str(), call)).collect();
    let mut reports: BTreeMap<u64, &Diagnostic> =
        record.diagnostics.iter().filter_map(|report| Some((report.seq?, report))).collect();
    let mut moments: Vec<(Option<u64>, Moment<'_>)> = record
        .trail
        .iter()
        .map(|entry| {
            // The call that reported and the report are one moment.
            let what = match reports.remove(&entry.seq) {
                Some(report) => What::Report(report),
                None => What::Call(
                    entry,
                    entry.call_id.as_deref().and_then(|id| tries.get(id).copied()),
                ),
            };
            (Some(entry.seq), Moment { at_ms: entry.at_ms, what, lanes: String::new() })
        })
        .collect();
    // Those whose call is no longer in the trail, and those of a host that gave them no number.
    let numberless = record.diagnostics.iter().filter(|report| report.seq.is_none());
    for report in reports.into_values().chain(numberless) {
        let before = |(seq, moment): &(Option<u64>, Moment<'_>)| match (report.seq, seq) {
            (Some(own), Some(seq)) => *seq < own,
            _ => moment.at_ms <= report.at_ms,
        };
        let at = moments.iter().rposition(before).map_or(0, |at| at + 1);
        let moment =
            Moment { at_ms: report.at_ms, what: What::Report(report), lanes: String::new() };
        moments.insert(at, (report.seq, moment));
    }
    let mut moments: Vec<Moment<'_>> = moments.into_iter().map(|(_, moment)| moment).collect();
    draw_lanes(&mut moments);
    moments
}

/// Which of the moments a report with room for so many shows: the newest, and those before that
/// matter.
pub(super) fn shown(moments: &[Moment<'_>], room: usize) -> BTreeSet<usize> {
    let newest = moments.len().saturating_sub(room)..moments.len();
    let before = (0..newest.start).rev().filter(|at| moments[*at].matters()).take(room / 2);
    let before: Vec<usize> = before.collect();
    newest.chain(before).collect()
}

fn draw_lanes(moments: &mut [Moment<'_>]) {
    // Who has each column, and up to which number.
    let mut lanes: Vec<Option<u64>> = Vec::new();
    let mut beside = false;
    let drawn: Vec<Vec<char>> = moments
        .iter()
        .map(|moment| {
            let seq = match moment.what {
                What::Call(entry, _) => entry.seq,
                What::Report(report) => report.seq.unwrap_or(0),
            };
            for lane in &mut lanes {
                if lane.is_some_and(|until| until < seq) {
                    *lane = None;
                }
            }
            let mut row: Vec<char> =
                lanes.iter().map(|lane| if lane.is_some() { '│' } else { ' ' }).collect();
            let What::Call(entry, _) = moment.what else { return row };
            let until = entry.last_beside();
            beside |= lanes.iter().any(Option::is_some);
            let free = lanes.iter().position(Option::is_none).filter(|at| *at < MAX_LANES);
            let at = match free {
                Some(at) => at,
                None if lanes.len() < MAX_LANES => {
                    lanes.push(None);
                    row.push(' ');
                    lanes.len() - 1
                }
                None => MAX_LANES - 1,
            };
            lanes[at] = Some(until).filter(|until| *until > seq).max(lanes[at]);
            row[at] = '●';
            row
        })
        .collect();
    if !beside {
        return;
    }
    for (moment, mut row) in moments.iter_mut().zip(drawn) {
        row.resize(lanes.len(), ' ');
        moment.lanes = row.into_iter().chain([' ']).collect();
    }
}
