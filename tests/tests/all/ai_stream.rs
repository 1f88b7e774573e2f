//! AI calls whose text deltas a template reads while the model writes, over real sockets: the
//! deltas, the result at the end, and the clean-up after a dropped call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::failure::{FailureRecord, TrailEntry, TrailOutcome};
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Released, Services, attempt,
};
use sitewright_tests::chat_server::{REQUEST_ID, TOKENS, WAIT_TIMEOUT};
use sitewright_tests::stream_server::{Feed, StreamServer};
use sitewright_tests::{Workbench, faulty, guest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::inside;

/// A host whose AI calls go to a stream server.
struct Stage {
    bench: Workbench,
    host: Services,
}

impl Stage {
    fn new(ai: &str) -> Self {
        Stage::limited("", ai)
    }

    fn limited(limits: &str, ai: &str) -> Self {
        let bench = Workbench::configured(&format!("{limits}\n{ai}"));
        let host = inside::host(&bench, 8);
        Stage { bench, host }
    }

    async fn run(&self, fault: &str, parameters: Value) -> Outcome {
        inside::run(&self.host, &faulty(fault, parameters), AttemptId::new()).await
    }

    async fn released(&self, fault: &str, parameters: Value) -> Box<Released> {
        match self.run(fault, parameters).await {
            Outcome::Released(released) => released,
            Outcome::Failed { record, .. } => {
                panic!("{}: {}\n{:#?}", record.kind, record.message, record.trail)
            }
        }
    }

    async fn failed(&self, fault: &str, parameters: Value) -> Box<FailureRecord> {
        match self.run(fault, parameters).await {
            Outcome::Failed { record, .. } => record,
            Outcome::Released(_) => panic!("{fault} was released"),
        }
    }

    /// Runs an attempt that fails, and raises the flag when the template reports this stage.
    async fn failed_after(&self, fault: &str, stage: &str, flag: &Flag) -> Box<FailureRecord> {
        let (progress, mut watcher) = watch::channel(RunProgress::default());
        let order = faulty(fault, Value::Null);
        let run = inside::watched(&self.host, &order, AttemptId::new(), progress);
        let watch = async {
            watcher.wait_for(|progress| progress.stage == stage).await.unwrap();
            flag.raise();
        };
        match tokio::join!(run, watch).0 {
            Outcome::Failed { record, .. } => record,
            Outcome::Released(_) => panic!("{fault} was released"),
        }
    }
}

fn file(released: &Released, name: &str) -> String {
    std::fs::read_to_string(released.release.path.join(name))
        .unwrap_or_else(|error| panic!("{name} in {}: {error}", released.release.path.display()))
}

/// The streamed calls in the trail of a record.
fn streams(record: &FailureRecord) -> Vec<&TrailEntry> {
    record.trail.iter().filter(|entry| entry.call == "ai.complete-stream").collect()
}

fn outcome_text(outcome: &TrailOutcome) -> &str {
    match outcome {
        TrailOutcome::Ok => "ok",
        TrailOutcome::InFlight => "in flight",
        TrailOutcome::Error(why) => why,
    }
}

/// The text that the guest reports to have read.
fn read(record: &FailureRecord) -> String {
    let found = record.diagnostics.iter().find(|diagnostic| diagnostic.code == "read");
    found.expect("the guest told what it read").attributes["text"].clone()
}

/// A flag that one thread waits for and another raises.
#[derive(Clone, Default)]
struct Flag(Arc<(Mutex<bool>, Condvar)>);

impl Flag {
    fn raise(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) -> bool {
        let guard = self.0.0.lock().unwrap();
        !self.0.1.wait_timeout_while(guard, WAIT_TIMEOUT, |raised| !*raised).unwrap().1.timed_out()
    }
}

/// Sends text until the client disconnects.
fn pour(feed: &mut Feed) -> std::io::Result<()> {
    let text = "poured out ".repeat(100);
    loop {
        feed.text(&text)?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_reads_the_text_while_the_model_writes_and_gets_the_whole_reply() {
    let seen = Flag::default();
    let wait = seen.clone();
    let server = StreamServer::start(move |_, feed| {
        feed.text("Fresh ")?;
        feed.text("bread")?;
        // The server continues only after the template has read the first delta.
        assert!(wait.wait(), "nothing was seen of a reply that is not whole");
        feed.reply(&["", " since", " 1990 é😀."])
    });
    let stage = Stage::new(&server.config(""));
    let (progress, mut watcher) = watch::channel(RunProgress::default());
    let order = faulty("stream", Value::Null);
    let run = inside::watched(&stage.host, &order, AttemptId::new(), progress);
    let watch = async {
        watcher
            .wait_for(|progress| progress.stage == "chunks" && progress.done >= 2)
            .await
            .unwrap();
        seen.raise();
    };
    let (outcome, ()) = tokio::join!(run, watch);
    let Outcome::Released(released) = outcome else { panic!("{}", inside::ended(&outcome)) };
    assert_eq!(file(&released, "streamed.txt"), "Fresh bread since 1990 é😀.");
    assert!(file(&released, "index.html").contains("Fresh bread since 1990 é😀."));
    let call = &released.totals.ai_calls[0];
    assert_eq!(
        (call.usage.input_tokens, call.usage.output_tokens),
        (Some(TOKENS.0), Some(TOKENS.1))
    );
    assert_eq!(call.attempts[0].request_id.as_deref(), Some(REQUEST_ID));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_stream_can_be_read_as_a_stream() {
    let content = "not streamed ".repeat(2_000);
    let body = json!({
        "model": "test",
        "choices": [{
            "message": { "role": "assistant", "content": content }, "finish_reason": "stop"
        }],
    });
    let server = StreamServer::start(move |_, feed| feed.whole(200, &body));
    let stage = Stage::new(&server.config(""));
    let released = stage.released("stream", Value::Null).await;
    assert_eq!(file(&released, "streamed.txt"), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_any_length_can_be_awaited_without_reading_it() {
    let server = StreamServer::start(|_, feed| {
        for _ in 0..400 {
            feed.text(&"0123456789abcdef".repeat(256))?;
        }
        feed.stop()
    });
    let stage = Stage::new(&server.config(""));
    let released = stage.released("stream-outcome-only", Value::Null).await;
    assert_eq!(file(&released, "outcome.txt").len(), 400 * 4_096);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_go_side_by_side_and_are_not_mixed() {
    // No call is answered before all have arrived.
    let (count, waiting) = (8, Arc::new((Mutex::new(0), Condvar::new())));
    let gate = waiting.clone();
    let server = StreamServer::start(move |asked, feed| {
        feed.text(asked.prompt())?;
        let mut came = gate.0.lock().unwrap();
        *came += 1;
        gate.1.notify_all();
        let (came, waited) =
            gate.1.wait_timeout_while(came, WAIT_TIMEOUT, |came| *came < count).unwrap();
        drop(came);
        assert!(!waited.timed_out(), "it stayed alone");
        for piece in 0..200 {
            feed.text(&format!(" {piece}"))?;
        }
        feed.stop()
    });
    let stage = Stage::new(&server.config(""));
    let released = stage.released("streams-at-once", json!({ "n": count })).await;
    let rest: String = (0..200).map(|piece| format!(" {piece}")).collect();
    for number in 0..count {
        assert_eq!(file(&released, &format!("{number}.txt")), format!("call {number}{rest}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_takes_its_request_with_it_while_the_run_goes_on() {
    let gone = Flag::default();
    let (raise, wait) = (gone.clone(), gone);
    let server = StreamServer::start(move |asked, feed| {
        if asked.contains("another") {
            // The second call of the run is answered only after the connection of the first is
            // closed.
            assert!(wait.wait(), "the dropped call's connection is still open");
            return feed.reply(&["after all"]);
        }
        feed.text("a beginning")?;
        let closed = feed.until_disconnect();
        raise.raise();
        closed
    });
    let record =
        Stage::new(&server.config("")).failed("stream-dropped", json!({ "then_fail": true })).await;
    assert_eq!(record.code.as_deref(), Some("then-fail"));
    let streams = streams(&record);
    assert_eq!(streams.len(), 1);
    assert!(outcome_text(&streams[0].outcome).starts_with("cancelled: "), "{:?}", streams[0]);
    assert!(streams[0].duration_us.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_holds_the_provider_back_instead_of_filling_memory() {
    let written = Arc::new(AtomicUsize::new(0));
    let seen = written.clone();
    let server = StreamServer::start(move |asked, feed| {
        if asked.contains("another") {
            // Until the other connection accepts no more bytes.
            let mut before = usize::MAX;
            while std::mem::replace(&mut before, seen.load(Ordering::Relaxed)) != before
                || before == 0
            {
                std::thread::sleep(Duration::from_millis(300));
            }
            return feed.reply(&["full"]);
        }
        let counted = feed.written();
        let text = "poured out ".repeat(1_000);
        loop {
            feed.text(&text)?;
            seen.store(counted.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    });
    let stage = Stage::new(&server.config(""));
    let record = stage.failed("stream-unread", json!({ "then_fail": true })).await;
    assert_eq!(record.code.as_deref(), Some("then-fail"));
    assert!(server.wait_for_disconnects(1), "the unread call's connection is still open");
    // The buffers of sockets and HTTP client, and 256 KiB. A reply may have 4 MiB; this one is
    // endless.
    let written = written.load(Ordering::Relaxed);
    println!("{} KiB were taken of a stream that nobody read", written / 1024);
    assert!(written < 16 << 20, "{written} bytes were taken");
    assert!(outcome_text(&streams(&record)[0].outcome).starts_with("cancelled: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_blocked_by_unread_text_ends_at_the_calls_limit() {
    let reported = Flag::default();
    let wait = reported.clone();
    let server = StreamServer::start(move |asked, feed| {
        if asked.contains("another") {
            // This is the SDK's only call; it must not report the wait for the outcome as a
            // deadlock.
            assert!(wait.wait(), "the outcome is not told");
            return feed.reply(&["short"]);
        }
        pour(feed)
    });
    let stage = Stage::new(&server.config("call_ms = 4000"));
    let record = stage.failed_after("stream-unread-outcome", "outcome", &reported).await;
    assert_eq!(record.kind.as_str(), "ai", "{}", record.message);
    let ai = record.ai.as_ref().unwrap();
    assert_eq!(ai.kind, AiErrorKind::Cancelled);
    assert!(ai.message.as_str().contains("did not read its stream"), "{}", ai.message);
    assert!(ai.message.as_str().contains("4000 ms (call_ms)"), "{}", ai.message);
    assert_eq!(ai.attempts.len(), 1, "another try would wait as well");
    assert!(server.wait_for_disconnects(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_or_an_end_in_the_middle_of_a_stream_leaves_nothing_open() {
    for (fault, kind, connections) in [("stream-trap", "trap", 1), ("stream-left", "released", 3)] {
        let server = StreamServer::start(|_, feed| {
            feed.text("a beginning")?;
            feed.until_disconnect()
        });
        let stage = Stage::new(&server.config(""));
        let outcome = stage.run(fault, json!({ "n": 3 })).await;
        assert_eq!(inside::ended(&outcome), kind);
        assert!(server.wait_for_disconnects(connections), "{fault}: a connection is still open");
        if let Outcome::Failed { record, .. } = outcome {
            assert_eq!(
                outcome_text(&streams(&record)[0].outcome),
                "in flight",
                "it had not ended when the run did"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_or_out_of_time_closes_its_streams() {
    for (limits, cancelled, kind) in
        [("", true, "cancelled"), ("[limits]\ndeadline_ms = 3000", false, "deadline")]
    {
        let server = StreamServer::start(|_, feed| {
            feed.text("a beginning")?;
            feed.until_disconnect()
        });
        let stage = Stage::limited(limits, &server.config(""));
        let (progress, mut watcher) = watch::channel(RunProgress::default());
        let cancel = CancellationToken::new();
        let run = attempt(
            &stage.host,
            request(Value::Null, JournalUse::Off, AttemptId::new(), &cancel, progress),
        );
        let end = async {
            watcher.wait_for(|progress| progress.stage == "chunks").await.unwrap();
            if cancelled {
                cancel.cancel();
            }
        };
        let (outcome, ()) = tokio::join!(run, end);
        assert_eq!(inside::ended(&outcome), kind);
        assert!(server.wait_for_disconnects(1), "{kind}: the connection is still open");
        let Outcome::Failed { record, .. } = outcome else { panic!("{kind}") };
        assert_eq!(outcome_text(&streams(&record)[0].outcome), "in flight");
        assert!(
            cancelled || record.message.as_str().contains("waiting for ai.complete-stream"),
            "{}",
            record.message
        );
    }
}

fn request(
    parameters: Value,
    journal: JournalUse,
    id: AttemptId,
    cancel: &CancellationToken,
    progress: watch::Sender<RunProgress>,
) -> AttemptRequest {
    AttemptRequest {
        document: faulty("stream", parameters).to_string().into_bytes(),
        template: guest("guest-faulty").to_string_lossy().into_owned(),
        id,
        job: None,
        revision: None,
        journal,
        publication: Publication::Publish,
        cancel: cancel.clone(),
        progress,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_before_the_first_chunk_is_the_error_that_complete_would_give() {
    let error = json!({ "error": { "message": "no such key", "code": "invalid_api_key" } });
    let server = StreamServer::start(move |_, feed| feed.whole(401, &error));
    let record = Stage::new(&server.config("")).failed("stream", Value::Null).await;
    let ai = record.ai.as_ref().unwrap();
    assert_eq!(
        (ai.kind, ai.attempts.len(), ai.attempts[0].status),
        (AiErrorKind::Auth, 1, Some(401))
    );
    assert_eq!(read(&record), "");
    assert!(outcome_text(&streams(&record)[0].outcome).starts_with("auth: "));
}

/// Each fault after the first chunk of a stream: error kind and a part of the message.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_after_its_first_chunk_fails_and_is_not_begun_again() {
    type Break = fn(&mut Feed) -> std::io::Result<()>;
    let rows: [(&str, Break, AiErrorKind); 5] = [
        (
            "an error frame",
            |feed| {
                feed.event(
                    r#"{"error":{"message":"The server is overloaded","type":"server_error","code":503}}"#,
                )
            },
            AiErrorKind::Overloaded,
        ),
        ("an end without marker", |_| Ok(()), AiErrorKind::Truncated),
        ("a stall", |feed| feed.until_disconnect(), AiErrorKind::Timeout),
        ("rubbish", |feed| feed.event("<html>"), AiErrorKind::Protocol),
        (
            "a cut",
            |feed| {
                feed.event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#)?;
                feed.event("[DONE]")
            },
            AiErrorKind::Truncated,
        ),
    ];
    for (name, end, kind) in rows {
        let seen = Flag::default();
        let wait = seen.clone();
        let server = StreamServer::start(move |_, feed| {
            feed.text("a beginning")?;
            // Text in the final chunk is not passed on.
            assert!(wait.wait(), "the beginning was not seen");
            end(feed)
        });
        let stage = Stage::new(&server.config("idle_ms = 3000"));
        let record = stage.failed_after("stream", "chunks", &seen).await;
        let ai = record.ai.as_ref().unwrap_or_else(|| panic!("{name}: {}", record.message));
        assert_eq!(ai.kind, kind, "{name}: {}", ai.message);
        assert_eq!(
            (ai.attempts.len(), server.asked().len()),
            (1, 1),
            "{name}: nothing may be mixed"
        );
        assert!(ai.message.as_str().contains("not tried again"), "{name}: {}", ai.message);
        assert_eq!(ai.attempts[0].request_id.as_deref(), Some(REQUEST_ID), "{name}");
        assert_eq!(read(&record), "a beginning", "{name}: what came stays read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_chunk_a_call_is_tried_again_as_ever() {
    let server = StreamServer::start(|asked, feed| match asked.number {
        0 => feed.whole(503, &json!({ "error": { "message": "busy" } })),
        // Whitespace is not the beginning of a reply.
        1 => feed.reply(&["\n", " "]),
        _ => feed.reply(&["\n", "at last"]),
    });
    let more = "retry = { attempts = 3, base_ms = 1, max_ms = 10 }";
    let stage = Stage::new(&server.config(more));
    let released = stage.released("stream", Value::Null).await;
    assert_eq!(file(&released, "streamed.txt"), "\nat last");
    assert_eq!(released.totals.ai_calls[0].attempts.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_read_as_it_comes_and_checked_in_the_end() {
    let server = StreamServer::start(|asked, feed| match asked.contains("wrong") {
        true => feed.reply(&["{\"name\"", ": 7}"]),
        false => feed.reply(&["Here it is: ", "{\"name\"", ": \"Ana\"}"]),
    });
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let stage = Stage::new(&server.config(""));
    let right = json!({ "format": "json-schema", "schema": schema, "prompt": "right" });
    let released = stage.released("stream", right).await;
    assert_eq!(file(&released, "streamed.txt"), "Here it is: {\"name\": \"Ana\"}");
    assert!(!file(&released, "index.html").contains("Here it is"), "the reply is the JSON alone");

    let wrong = json!({ "format": "json-schema", "schema": schema, "prompt": "wrong" });
    let record = stage.failed("stream", wrong).await;
    let ai = record.ai.as_ref().unwrap();
    assert_eq!(
        (ai.kind, ai.attempts.len()),
        (AiErrorKind::SchemaMismatch, 1),
        "no second reply in one stream"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_of_the_journal_is_read_along_and_not_paid_for_again() {
    let asked = Arc::new(AtomicBool::new(false));
    let once = asked.clone();
    let server = StreamServer::start(move |_, feed| {
        assert!(!once.swap(true, Ordering::Relaxed), "asked again");
        feed.reply(&["paid", " for", " once"])
    });
    let stage = Stage::new(&server.config(""));
    let cancel = CancellationToken::new();
    let first = AttemptId::new();
    let fail = json!({ "prompt": "same" });
    let run = |journal, id| {
        attempt(&stage.host, request(fail.clone(), journal, id, &cancel, watch::Sender::default()))
    };
    let Outcome::Released(_) = run(JournalUse::Keep, first).await else {
        panic!("the first attempt failed")
    };
    let Outcome::Released(second) = run(JournalUse::Resume(first), AttemptId::new()).await else {
        panic!("the second attempt failed")
    };
    assert_eq!(file(&second, "streamed.txt"), "paid for once");
    assert!(second.totals.ai_calls[0].replayed);
    drop(stage.bench);
}

#[tokio::test(flavor = "multi_thread")]
async fn streamed_calls_count_and_too_many_are_refused() {
    let server = StreamServer::start(|_, feed| feed.reply(&["one of three"]));
    let stage = Stage::limited("[limits]\nai_calls = 3", &server.config(""));
    let record = stage.failed("streams-held", json!({ "n": 1_000, "then_fail": true })).await;
    let refused =
        record.diagnostics.iter().filter(|diagnostic| diagnostic.code == "budget-exceeded");
    assert_eq!(server.asked().len(), 3);
    assert!(refused.count() > 200, "the newest are kept");
    assert_eq!(record.limits["ai_calls"].used, 1_000);

    // The number of rejected calls whose streams a guest keeps is limited too.
    let record = stage.failed("streams-held", json!({ "n": 1_025 })).await;
    assert_eq!(record.kind.as_str(), "trap");
    assert!(record.message.as_str().contains("holds 1024 AI streams"), "{}", record.message);
}
