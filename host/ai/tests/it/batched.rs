//! Calls whose order waits for batches: when their attempt may end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use sitewright_ai::{
    AiConfig, BatchAnswer, BatchQueue, BatchedCall, BatchedEnd, CallContext, FileJournal, Format,
    Gateway, JournalKey, KnownCall, NewBatchCall, RunJournal,
};
use sitewright_model::ai::CallId;
use tokio::time::{Instant, timeout};

use crate::gateway::request;

/// What a queue was asked for, in its order.
type Notes = Arc<Mutex<Vec<&'static str>>>;

/// A queue that knows this of each call.
#[derive(Debug)]
struct Noting {
    known: KnownCall,
    notes: Notes,
}

impl Noting {
    fn note(&self, what: &'static str) {
        self.notes.lock().unwrap().push(what);
    }
}

/// As long as it is there, the attempt does not end.
struct Kept(Notes);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("may end");
    }
}

#[async_trait]
impl BatchQueue for Noting {
    async fn known(&self, _key: &JournalKey) -> KnownCall {
        self.note("looked for");
        self.known.clone()
    }

    async fn add(&self, _call: NewBatchCall) -> BatchedCall {
        self.note("added");
        BatchedCall::Waits
    }

    async fn end(&self, _key: &JournalKey, end: BatchedEnd) {
        assert_eq!(end, BatchedEnd::Used);
        self.note("used");
    }

    fn directly(&self) -> Box<dyn Send + Sync> {
        self.note("is kept");
        Box::new(Kept(self.notes.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_may_end_when_its_call_waits_and_not_while_its_answer_is_read_or_stored() {
    let answer = json!({
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "hello" },
        }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    });
    let answered = KnownCall::Answered(BatchAnswer {
        provider: "p".to_owned(),
        model: "m".to_owned(),
        answer: answer.to_string(),
    });
    let sent = KnownCall::Sent { purpose: "copywriting".to_owned(), provider: "p".to_owned() };
    // What the queue knows, whether the call ends, and what happens.
    let rows: [(KnownCall, bool, &[&str]); 3] = [
        (answered, true, &["is kept", "looked for", "used", "may end"]),
        (sent, false, &["is kept", "looked for", "may end"]),
        (
            KnownCall::Unknown,
            false,
            &["is kept", "looked for", "may end", "is kept", "added", "may end"],
        ),
    ];
    let config: AiConfig = toml::from_str(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nbatch = \
         \"openai\"\n[routes.default]\ntry = [{ provider = \"p\", model = \"m\" }]\n",
    )
    .unwrap();
    let client = sitewright_http::client().unwrap();
    let gateway = Gateway::new(&config, Path::new("."), client, &|_: &str| None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (number, (known, ends, expected)) in rows.into_iter().enumerate() {
        let notes = Notes::default();
        let queue = Arc::new(Noting { known, notes: notes.clone() });
        let file = folder.path().join(format!("{number}.jsonl"));
        let journal = RunJournal::new(Arc::new(FileJournal::open(file, None).unwrap()));
        let call = CallContext {
            journal: Some(Arc::new(journal.with_batches(queue))),
            ..CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(600))
        };
        let call = gateway.complete(call, request(Format::Text));
        // One that waits is ended from outside.
        match timeout(Duration::from_secs(1), call).await {
            Ok(done) => {
                assert!(ends, "{expected:?}");
                assert_eq!(done.unwrap().completion.content, "hello");
            }
            Err(_) => assert!(!ends, "{expected:?}"),
        }
        assert_eq!(*notes.lock().unwrap(), expected);
    }
}
