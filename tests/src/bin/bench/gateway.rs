//! Overhead of the AI gateway compared with the same request by bare reqwest, and many concurrent
//! calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use serde_json::json;
use sitewright_ai::{AiConfig, CallContext, ChatMessage, Format, Gateway, Purpose, Request, Role};
use sitewright_failure::render;
use sitewright_http::Client;
use sitewright_model::ai::CallId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::model::{Model, more_files};
use crate::setup::{Clocks, median, memory};

/// Target: CPU time that the gateway adds to a call.
const TARGET_US: f64 = 30.0;

/// Latency of the model in the second part.
const ANSWER: Duration = Duration::from_secs(2);

/// Number of concurrent calls in the second measurement of the first part.
const WIDTH: u32 = 50;

const PROMPT_BYTES: usize = 4_000;

pub(crate) async fn measure(calls: u32, rounds: u32, in_flight: u32) -> anyhow::Result<()> {
    more_files()?;
    let client = sitewright_http::client()?;
    for width in [1, WIDTH].into_iter().filter(|_| calls > 0) {
        measure_added(&client, calls, rounds, width).await?;
    }
    if in_flight > 0 {
        measure_concurrent(&client, in_flight).await?;
    }
    Ok(())
}

/// Measures both sides alternately with `width` concurrent calls.
async fn measure_added(client: &Client, calls: u32, rounds: u32, width: u32) -> anyhow::Result<()> {
    let model = Arc::new(Model::start(Duration::ZERO).await?);
    let gateway = Arc::new(gateway(client, &model)?);
    let client = client.clone();
    let bare = move || {
        let (client, model) = (client.clone(), model.clone());
        async move { bare(client.first(), &model).await }
    };
    let ours = move || {
        let gateway = gateway.clone();
        async move { ours(&gateway).await }
    };
    each(calls / 10 + width, width, bare.clone()).await?;
    each(calls / 10 + width, width, ours.clone()).await?;
    let mut measured: [Vec<(Duration, Duration)>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let clocks = Clocks::start();
        each(calls, width, bare.clone()).await?;
        measured[0].push(clocks.read());
        let clocks = Clocks::start();
        each(calls, width, ours.clone()).await?;
        measured[1].push(clocks.read());
    }
    println!(
        "{width} concurrent calls, {calls} calls per round, {rounds} alternating rounds of each \
         side, median per call:\n"
    );
    println!("  {:<22} {:>12} {:>12}", "", "CPU", "latency");
    let mut values = [(0.0, 0.0); 2];
    for (side, (name, rounds)) in
        ["bare reqwest", "through the gateway"].iter().zip(&measured).enumerate()
    {
        let per_call = |pick: fn(&(Duration, Duration)) -> Duration| {
            median(
                rounds
                    .iter()
                    .map(|round| pick(round).as_secs_f64() * 1e6 / f64::from(calls))
                    .collect(),
            )
        };
        // Concurrent calls share the wall time.
        values[side] = (per_call(|round| round.1), per_call(|round| round.0) * f64::from(width));
        println!("  {name:<22} {:>9.1} µs {:>9.1} µs", values[side].0, values[side].1);
    }
    let (cpu, wall) = (values[1].0 - values[0].0, values[1].1 - values[0].1);
    println!("  {:<22} {cpu:>9.1} µs {wall:>9.1} µs", "added");
    let verdict = if cpu <= TARGET_US { "met" } else { "MISSED" };
    println!("\n  CPU added per call {cpu:.0} µs (target <= {TARGET_US:.0} µs): {verdict}\n");
    Ok(())
}

/// Makes `calls` calls, `width` of them concurrently.
async fn each<F>(
    calls: u32,
    width: u32,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let mut running = JoinSet::new();
    for _ in 0..width {
        let call = call.clone();
        running.spawn(async move {
            for _ in 0..calls / width {
                call().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn measure_concurrent(client: &Client, calls: u32) -> anyhow::Result<()> {
    let model = Model::start(ANSWER).await?;
    let gateway = Arc::new(gateway(client, &model)?);
    let before = memory("VmRSS")?;
    let clocks = Clocks::start();
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let gateway = gateway.clone();
        running.spawn(async move { ours(&gateway).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let (wall, cpu) = clocks.read();
    let peak = memory("VmHWM")?;
    println!("{calls} concurrent calls of {} s:\n", ANSWER.as_secs());
    println!("  wall          {:>10.2} s", wall.as_secs_f64());
    println!("  CPU per call  {:>10.1} µs", cpu.as_secs_f64() * 1e6 / f64::from(calls));
    println!("  peak memory   {:>10}", render::bytes(peak));
    println!(
        "  per call      {:>10}",
        render::bytes(peak.saturating_sub(before) / u64::from(calls))
    );
    Ok(())
}

fn gateway(client: &Client, model: &Model) -> anyhow::Result<Gateway> {
    let config: AiConfig = serde_json::from_value(json!({
        "providers": { "bench": { "kind": "openai", "base_url": model.base_url() } },
        "routes": { "default": { "try": [{ "provider": "bench", "model": "bench" }] } },
    }))?;
    Ok(Gateway::new(&config, Path::new("."), client.clone(), &|_| None)?)
}

async fn ours(gateway: &Gateway) -> anyhow::Result<()> {
    let request = Request {
        purpose: Purpose::new("bench").map_err(|error| anyhow!("{error}"))?,
        messages: vec![ChatMessage { role: Role::User, content: "x".repeat(PROMPT_BYTES) }],
        format: Format::Text,
        max_output_tokens: None,
        temperature: None,
        seed: None,
        stop: Vec::new(),
        identity: None,
    };
    let deadline = Instant::now() + Duration::from_secs(600);
    let done = gateway
        .complete(CallContext::new(CallId::nth(1), deadline), request)
        .await
        .map_err(|error| anyhow!("{}", error.message))?;
    ensure!(done.completion.usage.output_tokens == Some(120), "the usage of the answer is wrong");
    Ok(())
}

/// Sends the same request with reqwest and reads the answer to its end.
async fn bare(client: &reqwest::Client, model: &Model) -> anyhow::Result<()> {
    let body = json!({
        "model": "bench",
        "messages": [{ "role": "user", "content": "x".repeat(PROMPT_BYTES) }],
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let answer = client
        .post(format!("{}/chat/completions", model.base_url()))
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .body(body.to_string())
        .send()
        .await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    ensure!(answer.bytes().await?.ends_with(b"[DONE]\n\n"), "the answer is incomplete");
    Ok(())
}
