//! Functions, files and lines of frames: from the component, from a file beside it, or missing; the
//! time limit of reading them; and the comparison with a public tool.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::Symbols;
use sitewright_runtime::plugin::Limits;
use sitewright_tests::languages::{c_guest, wasm_tools};
use sitewright_tests::strip::{
    Strip, leb128, main_module, only_customs, push, push_custom, rewritten, section_of, stripped,
};
use sitewright_tests::{ANY_ANSWER, Workbench, faulty, guest, root};

use crate::lab::Lab;
use crate::trap_matrix::{NAMES_ONLY, STRIPPED, line_of};

const OOB: (&str, &str) = ("tests/guests/faulty/src/traps.rs", "address.read_volatile()");

/// A workbench with `wasm` as the template `faulty.wasm`.
fn bench_with(wasm: &[u8]) -> (Workbench, PathBuf) {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let template = bench.write("faulty.wasm", wasm);
    (bench, template)
}

fn trap(bench: &Workbench, template: &Path, fault: &str) -> Value {
    bench.generate(template, &faulty(fault, Value::Null)).failure()["trap"].clone()
}

/// File and line of the first frame in the template's own code; its function if it has no line.
fn first_own(trap: &Value) -> (String, Value) {
    let frames = trap["frames"].as_array().unwrap();
    let frame = frames.iter().find(|frame| frame["own"] == true).unwrap_or(&Value::Null);
    (frame["file"].as_str().unwrap_or("-").to_owned(), frame["line"].clone())
}

#[test]
fn debug_information_beside_the_component_is_as_good_as_inside() {
    let whole = std::fs::read(guest("guest-faulty")).unwrap();
    let (file, marker) = OOB;
    let expected = (file.to_owned(), line_of(file, marker));
    for strip in [Strip::Debug, Strip::All] {
        let (bench, template) = bench_with(&stripped(&whole, strip));
        let without = trap(&bench, &template, "oob");
        assert_eq!(
            without["symbols_missing"],
            if strip == Strip::Debug { NAMES_ONLY } else { STRIPPED },
            "{strip:?}"
        );
        bench.write("faulty.debug.wasm", &whole);
        let with = trap(&bench, &template, "oob");
        assert_eq!(first_own(&with), expected, "{strip:?}: {with:#}");
        assert_eq!(with.get("symbols_missing"), None, "{strip:?}");
        let names = |trap: &Value| -> Vec<String> {
            let frames = trap["frames"].as_array().unwrap().iter();
            frames.map(|frame| frame["function"].as_str().unwrap().to_owned()).collect()
        };
        let (inside, inside_template) = bench_with(&whole);
        assert_eq!(names(&with), names(&trap(&inside, &inside_template, "oob")), "{strip:?}");
        // The debug file is not listed as a template.
        let listed = bench.run(&["--json", "--templates", ".", "template", "list"]);
        assert!(!listed.stdout.contains("faulty.debug"), "{}", listed.stdout);
    }
}

#[test]
fn debug_information_of_another_build_is_refused_with_a_note() {
    let whole = std::fs::read(guest("guest-faulty")).unwrap();
    let (bench, template) = bench_with(&stripped(&whole, Strip::Debug));
    bench.write("faulty.debug.wasm", std::fs::read(guest("guest-minimal")).unwrap());
    let foreign = trap(&bench, &template, "oob");
    assert_eq!(first_own(&foreign).0, "-", "names only");
    let missing = foreign["symbols_missing"].as_str().unwrap();
    assert!(
        missing.starts_with("`faulty.debug.wasm` beside the template does not belong to it"),
        "{missing}"
    );
    // Debug information in the component has priority over a file beside it.
    let own = bench.write("faulty.wasm", &whole);
    let own = trap(&bench, &own, "oob");
    assert_eq!((first_own(&own).0.as_str(), own.get("symbols_missing")), (OOB.0, None));
}

#[test]
fn the_core_module_alone_and_sections_without_code_belong_by_code_and_by_build() {
    let Some(guest) =
        c_guest("the_core_module_alone_and_sections_without_code_belong_by_code_and_by_build")
    else {
        return;
    };
    let whole = std::fs::read(guest).unwrap();
    let bare = stripped(&whole, Strip::Debug);
    let (_, module) = main_module(&whole);
    // Output of a tool that keeps only debug information: no code, but the linker's build id.
    let only_debug = only_customs(&module);
    let mut other_build = rewritten(&only_debug, &|name| name != b"build_id");
    push_custom(&mut other_build, "build_id", &[4, 1, 2, 3, 4]);
    let rows = [(module, true), (only_debug, true), (other_build, false)];
    for (number, (beside, belongs)) in rows.into_iter().enumerate() {
        let (bench, template) = bench_with(&bare);
        bench.write("faulty.debug.wasm", beside);
        let trap = trap(&bench, &template, "divide-by-zero");
        let line = line_of("tests/languages/c/template.c", "// division by zero");
        let expected =
            if belongs { ("template.c".to_owned(), line) } else { ("-".to_owned(), Value::Null) };
        assert_eq!(first_own(&trap), expected, "{number}: {trap:#}");
    }
}

/// For each offset, `function file:line:column` of its functions, innermost first, with full paths.
fn by_the_tool(tool: &Path, template: &Path, offsets: &[u64]) -> Vec<Vec<String>> {
    let mut command = Command::new(tool);
    command.arg("addr2line").arg(template).args(offsets.iter().map(u64::to_string));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut places: Vec<Vec<String>> = Vec::new();
    for line in String::from_utf8(done.stdout).unwrap().lines() {
        match line.strip_prefix('\t') {
            Some(inlined) => places.last_mut().unwrap().push(inlined.to_owned()),
            None => places.push(vec![line.split_once(": ").unwrap().1.to_owned()]),
        }
    }
    places
}

#[test]
fn frames_agree_with_what_a_public_tool_says() {
    const TEST: &str = "frames_agree_with_what_a_public_tool_says";
    let Some(tool) = wasm_tools(TEST) else { return };
    let mut compared = 0;
    let rust =
        ["panic-str", "oob", "divide-by-zero", "integer-overflow", "panic-async", "stack-overflow"];
    let c = ["divide-by-zero", "inlined", "cpp", "host-call"];
    let guests = [(Some(guest("guest-faulty")), &rust[..]), (c_guest(TEST), &c[..])];
    for (template, faults) in guests {
        let Some(template) = template else { continue };
        for fault in faults {
            let bench = Workbench::scripted(ANY_ANSWER, "");
            let trap = trap(&bench, &template, fault);
            let frames = trap["frames"].as_array().unwrap();
            let mut offsets: Vec<u64> =
                frames.iter().filter_map(|frame| frame["offset"].as_u64()).collect();
            offsets.dedup();
            for (offset, by_tool) in offsets.iter().zip(by_the_tool(&tool, &template, &offsets)) {
                let ours: Vec<&Value> =
                    frames.iter().filter(|frame| frame["offset"] == *offset).collect();
                if by_tool.iter().all(|frame| !frame.contains(':') || !frame.contains('/')) {
                    continue;
                }
                // A frame that a recursion repeats is the same each time.
                assert_eq!(
                    ours.len() % by_tool.len(),
                    0,
                    "{fault} {offset}: {ours:#?} {by_tool:#?}"
                );
                for (ours, by_tool) in ours.iter().zip(&by_tool) {
                    let (Some(file), Some(line)) = (ours["file"].as_str(), ours["line"].as_u64())
                    else {
                        continue;
                    };
                    // Our paths are shortened: the tool's full path must end with ours.
                    let column = ours["column"]
                        .as_u64()
                        .map(|column| format!(":{column}"))
                        .unwrap_or_default();
                    let file = file.trim_start_matches("registry/").trim_start_matches("rust/");
                    let place = format!("{file}:{line}{column}");
                    assert!(
                        by_tool.ends_with(&place),
                        "{fault} {offset}: {place} is not the end of {by_tool}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 60, "only {compared} frames were compared");
}

#[test]
fn what_was_read_once_is_known_the_next_time() {
    let wasm = std::fs::read(guest("guest-faulty")).unwrap();
    let (begin, module) = main_module(&wasm);
    let code = section_of(&module, 10);
    // A frame at every 2,000th byte of code; most are in functions.
    let frames: Vec<RawFrame> = (code.start..code.end)
        .step_by(2_000)
        .map(|at| RawFrame { offset: Some(begin + at as u64), function: None, index: 0 })
        .take(128)
        .collect();
    let symbols = Symbols::load(&wasm, None);
    assert_eq!(symbols.recall(&frames), None, "nothing was read yet");
    let resolved = symbols.resolve_within(&frames, Duration::from_secs(60));
    assert!(resolved.frames.iter().filter(|frame| frame.line.is_some()).count() > 64);
    assert_eq!(symbols.recall(&frames), Some(resolved), "everything is known");
    assert_eq!(symbols.recall(&[]).map(|known| known.frames.len()), Some(0));
}

/// A core module with one function and these custom sections.
fn module_with(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    push(&mut module, 1, &[1, 0x60, 0, 0]);
    push(&mut module, 3, &[1, 0]);
    push(&mut module, 10, &[1, 3, 0, 0, 0x0b]);
    for (name, content) in sections {
        push_custom(&mut module, name, content);
    }
    module
}

/// The header of a unit of DWARF 4 whose entries have `bytes` bytes.
fn unit_header(bytes: usize) -> Vec<u8> {
    let mut unit = u32::try_from(bytes + 7).unwrap().to_le_bytes().to_vec();
    unit.extend([4, 0, 0, 0, 0, 0, 4]);
    unit
}

/// Deeply nested functions that all cover the same code.
fn nested(depth: usize) -> Vec<u8> {
    // 1: unit; 2: subprogram; 3: inlined; each with low_pc (addr), high_pc (data4) and children.
    let mut abbreviations = Vec::new();
    for (code, tag) in [(1, 0x11), (2, 0x2e), (3, 0x1d)] {
        abbreviations.extend([code, tag, 1, 0x11, 0x01, 0x12, 0x06, 0, 0]);
    }
    abbreviations.push(0);
    let mut entries = Vec::new();
    for level in 0..depth {
        entries.push(u8::try_from(level.min(2) + 1).unwrap());
        entries.extend([0; 4]);
        entries.extend(1_000_u32.to_le_bytes());
    }
    let mut info = unit_header(entries.len());
    info.extend(entries);
    module_with(&[(".debug_abbrev", abbreviations), (".debug_info", info)])
}

/// Many functions with the same very long list of ranges: quadratic work.
fn quadratic(functions: usize, ranges: usize) -> Vec<u8> {
    // 1: unit; 2: subprogram with DW_AT_ranges (sec_offset), without children.
    let abbreviations = vec![1, 0x11, 1, 0, 0, 2, 0x2e, 0, 0x55, 0x17, 0, 0, 0];
    let mut entries = vec![1];
    for _ in 0..functions {
        entries.extend([2, 0, 0, 0, 0]);
    }
    let mut info = unit_header(entries.len());
    info.extend(entries);
    let mut list = Vec::new();
    for at in 0..ranges {
        let begin = 0x1000 + u32::try_from(at).unwrap() * 2;
        list.extend(begin.to_le_bytes());
        list.extend((begin + 1).to_le_bytes());
    }
    list.extend([0; 8]);
    module_with(&[(".debug_abbrev", abbreviations), (".debug_info", info), (".debug_ranges", list)])
}

/// A unit whose line table claims an endless header.
fn endless_header() -> Vec<u8> {
    let abbreviations = vec![1, 0x11, 0, 0x10, 0x17, 0, 0, 0];
    let mut info = unit_header(5);
    info.extend([1, 0, 0, 0, 0]);
    let mut line = Vec::new();
    let body = 64 << 20;
    line.extend(u32::try_from(body + 6_usize).unwrap().to_le_bytes());
    line.extend([4, 0]);
    line.extend(u32::try_from(body).unwrap().to_le_bytes());
    line.resize(line.len() + body, 1);
    module_with(&[(".debug_abbrev", abbreviations), (".debug_info", info), (".debug_line", line)])
}

/// A table of abbreviations that takes many times its size in memory.
fn many_abbreviations() -> Vec<u8> {
    let mut abbreviations = Vec::new();
    for code in 1..700_000 {
        leb128(&mut abbreviations, code);
        abbreviations.extend([0x11, 0, 0, 0]);
    }
    abbreviations.push(0);
    let mut info = unit_header(1);
    info.push(1);
    module_with(&[(".debug_abbrev", abbreviations), (".debug_info", info)])
}

#[test]
fn debug_information_made_to_hurt_costs_no_more_than_its_time() {
    let broken = "the template's debug information cannot be read: ";
    let slow = "reading the template's debug information took longer than 300 ms and was given \
                up: frames have names only";
    let rows: [(&str, Vec<u8>, Option<&str>); 5] = [
        // A recursive reader would overflow its stack at a hundredth of this depth.
        ("a million functions inlined into one another", nested(1_000_000), None),
        ("ranges times functions", quadratic(200_000, 200_000), Some(slow)),
        ("a header of 64 MiB", endless_header(), Some(broken)),
        ("abbreviations without end", many_abbreviations(), Some(broken)),
        ("no DWARF at all", module_with(&[(".debug_info", vec![0xff; 4_096])]), Some(broken)),
    ];
    for (what, wasm, missing) in rows {
        let symbols = Symbols::load(&wasm, None);
        let code = 8 + 6 + 4 + 2;
        let frame =
            RawFrame { offset: Some(code + 2), function: Some("bake".to_owned()), index: 0 };
        // What is broken is to be found so, on a slow machine too.
        let within = Duration::from_millis(if missing == Some(broken) { 20_000 } else { 300 });
        let began = Instant::now();
        let resolved = symbols.resolve_within(std::slice::from_ref(&frame), within);
        // Much more than the limit, because the machine may be busy; a failure here would take
        // forever.
        assert!(began.elapsed() < Duration::from_secs(60), "{what} took {:?}", began.elapsed());
        let last = resolved.frames.last().unwrap();
        assert_eq!(last.function, "bake", "{what}");
        assert!(resolved.frames.len() <= 64, "{what}: {} frames", resolved.frames.len());
        let note = resolved.missing.as_deref().unwrap_or("-");
        if let Some(missing) = missing {
            assert!(note.starts_with(missing), "{what}: {note}");
        }
        // The next caller gets the same result immediately.
        assert_eq!(symbols.recall(&[frame]), Some(resolved), "{what}");
    }
}

#[test]
fn debug_information_that_is_too_large_is_not_read() {
    let wasm = std::fs::read(guest("guest-minimal")).unwrap();
    let (begin, module) = main_module(&wasm);
    let at = begin + section_of(&module, 10).start as u64 + 5_000;
    let frame = RawFrame { offset: Some(at), function: Some("bake".to_owned()), index: 0 };
    let resolved = Symbols::load_at_most(&wasm, None, 100_000).resolve(&[frame]);
    assert_eq!(resolved.frames[0].function, "bake");
    let missing = resolved.missing.unwrap();
    assert!(
        missing.starts_with("the template's debug information has more than 100000 bytes"),
        "{missing}"
    );
    let symbols = Symbols::load(&wasm, None);
    assert!(symbols.bytes() > 100_000 && symbols.bytes() < wasm.len(), "what is held is counted");
}

#[test]
fn damaged_debug_information_costs_frames_and_nothing_else() {
    let wasm = std::fs::read(guest("guest-minimal")).unwrap();
    let (begin, module) = main_module(&wasm);
    let code = section_of(&module, 10);
    let customs = code.end..module.len();
    let frames: Vec<RawFrame> = (code.start..code.end)
        .step_by(10_000)
        .map(|at| RawFrame {
            offset: Some(begin + at as u64),
            function: Some("bake".to_owned()),
            index: 0,
        })
        .take(32)
        .collect();
    // xorshift with a fixed seed: the same damage every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let offset = usize::try_from(begin).unwrap();
    for round in 0..32 {
        let mut damaged = wasm.clone();
        for _ in 0..=(1 << (round % 12)) {
            let at = offset + customs.start + random(customs.len());
            damaged[at] = u8::try_from(random(256)).unwrap();
        }
        let began = Instant::now();
        let resolved =
            Symbols::load(&damaged, None).resolve_within(&frames, Duration::from_millis(500));
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "round {round} took {:?}",
            began.elapsed()
        );
        assert!(resolved.frames.len() >= frames.len(), "round {round}: every frame is there");
        let named = resolved.frames.iter().filter(|frame| frame.function == "bake").count();
        assert_eq!(named, frames.len(), "round {round}: names do not come from what is damaged");
    }
}

#[tokio::test]
async fn debug_information_is_kept_by_digest_and_read_once() {
    let lab = Lab::new(Limits::default(), 1, ANY_ANSWER);
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let path = folder.path().join(name);
        std::fs::copy(guest("guest-faulty"), &path).unwrap();
        path
    };
    let (first, second) = (copy("first.wasm"), copy("second.wasm"));
    let load = async |path: &Path| lab.host.catalogue.load(&path.to_string_lossy()).await.unwrap();
    let (one, same) = (load(&first).await, load(&second).await);
    let (begin, module) = main_module(&std::fs::read(&first).unwrap());
    let at = begin + section_of(&module, 10).start as u64 + 50_000;
    let frames =
        || vec![RawFrame { offset: Some(at), function: Some("bake".to_owned()), index: 0 }];
    assert!(one.symbols().is_empty(), "nothing is read before the first trap");
    let cold = one.symbolize(frames()).await;
    assert!(cold.frames.iter().any(|frame| frame.line.is_some()), "{cold:#?}");
    assert_eq!(one.symbols().len(), 1);

    // Neither file is read again: both have the same digest.
    std::fs::remove_file(&first).unwrap();
    std::fs::remove_file(&second).unwrap();
    assert_eq!(one.symbolize(frames()).await, cold);
    assert_eq!(same.symbolize(frames()).await, cold, "the same bytes under another name");
    assert_eq!(one.symbols().len(), 1);

    one.symbols().clear();
    let gone = one.symbolize(frames()).await;
    let missing = gone.missing.unwrap();
    assert!(missing.starts_with("the template's file cannot be read any more"), "{missing}");
    std::fs::write(&first, std::fs::read(guest("guest-minimal")).unwrap()).unwrap();
    one.symbols().clear();
    let changed = one.symbolize(frames()).await;
    assert_eq!(
        changed.missing.as_deref(),
        Some("the template's file has changed since it was loaded")
    );
    assert_eq!(changed.frames[0].function, "bake", "names are the engine's");
}

#[test]
fn a_template_with_debug_information_made_to_hurt_leaves_its_record() {
    let mut wasm = stripped(&std::fs::read(guest("guest-faulty")).unwrap(), Strip::Debug);
    // The same component with the sections of another module in its largest module.
    let hostile = quadratic(400_000, 400_000);
    let (begin, module) = main_module(&wasm);
    let mut with = module.clone();
    let tail = section_of(&hostile, 10).end;
    with.extend_from_slice(&hostile[tail..]);
    let (begin, end) =
        (usize::try_from(begin).unwrap(), usize::try_from(begin).unwrap() + module.len());
    // The module is preceded by its size in LEB128.
    let mut size = Vec::new();
    leb128(&mut size, module.len());
    let mut whole = wasm[..begin - size.len()].to_vec();
    leb128(&mut whole, with.len());
    whole.extend_from_slice(&with);
    whole.extend_from_slice(&wasm[end..]);
    wasm = whole;
    let (bench, template) = bench_with(&wasm);
    let trap = trap(&bench, &template, "oob");
    assert_eq!(trap["code"], "out_of_bounds", "{trap:#}");
    assert_eq!(
        trap["symbols_missing"],
        "reading the template's debug information took longer than 2000 ms and was given up: \
         frames have names only"
    );
    let frames = trap["frames"].as_array().unwrap();
    let own = frames.iter().find(|frame| frame["own"] == true).unwrap();
    assert_eq!(own["function"], "guest_faulty::traps::read_out_of_bounds");
}

#[test]
fn the_lines_around_the_place_come_from_below_the_source_and_nowhere_else() {
    let source = root().join("tests/guests/faulty");
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = bench.write("order.json", faulty("oob", Value::Null).to_string());
    let (order, template) = (order.to_string_lossy(), guest("guest-faulty"));
    let generate = |source: &str| {
        let template = template.to_string_lossy();
        bench.run(&[
            "--json",
            "generate",
            "--template",
            &template,
            "--order",
            &order,
            "--source",
            source,
        ])
    };
    let record = generate(&source.to_string_lossy()).failure();
    let (file, marker) = OOB;
    let line = line_of(file, marker);
    assert_eq!((&record["source"]["file"], &record["source"]["line"]), (&json!(file), &line));
    let lines = record["source"]["lines"].as_array().unwrap();
    let at = usize::try_from(line.as_u64().unwrap() - record["source"]["first"].as_u64().unwrap())
        .unwrap();
    assert!(lines[at].as_str().unwrap().contains(marker), "{lines:#?}");
    assert!(lines.len() <= 5, "a few lines");

    // A link that leads out of the folder is not followed.
    let folder = bench.path().join("src-root");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(source.join("src"), folder.join("src")).unwrap();
    let out = generate(&folder.to_string_lossy()).failure();
    assert_eq!(out.get("source"), None, "{out:#}");
    // A path that is not a folder is an error.
    let wrong = generate("no-such-folder");
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("--source"), "{}", wrong.stderr);

    // The same for an existing record, by flag and by configuration.
    let id = record["id"].as_str().unwrap().to_owned();
    let out = out["id"].as_str().unwrap();
    let shown = bench.run(&["failures", "show", out]);
    assert!(!shown.stdout.contains(marker), "{}", shown.stdout);
    let shown = bench.run(&["failures", "show", out, "--source", &source.to_string_lossy()]);
    assert!(shown.stdout.contains(marker), "{}", shown.stdout);
    assert!(bench.run(&["failures", "show", &id]).stdout.contains(marker), "the record has them");
    let configured = Workbench::scripted(
        ANY_ANSWER,
        &format!("[template.guest-faulty]\nsource = {:?}\n", source.display().to_string()),
    );
    let record = configured.generate(&template, &faulty("oob", Value::Null)).failure();
    assert_eq!(record["source"]["line"], line);
}

#[test]
fn a_profile_names_the_functions_that_compute() {
    let bench = Workbench::scripted(ANY_ANSWER, "[limits]\ncpu_ms = 200\n");
    let order = bench.write("order.json", faulty("spin", Value::Null).to_string());
    let (template, out) = (guest("guest-faulty"), bench.path().join("profile"));
    let arguments = [
        "--json",
        "--out",
        "profile",
        "template",
        "profile",
        "--template",
        &template.to_string_lossy(),
        "--order",
        &order.to_string_lossy(),
    ];
    let done = bench.run(&arguments);
    assert_eq!(done.code, 4, "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    // A failure ends the runs, and what it used is drawn.
    let ended = (&report["runs"], &report["failure"]["kind"]);
    assert_eq!(ended, (&json!(1), &json!("cpu_limit")), "{report:#}");
    assert!(report["samples"].as_u64().is_some_and(|samples| samples >= 5), "{report:#}");
    assert!(report["own"].to_string().contains("traps::spin"), "{report:#}");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    for (name, part) in
        [("cpu.svg", "traps::spin"), ("cpu.folded", "traps::spin"), ("memory.svg", "<svg ")]
    {
        assert!(read(name).contains(part), "{name}");
    }
}
