//! Components and debug information with mutated bytes: a deterministic part of what the fuzzers in
//! `host/fuzz` do.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use sitewright_failure::RawFrame;
use sitewright_runtime::plugin::{Cache, Compiler, Engine, Limits, Loader};
use sitewright_runtime::run::Outcome;
use sitewright_tests::crafted::Crafted;
use sitewright_tests::{ANY_ANSWER, binary, guest};
use tempfile::TempDir;

use crate::lab::{Lab, Started, failed, numbered_order};

/// Default number of mutations of each kind.
const COMPONENTS: usize = 60;
const SYMBOLS: usize = 24;
/// The environment variable with the factor for that number.
const TIMES: &str = "SITEWRIGHT_MUTATIONS";

fn times() -> usize {
    std::env::var(TIMES).map_or(1, |times| times.parse().unwrap())
}

/// A random number generator with a fixed seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*, by Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end
    }

    /// Changes, moves, removes or repeats a few bytes within the range.
    fn mutate(&mut self, bytes: &mut Vec<u8>, within: &Range<usize>, keep_length: bool) {
        for _ in 0..=self.below(4) {
            let end = within.end.min(bytes.len());
            let at = within.start + self.below(end - within.start);
            match self.below(if keep_length { 4 } else { 6 }) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = 0xff,
                2 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                3 => {
                    let length = self.below(64).min(end - at);
                    bytes[at..at + length].fill(0x80);
                }
                4 => bytes.truncate(at.max(9)),
                _ => {
                    let piece = bytes[at..end.min(at + 40)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
    }
}

/// With any bytes, the attempt ends soon with a record or a site, and the host keeps working.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_with_wrong_bytes_is_rejected_or_runs_safely() {
    let limits =
        Limits { compile_ms: 20_000, cpu_ms: 500, deadline_ms: 60_000, ..Limits::default() };
    let lab = Lab::compiling(limits.clone(), 4, ANY_ANSWER, Compiler::program(&binary(), &limits));
    let whole = Crafted::default().component();
    let mut chance = Chance(0x5eed);
    let mut refused = 0;
    for number in 0..COMPONENTS * times() {
        let mut bytes = whole.clone();
        // The first eight bytes are the file's magic, which another test covers.
        chance.mutate(&mut bytes, &(8..whole.len()), false);
        let path = lab.path().join(format!("{number}.wasm"));
        fs::write(&path, &bytes).unwrap();
        let begin = Instant::now();
        let order = numbered_order(number, "ok", json!({}));
        let outcome = Started::of(lab.host.clone(), &path.to_string_lossy(), &order).ended().await;
        assert!(begin.elapsed() < Duration::from_secs(60), "{number}");
        let record = failed(outcome);
        assert!(
            !record.message.as_str().contains("the host panicked"),
            "{number}: {}",
            record.message
        );
        refused += usize::from(record.kind.as_str() == "template_load");
        fs::remove_file(&path).unwrap();
    }
    assert!(refused > COMPONENTS / 2, "most of them are no templates any more: {refused}");
    let Outcome::Released(_) = lab.start(&numbered_order(999_999, "ok", json!({}))).ended().await
    else {
        panic!("the host does not go on");
    };
}

/// Names and ranges of the debug sections of a component's modules.
fn debug_sections(component: &[u8]) -> Vec<(String, Range<usize>)> {
    use wasmparser::{Parser, Payload};
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Ok(Payload::CustomSection(section)) = payload
            && section.name().starts_with(".debug_")
        {
            found.push((section.name().to_owned(), section.data_offset()..section.range().end));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debug_information_with_wrong_bytes_costs_lines_and_no_more() {
    let folder = TempDir::new().unwrap();
    // Small: each is compiled, and a wrong byte is met more often. It has the sections of all guests.
    let whole = fs::read(guest("guest-blocking")).unwrap();
    let sections = debug_sections(&whole);
    assert!(sections.len() >= 4, "{sections:?}");
    let limits = Limits::default();
    let loader = Loader::new(Engine::new(&limits, 1).unwrap(), Cache::off(), limits).unwrap();
    let mut chance = Chance(0xdeb6);
    for number in 0..SYMBOLS * times() {
        let mut bytes = whole.clone();
        let (name, range) = &sections[number % sections.len()];
        for _ in 0..50 {
            chance.mutate(&mut bytes, range, true);
        }
        if number >= sections.len() {
            // The first bytes of a section determine how the rest is read.
            chance.mutate(&mut bytes, &(range.start..range.end.min(range.start + 64)), true);
        }
        let path: PathBuf = folder.path().join("mutated.wasm");
        fs::write(&path, &bytes).unwrap();
        let template = loader.load(&path).await.unwrap();
        // Frames throughout the code, as a trap could have them.
        let code = u64::try_from(bytes.len()).unwrap();
        let frames: Vec<RawFrame> = (0..128)
            .map(|at| RawFrame {
                offset: Some(at * code / 128),
                function: Some(format!("f{at}")),
                index: 0,
            })
            .collect();
        let begin = Instant::now();
        let shown = template.symbolize(frames).await.frames;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(60), "{number}, {name}: {took:?}");
        assert!(shown.len() >= 128 || shown.is_empty(), "{number}, {name}: {} frames", shown.len());
        assert!(shown.len() < 128 * 200, "{number}, {name}: {} frames", shown.len());
    }
}
