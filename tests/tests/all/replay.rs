//! `sitewright replay`: a recorded attempt runs again offline with the same end, or the report
//! names the first divergence.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::stream_server::StreamServer;
use sitewright_tests::{ANY_ANSWER, Done, Workbench, faulty, guest};

/// Configuration with a provider at this URL.
fn provider(base_url: &str) -> String {
    format!(
        "[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{base_url}\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n"
    )
}

fn attempt_of(done: &Done) -> String {
    done.json()["usage"]["attempt"].as_str().unwrap().to_owned()
}

fn replay(bench: &Workbench, more: &[&str]) -> Done {
    bench.run(&[&["--json", "replay"], more].concat())
}

/// Asserts that a replay reproduces the attempt up to its last call, and returns the report.
fn reproduced(name: &str, bench: &Workbench, what: &str) -> Value {
    let again = replay(bench, &[what]);
    assert_eq!(again.code, 0, "{name}: {}{}", again.stdout, again.stderr);
    let report = again.json();
    assert_eq!(report["verdict"], "reproduced", "{name}: {report:#}");
    assert_eq!(
        (&report["first_call"], &report["differences"]),
        (&Value::Null, &json!([])),
        "{name}"
    );
    assert_eq!(report["recorded"], report["now"], "{name}");
    report
}

#[test]
fn every_kind_of_end_happens_again() {
    let rows: [(&str, Value, &str, i32, &str); 17] = [
        ("ok", json!({}), "", 0, "released"),
        ("random", json!({}), "", 0, "released"),
        ("document", json!({}), "", 0, "released"),
        ("error", json!({}), "", 4, "template_error"),
        ("panic-string", json!({}), "", 4, "panic"),
        ("panic-no-hook", json!({}), "", 4, "panic"),
        ("oob", json!({}), "", 4, "trap"),
        ("stack-overflow", json!({}), "", 4, "trap"),
        ("exit", json!({}), "", 4, "trap"),
        ("memory-bomb", json!({}), "[limits]\nmemory_bytes = 33554432", 4, "memory_limit"),
        ("ignored-refusal", json!({}), "", 4, "output_limit"),
        ("calls-in-turn", json!({ "n": 9 }), "[limits]\nai_calls = 5", 4, "call_limit"),
        (
            "many-calls",
            json!({ "n": 9, "then_fail": true }),
            "[limits]\nai_calls = 5",
            4,
            "template_error",
        ),
        ("report-flood", json!({ "n": 700, "then_fail": true }), "", 4, "template_error"),
        ("log-flood", json!({ "n": 700, "then_fail": true }), "", 4, "template_error"),
        ("stderr-flood", json!({ "n": 700, "then_fail": true }), "", 4, "template_error"),
        ("files", json!({ "files": { "index.html": "<p>no page" } }), "", 6, "output_rejected"),
    ];
    for (fault, parameters, configuration, code, kind) in rows {
        let bench = Workbench::scripted(ANY_ANSWER, configuration);
        let done = bench.generate(&guest("guest-faulty"), &faulty(fault, parameters));
        assert_eq!(done.code, code, "{fault}: {}", done.stdout);
        let releases = || {
            std::fs::read_dir(bench.sites().join("public/102/releases")).map_or(0, Iterator::count)
        };
        let before =
            (releases(), std::fs::read_link(bench.sites().join("public/102/current")).ok());
        let report = reproduced(fault, &bench, &attempt_of(&done));
        match kind {
            "released" => {
                assert_eq!(report["now"]["outcome"], "released", "{fault}");
                assert_eq!(
                    report["now"]["files"],
                    done.json()["files"].as_array().unwrap().len(),
                    "{fault}"
                );
            }
            kind => {
                assert_eq!(report["now"]["kind"], kind, "{fault}");
                let id = done.failure()["id"].as_str().unwrap().to_owned();
                assert_eq!(
                    reproduced(fault, &bench, &id)["now"],
                    report["now"],
                    "by the failure's id"
                );
                let show = bench.run(&["failures", "show", &id]);
                assert!(
                    show.stdout.contains(&format!("sitewright replay {id}")),
                    "{fault}: {}",
                    show.stdout
                );
            }
        }
        let after = (releases(), std::fs::read_link(bench.sites().join("public/102/current")).ok());
        assert_eq!(after, before, "{fault}: a replay publishes nothing");
    }
}

#[test]
fn a_document_that_is_not_an_order_is_rejected_again() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let mut order = faulty("ok", json!({}));
    order["onboarding"]["business_name"] = json!("");
    let done = bench.generate(&guest("guest-faulty"), &order);
    assert_eq!(done.code, 3);
    assert_eq!(reproduced("invalid", &bench, &attempt_of(&done))["now"]["kind"], "invalid_order");
}

#[test]
fn what_an_ai_call_failed_with_fails_again_and_no_server_is_asked() {
    let http = |status, body: Value| Answer::Http { status, headers: &[], body: body.to_string() };
    let error = |message: &str| json!({ "error": { "message": message } });
    let rows = [
        ("auth", http(401, error("no such key"))),
        ("permission", http(403, error("not for you"))),
        ("not_found", http(404, error("no such model"))),
        ("invalid_request", http(400, error("malformed"))),
        ("rate_limited", http(429, error("slow down"))),
        ("overloaded", http(503, error("too many"))),
        ("protocol", Answer::Http { status: 200, headers: &[], body: "<p>hello".to_owned() }),
        ("connection", Answer::Reset),
        ("truncated", Answer::Reply { content: "half".to_owned(), finish: "length" }),
        ("empty", Answer::Reply { content: " ".to_owned(), finish: "stop" }),
        ("content_filtered", Answer::Reply { content: "x".to_owned(), finish: "content_filter" }),
    ];
    for (kind, answer) in rows {
        let server = ChatServer::start(ANY_ANSWER, move |_| answer.clone());
        let bench = Workbench::configured(&provider(&server.base_url()));
        let done = bench.generate(&guest("guest-faulty"), &faulty("ai-error", json!({})));
        assert_eq!(done.code, 5, "{kind}: {}", done.stdout);
        assert_eq!(done.failure()["ai"]["kind"], kind, "{}", done.stdout);
        let asked = server.calls().len();
        let report = reproduced(kind, &bench, &attempt_of(&done));
        assert_eq!(
            report["failure"]["ai"],
            done.failure()["ai"],
            "{kind}: the report lists every attempt"
        );
        assert_eq!(server.calls().len(), asked, "{kind}: a replay asks nobody");
        drop(server);
        reproduced(kind, &bench, &attempt_of(&done));
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the thread of one connection, as slow as the model it stands for"
)]
#[test]
fn calls_that_were_made_at_once_end_in_the_order_they_did() {
    // The later a call starts, the sooner it is answered; some fail.
    let (next, answered) = (Mutex::new(7_u64), Condvar::new());
    let server = ChatServer::start(ANY_ANSWER, move |call| {
        let text = call.messages().join(" ");
        let number: u64 = text.rsplit("call ").next().unwrap().trim().parse().unwrap();
        let next = next.lock().unwrap();
        let mut next = answered.wait_while(next, |next| *next != number).unwrap();
        // The host has read the answer before.
        std::thread::sleep(Duration::from_millis(200));
        *next = next.wrapping_sub(1);
        answered.notify_all();
        match number {
            3 => Answer::Http { status: 400, headers: &[], body: "{}".to_owned() },
            number => Answer::Reply { content: format!("reply {number}"), finish: "stop" },
        }
    });
    let bench = Workbench::configured(&provider(&server.base_url()));
    let order = faulty("race", json!({ "n": 8, "then_fail": true }));
    let done = bench.generate(&guest("guest-faulty"), &order);
    assert_eq!(done.code, 4, "{}", done.stdout);
    let stages: Vec<String> = done.failure()["trail"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| {
            entry["args"].as_str().filter(|args| args.contains("ended")).map(str::to_owned)
        })
        .collect();
    assert!(
        stages.len() == 8 && stages[0].starts_with("call 7"),
        "the last call ended first: {stages:?}"
    );
    let asked = server.calls().len();
    drop(server);
    for _ in 0..5 {
        let report = reproduced("race", &bench, &attempt_of(&done));
        let again: Vec<&str> = report["failure"]["trail"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| entry["args"].as_str().filter(|args| args.contains("ended")))
            .collect();
        assert_eq!(again, stages);
    }
    assert_eq!(asked, 8);
}

#[test]
fn streamed_text_is_replayed_in_the_same_deltas() {
    let server = StreamServer::start(|asked, feed| {
        feed.reply(&["one ", "two ", "three ", "four"])?;
        let _ = asked;
        Ok(())
    });
    for (fault, code) in
        [("stream", 4), ("stream-trap", 4), ("stream-dropped", 4), ("streams-at-once", 4)]
    {
        let bench = Workbench::configured(&server.config(""));
        let order = faulty(fault, json!({ "n": 3, "then_fail": true }));
        let done = bench.generate(&guest("guest-faulty"), &order);
        // `stream` returns before the guest reads `then_fail`.
        assert!(
            done.code == code || (fault == "stream" && done.code == 0),
            "{fault}: {}",
            done.stdout
        );
        let asked = server.asked().len();
        reproduced(fault, &bench, &attempt_of(&done));
        assert_eq!(server.asked().len(), asked, "{fault}: a replay asks nobody");
    }
}

#[test]
fn an_attempt_that_took_replies_of_an_earlier_one_happens_again() {
    let count = AtomicUsize::new(0);
    let server =
        ChatServer::start(ANY_ANSWER, move |_| match count.fetch_add(1, Ordering::SeqCst) {
            2 => Answer::Http { status: 401, headers: &[], body: "{}".to_owned() },
            number => Answer::Reply { content: format!("reply {number}"), finish: "stop" },
        });
    let bench = Workbench::configured(&provider(&server.base_url()));
    let order = faulty("calls-in-turn", json!({ "n": 4, "then_fail": true }));
    let first = bench.generate(&guest("guest-faulty"), &order);
    assert_eq!(first.code, 5, "{}", first.stdout);
    let template = guest("guest-faulty").display().to_string();
    let resume = attempt_of(&first);
    let second = bench.run(&[
        "--json",
        "generate",
        "--template",
        &template,
        "--order",
        "order.json",
        "--resume",
        &resume,
    ]);
    assert_eq!(second.code, 4, "{}", second.stdout);
    drop(server);
    reproduced("first", &bench, &resume);
    reproduced("second", &bench, &attempt_of(&second));
    reproduced("the order", &bench, "102");
}

#[test]
fn a_timed_out_attempt_is_replayed_to_the_same_call() {
    let hanging = ChatServer::start(ANY_ANSWER, |_| Answer::Hang);
    let rows = [
        (
            "deadline",
            "ai-error",
            "[limits]\ndeadline_ms = 3000\n",
            "reproduced_up_to_the_end",
            "deadline passed there",
        ),
        (
            "sleep",
            "sleep",
            "[limits]\ndeadline_ms = 3000\n",
            "reproduced_up_to_the_end",
            "deadline passed there",
        ),
        ("cpu", "spin", "[limits]\ncpu_ms = 100\n", "reproduced", "depends on the machine"),
    ];
    for (name, fault, limits, verdict, says) in rows {
        let bench = Workbench::configured(&format!("{limits}{}", provider(&hanging.base_url())));
        let done = bench.generate(&guest("guest-faulty"), &faulty(fault, json!({})));
        assert_eq!(done.code, 4, "{name}: {}", done.stdout);
        let again = replay(&bench, &[&attempt_of(&done)]);
        assert_eq!(
            (again.code, &again.json()["verdict"]),
            (0, &json!(verdict)),
            "{name}: {}",
            again.stdout
        );
        assert!(
            again.json()["summary"].as_str().unwrap().contains(says),
            "{name}: {}",
            again.stdout
        );
        if name == "deadline" {
            let then = done.failure();
            assert_eq!(
                again.json()["failure"]["message"],
                then["message"],
                "it waited for the same call"
            );
        }
    }
}

#[test]
fn a_process_that_died_is_replayed_up_to_its_last_answer() {
    let server = ChatServer::start(ANY_ANSWER, |call| match call.contains("call 2") {
        true => Answer::Hang,
        false => Answer::Reply { content: "fine".to_owned(), finish: "stop" },
    });
    let bench = Workbench::configured(&provider(&server.base_url()));
    bench.write("order.json", faulty("calls-in-turn", json!({ "n": 4 })).to_string());
    let template = guest("guest-faulty").display().to_string();
    let mut child = bench
        .command(&["generate", "--template", &template, "--order", "order.json"])
        .spawn()
        .unwrap();
    assert!(server.wait_for(3));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(server);
    let journal =
        std::fs::read_dir(bench.sites().join("102/journal")).unwrap().next().unwrap().unwrap();
    let attempt = journal.path().file_stem().unwrap().to_string_lossy().into_owned();
    let again = replay(&bench, &[&attempt]);
    assert_eq!(again.code, 9, "its template is not known: {}", again.stdout);
    let again = replay(&bench, &[&attempt, "--template", &template]);
    let report = again.json();
    assert_eq!(
        (again.code, &report["verdict"]),
        (0, &json!("reproduced_up_to_the_end")),
        "{report:#}"
    );
    assert!(report["summary"].as_str().unwrap().contains("call-3 had no answer"), "{report:#}");
}

/// The same component with an additional custom section, and therefore another digest.
fn another_build(bench: &Workbench, of: &str) -> PathBuf {
    let mut wasm = std::fs::read(guest(of)).unwrap();
    wasm.extend([0, 6, 4, b'n', b'o', b't', b'e', b'!']);
    bench.write("another.wasm", wasm)
}

#[test]
fn another_build_of_the_template_is_fixed_or_not() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done = bench.generate(&guest("guest-faulty"), &faulty("panic-str", json!({})));
    let id = done.failure()["id"].as_str().unwrap().to_owned();
    let with = |file: &Path| replay(&bench, &[&id, "--template", &file.display().to_string()]);

    let same = with(&another_build(&bench, "guest-faulty"));
    assert_eq!(
        (same.code, &same.json()["verdict"]),
        (8, &json!("same_failure")),
        "{}",
        same.stdout
    );
    let other = with(&guest("guest-minimal"));
    assert_eq!(
        (other.code, &other.json()["verdict"]),
        (8, &json!("another_failure")),
        "{}",
        other.stdout
    );
    assert_eq!(other.json()["now"]["kind"], "output_rejected");
    let asks = with(&guest("guest-one-page"));
    assert_eq!((asks.code, &asks.json()["verdict"]), (8, &json!("unanswered")), "{}", asks.stdout);

    // Models are called only on request.
    let reply = json!({ "headline": "A headline", "lead": "A sentence about it." }).to_string();
    bench.write("ai.toml", format!("[[rule]]\n[rule.answer]\ntext = '''{reply}'''\n"));
    let fixed = replay(
        &bench,
        &[&id, "--against-live", "--template", &guest("guest-one-page").display().to_string()],
    );
    assert_eq!(
        (fixed.code, &fixed.json()["verdict"]),
        (0, &json!("fixed")),
        "{}{}",
        fixed.stdout,
        fixed.stderr
    );
    let printed = bench.run(&[
        "replay",
        &id,
        "--against-live",
        "--template",
        &guest("guest-one-page").display().to_string(),
    ]);
    assert!(
        printed.stdout.starts_with("✓ fixed: order 102 becomes a site; it was panic: "),
        "{}",
        printed.stdout
    );
    assert!(!bench.sites().join("102/current").exists(), "nothing is published");
}

#[test]
fn the_first_error_diagnostic_can_be_a_trap() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done =
        bench.generate(&guest("guest-faulty"), &faulty("complain", json!({ "then_fail": true })));
    let id = done.failure()["id"].as_str().unwrap().to_owned();
    reproduced("complain", &bench, &id);
    let trapped = replay(&bench, &[&id, "--trap-on", "report"]);
    let report = trapped.json();
    assert_eq!((trapped.code, &report["verdict"]), (0, &json!("stopped_at_report")), "{report:#}");
    let frames = report["failure"]["trap"]["frames"].as_array().unwrap();
    let own = frames.iter().find(|frame| frame["own"] == true).unwrap();
    assert!(own["function"].as_str().unwrap().contains("report_error"), "{own}");
    assert_eq!(report["failure"]["diagnostics"].as_array().unwrap().len(), 2, "{report:#}");

    let plain = bench.generate(&guest("guest-faulty"), &faulty("error", json!({})));
    let none = replay(&bench, &[&attempt_of(&plain), "--trap-on", "report"]);
    assert!(
        none.json()["notes"][0].as_str().unwrap().contains("reported no error"),
        "{}",
        none.stdout
    );
}

/// Changes the file of the only record.
fn edit_record(bench: &Workbench, edit: impl FnOnce(&mut Value)) {
    let folder = bench.sites().join("102/failures");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    edit(&mut record);
    std::fs::write(file, record.to_string()).unwrap();
}

/// The text without digests.
fn masked(text: &str) -> String {
    let is_digest = |word: &str| word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let parts = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    parts
        .map(|part| {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            if is_digest(digits) { part.replace(digits, "[digest]") } else { part.to_owned() }
        })
        .collect()
}

#[test]
fn a_divergence_names_the_first_call_that_differs() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = faulty("calls-in-turn", json!({ "n": 3, "then_fail": true, "prompt": "write " }));
    let done = bench.generate(&guest("guest-faulty"), &order);
    let attempt = attempt_of(&done);
    // Another document with the same file name: the template makes another request.
    let folder = bench.sites().join("102/documents");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(
        &file,
        faulty("calls-in-turn", json!({ "n": 3, "then_fail": true, "prompt": "tell " }))
            .to_string(),
    )
    .unwrap();
    let again = replay(&bench, &[&attempt]);
    assert_eq!(again.code, 8, "{}{}", again.stdout, again.stderr);
    let report = again.json();
    assert_eq!(report["verdict"], "diverged");
    assert_eq!(report["first_call"]["number"], 3, "{report:#}");
    assert_eq!(report["first_call"]["recorded"]["call"], "ai.complete");
    assert_ne!(report["first_call"]["recorded"]["args"], report["first_call"]["now"]["args"]);
    let text = bench.run(&["replay", &attempt]).stdout;
    insta::assert_snapshot!("divergence", masked(&text.replace(&attempt, "[attempt]")));

    // A call that was not recorded, and a recorded call that is not made.
    std::fs::write(&file, order.to_string()).unwrap();
    reproduced("as it was", &bench, &attempt);
    let calls = done.failure()["recording"]["calls"].as_str().unwrap().to_owned();
    let ends = done.failure()["recording"]["ai"].clone();
    edit_record(&bench, |record| {
        record["recording"]["calls"] = json!(calls.rsplit_once(' ').unwrap().0);
        record["recording"]["calls_total"] = json!(4);
        record["recording"]["ai"].as_array_mut().unwrap().pop();
        record["trail"].as_array_mut().unwrap().pop();
    });
    let more = replay(&bench, &[&attempt]).json();
    assert_eq!(
        (&more["verdict"], &more["first_call"]["recorded"]),
        (&json!("diverged"), &Value::Null),
        "{more:#}"
    );
    edit_record(&bench, |record| {
        record["recording"]["calls"] = json!(format!("{calls} w00112233445566"));
        record["recording"]["calls_total"] = json!(6);
        record["recording"]["ai"] = ends;
    });
    let fewer = replay(&bench, &[&attempt]).json();
    assert_eq!(
        (&fewer["verdict"], &fewer["first_call"]["now"]),
        (&json!("diverged"), &Value::Null),
        "{fewer:#}"
    );
    assert_eq!(fewer["first_call"]["number"], 6);
}

#[test]
fn files_and_messages_that_differ_are_a_divergence_too() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let done = bench.generate(&guest("guest-faulty"), &faulty("error", json!({})));
    edit_record(&bench, |record| {
        record["recording"]["files"]["list"]["index.html"] = json!("00");
        record["recording"]["files"]["sha256"] = json!("00");
        record["message"] = json!("another message");
    });
    let report = replay(&bench, &[&attempt_of(&done)]).json();
    let differs: Vec<&str> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        (&report["verdict"], differs),
        (&json!("diverged"), vec!["message", "file index.html"]),
        "{report:#}"
    );
}

#[test]
fn a_replay_reports_everything_that_is_missing() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    let template = bench.path().join("templates/faulty.wasm");
    std::fs::copy(guest("guest-faulty"), &template).unwrap();
    let order = faulty("calls-in-turn", json!({ "n": 2, "then_fail": true }));
    let done = bench.generate(Path::new("faulty"), &order);
    assert_eq!(done.code, 4, "{}", done.stdout);
    let attempt = attempt_of(&done);
    reproduced("by the template's name", &bench, &attempt);
    std::fs::remove_file(&template).unwrap();
    std::fs::remove_dir_all(bench.sites().join("102/journal")).unwrap();
    std::fs::remove_dir_all(bench.sites().join("102/documents")).unwrap();
    let again = replay(&bench, &[&attempt]);
    assert_eq!(
        (again.code, &again.json()["verdict"]),
        (9, &json!("not_replayable")),
        "{}",
        again.stdout
    );
    let missing = again.json()["missing"].to_string();
    for part in [
        "document",
        "no template file has the digest sha256:",
        "the reply to call-1",
        "the reply to call-2",
    ] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
    let printed = bench.run(&["replay", &attempt]);
    assert!(
        printed.code == 9 && printed.stderr.contains("cannot be replayed:\n    - "),
        "{}",
        printed.stderr
    );
    let unknown = bench.run(&["replay", "nobody"]);
    assert!(
        unknown.code == 2 && unknown.stderr.contains("no failure, attempt or order \"nobody\""),
        "{}",
        unknown.stderr
    );
}
