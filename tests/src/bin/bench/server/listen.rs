//! Many listeners of `GET /v1/events` on one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use rustix::process::{Resource, getrlimit};
use sitewright_failure::render;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::fill::Texts;
use super::{Args, Rows, TEMPLATE, percentile};
use crate::process::Server;
use crate::table::count;

/// Orders that listeners are told of, one after the other.
const ORDERS: usize = 5;
/// Connections that are opened at the same time.
const OPENING: usize = 64;
/// Descriptors of a process that are not listeners'.
const OTHERS: u64 = 200;
/// Maximum time until all listeners have an event.
const WITHIN: Duration = Duration::from_secs(60);

/// What a listener says.
enum Heard {
    Connected,
    /// The event of the order with this number.
    Event(usize, Instant),
}

pub(super) async fn measure(
    server: &Server,
    args: &Args,
    texts: &Texts,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let listeners = allowed(args.listeners)?;
    let client = sitewright_http::client()?;
    // What the first request needs does not count as that of listeners.
    post(client.first(), server, texts, "before-listeners").await?;
    let (idle, idle_resident) = (server.process.memory_now()?, server.process.memory("VmRSS")?);
    let began = Instant::now();
    let (says, mut hears) = mpsc::unbounded_channel();
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tasks = JoinSet::new();
    for _ in 0..listeners {
        tasks.spawn(listen(server.address, opening.clone(), says.clone()));
    }
    drop(says);
    for _ in 0..listeners {
        match next(&mut hears, &mut tasks).await? {
            Heard::Connected => {}
            Heard::Event(order, _) => bail!("there is no order {order} yet"),
        }
    }
    let connected = began.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (memory, resident) = (server.process.memory_now()?, server.process.memory("VmRSS")?);
    let cpu = server.process.cpu()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle_cpu = server.process.cpu()?.saturating_sub(cpu).as_secs_f64() / 5.0;
    let descriptors = server.process.descriptors()?;
    let mut ms = Vec::with_capacity(listeners * ORDERS);
    let mut longest: Vec<f64> = Vec::with_capacity(ORDERS);
    for number in 0..ORDERS {
        let sent = Instant::now();
        post(client.first(), server, texts, &name(number)).await?;
        let mut all = Vec::with_capacity(listeners);
        while all.len() < listeners {
            if let Heard::Event(order, at) = next(&mut hears, &mut tasks).await? {
                ensure!(order == number, "a listener got order {order} in place of {number}");
                all.push(at.saturating_duration_since(sent).as_secs_f64() * 1e3);
            }
        }
        longest.push(all.iter().copied().fold(0.0, f64::max));
        ms.extend(all);
    }
    let peak = server.process.memory("VmHWM")?;
    tasks.shutdown().await;
    ms.sort_by(f64::total_cmp);
    let each = memory.saturating_sub(idle) / u64::try_from(listeners)?.max(1);
    let shown = count(listeners as f64);
    rows.add(
        &format!("{shown} listeners of events: connected in"),
        format!("{:.1} s", connected.as_secs_f64()),
    );
    rows.add(
        "… memory of the server without and with them (PSS)",
        format!("{} / {}", render::bytes(idle), render::bytes(memory)),
    );
    rows.add("… of each", render::bytes(each));
    rows.add(
        "… resident memory (`VmRSS`) without, with them, peak",
        [idle_resident, resident, peak].map(render::bytes).join(" / "),
    );
    rows.add("… open descriptors of the server", descriptors.to_string());
    rows.add("… CPU while nothing happens", format!("{:.1} % of a core", idle_cpu * 100.0));
    rows.add(
        "… order sent to event received, median / 99th percentile",
        format!("{:.0} / {:.0} ms", percentile(&ms, 50), percentile(&ms, 99)),
    );
    rows.add(
        "… until all listeners have it, median of the orders",
        format!("{:.0} ms", crate::setup::median(longest)),
    );
    Ok(())
}

/// The number of listeners, or what the limit on open files allows. Each needs one of the server
/// and one of this process; both processes have the same limit.
fn allowed(listeners: usize) -> anyhow::Result<usize> {
    let Some(most) = getrlimit(Resource::Nofile).current else { return Ok(listeners) };
    let most = usize::try_from(most.saturating_sub(OTHERS))?;
    if listeners > most {
        eprintln!(
            "only {most} of {listeners} listeners: that is the limit on open files; raise it with \
             `ulimit -Hn` as root"
        );
    }
    Ok(listeners.min(most))
}

/// Id of an order that listeners are told of.
fn name(number: usize) -> String {
    format!("listened-to-{number:02}")
}

async fn post(
    client: &reqwest::Client,
    server: &Server,
    texts: &Texts,
    id: &str,
) -> anyhow::Result<()> {
    let url = server.url(&format!("/v1/orders?template={TEMPLATE}"));
    let request = client.post(url).header(CONTENT_TYPE, "application/json").body(texts.of(id));
    let response = request.send().await?;
    let status = response.status();
    ensure!(status.is_success(), "order {id}: {status} {}", response.text().await?);
    Ok(())
}

/// The next that a listener says. A listener that ends is an error.
async fn next(
    hears: &mut mpsc::UnboundedReceiver<Heard>,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Heard> {
    tokio::select! {
        heard = hears.recv() => heard.context("all listeners have ended"),
        Some(ended) = tasks.join_next() => {
            ended??;
            bail!("a listener has ended")
        }
        () = tokio::time::sleep(WITHIN) => {
            bail!("no listener got anything within {} s", WITHIN.as_secs())
        }
    }
}

/// One listener: a connection of its own, of which it reads what comes.
async fn listen(
    address: SocketAddr,
    opening: Arc<Semaphore>,
    says: mpsc::UnboundedSender<Heard>,
) -> anyhow::Result<()> {
    let place = opening.acquire_owned().await?;
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /v1/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut text, mut buffer) = (Vec::<u8>::new(), [0_u8; 4_096]);
    let has = |text: &[u8], wanted: &str| {
        text.windows(wanted.len()).any(|part| part == wanted.as_bytes())
    };
    while !has(&text, "\r\n\r\n") {
        read(&mut stream, &mut buffer, &mut text).await?;
    }
    ensure!(text.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&text));
    drop(place);
    text.clear();
    let says_it = |heard| says.send(heard).is_ok();
    if !says_it(Heard::Connected) {
        return Ok(());
    }
    for number in 0..ORDERS {
        let wanted = name(number);
        while !has(&text, &wanted) {
            read(&mut stream, &mut buffer, &mut text).await?;
        }
        text.clear();
        if !says_it(Heard::Event(number, Instant::now())) {
            return Ok(());
        }
    }
    // Until it is ended: closing would be work for the server.
    std::future::pending().await
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8], text: &mut Vec<u8>) -> anyhow::Result<()> {
    let length = stream.read(buffer).await?;
    ensure!(length > 0, "the server closed a stream of events");
    text.extend(buffer.iter().take(length));
    Ok(())
}
