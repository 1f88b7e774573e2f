//! Server-Sent Events: one order, all orders, and connecting again.

on_both!(
    an_order_is_followed_to_its_end,
    a_listener_that_connects_again_misses_nothing,
    a_stream_ends_with_its_token,
    all_orders,
    an_event_reaches_a_listener_soon,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_has_heartbeats_and_ends_with_the_server() {
    use crate::*;
    let place = Place::sqlite();
    let api = place.serve().await;
    api.add("1").await;
    let mut stream = tests::Stream::open(&api, "/v1/orders/1/events", None).await;
    assert_eq!(stream.next().await.unwrap().name, "state");
    until("heartbeats", || {
        let heartbeats = stream.heartbeats;
        let more = stream.wait(Duration::from_millis(100));
        async move {
            more.await;
            heartbeats >= 2
        }
    })
    .await;
    api.stop.cancel();
    assert!(stream.next().await.is_none(), "the stream has ended");
    assert!(api.serving.await.unwrap(), "all requests ended in time");
}

pub(crate) mod tests {
    use futures::StreamExt as _;

    use crate::*;
    use sitewright_jobs::NewEvent;

    /// An event as a client reads it.
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) struct Sent {
        pub(crate) id: Option<i64>,
        pub(crate) name: String,
        pub(crate) data: Value,
    }

    /// A stream of events.
    pub(crate) struct Stream {
        chunks: std::pin::Pin<Box<dyn futures::Stream<Item = String> + Send>>,
        text: String,
        pub(super) heartbeats: usize,
    }

    impl Stream {
        pub(crate) async fn open(api: &Api, path: &str, last: Option<i64>) -> Self {
            let mut request = api.request(Method::GET, path);
            if let Some(last) = last {
                request = request.header("last-event-id", last);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let chunks = response.bytes_stream().map(|chunk| {
                chunk.map_or_else(
                    |_| String::new(),
                    |chunk| String::from_utf8(chunk.to_vec()).unwrap(),
                )
            });
            Stream { chunks: Box::pin(chunks), text: String::new(), heartbeats: 0 }
        }

        /// Reads for this long.
        pub(super) fn wait(&mut self, time: Duration) -> impl Future<Output = ()> + use<> {
            let read = futures::FutureExt::now_or_never(self.chunks.next());
            if let Some(Some(chunk)) = read {
                self.heartbeats += chunk.matches(": heartbeat").count();
                self.text.push_str(&chunk);
            }
            tokio::time::sleep(time)
        }

        /// The next event; `None` at the end of the stream.
        pub(crate) async fn next(&mut self) -> Option<Sent> {
            loop {
                while let Some((block, rest)) = self.text.split_once("\n\n") {
                    let (block, rest) = (block.to_owned(), rest.to_owned());
                    self.text = rest;
                    if let Some(sent) = self.read(&block) {
                        return Some(sent);
                    }
                }
                let chunk = tokio::time::timeout(Duration::from_secs(20), self.chunks.next());
                let chunk = chunk.await.expect("an event within 20 s")?;
                self.heartbeats += chunk.matches(": heartbeat").count();
                self.text.push_str(&chunk);
            }
        }

        fn read(&self, block: &str) -> Option<Sent> {
            let field = |name: &str| {
                let lines = block.lines();
                lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).next()
            };
            Some(Sent {
                id: field("id").map(|id| id.parse().unwrap()),
                name: field("event")?.to_owned(),
                data: serde_json::from_str(field("data")?).unwrap(),
            })
        }

        /// The next progress event's stage.
        async fn stage(&mut self) -> (i64, String) {
            loop {
                let sent = self.next().await.expect("the stream goes on");
                if sent.name == "progress" {
                    return (sent.id.unwrap(), sent.data["stage"].as_str().unwrap().to_owned());
                }
            }
        }

        /// Waits for a state of an order.
        async fn state(&mut self, order: &str, state: &str) {
            loop {
                let sent = self.next().await.expect("the stream goes on");
                if sent.name == "state"
                    && sent.data["order"] == order
                    && sent.data["state"] == state
                {
                    return;
                }
            }
        }
    }

    async fn progress(api: &Api, order: &str, stages: &[&str]) {
        let event = |stage: &&str| NewEvent {
            order: order.to_owned(),
            attempt: None,
            stage: (*stage).to_owned(),
            done: Some(1),
            total: Some(2),
            message: Some("two\nlines".to_owned()),
        };
        api.database.record_events(stages.iter().map(event).collect()).await.unwrap();
    }

    pub(super) async fn an_order_is_followed_to_its_end(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        api.add("2").await;
        progress(&api, "1", &["before"]).await;
        let mut stream = Stream::open(&api, "/v1/orders/1/events", None).await;
        assert_eq!(stream.stage().await.1, "before");
        let first = stream.next().await.unwrap();
        assert_eq!((first.name.as_str(), &first.data["state"]), ("state", &json!("queued")));

        let claimed = api.claim("1").await;
        stream.state("1", "running").await;
        progress(&api, "2", &["of another order"]).await;
        progress(&api, "1", &["writing"]).await;
        let (_, stage) = stream.stage().await;
        assert_eq!(stage, "writing");
        progress(&api, "1", &["late"]).await;
        api.complete(&claimed, Resolution::Succeeded { release: "r1".to_owned() }).await;
        assert_eq!(stream.stage().await.1, "late");
        let mut names = Vec::new();
        while let Some(sent) = stream.next().await {
            names.push((sent.name, sent.data["state"].clone(), sent.data["release"].clone()));
        }
        let end = |name: &str| (name.to_owned(), json!("succeeded"), json!("r1"));
        assert_eq!(names, [end("state"), end("end")]);

        // An `EventSource` connects again when a stream ends; 204 tells it to stop.
        let last = api.database.last_event().await.unwrap();
        let again = api.request(Method::GET, "/v1/orders/1/events").header("last-event-id", last);
        assert_eq!(send(again).await.status, StatusCode::NO_CONTENT);
        let wrong = api.request(Method::GET, "/v1/orders/1/events").header("last-event-id", "x");
        send(wrong).await.is_problem(400, "bad_request");

        let mut stream = Stream::open(&api, "/v1/orders/2/events", None).await;
        stream.state("2", "queued").await;
        send(api.request(Method::DELETE, "/v1/orders/2")).await;
        let names: Vec<String> = [stream.next().await, stream.next().await]
            .into_iter()
            .flatten()
            .map(|sent| sent.name)
            .collect();
        assert_eq!(names, ["erased"]);
    }

    pub(super) async fn a_listener_that_connects_again_misses_nothing(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        // More than a page of the database.
        let stages: Vec<String> = (0..1_203).map(|n| format!("s{n}")).collect();
        let names: Vec<&str> = stages.iter().map(String::as_str).collect();
        progress(&api, "1", &names[..1_200]).await;
        let mut stream = Stream::open(&api, "/v1/orders/1/events", None).await;
        let mut read = Vec::new();
        let mut last = 0;
        for _ in 0..700 {
            let (id, stage) = stream.stage().await;
            assert!(id > last, "{id} after {last}");
            last = id;
            read.push(stage);
        }
        drop(stream);
        progress(&api, "1", &names[1_200..1_202]).await;
        let mut stream = Stream::open(&api, "/v1/orders/1/events", Some(last)).await;
        while read.len() < 1_202 {
            read.push(stream.stage().await.1);
        }
        progress(&api, "1", &names[1_202..]).await;
        read.push(stream.stage().await.1);
        assert_eq!(read, stages);
    }

    pub(super) async fn a_stream_ends_with_its_token(place: Place) {
        let mut api = place.serve().await;
        api.add("1").await;
        api.log_in(&[Scope::Read]).await;
        let mut of_order = Stream::open(&api, "/v1/orders/1/events", None).await;
        let mut of_all = Stream::open(&api, "/v1/events", None).await;
        let kept = new_token(&api.database, &[Scope::Read], None).await;
        let token = api.token.replace(kept);
        let mut other = Stream::open(&api, "/v1/events", None).await;
        let digest = sitewright_control::digest_of(&token.unwrap().into()).unwrap();
        let id = api.database.token_of(&digest).await.unwrap().unwrap().id;
        api.database.revoke_token(&id).await.unwrap();
        for stream in [&mut of_order, &mut of_all] {
            while stream.next().await.is_some() {}
        }
        // The others go on.
        progress(&api, "1", &["a"]).await;
        assert_eq!(other.stage().await.1, "a");
    }

    /// On PostgreSQL the database is looked at every 5 s if nothing is told. Each event but the
    /// first follows soon after one that has come, so it would wait for more than 4 s if nothing was
    /// told of it. Most are enough, since the machine may be busy.
    pub(super) async fn an_event_reaches_a_listener_soon(place: Place) {
        let api = place.serve().await;
        api.add("1").await;
        let mut stream = Stream::open(&api, "/v1/orders/1/events", None).await;
        stream.state("1", "queued").await;
        // It listens by now.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut soon = 0;
        for (number, pause) in [300, 700, 500, 900, 600].into_iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let began = Instant::now();
            let stage = format!("s{number}");
            progress(&api, "1", &[&stage]).await;
            assert_eq!(stream.stage().await.1, stage);
            soon += usize::from(began.elapsed() < Duration::from_secs(3));
        }
        assert!(soon >= 4, "{soon} of 5 came within 3 s");
        let began = Instant::now();
        api.claim("1").await;
        stream.state("1", "running").await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }

    pub(super) async fn all_orders(place: Place) {
        let api = place.serve().await;
        progress(&api, "old", &["before"]).await;
        let last = api.database.last_event().await.unwrap();
        let mut live = Stream::open(&api, "/v1/events", None).await;
        api.add("1").await;
        live.state("1", "queued").await;
        progress(&api, "1", &["a"]).await;
        progress(&api, "2", &["b"]).await;
        assert_eq!((live.stage().await.1, live.stage().await.1), ("a".to_owned(), "b".to_owned()));
        let claimed = api.claim("1").await;
        live.state("1", "running").await;
        api.complete(&claimed, Resolution::Failed { failure: failure("trap") }).await;
        live.state("1", "failed").await;

        let mut later = Stream::open(&api, "/v1/events", Some(last)).await;
        assert_eq!(
            (later.stage().await.1, later.stage().await.1),
            ("a".to_owned(), "b".to_owned())
        );
        let mut all = Stream::open(&api, "/v1/events", Some(0)).await;
        assert_eq!(all.stage().await.1, "before");
    }
}
