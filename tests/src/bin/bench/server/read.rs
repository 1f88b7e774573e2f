//! Latency of answers of the API, and of pages of the console.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use sitewright_failure::group;
use sitewright_failure::render;
use sitewright_jobs::{Database, Filter, Order, OrderState};

use super::fill::Fill;
use super::{Args, Rows, percentile};
use crate::process::Server;

/// Time after which one of them is not asked for again.
const WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn measure(
    server: &Server,
    database: &Database,
    args: &Args,
    fill: &Fill,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let client = sitewright_http::client()?;
    let before = server.process.cpu()?;
    let mut answers = api(database, fill, args).await?;
    answers.extend(console(database, fill, args).await?);
    answers.extend(assets(client.first(), server).await?);
    for (name, path) in answers {
        let value = ask(client.first(), &server.url(&path), args.requests).await?;
        rows.add(&name, value);
    }
    let cpu = server.process.cpu()?.saturating_sub(before);
    rows.add("… CPU of the server for all of these", format!("{:.1} s", cpu.as_secs_f64()));
    let memory = server.process.memory("VmHWM")?;
    rows.add("… its peak memory", render::bytes(memory));
    Ok(())
}

/// A name and a path.
type Answer = (String, String);

/// The newest order in a state.
async fn newest(database: &Database, state: OrderState) -> anyhow::Result<Order> {
    let filter = Filter { state: Some(state), limit: 1, ..Filter::default() };
    let orders = database.orders(&filter).await?;
    orders.into_iter().next().with_context(|| format!("no order is {state}; use more --orders"))
}

/// The position behind an order in the middle, as a parameter.
fn deep(fill: &Fill, args: &Args) -> String {
    let (id, at) = fill.order(i64::from(args.orders) / 2);
    let id: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{at}-{id}")
}

async fn api(database: &Database, fill: &Fill, args: &Args) -> anyhow::Result<Vec<Answer>> {
    let order = newest(database, OrderState::Succeeded).await?.id;
    let failed = newest(database, OrderState::Failed).await?.id;
    let cursor = deep(fill, args);
    let list = |query: &str| format!("/v1/orders{query}");
    let answers = [
        ("GET /v1/orders", list("")),
        ("… state=failed", list("?state=failed")),
        ("… state=succeeded", list("?state=succeeded")),
        ("… template=landing-js", list("?template=landing-js")),
        ("… both", list("?state=failed&template=landing-js")),
        ("… tenant=tenant-7", list("?tenant=tenant-7")),
        ("… a page in the middle", list(&format!("?cursor={cursor}"))),
        ("… a page in the middle, state=failed", list(&format!("?state=failed&cursor={cursor}"))),
        ("GET /v1/orders/{id}, succeeded", list(&format!("/{order}"))),
        ("… failed", list(&format!("/{failed}"))),
        ("GET /v1/stats", "/v1/stats".to_owned()),
        ("GET /v1/failures", "/v1/failures".to_owned()),
        ("GET /v1/cost", "/v1/cost".to_owned()),
        ("GET /metrics", "/metrics".to_owned()),
    ];
    Ok(answers.map(|(name, path)| (name.to_owned(), path)).into())
}

async fn console(database: &Database, fill: &Fill, args: &Args) -> anyhow::Result<Vec<Answer>> {
    let order = newest(database, OrderState::Succeeded).await?.id;
    let failed = newest(database, OrderState::Failed).await?;
    let (failed, record) = (failed.id, failed.last_failure.context("a failed order's record")?);
    let groups = database.failure_groups(&group::Filter::default()).await?;
    let cause = groups.into_iter().next().context("there are no failures")?.fingerprint;
    let cursor = deep(fill, args);
    let pages = [
        ("Now", String::new()),
        ("Now, per minute", "?per=minute".to_owned()),
        ("Orders", "/orders".to_owned()),
        ("Orders, state", "/orders?state=failed".to_owned()),
        ("Orders, state of almost all", "/orders?state=succeeded".to_owned()),
        ("Orders, template", "/orders?template=landing-js".to_owned()),
        ("Orders, kind of failure", "/orders?kind=ai".to_owned()),
        ("Orders, text in one of 49", "/orders?text=shop7-".to_owned()),
        ("Orders, text that is in none", "/orders?text=nowhere".to_owned()),
        ("Orders, a page in the middle", format!("/orders?cursor={cursor}")),
        ("Order, succeeded", format!("/orders/{order}")),
        ("Order, failed", format!("/orders/{failed}")),
        ("Revise an order", format!("/orders/{order}/revise")),
        ("Releases", format!("/orders/{order}/releases")),
        ("Erase an order", format!("/orders/{order}/erase")),
        ("Make an order again", format!("/orders/{failed}/retry")),
        ("Retry all that failed", "/bulk?do=retry&state=failed".to_owned()),
        ("Failures", "/failures".to_owned()),
        ("Failures, ever", "/failures?since=ever".to_owned()),
        ("Cause", format!("/failures/{cause}")),
        ("Retry a cause", format!("/failures/{cause}/retry")),
        ("Failure record", format!("/records/{record}")),
        ("Failure record as Markdown", format!("/records/{record}/markdown")),
        ("AI and cost", "/ai".to_owned()),
        ("AI and cost, a month", "/ai?since=month".to_owned()),
        ("Templates and workers", "/templates".to_owned()),
        ("A template", "/templates/landing-js".to_owned()),
        ("Settings", "/settings".to_owned()),
        ("Webhooks", "/webhooks".to_owned()),
        ("A delivery", format!("/deliveries/{}", Fill::delivery())),
        ("Webhooks of others", "/hooks".to_owned()),
        ("Retention", "/retention".to_owned()),
        ("Audit log", "/audit".to_owned()),
    ];
    Ok(pages.map(|(name, path)| (format!("Console: {name}"), format!("/console{path}"))).into())
}

/// Style sheet and script, whose addresses have a digest.
async fn assets(client: &Client, server: &Server) -> anyhow::Result<Vec<Answer>> {
    let page = client.get(server.url("/console")).send().await?.text().await?;
    let mut assets: Vec<String> = page
        .split('"')
        .filter(|part| part.starts_with("/console/assets/"))
        .map(str::to_owned)
        .collect();
    assets.sort();
    assets.dedup();
    let named = |path: String| {
        let ending = path.rsplit('.').next().unwrap_or_default().to_owned();
        (format!("Console: .{ending}"), path)
    };
    Ok(assets.into_iter().map(named).collect())
}

/// Asks for the same again and again, each time until the last byte.
async fn ask(client: &Client, url: &str, requests: usize) -> anyhow::Result<String> {
    let began = Instant::now();
    let (mut first, mut ms, mut size) = (0.0, Vec::new(), 0);
    for number in 0..=requests.max(1) {
        let begin = Instant::now();
        let response = client.get(url).send().await?;
        let status = response.status();
        size = response.bytes().await?.len();
        let took = begin.elapsed().as_secs_f64() * 1e3;
        if status != StatusCode::OK {
            return Ok(format!("HTTP {} after {took:.0} ms", status.as_u16()));
        }
        if number == 0 {
            first = took;
        } else {
            ms.push(took);
        }
        if !ms.is_empty() && began.elapsed() > WITHIN {
            break;
        }
    }
    ms.sort_by(f64::total_cmp);
    Ok(format!(
        "{first:.1}, {:.1} / {:.1} ms, {}",
        percentile(&ms, 50),
        percentile(&ms, 99),
        render::bytes(u64::try_from(size)?)
    ))
}
