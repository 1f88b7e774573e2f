//! Receivers that redirect or want nothing more, and addresses that must not be called.

on_both!(
    a_redirect_is_not_followed,
    a_receiver_that_is_gone_is_disabled,
    a_private_address_is_not_called,
    an_answer_without_its_body_counts,
    an_answer_without_end_is_cut_off,
);

mod tests {
    use axum::http::header::LOCATION;

    use crate::*;

    pub(super) async fn a_redirect_is_not_followed(place: Place) {
        let database = place.database().await;
        let target = Receiving::willing().await;
        let to = format!("http://{}/", target.address);
        let redirecting = Receiving::start(move |number| {
            let to = to.clone();
            async move {
                let codes = [301, 302, 303, 307, 308];
                let status = StatusCode::from_u16(codes[number % codes.len()]).unwrap();
                (status, [(LOCATION, to)]).into_response()
            }
        })
        .await;
        let webhooks = read([("crm", config(redirecting.address))], None);
        let started = dispatch(&database, webhooks).await;
        cancelled(&database, "1").await;
        until("all redirects were tried", || async { redirecting.got().len() >= 5 }).await;
        started.stop().await;
        assert_eq!(target.got().len(), 0);
        let (delivery, attempts) = only_delivery(&database).await;
        assert_eq!(delivery.state, DeliveryState::Pending);
        let error = attempts[0].error.as_deref().unwrap();
        assert!(error.contains("301") && error.contains("redirects are not followed"), "{error}");
    }

    pub(super) async fn a_receiver_that_is_gone_is_disabled(place: Place) {
        let database = place.database().await;
        let gone = Receiving::start(|_| async { StatusCode::GONE.into_response() }).await;
        let webhooks = read([("crm", config(gone.address))], None);
        let started = dispatch(&database, webhooks).await;
        cancelled(&database, "1").await;
        until_all(&database, DeliveryState::GivenUp).await;
        cancelled(&database, "2").await;
        let (delivery, _) = only_delivery(&database).await;
        assert!(delivery.last_error.unwrap().contains("410 Gone"));
        let webhook = database.webhooks().await.unwrap().remove(0);
        assert!(webhook.disabled_at.is_some(), "{webhook:?}");
        // Enabled, it is told of what happens from then on, and of what is asked for.
        database.enable_webhook("crm").await.unwrap();
        database.redeliver(&delivery.id).await.unwrap();
        until("it is called again", || async { gone.got().len() == 2 }).await;
        started.stop().await;
    }

    /// Whatever its name: nothing is connected.
    pub(super) async fn a_private_address_is_not_called(place: Place) {
        let database = place.database().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let public = CallbackConfig { allow_private: false, ..callbacks() };
        let named = WebhookConfig {
            url: format!("https://localhost:{}/hook", address.port()),
            allow_private: false,
            ..config(address)
        };
        // The rules were other ones when these orders were added.
        for (order, url) in [
            ("1", format!("http://{address}/")),
            ("2", format!("https://{address}/")),
            ("3", format!("https://[::ffff:127.0.0.1]:{}/", address.port())),
        ] {
            cancelled_with(&database, order, Some(url)).await;
        }
        cancelled_with(&database, "4", Some(format!("https://localhost:{}/", address.port())))
            .await;
        let started = dispatch(&database, read([("crm", named)], Some(&public))).await;
        cancelled(&database, "5").await;
        until("all were tried", || async {
            let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
            all.len() == 5 && all.iter().all(|one| one.attempts > 0)
        })
        .await;
        started.stop().await;
        assert!(listener.accept().is_err(), "somebody connected");
        let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
        for delivery in all {
            let error = delivery.last_error.unwrap();
            let (state, says) = match delivery.order.as_deref() {
                Some("1") => (DeliveryState::GivenUp, "begins with http://"),
                Some("2" | "3") => (DeliveryState::GivenUp, "is not a public address"),
                _ => (DeliveryState::Pending, "has no public address"),
            };
            assert_eq!(delivery.state, state, "{error}");
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(database.webhooks().await.unwrap()[0].name, CALLBACK);
    }

    /// A receiver that answers and then stalls has got it.
    pub(super) async fn an_answer_without_its_body_counts(place: Place) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let database = place.database().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4_096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
                stream.write_all(answer).await.unwrap();
                open.push(stream);
            }
        });
        let started = dispatch(&database, read([("crm", config(address))], None)).await;
        cancelled(&database, "1").await;
        until_all(&database, DeliveryState::Delivered).await;
        started.stop().await;
        let (_, attempts) = only_delivery(&database).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].status, attempts[0].body.as_deref()), (Some(200), Some("half")));
    }

    /// Whatever it consists of. A connection that ends at 256 KiB keeps no thread busy.
    pub(super) async fn an_answer_without_end_is_cut_off(place: Place) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let database = place.database().await;
        let willing = Receiving::willing().await;
        let mut floods = Vec::new();
        for part in [
            &b"HTTP/1.1 103 E\r\n\r\n"[..],
            b"HTTP/1.1 100 Continue\r\na: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na: b\r\n",
            b"x",
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            floods.push((
                address,
                tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut head = [0; 4_096];
                    assert!(stream.read(&mut head).await.unwrap() > 0);
                    let parts = part.repeat((64 << 10) / part.len());
                    while stream.write_all(&parts).await.is_ok() {}
                }),
            ));
        }
        let started = dispatch(&database, read([], Some(&callbacks()))).await;
        for (order, (address, _)) in floods.iter().enumerate() {
            let url = format!("http://{address}/");
            cancelled_with(&database, &format!("flood-{order}"), Some(url)).await;
        }
        let url = format!("http://{}/", willing.address);
        cancelled_with(&database, "1", Some(url)).await;
        until("the other one is told", || async { !willing.got().is_empty() }).await;
        until("all were tried", || async {
            let all = database.deliveries(&DeliveryFilter::default()).await.unwrap();
            all.iter().all(|one| one.attempts > 0)
        })
        .await;
        started.stop().await;
        for delivery in database.deliveries(&DeliveryFilter::default()).await.unwrap() {
            let (_, attempts) = database.delivery(&delivery.id).await.unwrap().unwrap();
            let first = attempts[0].error.clone();
            match delivery.order.as_deref() {
                Some("flood-0" | "flood-1") => {
                    let first = first.unwrap();
                    assert!(first.ends_with("with its heads, has more than 256 KiB"), "{first}");
                }
                Some("1") => assert_eq!(first, None),
                _ => assert!(!first.unwrap().starts_with("no answer within")),
            }
        }
        for (_, flood) in floods {
            flood.await.unwrap();
        }
    }
}
