//! Many AI calls at the same time and the connections that they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sitewright_jobs::OrderState;
use sitewright_tests::factory::{Base, Factory, Model, calls_in_turn, good};
use sitewright_tests::h2_server::{H2Server, STREAMS};
use sitewright_tests::{ANY_ANSWER, Done, Workbench};
use tokio::sync::watch;

/// Hosted models accept a hundred requests on an HTTP/2 connection. The server answers only
/// when all calls have arrived, so a call that waits for another one would hang the test.
#[tokio::test(flavor = "multi_thread")]
async fn calls_over_http_2_wait_for_the_model_and_not_for_each_other() {
    const ORDERS: usize = 250;
    let unused = Model::start(good);
    let mut factory = Factory::new(Base::Sqlite, &unused).await;
    let certificate = factory.bench.path().join("model.pem");
    let server = H2Server::bind(&certificate).await.unwrap();
    factory.set("ai.providers.local.base_url", server.base_url().unwrap());
    factory.set_env("SSL_CERT_FILE", certificate.display());
    let connections = server.connections();
    let (came, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(watch::Sender::new(false)));
    let serving = tokio::spawn(server.serve(move || {
        let (came, all) = (came.clone(), all.clone());
        async move {
            if came.fetch_add(1, Ordering::SeqCst) + 1 == ORDERS {
                all.send_replace(true);
            }
            all.subscribe().wait_for(|all| *all).await.unwrap();
            let choice = json!({ "delta": { "content": "Good." }, "finish_reason": "stop" });
            let chunk = json!({ "choices": [choice] });
            format!("data: {chunk}\n\ndata: [DONE]\n\n").into_bytes()
        }
    }));
    factory.enqueue_all((0..ORDERS).map(|n| calls_in_turn(&format!("order-{n}"), 1))).await;
    let log = factory.drain().await;
    let stats = factory.database.stats().await.unwrap();
    assert_eq!(stats.count(OrderState::Succeeded), i64::try_from(ORDERS).unwrap(), "{log}");
    let (made, fewest) = (connections.load(Ordering::SeqCst), ORDERS.div_ceil(STREAMS as usize));
    // Calls that start at the same time may each open a connection, before the first connection
    // reports that it accepts them all.
    assert!((fewest..=ORDERS).contains(&made), "{made} connections for {ORDERS} calls");
    assert!(unused.asked().is_empty());
    serving.abort();
}

#[test]
fn roots_that_cannot_be_read_are_an_error_that_names_them() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    for (variable, path) in [("SSL_CERT_FILE", "nowhere.pem"), ("SSL_CERT_DIR", "nowhere")] {
        let mut doctor = bench.command(&["doctor"]);
        doctor.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env(variable, path);
        let done = Done::from(doctor.output().unwrap());
        assert_ne!(done.code, 0);
        let output = done.stdout + &done.stderr;
        assert!(output.contains(variable) && output.contains(path), "{output}");
    }
}
