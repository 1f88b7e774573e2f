//! Calls of several tenants that wait for the limits of one provider.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};
use parking_lot::Mutex;
use serde_json::json;
use sitewright_ai::{
    AiConfig, CallContext, ChatMessage, FileJournal, Format, Gateway, Request, Role, RunJournal,
};
use sitewright_model::ai::CallId;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::connections::read;
use crate::gateway::request;

/// The calls of tenant `a` that come before the last one.
const CALLS: usize = 20;

/// The tenant of the last call, and the number of calls that are let through before it. The first
/// call finds nobody waiting, and the second one's turn is before that of who comes later.
const ROWS: [(Option<&str>, usize); 3] = [(Some("b"), 2), (None, 2), (Some("a"), CALLS)];

fn gateway(of_provider: &str) -> Gateway {
    let config: AiConfig = toml::from_str(&format!(
        "[providers.p]\n{of_provider}\n[routes.default]\ntry = [{{ provider = \"p\", model = \
         \"m\" }}]\n"
    ))
    .unwrap();
    let http = sitewright_http::client().unwrap();
    Gateway::new(&config, Path::new("."), http, &|_| None).unwrap()
}

fn call() -> CallContext {
    CallContext::new(CallId::nth(1), Instant::now() + Duration::from_secs(600))
}

/// Calls that wait, all but the first one for the others: those of as many orders of tenant `a`,
/// and then the one of the order `last`. Their results are the order and how long it has waited.
fn waiting<'a>(
    gateway: &'a Gateway,
    folder: &Path,
    last: Option<&str>,
) -> Vec<LocalBoxFuture<'a, (String, u64)>> {
    let orders = (1..=CALLS).map(|number| (format!("a{number}"), Some("a")));
    let mut calls = Vec::new();
    for (order, tenant) in orders.chain([("last".to_owned(), last)]) {
        let journal = FileJournal::open(folder.join(format!("{order}.jsonl")), None).unwrap();
        let journal =
            RunJournal::new(Arc::new(journal)).of_order(&order, tenant.map(str::to_owned));
        let context = CallContext { journal: Some(Arc::new(journal)), ..call() };
        let message = ChatMessage { role: Role::User, content: order.clone() };
        let request = Request { messages: vec![message], ..request(Format::Text) };
        let mut call = async move {
            let done = gateway.complete(context, request).await.unwrap();
            (order, done.attempts[0].waited_ms)
        }
        .boxed_local();
        // So it is in the queue before the next one comes.
        assert!((&mut call).now_or_never().is_none(), "it has to wait");
        calls.push(call);
    }
    calls
}

/// Fails unless the last call was let through after so many others, and those in their order.
fn check(mut order: Vec<String>, before: usize, last: Option<&str>) {
    let at = order.iter().position(|name| name == "last").unwrap();
    assert_eq!(at, before, "{last:?}: {order:?}");
    order.remove(at);
    let arrived: Vec<String> = (1..=CALLS).map(|number| format!("a{number}")).collect();
    assert_eq!(order, arrived, "{last:?}");
}

/// A server that answers every request, and notes what each of them says.
async fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                while let Some(request) = read(&mut stream).await {
                    let (_, body) = request.split_once("\r\n\r\n").unwrap();
                    let body: serde_json::Value = serde_json::from_str(body).unwrap();
                    let said = body["messages"][0]["content"].as_str().unwrap().to_owned();
                    noted.lock().push(said);
                    let body = json!({
                        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]
                    })
                    .to_string();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn calls_of_one_tenant_that_wait_for_a_slot_do_not_hold_up_those_of_others() {
    for (last, before) in ROWS {
        let (port, asked) = server().await;
        let gateway = gateway(&format!(
            "kind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             limits = {{ concurrency = 1 }}"
        ));
        let folder = tempfile::tempdir().unwrap();
        join_all(waiting(&gateway, folder.path(), last)).await;
        let order = std::mem::take(&mut *asked.lock());
        check(order, before, last);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_tenant_that_wait_for_a_rate_do_not_hold_up_those_of_others() {
    for (last, before) in ROWS {
        let gateway = gateway(
            "kind = \"scripted\"\nlimits = { requests_per_minute = 6 }\n\
             rules_inline = '''\n[[rule]]\nanswer = { text = \"hello\" }\n'''",
        );
        // A minute's requests may begin at once; then one each 10 s.
        for _ in 0..6 {
            gateway.complete(call(), request(Format::Text)).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let mut ended = join_all(waiting(&gateway, folder.path(), last)).await;
        ended.sort_by_key(|(_, waited_ms)| *waited_ms);
        check(ended.into_iter().map(|(order, _)| order).collect(), before, last);
    }
}
