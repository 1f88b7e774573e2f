//! Orders that are accepted through `POST /v1/orders`, and through a webhook.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use tokio::task::JoinSet;

use super::fill::Texts;
use super::{Args, Rows, SECRET, TEMPLATE, percentile};
use crate::process::Server;
use crate::table::count;

/// How long all webhooks may take to become orders.
const MAPPED_WITHIN: Duration = Duration::from_secs(600);

/// Where orders are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Api,
    Hook,
    /// The application that hands them to Celery.
    Celery,
}

pub(super) async fn measure(
    server: &Server,
    args: &Args,
    texts: &Texts,
    database: &str,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    for (door, name) in [(Door::Api, "POST /v1/orders"), (Door::Hook, "POST /hooks/{source}")] {
        let before = server.process.cpu()?;
        let url = match door {
            Door::Hook => server.url("/hooks/crm"),
            Door::Api | Door::Celery => server.url(&format!("/v1/orders?template={TEMPLATE}")),
        };
        let sent = send(url.into(), args, texts, door, database).await?;
        let cpu = server.process.cpu()?.saturating_sub(before);
        let orders = args.posts as f64;
        rows.add(
            &format!("orders accepted/s, {name}, {} connections, {database}", args.connections),
            count(orders / sent.took.as_secs_f64()),
        );
        rows.add(
            "… latency, median / 99th percentile",
            format!("{:.1} / {:.1} ms", percentile(&sent.ms, 50), percentile(&sent.ms, 99)),
        );
        if door == Door::Hook {
            until_mapped(server).await?;
            rows.add(
                "… until all are orders",
                format!("{:.1} s", sent.began.elapsed().as_secs_f64()),
            );
        }
        rows.add("… CPU per order", format!("{:.2} ms", cpu.as_secs_f64() * 1e3 / orders));
    }
    Ok(())
}

pub(super) struct Sent {
    began: Instant,
    pub(super) took: Duration,
    /// Latencies in milliseconds, sorted.
    pub(super) ms: Vec<f64>,
}

/// Sends all orders to this address, each connection one after the other.
pub(super) async fn send(
    url: Arc<str>,
    args: &Args,
    texts: &Texts,
    door: Door,
    database: &str,
) -> anyhow::Result<Sent> {
    let client = sitewright_http::client()?;
    let kind = format!("{door:?}-{database}").to_lowercase().replace(' ', "-");
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for connection in 0..args.connections.max(1) {
        let (client, url) = (client.first().clone(), url.clone());
        let (texts, kind) = (texts.clone(), kind.clone());
        let numbers = (connection..args.posts).step_by(args.connections.max(1));
        connections.spawn(async move {
            let mut ms = Vec::new();
            for number in numbers {
                let body = texts.of(&format!("{kind}-{number}"));
                let request = client.post(&*url).header(CONTENT_TYPE, "application/json");
                let request = match door {
                    Door::Api | Door::Celery => request,
                    Door::Hook => request.header(AUTHORIZATION, format!("Bearer {SECRET}")),
                };
                let begin = Instant::now();
                let response = request.body(body).send().await?;
                let status = response.status();
                let text = response.text().await?;
                ensure!(status == StatusCode::ACCEPTED, "order {number}: {status} {text}");
                ms.push(begin.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(ms)
        });
    }
    let mut ms = Vec::with_capacity(args.posts);
    while let Some(ended) = connections.join_next().await {
        ms.extend(ended??);
    }
    let took = began.elapsed();
    ms.sort_by(f64::total_cmp);
    Ok(Sent { began, took, ms })
}

/// Waits until every webhook has become an order.
async fn until_mapped(server: &Server) -> anyhow::Result<()> {
    let client = sitewright_http::client()?;
    let url = |state: &str| server.url(&format!("/v1/hooks/deliveries?state={state}&limit=1"));
    let begin = Instant::now();
    loop {
        let page: Value = client.first().get(url("pending")).send().await?.json().await?;
        if page["deliveries"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        ensure!(begin.elapsed() < MAPPED_WITHIN, "webhooks do not become orders: {page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused: Value = client.first().get(url("refused")).send().await?.json().await?;
    let is_none = refused["deliveries"].as_array().is_some_and(Vec::is_empty);
    ensure!(is_none, "a webhook was refused: {refused}");
    Ok(())
}
