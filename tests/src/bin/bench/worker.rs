//! Orders through the durable queue: the real worker as a process of its own, the model server in
//! another one, the producer here.
//!
//! The worker is the binary, not the library in this process: so its processor time and its memory
//! are what an operator would see, and nobody else's. Each site is real: checked, written to the
//! disk, released and visible.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use sitewright_failure::render;
use sitewright_jobs::{Database, NewOrder, OrderState};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::model::{Answering, Model, more_files};
use crate::process::Worker;
use crate::setup::median;

const TEMPLATE: &str = "guest-one-page";

/// What the model says: what the template asks for.
const ANSWER: &str = r#"{"headline": "Bright teeth in Boise", "lead": "A calm practice that takes its time for you."}"#;

/// How long the slow model takes.
const SLOW: Duration = Duration::from_secs(2);

/// The targets of design.md.
const TARGET_PER_SECOND: f64 = 1_000.0;
const TARGET_MEMORY: u64 = 1 << 30;
const TARGET_START: Duration = Duration::from_millis(150);

/// Orders that one call puts in line.
const BATCH: usize = 500;

/// Templates of the start that is measured.
const TEMPLATES: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Enqueue,
    Instant,
    Slow,
    WaitingTls,
    Waiting,
    Pickup,
    Start,
}

/// Orders are files, and the last run's files are removed when it ends: on ext4 wait six minutes
/// before the next run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only SQLite.
    #[arg(long)]
    sqlite: bool,
    /// Orders put in line one at a time, and with instant answers.
    #[arg(long, default_value_t = 5_000)]
    orders: usize,
    /// Orders with answers that take 2 s.
    #[arg(long, default_value_t = 30_000)]
    slow_orders: usize,
    /// Most orders in flight at once with answers that take 2 s, and orders that wait for AI at
    /// the same time.
    #[arg(long, default_value_t = 10_000)]
    in_flight: u32,
    /// Orders that are put in line while the worker is idle.
    #[arg(long, default_value_t = 200)]
    pickups: usize,
    /// Starts.
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// Where databases and sites are made, so that the disk is the one that counts. The system's
    /// folder for temporary files when it is missing.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What the worker and the models speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// A connection for each call in flight: what is served at home, mostly.
    Http1,
    /// With TLS, a hundred calls on a connection: what hosted models have.
    Http2,
}

/// One line of the table: what, and its value on each database.
struct Line {
    what: String,
    values: Vec<String>,
    target: Option<String>,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    // Removed at the end: for up to six minutes ext4 looks at the inode of each file that was
    // removed before it makes another one (`recently_deleted` in its source: 60 s, and 300 s
    // more while the removal is not on the disk), which would count as ours.
    let mut folders = Vec::new();
    let mut columns = vec![measured(args, "SQLite", &Place::Sqlite, &mut folders).await?];
    let mut names = vec!["SQLite".to_owned()];
    if !args.sqlite {
        match Cluster::start().await? {
            Some(cluster) => {
                let name = cluster.version().await?;
                columns
                    .push(measured(args, &name, &Place::Postgres(&cluster), &mut folders).await?);
                names.push(name);
                cluster.stop().await?;
            }
            None => eprintln!(
                "\nSKIPPED: no PostgreSQL in /usr/lib/postgresql, so that half is missing; \
                 install the package `postgresql`\n"
            ),
        }
    }
    print_table(&names, columns);
    Ok(())
}

/// Where the databases are made.
enum Place<'a> {
    Sqlite,
    Postgres(&'a Cluster),
}

impl Place<'_> {
    /// The address of a new database.
    async fn database(&self, folder: &Path, name: &str) -> anyhow::Result<String> {
        match self {
            Place::Sqlite => Ok(format!("sqlite://{}/{name}.db", folder.display())),
            Place::Postgres(cluster) => cluster.database(name).await,
        }
    }
}

/// Everything on one database.
async fn measured(
    args: &Args,
    name: &str,
    place: &Place<'_>,
    folders: &mut Vec<TempDir>,
) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    for (part, title) in [
        (Part::Enqueue, "putting orders in line"),
        (Part::Instant, "instant answers"),
        (Part::Slow, "answers that take 2 s"),
        (Part::WaitingTls, "orders that wait for AI, over HTTP/2"),
        (Part::Waiting, "orders that wait for AI, over HTTP/1.1"),
        (Part::Pickup, "an idle worker"),
        (Part::Start, "starting"),
    ] {
        if !wanted(part) {
            continue;
        }
        eprintln!("{name}: {title} …");
        let bench = Bench::new(args, place, part).await?;
        let before = lines.len();
        match part {
            Part::Enqueue => bench.enqueue(args, &mut lines).await?,
            Part::Instant => bench.instant(args, &mut lines).await?,
            Part::Slow => bench.slow(args, &mut lines).await?,
            Part::Waiting => bench.waiting(args, Protocol::Http1, &mut lines).await?,
            Part::WaitingTls => bench.waiting(args, Protocol::Http2, &mut lines).await?,
            Part::Pickup => bench.pickup(args, &mut lines).await?,
            Part::Start => bench.start(args, &mut lines).await?,
        }
        for line in lines.iter().skip(before) {
            eprintln!("  {}: {}", line.what, line.values.join(", "));
        }
        folders.push(bench.folder);
    }
    Ok(lines)
}

/// A folder with a configuration and a database of its own.
struct Bench {
    folder: TempDir,
    url: String,
    database: Database,
}

impl Bench {
    async fn new(args: &Args, place: &Place<'_>, part: Part) -> anyhow::Result<Bench> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("sitewright-bench-");
        let folder = match &args.folder {
            Some(within) => folder.tempdir_in(within)?,
            None => folder.tempdir()?,
        };
        let url = place.database(folder.path(), &format!("{part:?}").to_lowercase()).await?;
        let database = Database::open(&url).await?;
        database.migrate().await?;
        std::fs::create_dir(folder.path().join("templates"))?;
        std::fs::copy(
            sitewright_tests::guest(TEMPLATE),
            folder.path().join("templates").join(format!("{TEMPLATE}.wasm")),
        )?;
        Ok(Bench { folder, url, database })
    }

    /// A worker whose AI calls the model answers.
    async fn worker(&self, model: &Model, max_orders: u32) -> anyhow::Result<Worker> {
        let configuration = format!(
            "templates = \"templates\"\nsites = \"sites\"\ncache = \"cache\"\n[database]\nurl = \
             {:?}\n[ai.providers.bench]\nkind = \"openai\"\nbase_url = {:?}\nfirst_byte_ms = \
             600000\ncall_ms = 600000\n[ai.routes.default]\ntry = [{{ provider = \"bench\", model \
             = \"bench\" }}]\n",
            self.url,
            model.base_url()
        );
        std::fs::write(self.folder.path().join("sitewright.toml"), configuration)?;
        Worker::start(self.folder.path(), max_orders, model.certificate()).await
    }

    async fn put_in_line(&self, count: usize) -> anyhow::Result<()> {
        for first in (0..count).step_by(BATCH) {
            let orders =
                (first..count.min(first + BATCH)).map(|number| order("order", number)).collect();
            self.database.enqueue_all(orders).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, args: &Args, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let begin = Instant::now();
        for number in 0..args.orders {
            self.database.enqueue(order("single", number)).await?;
        }
        let single = args.orders as f64 / begin.elapsed().as_secs_f64();
        let batches = args.orders * 4;
        let begin = Instant::now();
        self.put_in_line(batches).await?;
        let batched = batches as f64 / begin.elapsed().as_secs_f64();
        lines.push(Line::new(
            "orders put in line/s, one after the other, a commit each",
            count(single),
        ));
        lines.push(Line::new("orders put in line/s, 500 to a commit", count(batched)));
        Ok(())
    }

    /// Until all orders have ended and their sites are visible.
    async fn until_done(&self, orders: usize, worker: &Worker) -> anyhow::Result<Passed> {
        let (begin, before) = (Instant::now(), worker.cpu()?);
        let mut most_running = 0;
        let within = Duration::from_secs(600);
        loop {
            let stats = self.database.stats().await?;
            most_running = most_running.max(stats.count(OrderState::Running));
            let succeeded = usize::try_from(stats.count(OrderState::Succeeded))?;
            if succeeded == orders && self.database.pending_visible(0).await?.is_empty() {
                break;
            }
            let bad = stats.count(OrderState::Failed) + stats.count(OrderState::Dead);
            ensure!(bad == 0, "{bad} orders failed: see {}", self.log());
            ensure!(
                begin.elapsed() < within,
                "after {within:?} only {succeeded} of {orders} orders were done"
            );
            // Looking costs the worker's database and its processors.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let wall = begin.elapsed();
        let cpu = worker.cpu()?.saturating_sub(before);
        Ok(Passed {
            wall,
            cpu,
            most_running,
            per_second: orders as f64 / wall.as_secs_f64(),
            orders,
        })
    }

    /// The worker's log, kept for whoever looks into what went wrong.
    fn log(&self) -> String {
        let kept = std::env::temp_dir().join("sitewright-bench-worker.log");
        match std::fs::copy(self.folder.path().join("worker.log"), &kept) {
            Ok(_) => kept.display().to_string(),
            Err(error) => format!("a log that could not be kept: {error}"),
        }
    }

    /// That each of the orders has one attempt and a page that visitors see.
    async fn check(&self, orders: usize) -> anyhow::Result<()> {
        for number in 0..orders {
            let page = self.folder.path().join(format!("sites/order-{number}/current/index.html"));
            let page =
                std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
            ensure!(page.contains("Bright teeth"), "order {number} has another page: {page}");
        }
        for number in (0..orders).step_by(97) {
            let attempts = self.database.attempts(&format!("order-{number}")).await?;
            ensure!(attempts.len() == 1, "order {number} took {} attempts", attempts.len());
        }
        Ok(())
    }

    async fn instant(&self, args: &Args, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let model = model(Duration::ZERO, 0).await?;
        self.put_in_line(args.orders).await?;
        let worker = self.worker(&model, 200).await?;
        let passed = self.until_done(args.orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(args.orders).await?;
        lines.push(Line::new(
            "orders/s, AI answers at once, 200 at a time",
            count(passed.per_second),
        ));
        lines.push(Line::new("… CPU per order", passed.cpu_per_order()));
        lines.push(Line::new("… peak memory", render::bytes(peak)));
        Ok(())
    }

    async fn slow(&self, args: &Args, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let model = model(SLOW, 0).await?;
        self.put_in_line(args.slow_orders).await?;
        let worker = self.worker(&model, args.in_flight).await?;
        let passed = self.until_done(args.slow_orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(args.slow_orders).await?;
        let ideal = f64::from(args.in_flight) / SLOW.as_secs_f64();
        let held = passed.per_second >= TARGET_PER_SECOND;
        lines.push(
            Line::new(
                &format!(
                    "orders/s, AI answers in 2 s, {} at a time",
                    count(f64::from(args.in_flight))
                ),
                count(passed.per_second),
            )
            .target(format!(">= {TARGET_PER_SECOND:.0}"), held),
        );
        lines.push(Line::new(
            "… of what the AI alone would allow",
            format!("{:.0} %", 100.0 * passed.per_second / ideal),
        ));
        lines.push(Line::new("… CPU per order", passed.cpu_per_order()));
        lines.push(Line::new("… most orders running at once", passed.most_running.to_string()));
        lines.push(Line::new("… peak memory", render::bytes(peak)));
        Ok(())
    }

    async fn waiting(
        &self,
        args: &Args,
        protocol: Protocol,
        lines: &mut Vec<Line>,
    ) -> anyhow::Result<()> {
        let orders = usize::try_from(args.in_flight)?;
        let certificate = match protocol {
            Protocol::Http1 => None,
            Protocol::Http2 => Some(self.folder.path().join("model.pem")),
        };
        let mut model = model_speaking(SLOW, orders, certificate).await?;
        let worker = self.worker(&model, args.in_flight).await?;
        let idle = worker.memory_now()?;
        self.put_in_line(orders).await?;
        tokio::time::timeout(Duration::from_secs(300), model.holds()).await.with_context(
            || format!("{orders} AI calls are never in flight at once: see {}", self.log()),
        )??;
        tokio::time::sleep(SLOW / 2).await;
        let waiting = worker.memory_now()?;
        let counted = worker.memory("VmRSS")?;
        let passed = self.until_done(orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(orders).await?;
        lines.push(
            Line::new(
                &format!(
                    "memory, {} orders waiting for AI at the same time, {}",
                    count(f64::from(args.in_flight)),
                    match protocol {
                        Protocol::Http1 => "HTTP/1.1",
                        Protocol::Http2 => "HTTP/2 and TLS",
                    }
                ),
                // In MiB, so that what is near the target can be told from it.
                format!("{} MiB", count(waiting as f64 / f64::from(1 << 20))),
            )
            .target(format!("<= {}", render::bytes(TARGET_MEMORY)), waiting <= TARGET_MEMORY),
        );
        let each = waiting.saturating_sub(idle) / orders as u64;
        lines.push(Line::new("… for each of them", render::bytes(each)));
        lines.push(Line::new(
            "… as `VmRSS`, with each shared page once for each order",
            render::bytes(counted),
        ));
        lines.push(Line::new("… its peak, while all are answered at once", render::bytes(peak)));
        lines.push(Line::new(
            "… and their sites done after",
            format!("{:.1} s", passed.wall.as_secs_f64()),
        ));
        Ok(())
    }

    /// From a producer that puts one order in line to the attempt that begins.
    async fn pickup(&self, args: &Args, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let model = model(Duration::ZERO, 0).await?;
        let worker = self.worker(&model, 100).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (begin, before) = (Instant::now(), worker.cpu()?);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let idle =
            worker.cpu()?.saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        let mut took = Vec::with_capacity(args.pickups);
        for number in 0..args.pickups {
            let order = order("order", number);
            let id = order.id.clone();
            self.database.enqueue(order).await?;
            while self.database.order(&id).await?.state != OrderState::Succeeded {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let created = self.database.order(&id).await?.created_at;
            let attempts = self.database.attempts(&id).await?;
            took.push((attempts.first().context("an attempt")?.started_at - created) as f64);
            // Not in step with the worker's own clock.
            tokio::time::sleep(Duration::from_millis(u64::try_from(number * 37 % 101)?)).await;
        }
        worker.stop().await?;
        took.sort_by(f64::total_cmp);
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(f64::NAN);
        lines.push(Line::new(
            "order in line to attempt begun, idle worker, median",
            format!("{:.0} ms", median(took)),
        ));
        lines.push(Line::new("… 99th percentile", format!("{p99:.0} ms")));
        lines.push(Line::new(
            "… CPU of the idle worker",
            format!("{:.1} % of a core", idle * 100.0),
        ));
        Ok(())
    }

    /// From the start of the process to the line that says that it takes orders.
    async fn start(&self, args: &Args, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let model = model(Duration::ZERO, 0).await?;
        let templates = self.folder.path().join("templates");
        let site = std::fs::read(sitewright_tests::template("local-business"))?;
        for number in 1..TEMPLATES {
            // A custom section behind the component: another file, with a compiled form of its own.
            let mut bytes = site.clone();
            bytes.extend([0, 2, 1, b'0' + u8::try_from(number)?]);
            std::fs::write(templates.join(format!("local-business-{number}.wasm")), bytes)?;
        }
        // Compiles them.
        let worker = self.worker(&model, 2_000).await?;
        let cold = worker.ready;
        worker.stop().await?;
        let mut took = Vec::with_capacity(args.starts);
        for _ in 0..args.starts {
            let worker = self.worker(&model, 2_000).await?;
            took.push(worker.ready.as_secs_f64() * 1e3);
            worker.stop().await?;
        }
        let longest = took.iter().copied().fold(0.0, f64::max);
        let half = median(took);
        lines.push(
            Line::new(
                "start to ready, 5 templates compiled before, median",
                format!("{half:.0} ms"),
            )
            .target(
                format!("<= {} ms", TARGET_START.as_millis()),
                half <= TARGET_START.as_secs_f64() * 1e3,
            ),
        );
        lines.push(Line::new("… the slowest", format!("{longest:.0} ms")));
        lines.push(Line::new(
            "… the first, which compiles them",
            format!("{:.1} s", cold.as_secs_f64()),
        ));
        Ok(())
    }
}

/// What it took.
struct Passed {
    wall: Duration,
    cpu: Duration,
    most_running: i64,
    per_second: f64,
    orders: usize,
}

impl Passed {
    fn cpu_per_order(&self) -> String {
        format!("{:.2} ms", self.cpu.as_secs_f64() * 1e3 / self.orders as f64)
    }
}

async fn model(delay: Duration, hold: usize) -> anyhow::Result<Model> {
    model_speaking(delay, hold, None).await
}

async fn model_speaking(
    delay: Duration,
    hold: usize,
    certificate: Option<PathBuf>,
) -> anyhow::Result<Model> {
    let delay_ms = u64::try_from(delay.as_millis())?;
    Model::answering(&Answering { delay_ms, hold, text: Some(ANSWER.to_owned()), certificate })
        .await
}

fn order(kind: &str, number: usize) -> NewOrder {
    let id = format!("{kind}-{number}");
    let mut document = sitewright_tests::order("02-dentist-us-minimal");
    document["order"]["id"] = json!(id);
    NewOrder::new(id, TEMPLATE, document.to_string())
}

impl Line {
    fn new(what: &str, value: String) -> Line {
        Line { what: what.to_owned(), values: vec![value], target: None }
    }

    fn target(mut self, target: String, held: bool) -> Line {
        let verdict = if held { "held" } else { "MISSED" };
        if let Some(value) = self.values.first_mut() {
            value.push_str(&format!(" ({verdict})"));
        }
        self.target = Some(target);
        self
    }
}

fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// As Markdown, so that the README can carry it.
fn print_table(names: &[String], columns: Vec<Vec<Line>>) {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut cells: Vec<Vec<String>> = Vec::new();
    for (column, lines) in columns.into_iter().enumerate() {
        for (row, line) in lines.into_iter().enumerate() {
            if column == 0 {
                let target = line.target.unwrap_or_default();
                rows.push([line.what, target]);
                cells.push(Vec::new());
            }
            if let Some(cells) = cells.get_mut(row) {
                cells.extend(line.values);
            }
        }
    }
    println!("| | {} | target |\n|---|{}---|", names.join(" | "), "--:|".repeat(names.len()));
    for ([what, target], cells) in rows.into_iter().zip(cells) {
        println!("| {what} | {} | {target} |", cells.join(" | "));
    }
}
