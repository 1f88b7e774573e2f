//! Replies that answer equal requests of several orders.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use sitewright_ai::{
    AiConfig, CacheKey, CallContext, FileJournal, Format, Gateway, JournalEntry, ReplyCache,
    ReplyJudge, ReplySchema, Request, RunJournal, TextSink, ToJudge,
};
use sitewright_model::ai::{CallId, Completed, ReplySource};
use sitewright_model::failure::Problem;
use sitewright_model::message;
use sitewright_model::message::Message;
use tokio::time::Instant;

use crate::gateway::request;

/// A cache in memory.
#[derive(Debug, Default)]
struct Memory {
    entries: Mutex<HashMap<String, (JournalEntry, Duration)>>,
    is_broken: bool,
}

#[async_trait]
impl ReplyCache for Memory {
    async fn lookup(&self, key: &CacheKey) -> Option<JournalEntry> {
        self.entries.lock().get(&key.digest).map(|(entry, _)| entry.clone())
    }

    async fn store(
        &self,
        key: &CacheKey,
        entry: &JournalEntry,
        keep: Duration,
    ) -> Result<(), Message> {
        if self.is_broken {
            return Err(message!("the disk is full"));
        }
        assert_eq!(key.call, entry.key);
        self.entries.lock().insert(key.digest.clone(), (entry.clone(), keep));
        Ok(())
    }
}

/// A gateway whose scripted model numbers its replies.
fn gateway(route: &str) -> Gateway {
    let rules: String = (1..=9)
        .map(|number| format!("[[rule]]\ntimes = 1\nanswer = {{ text = \"{number}\" }}\n"))
        .collect();
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\nkind = \"scripted\"\nrules_inline = \'\'\'\n{rules}\'\'\'\n\
         [prices.m]\ninput_per_million = 1.0\noutput_per_million = 1.0\n[routes.default]\n{route}"
    ))
    .unwrap();
    let http = sitewright_http::client().unwrap();
    Gateway::new(&config, Path::new("."), http, &|_| None).unwrap()
}

/// One order's run.
fn order(cache: &Arc<Memory>) -> CallContext {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path().join("journal.jsonl"), None).unwrap();
    let journal = RunJournal::new(Arc::new(journal)).with_cache(cache.clone());
    let deadline = Instant::now() + Duration::from_secs(60);
    let journal = Some(Arc::new(journal));
    CallContext { journal, ..CallContext::new(CallId::nth(1), deadline) }
}

async fn ask(gateway: &Gateway, call: &CallContext, request: Request) -> Completed {
    gateway.complete(call.clone(), request).await.unwrap()
}

async fn said(gateway: &Gateway, call: &CallContext, request: Request) -> String {
    ask(gateway, call, request).await.completion.content
}

const SHARED: &str = "try = [{ provider = \"p\", model = \"m\" }]\ncache = \"24h\"\n";

#[tokio::test]
async fn a_route_may_share_its_replies_among_orders() {
    let cache = Arc::new(Memory::default());
    let gateway = self::gateway(SHARED);
    let text = || request(Format::Text);
    let first = order(&cache);
    let paid = ask(&gateway, &first, text()).await;
    assert_eq!((paid.completion.content.as_str(), paid.source), ("1", ReplySource::Provider));
    assert_eq!(cache.entries.lock().values().next().unwrap().1, Duration::from_secs(86_400));
    // The same request again, in the same run, is another one.
    assert_eq!(said(&gateway, &first, text()).await, "2");

    let second = order(&cache);
    let (mut sink, mut chunks) = TextSink::channel();
    let shared = gateway.stream(&second, &text(), &mut sink).await.unwrap();
    sink.rest(&shared).await;
    drop(sink);
    assert_eq!(chunks.recv().await.as_deref(), Some("1"));
    let saved = ReplySource::Cache { saved_usd: paid.cost_usd() };
    assert_eq!((shared.source, shared.attempts.len()), (saved, 0));
    assert_eq!(shared.completion.usage, paid.completion.usage);
    assert_eq!(shared.cost_usd(), None, "it cost nothing");
    assert!(paid.cost_usd().is_some());
    assert_eq!(said(&gateway, &second, text()).await, "2");
    assert_eq!(said(&gateway, &second, text()).await, "3");
}

#[tokio::test]
async fn only_an_equal_request_gets_the_reply() {
    let cache = Arc::new(Memory::default());
    let gateway = self::gateway(SHARED);
    let text = || request(Format::Text);
    let schema = ReplySchema::compile(&json!({ "type": "integer" }).to_string()).unwrap();
    let mut longer = text();
    longer.messages[0].content.push('!');
    let requests = [
        text(),
        longer,
        Request { temperature: Some(0.5), ..text() },
        Request { seed: Some(1), ..text() },
        Request { max_output_tokens: Some(9), ..text() },
        Request { stop: vec!["x".to_owned()], ..text() },
        request(Format::JsonSchema(schema)),
    ];
    for (number, asked) in requests.iter().enumerate() {
        for _ in 0..2 {
            let reply = said(&gateway, &order(&cache), asked.clone()).await;
            assert_eq!(reply, (number + 1).to_string(), "{asked:?}");
        }
    }
    // Another route, or other candidates, or settings: another reply.
    let candidate = "{ provider = \"p\", model = \"m\"";
    for other in [
        format!("try = [{candidate}, temperature = 0.1 }}]\ncache = \"1h\"\n"),
        "try = [{ provider = \"p\", model = \"n\" }]\ncache = \"1h\"\n".to_owned(),
        format!("{SHARED}[routes.copywriting]\n{SHARED}"),
    ] {
        let before = cache.entries.lock().len();
        assert_eq!(said(&self::gateway(&other), &order(&cache), text()).await, "1", "{other}");
        assert_eq!(cache.entries.lock().len(), before + 1, "{other}");
    }
    // Without `cache` none is looked up, and none stored.
    let before = cache.entries.lock().len();
    let own = self::gateway(&format!("try = [{candidate} }}]\n"));
    assert_eq!(ask(&own, &order(&cache), text()).await.source, ReplySource::Provider);
    assert_eq!(cache.entries.lock().len(), before);
}

/// Refuses the first texts.
#[derive(Debug)]
struct Refuses(AtomicU32);

impl ReplyJudge for Refuses {
    fn judge(&self, reply: ToJudge<'_>) -> Result<(), Vec<Problem>> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        let message = format!("not {}", reply.reply);
        let problem = Problem { at: String::new(), rule: None, message };
        left.map_or(Ok(()), |_| Err(vec![problem]))
    }
}

#[tokio::test]
async fn a_reply_that_an_order_cannot_use_is_asked_for() {
    let cache = Arc::new(Memory::default());
    let gateway = self::gateway(SHARED);
    let text = || request(Format::Text);
    assert_eq!(said(&gateway, &order(&cache), text()).await, "1");
    let strict = CallContext { judge: Some(Arc::new(Refuses(AtomicU32::new(1)))), ..order(&cache) };
    let own = ask(&gateway, &strict, text()).await;
    assert_eq!((own.completion.content.as_str(), own.source), ("2", ReplySource::Provider));
    assert_eq!(said(&gateway, &order(&cache), text()).await, "2", "the newer one is shared");
}

#[tokio::test]
async fn a_cache_that_fails_fails_no_call() {
    let cache = Arc::new(Memory { is_broken: true, ..Memory::default() });
    let gateway = self::gateway(SHARED);
    for reply in ["1", "2"] {
        assert_eq!(said(&gateway, &order(&cache), request(Format::Text)).await, reply);
    }
}
