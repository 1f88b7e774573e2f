//! Thousands of orders that trap, mixed with healthy ones, in one host.

use std::collections::HashMap;
use std::time::Instant;

use futures::StreamExt as _;
use serde_json::json;
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_runtime::plugin::Limits;
use sitewright_runtime::run::Outcome;
use sitewright_tests::ANY_ANSWER;

use crate::alone::{alone, memory_mib};
use crate::lab::{Lab, numbered_order};

/// Default number of orders that trap.
const TRAPS: usize = 1_000;
/// The environment variable with another number.
const HOW_MANY: &str = "SITEWRIGHT_STORM";
/// One healthy order per this number of orders.
const HEALTHY: usize = 10;
/// Simultaneous attempts.
const IN_FLIGHT: usize = 48;
/// Maximum growth of memory from the first eighth of the storm to its end, in MiB.
const GROWTH_MIB: u64 = 48;

/// Fault, kind of the record, trap code.
const WAYS: [(&str, FailureKind, &str); 11] = [
    ("unreachable", FailureKind::Trap, "unreachable"),
    ("oob", FailureKind::Trap, "out_of_bounds"),
    ("divide-by-zero", FailureKind::Trap, "divide_by_zero"),
    ("stack-overflow", FailureKind::Trap, "stack_overflow"),
    ("panic-str", FailureKind::Panic, "unreachable"),
    ("panic-string", FailureKind::Panic, "unreachable"),
    ("panic-no-hook", FailureKind::Panic, "unreachable"),
    ("abort", FailureKind::Trap, "unreachable"),
    ("exit", FailureKind::Trap, "exit"),
    ("stream-trap", FailureKind::Trap, "unreachable"),
    ("trap-in-flight", FailureKind::Trap, "unreachable"),
];

#[test]
fn a5_a_storm_of_traps_leaves_a_whole_record_each_and_harms_no_other_order() {
    alone("storm::a5_a_storm_of_traps_leaves_a_whole_record_each_and_harms_no_other_order", storm);
}

async fn storm() {
    let traps = std::env::var(HOW_MANY).map_or(TRAPS, |number| number.parse().unwrap());
    let orders = traps + traps / (HEALTHY - 1);
    let lab = Lab::new(Limits::default(), 16, ANY_ANSWER);
    let begin = Instant::now();
    let (mut healthy, mut kinds, mut early) = (0, HashMap::<&str, usize>::new(), 0);
    let started = (0..orders).map(|number| {
        let way = (number % HEALTHY != 0).then(|| WAYS[number % WAYS.len()]);
        let order = numbered_order(number, way.map_or("ai-echo", |(fault, ..)| fault), json!({}));
        let started = lab.start(&order);
        async move { (number, way, started.ended().await) }
    });
    let mut ended = futures::stream::iter(started).buffer_unordered(IN_FLIGHT);
    let mut count = 0;
    while let Some((number, way, outcome)) = ended.next().await {
        count += 1;
        if count == orders / 8 {
            early = memory_mib();
        }
        match (way, outcome) {
            (None, Outcome::Released(released)) => {
                assert_eq!(released.totals.ai_calls.len(), 1, "{number}");
                healthy += 1;
            }
            (Some((fault, kind, code)), Outcome::Failed { record, stored, .. }) => {
                let file = stored.unwrap();
                whole(&record, fault, kind, code, 1_000 + number);
                let stored: FailureRecord =
                    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
                assert_eq!(stored.id, record.id);
                *kinds.entry(fault).or_default() += 1;
            }
            (None, Outcome::Failed { record, .. }) => {
                panic!("{number}, a healthy one: {}", record.message)
            }
            (Some((fault, ..)), Outcome::Released(_)) => {
                panic!("{number}, {fault}: it was released")
            }
        }
    }
    drop(ended);
    let (late, took) = (memory_mib(), begin.elapsed());
    eprintln!(
        "{} traps and {healthy} healthy orders in {:.1} s: {:.0} traps/s; {early} MiB after an \
         eighth, {late} MiB in the end",
        count - healthy,
        took.as_secs_f64(),
        (count - healthy) as f64 / took.as_secs_f64()
    );
    assert_eq!((count, kinds.len()), (orders, WAYS.len()));
    assert_eq!(healthy, orders.div_ceil(HEALTHY));
    assert!(late <= early + GROWTH_MIB, "the host grew from {early} to {late} MiB");
    assert_eq!(lab.staged(), Vec::<String>::new());
}

/// Asserts that the record of a trap is complete.
fn whole(record: &FailureRecord, fault: &str, kind: FailureKind, code: &str, order: usize) {
    let trap = record.trap.as_ref().unwrap_or_else(|| panic!("{fault}: no trap"));
    assert_eq!((record.kind, &*record.order), (kind, &*order.to_string()), "{fault}");
    assert_eq!(serde_json::to_value(trap.code).unwrap(), code, "{fault}");
    assert!(!record.message.as_str().is_empty() && !record.hint.as_str().is_empty(), "{fault}");
    assert_eq!(record.template.name, "faulty", "{fault}");
    assert!(record.limits.len() >= 12, "{fault}");
    assert!(record.trail.iter().any(|entry| entry.call == "diagnostics.progress"), "{fault}");
    assert!(record.log.text.contains("asked for"), "{fault}");
    // The innermost frame may have no line; its caller has one.
    let own = trap.frames.iter().find(|frame| frame.own && frame.line.is_some());
    let own = own.unwrap_or_else(|| panic!("{fault}: no line of its own: {:#?}", trap.frames));
    assert!(
        own.file.as_deref().is_some_and(|file| file.contains("tests/guests/faulty/src")),
        "{fault}: {own:?}"
    );
}
