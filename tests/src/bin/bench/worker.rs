//! Orders through the durable queue. The worker and the model server are separate processes, the
//! producer is this one.
//!
//! The worker is the real binary, so its CPU time and memory are those that an operator sees. Each
//! site is verified, written to disk, released and activated.

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
use crate::table::{Row, count, print_table};

const TEMPLATE: &str = "guest-one-page";

/// The model's reply, which fits the schema of the template.
const ANSWER: &str = "{\"headline\": \"Bright teeth in Boise\", \
                      \"lead\": \"A calm practice that takes its time for you.\"}";

/// Latency of the slow model.
const SLOW: Duration = Duration::from_secs(2);

/// Targets: orders per second with the slow model, memory in bytes, and time from start to ready.
const TARGET_PER_SECOND: f64 = 2_000.0;
const TARGET_MEMORY: u64 = 1 << 30;
const TARGET_START: Duration = Duration::from_millis(100);

/// Orders per batch of the producer.
const BATCH: usize = 500;

/// Number of templates when the start is measured.
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

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Measure only SQLite
    #[arg(long)]
    sqlite: bool,
    /// Orders enqueued one at a time, and orders with instant answers
    #[arg(long, default_value_t = 5_000)]
    orders: usize,
    /// Orders with answers that take 2 s
    #[arg(long, default_value_t = 30_000)]
    slow_orders: usize,
    /// Maximum number of running orders with answers that take 2 s, and number of orders that wait
    /// for AI at the same time
    #[arg(long, default_value_t = 10_000)]
    in_flight: u32,
    /// Orders enqueued while the worker is idle
    #[arg(long, default_value_t = 200)]
    pickups: usize,
    /// Starts of the worker
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// Folder for databases and sites, on the disk to measure. Default: the temporary folder
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Protocol between worker and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// One connection per concurrent call, as most self-hosted models have it.
    Http1,
    /// With TLS and up to 100 calls per connection, as hosted models have it.
    Http2,
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    // Removed at the end, because ext4 creates files slowly for up to six minutes after others were
    // removed (`recently_deleted` in its source: 60 s, plus 300 s until the removal is on disk).
    let mut folders = Vec::new();
    let mut columns = vec![measure_backend(args, "SQLite", &Backend::Sqlite, &mut folders).await?];
    let mut names = vec!["SQLite".to_owned()];
    if !args.sqlite {
        match Cluster::start().await? {
            Some(cluster) => {
                let name = cluster.version().await?;
                columns.push(
                    measure_backend(args, &name, &Backend::Postgres(&cluster), &mut folders)
                        .await?,
                );
                names.push(name);
                cluster.stop().await?;
            }
            None => eprintln!(
                "\nSKIPPED: no PostgreSQL in /usr/lib/postgresql, so it is not measured; \
                 install the package `postgresql`\n"
            ),
        }
    }
    print_table(&names, columns);
    Ok(())
}

/// The database to measure.
enum Backend<'a> {
    Sqlite,
    Postgres(&'a Cluster),
}

impl Backend<'_> {
    /// Creates a database and returns its URL.
    async fn database(&self, folder: &Path, name: &str) -> anyhow::Result<String> {
        match self {
            Backend::Sqlite => Ok(format!("sqlite://{}/{name}.db", folder.display())),
            Backend::Postgres(cluster) => cluster.database(name).await,
        }
    }
}

/// Runs all parts on one database.
async fn measure_backend(
    args: &Args,
    name: &str,
    backend: &Backend<'_>,
    folders: &mut Vec<TempDir>,
) -> anyhow::Result<Vec<Row>> {
    let mut lines = Vec::new();
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    for (part, title) in [
        (Part::Enqueue, "enqueueing orders"),
        (Part::Instant, "instant answers"),
        (Part::Slow, "answers that take 2 s"),
        (Part::WaitingTls, "orders that wait for AI, over HTTP/2"),
        (Part::Waiting, "orders that wait for AI, over HTTP/1.1"),
        (Part::Pickup, "pickup by an idle worker"),
        (Part::Start, "starting the worker"),
    ] {
        if !wanted(part) {
            continue;
        }
        eprintln!("{name}: {title} …");
        let bench = Bench::new(args, backend, part).await?;
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
            eprintln!("  {}: {}", line.name, line.values.join(", "));
        }
        folders.push(bench.folder);
    }
    Ok(lines)
}

/// A folder with a configuration and a new database.
struct Bench {
    folder: TempDir,
    url: String,
    database: Database,
}

impl Bench {
    async fn new(args: &Args, backend: &Backend<'_>, part: Part) -> anyhow::Result<Bench> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("sitewright-bench-");
        let folder = match &args.folder {
            Some(within) => folder.tempdir_in(within)?,
            None => folder.tempdir()?,
        };
        let url = backend.database(folder.path(), &format!("{part:?}").to_lowercase()).await?;
        let database = Database::open(&url).await?;
        database.migrate().await?;
        std::fs::create_dir(folder.path().join("templates"))?;
        std::fs::copy(
            sitewright_tests::guest(TEMPLATE),
            folder.path().join("templates").join(format!("{TEMPLATE}.wasm")),
        )?;
        Ok(Bench { folder, url, database })
    }

    /// Starts a worker whose AI calls the model answers.
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

    async fn enqueue_batches(&self, count: usize) -> anyhow::Result<()> {
        for first in (0..count).step_by(BATCH) {
            let orders =
                (first..count.min(first + BATCH)).map(|number| order("order", number)).collect();
            self.database.enqueue_all(orders).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, args: &Args, lines: &mut Vec<Row>) -> anyhow::Result<()> {
        let begin = Instant::now();
        for number in 0..args.orders {
            self.database.enqueue(order("single", number)).await?;
        }
        let single = args.orders as f64 / begin.elapsed().as_secs_f64();
        let batches = args.orders * 4;
        let begin = Instant::now();
        self.enqueue_batches(batches).await?;
        let batched = batches as f64 / begin.elapsed().as_secs_f64();
        lines.push(Row::new("orders enqueued/s, one at a time, one commit each", count(single)));
        lines.push(Row::new("orders enqueued/s, 500 per commit", count(batched)));
        Ok(())
    }

    /// Waits until all orders have succeeded and their releases are active.
    async fn until_done(&self, orders: usize, worker: &Worker) -> anyhow::Result<Throughput> {
        let (begin, before) = (Instant::now(), worker.cpu()?);
        let mut most_running = 0;
        let within = Duration::from_secs(600);
        loop {
            let stats = self.database.stats().await?;
            most_running = most_running.max(stats.count(OrderState::Running));
            let succeeded = usize::try_from(stats.count(OrderState::Succeeded))?;
            if succeeded == orders && self.database.pending_activations(0).await?.is_empty() {
                break;
            }
            let bad = stats.count(OrderState::Failed) + stats.count(OrderState::Dead);
            ensure!(bad == 0, "{bad} orders failed: see {}", self.log());
            ensure!(
                begin.elapsed() < within,
                "only {succeeded} of {orders} orders were done after {within:?}"
            );
            // Each query costs time of the worker's database and CPU.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let wall = begin.elapsed();
        let cpu = worker.cpu()?.saturating_sub(before);
        Ok(Throughput {
            wall,
            cpu,
            most_running,
            per_second: orders as f64 / wall.as_secs_f64(),
            orders,
        })
    }

    /// Copies the worker's log out of the folder, which is removed, and returns its path.
    fn log(&self) -> String {
        let copy = std::env::temp_dir().join("sitewright-bench-worker.log");
        match std::fs::copy(self.folder.path().join("worker.log"), &copy) {
            Ok(_) => copy.display().to_string(),
            Err(error) => format!("a log that could not be copied: {error}"),
        }
    }

    /// Checks that each order has an active page, and a sample of them exactly one attempt.
    async fn check(&self, orders: usize) -> anyhow::Result<()> {
        for number in 0..orders {
            let page = self.folder.path().join(format!("sites/order-{number}/current/index.html"));
            let page =
                std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
            ensure!(page.contains("Bright teeth"), "order {number} has the wrong page: {page}");
        }
        for number in (0..orders).step_by(97) {
            let attempts = self.database.attempts(&format!("order-{number}")).await?;
            ensure!(attempts.len() == 1, "order {number} has {} attempts", attempts.len());
        }
        Ok(())
    }

    async fn instant(&self, args: &Args, lines: &mut Vec<Row>) -> anyhow::Result<()> {
        let model = model(Duration::ZERO, 0).await?;
        self.enqueue_batches(args.orders).await?;
        let worker = self.worker(&model, 200).await?;
        let throughput = self.until_done(args.orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(args.orders).await?;
        lines.push(Row::new(
            "orders/s, instant AI answers, 200 at a time",
            count(throughput.per_second),
        ));
        lines.push(Row::new("… CPU per order", throughput.cpu_per_order()));
        lines.push(Row::new("… peak memory", render::bytes(peak)));
        Ok(())
    }

    async fn slow(&self, args: &Args, lines: &mut Vec<Row>) -> anyhow::Result<()> {
        let model = model(SLOW, 0).await?;
        self.enqueue_batches(args.slow_orders).await?;
        let worker = self.worker(&model, args.in_flight).await?;
        let throughput = self.until_done(args.slow_orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(args.slow_orders).await?;
        let ideal = f64::from(args.in_flight) / SLOW.as_secs_f64();
        let met = throughput.per_second >= TARGET_PER_SECOND;
        lines.push(
            Row::new(
                &format!(
                    "orders/s, AI answers in 2 s, {} at a time",
                    count(f64::from(args.in_flight))
                ),
                count(throughput.per_second),
            )
            .target(format!(">= {TARGET_PER_SECOND:.0}"), met),
        );
        lines.push(Row::new(
            "… share of the maximum that the AI allows",
            format!("{:.0} %", 100.0 * throughput.per_second / ideal),
        ));
        lines.push(Row::new("… CPU per order", throughput.cpu_per_order()));
        lines.push(Row::new("… maximum of running orders", throughput.most_running.to_string()));
        lines.push(Row::new("… peak memory", render::bytes(peak)));
        Ok(())
    }

    async fn waiting(
        &self,
        args: &Args,
        protocol: Protocol,
        lines: &mut Vec<Row>,
    ) -> anyhow::Result<()> {
        let orders = usize::try_from(args.in_flight)?;
        let certificate = match protocol {
            Protocol::Http1 => None,
            Protocol::Http2 => Some(self.folder.path().join("model.pem")),
        };
        let mut model = model_speaking(SLOW, orders, certificate).await?;
        let worker = self.worker(&model, args.in_flight).await?;
        let idle = worker.memory_now()?;
        self.enqueue_batches(orders).await?;
        tokio::time::timeout(Duration::from_secs(300), model.holds()).await.with_context(
            || {
                format!(
                    "the AI calls of {orders} orders were never pending at the same time: see {}",
                    self.log()
                )
            },
        )??;
        tokio::time::sleep(SLOW / 2).await;
        let waiting = worker.memory_now()?;
        let counted = worker.memory("VmRSS")?;
        let throughput = self.until_done(orders, &worker).await?;
        let peak = worker.memory("VmHWM")?;
        worker.stop().await?;
        self.check(orders).await?;
        lines.push(
            Row::new(
                &format!(
                    "memory, {} orders waiting for AI at the same time, {}",
                    count(f64::from(args.in_flight)),
                    match protocol {
                        Protocol::Http1 => "HTTP/1.1",
                        Protocol::Http2 => "HTTP/2 and TLS",
                    }
                ),
                // In MiB, to show small differences from the target.
                format!("{} MiB", count(waiting as f64 / f64::from(1 << 20))),
            )
            .target(format!("<= {}", render::bytes(TARGET_MEMORY)), waiting <= TARGET_MEMORY),
        );
        let each = waiting.saturating_sub(idle) / orders as u64;
        lines.push(Row::new("… per order", render::bytes(each)));
        lines.push(Row::new(
            "… as `VmRSS`, which counts shared pages once per order",
            render::bytes(counted),
        ));
        lines
            .push(Row::new("… peak, while all are answered at the same time", render::bytes(peak)));
        lines.push(Row::new(
            "… time until all sites are done",
            format!("{:.1} s", throughput.wall.as_secs_f64()),
        ));
        Ok(())
    }

    /// Measures the time from enqueueing an order to the start of its attempt.
    async fn pickup(&self, args: &Args, lines: &mut Vec<Row>) -> anyhow::Result<()> {
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
            took.push(
                (attempts.first().context("the order has no attempt")?.started_at - created) as f64,
            );
            // Out of step with the worker's polling interval.
            tokio::time::sleep(Duration::from_millis(u64::try_from(number * 37 % 101)?)).await;
        }
        worker.stop().await?;
        took.sort_by(f64::total_cmp);
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(f64::NAN);
        lines.push(Row::new(
            "order enqueued to attempt started, idle worker, median",
            format!("{:.0} ms", median(took)),
        ));
        lines.push(Row::new("… 99th percentile", format!("{p99:.0} ms")));
        lines
            .push(Row::new("… CPU of the idle worker", format!("{:.1} % of a core", idle * 100.0)));
        Ok(())
    }

    /// Measures the time from the start of the process to its `ready` event.
    async fn start(&self, args: &Args, lines: &mut Vec<Row>) -> anyhow::Result<()> {
        let model = model(Duration::ZERO, 0).await?;
        let templates = self.folder.path().join("templates");
        let site = std::fs::read(sitewright_tests::template("local-business"))?;
        for number in 1..TEMPLATES {
            // An additional custom section makes it a different template for the compile cache.
            let mut bytes = site.clone();
            bytes.extend([0, 2, 1, b'0' + u8::try_from(number)?]);
            std::fs::write(templates.join(format!("local-business-{number}.wasm")), bytes)?;
        }
        // The first start compiles the templates.
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
            Row::new("start to ready, 5 cached templates, median", format!("{half:.0} ms")).target(
                format!("<= {} ms", TARGET_START.as_millis()),
                half <= TARGET_START.as_secs_f64() * 1e3,
            ),
        );
        lines.push(Row::new("… maximum", format!("{longest:.0} ms")));
        lines.push(Row::new(
            "… first start, which compiles them",
            format!("{:.1} s", cold.as_secs_f64()),
        ));
        Ok(())
    }
}

/// Result of [`Bench::until_done`].
struct Throughput {
    wall: Duration,
    cpu: Duration,
    most_running: i64,
    per_second: f64,
    orders: usize,
}

impl Throughput {
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
