//! Guests that call the host in a straight line, where compiled code never looks at the epoch.
//!
//! Each row is one host function with arguments as large as the guest's memory, or as one call may
//! pass. Whatever the function, the guest is stopped by the limit that it reaches first, soon
//! after, and tasks beside it go on meanwhile.

#![allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wasmtime::Store;
use wasmtime::component::Component;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use super::lift::MAX_TEXT_BYTES;
use super::state::MAX_RESOURCES;
use super::{GuestState, RunTrace, linker};
use crate::plugin::contract::VERSIONS;
use crate::plugin::{
    Capture, CpuMeter, Determinism, Engine, LimitHit, Limits, MemoryLimiter, interrupt_by, named,
    new_store, sandbox_until,
};
use sitewright_site::{OrderDir, SitesRoot, Staging};

/// The functions of WASI that take or return as much as the guest wants, or that do work.
const WASI: &str = "
    package wasi:random@0.2.6 {
        interface random { get-random-bytes: func(len: u64) -> list<u8>; }
    }
    package wasi:io@0.2.6 {
        interface poll {
            resource pollable { block: func(); ready: func() -> bool; }
            poll: func(in: list<borrow<pollable>>) -> list<u32>;
        }
        interface error { resource error; }
        interface streams {
            use error.{error};
            variant stream-error { last-operation-failed(error), closed }
            resource output-stream {
                write: func(contents: list<u8>) -> result<_, stream-error>;
            }
        }
    }
    package wasi:cli@0.2.6 {
        interface stdout {
            use wasi:io/streams@0.2.6.{output-stream};
            get-stdout: func() -> output-stream;
        }
    }
    package wasi:sockets@0.2.6 {
        interface network { resource network; enum error-code { unknown, access-denied,
            not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
            not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable,
            address-in-use, remote-unreachable, connection-refused, connection-reset,
            connection-aborted, datagram-too-large, name-unresolvable, temporary-resolver-failure,
            permanent-resolver-failure } }
        interface instance-network {
            use network.{network};
            instance-network: func() -> network;
        }
        interface ip-name-lookup {
            use network.{network, error-code};
            resource resolve-address-stream;
            resolve-addresses: func(network: borrow<network>, name: string)
                -> result<resolve-address-stream, error-code>;
        }
    }
    package wasi:clocks@0.2.6 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.6.{pollable};
            now: func() -> u64;
            subscribe-duration: func(when: u64) -> pollable;
        }
    }";

const WORLD: &str = "
    package tests:straight;
    world probe {
        import sitewright:template/ai@0.1.0;
        import sitewright:template/ai-sync@0.1.0;
        import sitewright:template/diagnostics@0.1.0;
        import sitewright:template/site@0.1.0;
        import sitewright:template/site@0.2.0;
        import wasi:random/random@0.2.6;
        import wasi:io/poll@0.2.6;
        import wasi:io/streams@0.2.6;
        import wasi:cli/stdout@0.2.6;
        import wasi:clocks/monotonic-clock@0.2.6;
        import wasi:sockets/instance-network@0.2.6;
        import wasi:sockets/ip-name-lookup@0.2.6;
        export run: func();
    }";

/// 255 MiB of memory, in which every string is valid.
const PAGES: u64 = 255 * 16;
const ALL: usize = 250 << 20;

/// A component whose `run` has `calls` calls in a straight line.
fn component(imports: &str, start: &str, call: &str, calls: usize) -> Vec<u8> {
    let mut body = String::new();
    for _ in 0..calls {
        writeln!(body, "{call}").unwrap();
    }
    let text = format!(
        r#"(module
            {imports}
            (memory (export "memory") {PAGES})
            (global $r (mut i32) (i32.const 0))
            (data (i32.const 1024) "index.html")
            ;; One block of the host's answers is overwritten by the next.
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1048576))
            (func (export "run") {start} {body}))"#
    );
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    for contract in VERSIONS {
        let file =
            format!("{}/../../wit/{}/template.wit", env!("CARGO_MANIFEST_DIR"), contract.version);
        resolve.push_str(&file, &std::fs::read_to_string(&file).unwrap()).unwrap();
    }
    let package = resolve.push_str("probe.wit", &format!("{WORLD}\n{WASI}")).unwrap();
    let world = resolve.select_world(&[package], Some("probe")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).unwrap();
    encoder.encode().unwrap_or_else(|error| panic!("{error:#}"))
}

/// How a guest ended.
struct Ended {
    result: Option<wasmtime::Result<()>>,
    took: Duration,
    /// The longest time for which a task beside it did not run.
    gap: Duration,
}

impl Ended {
    fn limit(&self) -> Option<LimitHit> {
        let error = self.result.as_ref()?.as_ref().err()?;
        error.downcast_ref::<LimitHit>().copied()
    }
}

async fn run(wasm: &[u8], limits: &Limits) -> Ended {
    let engine = Engine::new(limits, 1).unwrap();
    let component = Component::new(engine.wasmtime(), wasm).unwrap();
    let pre = linker(engine.wasmtime()).unwrap().instantiate_pre(&component).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(folder.path()).unwrap();
    let name = |text: &str| OrderDir::new(text).unwrap();
    let staging = Staging::new(&root, name("order"), name("attempt"), limits.site());
    let (stdout, stderr) = (Capture::new(1_024), Capture::new(1_024));
    let determinism = Determinism { seed: 0, start_unix_ms: 0 };
    let state = GuestState::new(
        sandbox_until(limits.deadline(), determinism, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, Arc::new(AtomicU64::new(0))),
        Arc::new(RunTrace::new(limits, watch::Sender::default())),
        None,
        Some(staging),
    );
    let mut store: Store<GuestState> = new_store(&engine, state, limits);
    let meter = Arc::new(CpuMeter::default());
    interrupt_by(&mut store, &engine, &meter, limits.cpu());
    let instance = pre.instantiate_async(&mut store).await.unwrap();
    let call = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();

    let longest = Arc::new(AtomicU64::new(0));
    let gap = longest.clone();
    let beside = tokio::spawn(async move {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let passed = u64::try_from(last.elapsed().as_millis()).unwrap();
            gap.fetch_max(passed, Ordering::Relaxed);
            last = Instant::now();
        }
    });
    tokio::task::yield_now().await;
    let began = Instant::now();
    // The store is moved in, so that it is dropped at the deadline, as in a run.
    let guest = meter.metered(async move {
        call.call_async(&mut store, ()).await.map_err(|error| named(error, &store))
    });
    let result = tokio::time::timeout(limits.deadline(), guest).await.ok();
    let took = began.elapsed();
    beside.abort();
    Ended { result, took, gap: Duration::from_millis(longest.load(Ordering::Relaxed)) }
}

struct Row {
    name: &'static str,
    imports: &'static str,
    /// Instructions before the calls.
    start: &'static str,
    /// One call, in which `LENGTH` is the length of each argument.
    call: &'static str,
    /// Whether a call passes what it passes as it is, so that too much of it stops the guest.
    passes: bool,
}

const LOG: &str = r#"(import "sitewright:template/diagnostics@0.1.0" "log"
    (func $f (param i32 i32 i32)))"#;

const ROWS: [Row; 16] = [
    Row {
        name: "log",
        imports: LOG,
        start: "",
        call: "(call $f (i32.const 2) (i32.const 0) (i32.const LENGTH))",
        passes: true,
    },
    Row {
        name: "progress",
        imports: r#"(import "sitewright:template/diagnostics@0.1.0" "progress"
            (func $f (param i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 0) (i32.const LENGTH) (i32.const 1) (i32.const 2))",
        passes: true,
    },
    Row {
        name: "report",
        imports: r#"(import "sitewright:template/diagnostics@0.1.0" "report"
            (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const LENGTH)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        passes: true,
    },
    Row {
        name: "report with half a million causes",
        imports: r#"(import "sitewright:template/diagnostics@0.1.0" "report"
            (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 8)
            (i32.const 0) (i32.const 500000) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 500000))",
        passes: false,
    },
    Row {
        name: "panicked",
        imports: r#"(import "sitewright:template/diagnostics@0.1.0" "panicked"
            (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 0) (i32.const LENGTH) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        passes: true,
    },
    Row {
        name: "write",
        imports: r#"(import "sitewright:template/site@0.1.0" "write"
            (func $f (param i32 i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 1024) (i32.const 10) (i32.const 0) (i32.const LENGTH)
            (i32.const 2048))",
        passes: true,
    },
    Row {
        name: "write of whole files",
        imports: r#"(import "sitewright:template/site@0.1.0" "write"
            (func $f (param i32 i32 i32 i32 i32)))"#,
        start: "",
        call: "(call $f (i32.const 1024) (i32.const 10) (i32.const 0) (i32.const 8388608)
            (i32.const 2048))",
        passes: false,
    },
    Row {
        name: "write with a long path",
        imports: r#"(import "sitewright:template/site@0.1.0" "write"
            (func $f (param i32 i32 i32 i32 i32)))"#,
        start: "",
        // Behind the answers of the host, which are no text.
        call: "(call $f (i32.const 2097152) (i32.const LENGTH) (i32.const 0) (i32.const 8)
            (i32.const 2048))",
        passes: true,
    },
    Row {
        name: "append",
        imports: r#"(import "sitewright:template/site@0.2.0" "[static]writer.create"
                (func $create (param i32 i32 i32)))
            (import "sitewright:template/site@0.2.0" "[method]writer.append"
                (func $f (param i32 i32 i32 i32)))"#,
        // The handle is behind the case of the result.
        start: "(call $create (i32.const 1024) (i32.const 10) (i32.const 2048))
            (global.set $r (i32.load (i32.const 2052)))",
        call: "(call $f (global.get $r) (i32.const 0) (i32.const LENGTH) (i32.const 2048))",
        passes: true,
    },
    Row {
        name: "exists",
        imports: r#"(import "sitewright:template/site@0.2.0" "exists"
            (func $f (param i32 i32) (result i32)))"#,
        start: "",
        call: "(drop (call $f (i32.const 2097152) (i32.const LENGTH)))",
        passes: true,
    },
    Row {
        name: "ai.complete",
        imports: r#"(import "sitewright:template/ai@0.1.0" "[async-lower]complete"
            (func $f (param i32 i32) (result i32)))"#,
        // The purpose; an empty list of messages.
        start: "(i32.store (i32.const 4096) (i32.const 8192))
            (i32.store (i32.const 4100) (i32.const LENGTH))",
        call: "(drop (call $f (i32.const 4096) (i32.const 2048)))",
        passes: true,
    },
    Row {
        name: "random",
        imports: r#"(import "wasi:random/random@0.2.6" "get-random-bytes"
            (func $f (param i64 i32)))"#,
        start: "",
        call: "(call $f (i64.const 1048576) (i32.const 2048))",
        passes: false,
    },
    Row {
        name: "stdout",
        imports: r#"(import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.6" "[method]output-stream.write"
            (func $f (param i32 i32 i32 i32)))"#,
        start: "(global.set $r (call $stdout))",
        call: "(call $f (global.get $r) (i32.const 0) (i32.const LENGTH) (i32.const 2048))",
        passes: true,
    },
    Row {
        name: "name lookup",
        imports: r#"(import "wasi:sockets/instance-network@0.2.6" "instance-network"
            (func $network (result i32)))
            (import "wasi:sockets/ip-name-lookup@0.2.6" "resolve-addresses"
            (func $f (param i32 i32 i32 i32)))"#,
        start: "(global.set $r (call $network))",
        call: "(call $f (global.get $r) (i32.const 0) (i32.const LENGTH) (i32.const 2048))",
        passes: true,
    },
    Row {
        name: "poll of the same timer 5,000 times",
        imports: r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration"
            (func $timer (param i64) (result i32)))
            (import "wasi:io/poll@0.2.6" "poll" (func $f (param i32 i32 i32)))"#,
        // wasmtime lends at most 10,000 handles at once.
        start: "(local $at i32)
            (global.set $r (call $timer (i64.const 0)))
            (loop $again
                (i32.store offset=16777216 (local.get $at) (global.get $r))
                (br_if $again (i32.lt_u
                    (local.tee $at (i32.add (local.get $at) (i32.const 4)))
                    (i32.const 20000))))",
        call: "(call $f (i32.const 16777216) (i32.const 5000) (i32.const 2048))",
        passes: false,
    },
    Row {
        name: "memory",
        imports: LOG,
        start: "",
        call: "(memory.fill (i32.const 2097152) (i32.const 0) (i32.const 250000000))",
        passes: false,
    },
];

/// Limits with a quarter of a gigabyte of memory.
fn limits(cpu_ms: u64, deadline_ms: u64) -> Limits {
    Limits { cpu_ms, deadline_ms, ..Limits::default() }
}

/// Maximum time from a limit until its guest is stopped: one call, on a machine that does other
/// things too. All calls of a row take a minute.
const SLACK: Duration = Duration::from_secs(20);
const CALLS: usize = 1_000;

impl Row {
    fn component(&self, length: usize) -> Vec<u8> {
        let length = length.to_string();
        let (start, call) =
            (self.start.replace("LENGTH", &length), self.call.replace("LENGTH", &length));
        component(self.imports, &start, &call, CALLS)
    }
}

#[tokio::test]
async fn all_of_the_memory_in_one_call_stops_the_guest_before_it_is_copied() {
    for row in ROWS.iter().filter(|row| row.passes) {
        let ended = run(&row.component(ALL), &limits(60_000, 60_000)).await;
        let limit = ended.limit();
        assert_eq!(
            limit,
            Some(LimitHit::Call { max: 64 << 20 }),
            "{}: {:?}",
            row.name,
            ended.result
        );
        assert!(ended.took < SLACK, "{}: {:?}", row.name, ended.took);
    }
}

#[tokio::test]
async fn a_text_above_the_maximum_stops_the_guest_and_one_of_that_size_does_not() {
    const TEXTS: [&str; 7] =
        ["log", "progress", "report", "panicked", "write with a long path", "exists", "stdout"];
    let rows: Vec<&Row> = ROWS.iter().filter(|row| TEXTS.contains(&row.name)).collect();
    assert_eq!(rows.len(), TEXTS.len());
    let max = MAX_TEXT_BYTES as u64;
    let message = LimitHit::Text { max, wanted: max + 1 }.to_string();
    let said = format!("{} bytes to the host; {max} are allowed, whatever", max + 1);
    assert!(message.contains(&said), "{message}");
    for (length, expected) in [
        (MAX_TEXT_BYTES, None),
        (MAX_TEXT_BYTES + 1, Some(LimitHit::Text { max, wanted: max + 1 })),
    ] {
        for row in &rows {
            let call = row.call.replace("LENGTH", &length.to_string());
            let wasm = component(row.imports, row.start, &call, 1);
            let ended = run(&wasm, &limits(20_000, 20_000)).await;
            assert_eq!(ended.limit(), expected, "{}: {:?}", row.name, ended.result);
            let went_on = matches!(ended.result, Some(Ok(())));
            assert_eq!(went_on, expected.is_none(), "{}: {:?}", row.name, ended.result);
        }
    }
}

#[tokio::test]
async fn the_texts_of_one_report_count_together() {
    /// A thirty-second part of what one call may pass.
    const EACH: usize = MAX_TEXT_BYTES / 32;
    const LIST: usize = 8_192;
    let row = ROWS.iter().find(|row| row.name == "report").unwrap();
    // An attribute is two texts.
    for (causes, attributes, stops) in
        [(32, 0, false), (0, 16, false), (31, 1, true), (32, 1, true), (0, 17, true)]
    {
        let mut start = String::new();
        for at in 0..40 {
            let at = LIST + 8 * at;
            write!(start, "(i32.store (i32.const {at}) (i32.const 2097152))").unwrap();
            write!(start, "(i32.store (i32.const {}) (i32.const {EACH}))", at + 4).unwrap();
        }
        let nothing = "(i32.const 0) ".repeat(6);
        let call = format!(
            "(call $f (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const {LIST}) (i32.const {causes}) {nothing}
                (i32.const {LIST}) (i32.const {attributes}))"
        );
        let ended = run(&component(row.imports, &start, &call, 1), &limits(20_000, 20_000)).await;
        let (max, wanted) = (MAX_TEXT_BYTES as u64, 33 * EACH as u64);
        let expected = stops.then_some(LimitHit::Text { max, wanted });
        assert_eq!(ended.limit(), expected, "{causes} and {attributes}: {:?}", ended.result);
        assert_eq!(matches!(ended.result, Some(Ok(()))), !stops, "{:?}", ended.result);
    }
}

#[tokio::test]
async fn the_requests_of_one_call_count_together() {
    /// Address of the requests, and the bytes of one.
    const LIST: usize = 8_192;
    const REQUEST: usize = 72;
    let imports = r#"(import "sitewright:template/ai-sync@0.1.0" "complete-all"
        (func $f (param i32 i32 i32)))"#;
    for (requests, stops) in [(8, false), (9, true)] {
        // Each has a purpose as long as a request may be, and nothing else.
        let mut start = String::new();
        for at in 0..requests {
            let at = LIST + REQUEST * at;
            write!(start, "(i32.store (i32.const {at}) (i32.const 2097152))").unwrap();
            write!(start, "(i32.store (i32.const {}) (i32.const 2097152))", at + 4).unwrap();
        }
        let call = format!("(call $f (i32.const {LIST}) (i32.const {requests}) (i32.const 4096))");
        // Requests in flight count as memory, of which the guest has a quarter of a gigabyte.
        let limits = Limits { memory_bytes: 1 << 30, ..limits(20_000, 20_000) };
        let ended = run(&component(imports, &start, &call, 1), &limits).await;
        let result = ended.result.unwrap();
        assert_eq!(result.is_err(), stops, "{requests}: {result:?}");
        if let Err(error) = result {
            let reason = error.root_cause().to_string();
            assert!(reason.contains("`complete-all` takes at most 16777216"), "{reason}");
        }
    }
}

/// A call that is refused whatever its text is does not read it, so it costs as much as any other.
#[tokio::test]
async fn a_name_that_is_never_looked_up_is_not_read() {
    let row = ROWS.iter().find(|row| row.name == "name lookup").unwrap();
    // To read a thousand times 60 MiB takes longer on any machine.
    let ended = run(&row.component(60 << 20), &limits(10_000, 60_000)).await;
    assert!(matches!(ended.result, Some(Ok(()))), "{:?}", ended.result);
}

#[tokio::test]
async fn calls_in_a_straight_line_end_with_the_processor_time() {
    let limits = limits(300, 60_000);
    for row in &ROWS {
        let ended = run(&row.component(MAX_TEXT_BYTES), &limits).await;
        match ended.limit() {
            Some(LimitHit::Cpu { max_ms: 300, .. }) => {}
            // What is written to a file that is not finished counts as memory.
            Some(LimitHit::InFlight { .. }) if row.name == "append" => {}
            // Calls that copy little of what they get end before that.
            None if matches!(ended.result, Some(Ok(()))) => {
                assert!(ended.took < limits.cpu() + SLACK, "{}: {:?}", row.name, ended.took);
            }
            other => panic!("{}: {other:?} {:?}", row.name, ended.result),
        }
        assert!(ended.took < limits.cpu() + SLACK, "{}: {:?}", row.name, ended.took);
        assert!(ended.gap < SLACK, "{}: nothing ran beside it for {:?}", row.name, ended.gap);
    }
}

#[tokio::test]
async fn calls_in_a_straight_line_end_with_the_deadline() {
    let limits = limits(60_000, 300);
    for row in &ROWS {
        let ended = run(&row.component(MAX_TEXT_BYTES), &limits).await;
        match (&ended.result, ended.limit()) {
            (None | Some(Ok(())), _) => {}
            // As above.
            (_, Some(LimitHit::InFlight { .. })) if row.name == "append" => {}
            (Some(Err(error)), _) => panic!("{}: {error:?}", row.name),
        }
        assert!(ended.took < limits.deadline() + SLACK, "{}: {:?}", row.name, ended.took);
    }
}

#[tokio::test]
async fn more_open_files_than_the_host_keeps_stop_the_guest_with_the_reason() {
    let row = ROWS.iter().find(|row| row.name == "append").unwrap();
    // The last one is one too many.
    let start = format!(
        "(local $count i32)
        (loop $again
            (call $create (i32.const 1024) (i32.const 10) (i32.const 2048))
            (br_if $again (i32.lt_u
                (local.tee $count (i32.add (local.get $count) (i32.const 1)))
                (i32.const {}))))",
        MAX_RESOURCES + 1
    );
    let ended = run(&component(row.imports, &start, "", 0), &limits(20_000, 20_000)).await;
    let error = ended.result.unwrap().unwrap_err();
    let reason = error.root_cause().to_string();
    assert!(reason.contains("finish each file before the next is begun"), "{reason}");
}

#[tokio::test]
async fn a_long_line_is_cut_and_a_file_that_is_too_large_gets_an_error() {
    // What a function cannot use is not copied, and nothing of it is an error of the run.
    for (name, length) in [("log", 3 << 20), ("write", 60 << 20), ("progress", 3 << 20)] {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let call = row.call.replace("LENGTH", &length.to_string());
        let wasm = component(row.imports, "", &call, 3);
        let ended = run(&wasm, &limits(20_000, 20_000)).await;
        assert!(matches!(ended.result, Some(Ok(()))), "{name}: {:?}", ended.result);
    }
}
