//! Malicious guests, each with the expected record. Each is contained, its record names the cause,
//! concurrent orders finish, and the host gets its memory back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sitewright_model::failure::FailureRecord;
use sitewright_runtime::plugin::{Compiler, Limits};
use sitewright_runtime::run::Outcome;
use sitewright_tests::binary;
use sitewright_tests::crafted::{Bomb, Crafted};

use crate::alone::{alone, memory_mib};
use crate::lab::{Lab, Started, failed, numbered_order, released};

/// A malicious template.
enum Guest {
    /// The faulty template: its fault and parameters.
    Faulty(&'static str, Value),
    /// A component that no compiler produces.
    Crafted(Crafted),
    /// Any other bytes.
    File(Vec<u8>),
}

/// The expected end of the attempt.
enum End {
    /// A record of this kind, whose texts contain these words.
    Record(&'static str, &'static [&'static str]),
    /// The same, and in the record this limit is used up.
    Limit(&'static str, &'static str, &'static [&'static str]),
    /// A site, because the guest's behavior is harmless and allowed.
    Site,
}

struct Row {
    name: &'static str,
    guest: Guest,
    limits: fn(&mut Limits),
    end: End,
}

/// Maximum growth of the host's memory after a guest, in MiB: what the allocator keeps.
const MEMORY_SLACK_MIB: u64 = 96;
/// Memory limit of compiling in these tests.
const COMPILE_MS: u64 = 10_000;
const COMPILE_BYTES: u64 = 256 << 20;

const AI: &str = "[[rule]]\ncontains = [\"hang\"]\n[rule.answer]\nfault = { hang = true \
                  }\n[[rule]]\n[rule.answer]\ntext = \"a plain answer\"\n";

fn as_they_are(_: &mut Limits) {}

/// The faulty template with the default limits.
fn faulty(name: &'static str, fault: &'static str, parameters: Value, end: End) -> Row {
    Row { name, guest: Guest::Faulty(fault, parameters), limits: as_they_are, end }
}

/// A template with a malicious `generate`.
fn generate(name: &'static str, generate: &'static str, end: End) -> Row {
    crafted(name, Crafted::generate(generate), end)
}

/// A template with a malicious `describe`.
fn describe(name: &'static str, describe: &'static str, words: &'static [&'static str]) -> Row {
    crafted(name, Crafted::describe(describe), End::Record("template_load", words))
}

fn crafted(name: &'static str, crafted: Crafted, end: End) -> Row {
    Row { name, guest: Guest::Crafted(crafted), limits: as_they_are, end }
}

/// A file whose compilation exceeds its memory limit.
fn bomb(name: &'static str, bomb: Bomb) -> Row {
    let end = End::Limit(
        "template_load",
        "compile_memory_bytes",
        &["limit `compile_memory_bytes`", "268435456"],
    );
    Row { name, guest: Guest::File(bomb.component()), limits: as_they_are, end }
}

/// A file that is not a template.
fn file(name: &'static str, bytes: impl Into<Vec<u8>>, words: &'static [&'static str]) -> Row {
    Row {
        name,
        guest: Guest::File(bytes.into()),
        limits: as_they_are,
        end: End::Record("template_load", words),
    }
}

fn quick(limits: &mut Limits) {
    limits.cpu_ms = 1_000;
    // Far from what one second of processor time takes on a busy machine.
    limits.deadline_ms = 120_000;
}

/// For what is to end by itself: in a test build a refused call takes 100 µs.
fn patient(limits: &mut Limits) {
    limits.cpu_ms = 60_000;
}

fn soon(limits: &mut Limits) {
    // Long enough to come to where it waits.
    limits.deadline_ms = 3_000;
}

impl Row {
    fn with(self, limits: fn(&mut Limits)) -> Row {
        Row { limits, ..self }
    }
}

/// Guests that exhaust a resource.
fn greedy() -> Vec<Row> {
    use End::{Limit, Record, Site};
    vec![
        faulty(
            "endless loop",
            "spin",
            json!({}),
            Limit("cpu_limit", "cpu_ms", &["processor time"]),
        )
        .with(quick),
        faulty(
            "loop that allocates",
            "churn",
            json!({}),
            Limit("cpu_limit", "cpu_ms", &["processor time"]),
        )
        .with(quick),
        faulty(
            "memory bomb",
            "memory-bomb",
            json!({}),
            Limit("memory_limit", "memory_bytes", &["268435456 are allowed"]),
        ),
        crafted(
            "table bomb",
            Crafted {
                also: "(table $t 1 funcref)",
                generate: "(loop $again
                    (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) \
                           (i32.const -1))))
                    unreachable",
                ..Crafted::default()
            },
            Record("memory_limit", &["table of", "65536 are allowed"]),
        ),
        crafted(
            "a table that may not grow",
            Crafted {
                also: "(table $t 1 2 funcref)",
                generate: "(if (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) \
                           (i32.const -1)) (then unreachable))
                    (call $return (i32.const 4096)) (i32.const 0)",
                ..Crafted::default()
            },
            Record("output_rejected", &["index.html"]),
        ),
        faulty("recursion", "stack-overflow", json!({}), Record("trap", &["call stack exhausted"])),
        faulty(
            "deep recursion through host calls",
            "recurse-calls",
            json!({}),
            Record("trap", &["call stack exhausted"]),
        ),
        faulty(
            "all memory at once",
            "big-file",
            json!({ "n": 300_000_000 }),
            Limit("memory_limit", "memory_bytes", &["268435456 are allowed"]),
        ),
        faulty(
            "100,000 AI calls",
            "calls-in-turn",
            json!({ "n": 100_000 }),
            Limit("call_limit", "ai_calls", &["64 AI calls", "`limits.ai_calls`"]),
        ),
        // Calls beyond the limit are rejected; the run continues.
        faulty("100,000 AI calls at once", "many-calls", json!({ "n": 100_000 }), Site)
            .with(patient),
        faulty(
            "64 AI calls of 1.5 MB at once",
            "many-calls",
            json!({ "n": 64, "bytes": 1_500_000 }),
            Limit("memory_limit", "memory_bytes", &["AI requests in flight", "are allowed"]),
        ),
        faulty(
            "100,000 AI calls, whatever becomes of them",
            "calls-ignored",
            json!({ "n": 100_000 }),
            Site,
        )
        .with(patient),
        faulty(
            "10 million log lines",
            "log-flood",
            json!({ "n": 10_000_000 }),
            Limit("cpu_limit", "log_bytes", &["processor time"]),
        )
        .with(quick),
        faulty(
            "10 million lines on stderr",
            "stderr-flood",
            json!({ "n": 10_000_000 }),
            Limit("cpu_limit", "stderr_bytes", &["processor time"]),
        )
        .with(quick),
        faulty(
            "1 GiB of diagnostics",
            "report-large",
            json!({ "n": 1_024, "then_fail": true }),
            Limit("template_error", "diagnostics", &["asked for an error"]),
        ),
        faulty(
            "a million files",
            "many-files",
            json!({ "n": 1_000_000 }),
            Limit("output_limit", "files", &["limit `files` of 2000"]),
        ),
        faulty(
            "waits for ever",
            "never",
            json!({}),
            Record("template_error", &["nothing will ever complete"]),
        ),
        faulty(
            "waits for a model for ever",
            "ai-echo",
            json!({ "prompt": "hang" }),
            Limit("deadline", "deadline_ms", &["3000 ms", "waiting for ai.complete"]),
        )
        .with(soon),
        faulty("returns before its AI calls end", "calls-left", json!({ "n": 3 }), Site),
        faulty(
            "traps while three AI calls are in flight",
            "trap-in-flight",
            json!({ "n": 3 }),
            Record("trap", &["unreachable"]),
        ),
        faulty("traps in a callback", "stream-trap", json!({}), Record("trap", &["unreachable"])),
        faulty("looks for sockets, files and variables", "env", json!({}), Site),
    ]
}

/// Guests that pass invalid values to the host.
fn liars() -> Vec<Row> {
    use End::{Limit, Record};
    let no_page = || Record("output_rejected", &["index.html"]);
    vec![
        generate(
            "nothing but a return",
            "(call $return (i32.const 4096)) (i32.const 0)",
            no_page(),
        ),
        generate(
            "a string of 4 GiB",
            "(call $log (i32.const 2) (i32.const 1024) (i32.const -1)) unreachable",
            Record("trap", &["out of bounds"]),
        ),
        generate(
            "a string behind the end of memory",
            "(call $log (i32.const 2) (i32.const 0xfffffff0) (i32.const 4)) unreachable",
            Record("trap", &["out of bounds"]),
        ),
        generate(
            "a file of 4 GiB",
            "(call $write (i32.const 1120) (i32.const 10) (i32.const 16) (i32.const -1) \
             (i32.const 8)) unreachable",
            Record("trap", &["out of bounds"]),
        ),
        generate(
            "an answer at an odd address",
            "(call $write (i32.const 1120) (i32.const 10) (i32.const 1024) (i32.const 4) \
             (i32.const 4097)) unreachable",
            Record("trap", &["not aligned"]),
        ),
        generate(
            "invalid UTF-8",
            "(call $log (i32.const 2) (i32.const 1104) (i32.const 10)) unreachable",
            Record("trap", &["utf-8"]),
        ),
        generate(
            "a level that does not exist",
            "(call $log (i32.const 99) (i32.const 1024) (i32.const 4)) unreachable",
            Record("trap", &["discriminant"]),
        ),
        generate(
            "a result that is neither",
            "(i32.store8 (i32.const 4096) (i32.const 7)) (call $return (i32.const 4096)) \
             (i32.const 0)",
            Record("trap", &["discriminant"]),
        ),
        generate(
            "a result behind the end of memory",
            "(call $return (i32.const 0xfffffff0)) (i32.const 0)",
            Record("trap", &["out of bounds"]),
        ),
        generate("ends without a result", "(i32.const 0)", Record("trap", &[])),
        generate(
            "two results",
            "(call $return (i32.const 4096)) (call $return (i32.const 4096)) (i32.const 0)",
            Record("trap", &[]),
        ),
        generate("a callback code that does not exist", "(i32.const 7)", Record("trap", &[])),
        generate(
            "waits for a set that does not exist",
            "(i32.const 0x7ffffff2)",
            Record("trap", &[]),
        ),
        generate(
            "waits for nothing",
            "(i32.or (i32.const 2) (i32.shl (call $waitable-set) (i32.const 4)))",
            Limit("deadline", "deadline_ms", &["3000 ms"]),
        )
        .with(soon),
        crafted(
            "yields for ever",
            Crafted { generate: "(i32.const 1)", callback: "(i32.const 1)", ..Crafted::default() },
            Limit("cpu_limit", "cpu_ms", &["processor time"]),
        )
        .with(quick),
        generate(
            "a million waitable sets",
            "(loop $again (drop (call $waitable-set)) (br $again)) (i32.const 0)",
            Record("trap", &[]),
        )
        .with(quick),
        generate(
            "calls after returning",
            "(call $return (i32.const 4096))
             (call $log (i32.const 2) (i32.const 1024) (i32.const 4))
             (call $write (i32.const 1120) (i32.const 10) (i32.const 1024) (i32.const 4) \
             (i32.const 4096))
             (i32.const 0)",
            no_page(),
        ),
        crafted(
            "traps after returning",
            Crafted::generate("(call $return (i32.const 4096)) unreachable"),
            Record("trap", &["unreachable"]),
        ),
        generate(
            "computes for ever after returning",
            "(call $return (i32.const 4096)) (loop $again (br $again)) (i32.const 0)",
            Limit("cpu_limit", "cpu_ms", &["processor time"]),
        )
        .with(quick),
        crafted(
            "memory for the order at the end of the world",
            Crafted::realloc("(i32.const -8)"),
            Record("trap", &["beyond end of memory"]),
        ),
        crafted(
            "memory for the order never comes",
            Crafted::realloc("(loop $again (br $again)) (i32.const 0)"),
            Limit("cpu_limit", "cpu_ms", &["processor time"]),
        )
        .with(quick),
        crafted(
            "no memory for the order",
            Crafted::realloc("unreachable"),
            Record("trap", &["unreachable"]),
        ),
        crafted(
            "calls the host while the host calls",
            Crafted::realloc(
                "(call $log (i32.const 2) (i32.const 1024) (i32.const 4)) (i32.const 65536)",
            ),
            Record("trap", &["cannot leave component instance"]),
        ),
        describe(
            "the manifest behind the end of memory",
            "(return (i32.const 0xfffffff0))",
            &["out of bounds"],
        ),
        describe("the manifest at an odd address", "(return (i32.const 2049))", &["not aligned"]),
        describe(
            "a manifest whose name is not UTF-8",
            "(call $pair (i32.const 2048) (i32.const 1104) (i32.const 10))",
            &["utf-8"],
        ),
        describe(
            "a manifest whose name is 4 GiB long",
            "(call $pair (i32.const 2048) (i32.const 1040) (i32.const -1))",
            &["out of bounds"],
        ),
        describe(
            "a manifest with 30,000 languages",
            "(call $pair (i32.const 2088) (i32.const 16384) (i32.const 30000))",
            &["`locales` must name 1 to 256"],
        ),
        describe(
            "a manifest with 500 million languages",
            "(call $pair (i32.const 2088) (i32.const 8) (i32.const 500000000))",
            &["out of bounds"],
        ),
        crafted(
            "a huge manifest",
            Crafted {
                schema: format!("{{{}}}", " ".repeat(100_000)),
                describe: "(call $pair (i32.const 2072) (i32.const 8192) (i32.const 253952)) \
                           (call $pair (i32.const 2064) (i32.const 8192) (i32.const 253952))",
                ..Crafted::default()
            },
            Record("template_load", &["`summary` must be one sentence of at most 1,000 bytes"]),
        ),
        describe(
            "a huge schema",
            "(drop (memory.grow (i32.const 8))) (call $pair (i32.const 2072) (i32.const 8192) \
             (i32.const 300000))",
            &["`order-schema` has 300000 bytes; at most 262144 are allowed"],
        ),
        describe("a manifest that traps", "unreachable", &["`describe` failed", "unreachable"]),
        describe(
            "a manifest that never comes",
            "(loop $again (br $again))",
            &["`describe` failed", "processor time"],
        ),
        describe(
            "a manifest that takes all memory",
            "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 100)) (i32.const -1))))",
            &["`describe` failed", "268435456 are allowed"],
        ),
        describe(
            "a manifest that writes files",
            "(call $write (i32.const 1120) (i32.const 10) (i32.const 1024) (i32.const 4) \
             (i32.const 4096))
             (if (i32.load8_u (i32.const 4096)) (then unreachable))",
            &["`describe` failed", "unreachable"],
        ),
    ]
}

/// Files that are not templates, or that cannot run.
fn impostors() -> Vec<Row> {
    let text = |text: &str| wat::parse_str(text).unwrap();
    let whole = Crafted::default().component();
    let other_version = String::from_utf8_lossy(&whole).contains("@0.1.0");
    assert!(other_version, "it contains the contract's version");
    let mut newer = whole.clone();
    for at in 0..newer.len() - 6 {
        if newer[at..].starts_with(b"@0.1.0") {
            newer[at + 3] = b'9';
        }
    }
    let memories =
        "(core module $m (memory 1)) ".to_owned() + &"(core instance (instantiate $m)) ".repeat(8);
    let instances =
        "(core module $m) ".to_owned() + &"(core instance (instantiate $m)) ".repeat(1_000);
    vec![
        file("an empty file", "", &["an empty file"]),
        file("a text", "hello", &["some other file"]),
        file("a zip", "PK\x03\x04 and so on", &["a zip archive"]),
        file("a native program", &b"\x7fELF\x02\x01\x01"[..], &["a native program"]),
        file("a core module", text("(module)"), &["a core WebAssembly module", "wasm32-wasip2"]),
        file("a truncated file", &whole[..whole.len() / 2], &["does not compile"]),
        file("the first eight bytes", &whole[..8], &["does not fit the contract"]),
        file("no exports", text("(component)"), &["does not fit the contract", "generator"]),
        file("another version", newer, &["does not fit the contract"]),
        file(
            "an unknown import",
            text(
                "(component (import \"sitewright:template/mail@0.1.0\" (instance (export \"send\" \
                 (func)))))",
            ),
            &["does not fit the contract", "mail"],
        ),
        file(
            "a known import of another type",
            text(
                "(component (import \"sitewright:template/site@0.1.0\" (instance (export \
                 \"write\" (func (param \"path\" u32))))))",
            ),
            &["does not fit the contract", "site"],
        ),
        file(
            "an export of another type",
            text(
                "(component (component $c (core module $m (func (export \"f\"))) (core instance \
                 $i (instantiate $m))
                   (func (export \"describe\") (canon lift (core func $i \"f\"))))
                 (instance $c (instantiate $c))
                 (export \"sitewright:template/generator@0.1.0\" (instance $c)))",
            ),
            &["does not fit the contract"],
        ),
        file(
            "eight memories",
            text(&format!("(component {memories})")),
            &["does not compile", "memories"],
        ),
        file(
            "a thousand instances",
            text(&format!("(component {instances})")),
            &["does not compile", "instances"],
        ),
        bomb("a huge function", Bomb::HugeFunction(1_000_000)),
        bomb("many variables in many branches", Bomb::ManyLocals(20_000)),
        bomb("deep nesting", Bomb::DeepNesting(2_000_000)),
        file(
            "a giant jump",
            Bomb::BranchTable(3_000_000).component(),
            &["does not compile", "br_table"],
        ),
        file(
            "10,000 functions",
            Bomb::ManyFunctions(10_000).component(),
            &["does not fit the contract", "generator"],
        ),
    ]
}

#[test]
fn c7_guests_that_use_up_a_machine_are_stopped_by_name() {
    alone("hostile::c7_guests_that_use_up_a_machine_are_stopped_by_name", || all(greedy()));
}

#[test]
fn guests_that_lie_at_the_boundary_are_stopped_there() {
    alone("hostile::guests_that_lie_at_the_boundary_are_stopped_there", || all(liars()));
}

#[test]
fn files_that_are_no_templates_cost_a_record_and_no_more() {
    alone("hostile::files_that_are_no_templates_cost_a_record_and_no_more", || all(impostors()));
}

/// Runs all guests in sequence, each with concurrent healthy orders.
async fn all(rows: Vec<Row>) {
    let limits =
        Limits { compile_ms: COMPILE_MS, compile_memory_bytes: COMPILE_BYTES, ..Limits::default() };
    let compiler = Compiler::program(&binary(), &limits);
    let lab = Lab::compiling(limits.clone(), 8, AI, compiler);
    // Allocates what is allocated once: the healthy template, its symbols, threads.
    for fault in ["ai-echo", "unreachable"] {
        lab.start(&numbered_order(0, fault, json!({}))).ended().await;
    }
    let before = memory_mib();
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let begin = Instant::now();
        let neighbours: Vec<_> = (0..2)
            .map(|nth| lab.start(&numbered_order(1_000 + 2 * number + nth, "ai-echo", json!({}))))
            .collect();
        let outcome = row.run(&lab, &limits, number).await;
        if let Err(why) = row.end.check(outcome) {
            wrong.push(format!("{}: {why}", row.name));
        }
        for neighbour in neighbours {
            let released = released(neighbour.ended().await);
            assert_eq!(released.totals.ai_calls.len(), 1, "{}", row.name);
        }
        let has = memory_after_cleanup(before + MEMORY_SLACK_MIB).await;
        eprintln!(
            "{:<50} {:>6} ms {has:>6} MiB (before: {before})",
            row.name,
            begin.elapsed().as_millis()
        );
        if has > before + MEMORY_SLACK_MIB {
            wrong.push(format!("{}: the host has {has} MiB, before it had {before}", row.name));
        }
    }
    // Every instance slot of the engine is free again.
    let again: Vec<_> =
        (0..24).map(|number| lab.start(&numbered_order(5_000 + number, "ok", json!({})))).collect();
    for order in again {
        released(order.ended().await);
    }
    // What failed runs left is removed beside others; a busy disk takes a while for 2,000 files.
    let begin = Instant::now();
    while !lab.staged().is_empty() && begin.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lab.staged(), Vec::<String>::new());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The memory of this process in MiB, after waiting for the clean-up of ended attempts.
async fn memory_after_cleanup(most: u64) -> u64 {
    let begin = Instant::now();
    loop {
        let has = memory_mib();
        if has <= most || begin.elapsed() > Duration::from_secs(5) {
            return has;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Row {
    async fn run(&self, lab: &Lab, limits: &Limits, number: usize) -> Outcome {
        let mut limits = limits.clone();
        (self.limits)(&mut limits);
        let host = lab.with_limits(limits);
        let file = |bytes: &[u8]| {
            let path = lab.path().join(format!("{number}.wasm"));
            std::fs::write(&path, bytes).unwrap();
            path.to_string_lossy().into_owned()
        };
        let started = match &self.guest {
            Guest::Faulty(fault, parameters) => {
                Started::on(host, &numbered_order(number, fault, parameters.clone()))
            }
            Guest::Crafted(crafted) => Started::of(
                host,
                &file(&crafted.component()),
                &numbered_order(number, "ok", json!({})),
            ),
            Guest::File(bytes) => {
                Started::of(host, &file(bytes), &numbered_order(number, "ok", json!({})))
            }
        };
        started.ended().await
    }
}

impl End {
    fn check(&self, outcome: Outcome) -> Result<(), String> {
        let record = match (self, outcome) {
            (End::Site, Outcome::Released(_)) => return Ok(()),
            (_, Outcome::Released(_)) => return Err("a site was released".to_owned()),
            (_, Outcome::Failed { record, .. }) => record,
        };
        let cause = cause_text(&record);
        let (kind, limit, words) = match self {
            End::Site => return Err(cause),
            End::Record(kind, words) => (kind, None, words),
            End::Limit(kind, limit, words) => (kind, Some(*limit), words),
        };
        if record.kind.as_str() != *kind {
            return Err(format!("it is no {kind}: {cause}"));
        }
        if let Some(word) =
            words.iter().find(|word| !cause.to_lowercase().contains(&word.to_lowercase()))
        {
            return Err(format!("{word:?} is missing: {cause}"));
        }
        match limit.map(|limit| record.limits[limit]) {
            Some(measure) if measure.used < measure.max => {
                Err(format!("{limit:?} is not used up: {measure:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// All texts of a record about the cause.
fn cause_text(record: &FailureRecord) -> String {
    let causes: Vec<&str> = record.causes.iter().map(|cause| cause.as_str()).collect();
    let problems: Vec<&str> = record.problems.iter().map(|problem| problem.at.as_str()).collect();
    let trap = record.trap.as_ref().map(|trap| trap.message.as_str()).unwrap_or_default();
    format!(
        "{}: {}; {}; {trap}; {}",
        record.kind,
        record.message,
        causes.join(": "),
        problems.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_folder_that_is_swapped_for_a_link_between_runs_leads_nowhere() {
    let lab = Lab::new(Limits::default(), 2, AI);
    let outside = lab.path().join("outside");
    let sites = lab.host.sites.path().to_owned();
    // The swapped entries in the folder of an order with a release, a journal and a record.
    let rows = ["", "staging", "failures", "public", "releases"];
    for (number, swapped) in rows.into_iter().enumerate() {
        let order = format!("{}", 1_000 + number);
        let entry = match swapped {
            "public" => std::path::Path::new("public").join(&order),
            "releases" => std::path::Path::new("public").join(&order).join("releases"),
            private => std::path::Path::new(&order).join(private),
        };
        released(lab.start(&numbered_order(number, "ok", json!({}))).ended().await);
        failed(lab.start(&numbered_order(number, "unreachable", json!({}))).ended().await);
        let target = outside.join(&order);
        std::fs::create_dir_all(&target).unwrap();
        let place = sites.join(entry);
        let place = place.components().collect::<std::path::PathBuf>();
        if place.exists() {
            std::fs::rename(&place, lab.path().join(format!("taken-{number}"))).unwrap();
        }
        std::os::unix::fs::symlink(&target, &place).unwrap();
        for fault in ["many-files", "unreachable"] {
            let outcome =
                lab.start(&numbered_order(number, fault, json!({ "n": 3 }))).ended().await;
            match (swapped, fault, outcome) {
                // This attempt does not use that folder.
                ("failures", "many-files", Outcome::Released(_)) => {}
                (
                    "staging" | "public" | "releases",
                    "unreachable",
                    Outcome::Failed { record, stored, .. },
                ) => {
                    assert_eq!(
                        (record.kind.as_str(), stored.is_ok()),
                        ("trap", true),
                        "{swapped:?}"
                    );
                }
                (_, _, Outcome::Failed { record, stored, .. }) => {
                    let cause = cause_text(&record)
                        + &stored.err().map(|why| why.to_string()).unwrap_or_default();
                    assert!(
                        cause.contains(&*place.to_string_lossy()),
                        "{swapped:?}, {fault}: {cause}"
                    );
                }
                (_, _, Outcome::Released(_)) => panic!("{swapped:?}, {fault}: it was released"),
            }
            let left: Vec<_> = std::fs::read_dir(&target).unwrap().collect();
            assert!(
                left.is_empty(),
                "{swapped:?}, {fault}: something went through the link: {left:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_when_the_guest_trapped_stand_in_the_trail_as_that() {
    let lab = Lab::new(Limits::default(), 1, AI);
    let record =
        failed(lab.start(&numbered_order(0, "trap-in-flight", json!({ "n": 3 }))).ended().await);
    let open = record
        .trail
        .iter()
        .filter(|entry| entry.call == "ai.complete" && entry.duration_us.is_none());
    assert_eq!(open.count(), 3, "{:#?}", record.trail);
    let released =
        released(lab.start(&numbered_order(1, "calls-left", json!({ "n": 3 }))).ended().await);
    assert_eq!((released.totals.limits["ai_calls"].used, released.totals.ai_calls.len()), (3, 0));
}
