//! `sitewright serve` on SQLite and PostgreSQL: orders that it accepts, answers and pages over many
//! orders, listeners of events, and what triggers cost.
//!
//! The server is the real binary, without tokens. The clients are this process and share the
//! machine with it. The number of queries of a page is not measured: the server does not count
//! them.

mod accept;
mod celery;
mod fill;
mod listen;
mod read;
mod triggers;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sitewright_jobs::Database;

use crate::cluster::Cluster;
use crate::model::more_files;
use crate::process::Server;
use crate::table::{Row, count, print_table};
use fill::{Fill, Texts};

/// Template of the orders that are accepted; the templates folder has it.
const TEMPLATE: &str = "guest-one-page";
/// What the webhook of orders proves itself with.
const SECRET: &str = "the-secret-of-the-benchmark";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Orders accepted per second, with an empty database and with a full one
    Accept,
    /// Latency of answers and pages, with a full database
    Read,
    /// Listeners of Server-Sent Events
    Listen,
    /// Changes of orders with and without somebody who watches
    Triggers,
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
    /// Orders in the database when it is read; 0 for an empty one
    #[arg(long, default_value_t = 1_000_000)]
    orders: u32,
    /// Orders that are sent, and as many webhooks
    #[arg(long, default_value_t = 5_000)]
    posts: usize,
    /// Connections that send them
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests of each answer and page
    #[arg(long, default_value_t = 100)]
    requests: usize,
    /// Listeners of events
    #[arg(long, default_value_t = 5_000)]
    listeners: usize,
    /// Measure beside it what FastAPI and Celery accept: the folder of the programs of a Python
    /// environment (`venv/bin`) with fastapi, uvicorn and celery[redis]. redis-server is in it or
    /// in PATH
    #[arg(long, value_name = "FOLDER")]
    celery: Option<PathBuf>,
    /// Folder for the databases, on the disk to measure. Default: the temporary folder
    #[arg(long)]
    folder: Option<PathBuf>,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

pub(crate) async fn measure(args: &Args) -> anyhow::Result<()> {
    more_files()?;
    let texts = Texts::make().await?;
    let mut columns = vec![measure_backend(args, &texts, "SQLite", None).await?];
    let mut names = vec!["SQLite".to_owned()];
    if !args.sqlite {
        match Cluster::start().await? {
            Some(cluster) => {
                let name = cluster.version().await?;
                columns.push(measure_backend(args, &texts, &name, Some(&cluster)).await?);
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
    match &args.celery {
        Some(programs) => {
            let rows = celery::measure(programs, args, &texts).await?;
            print_table(&[celery::NAME.to_owned()], vec![rows]);
        }
        None if args.wants(Part::Accept) => eprintln!(
            "\nSKIPPED: FastAPI and Celery are not measured; name a Python environment that has \
             them with --celery\n"
        ),
        None => {}
    }
    Ok(())
}

async fn measure_backend(
    args: &Args,
    texts: &Texts,
    name: &str,
    cluster: Option<&Cluster>,
) -> anyhow::Result<Vec<Row>> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("sitewright-bench-server-");
    let folder = match &args.folder {
        Some(within) => folder.tempdir_in(within)?,
        None => folder.tempdir()?,
    };
    let url = match cluster {
        Some(cluster) => cluster.database("server").await?,
        None => format!("sqlite://{}/orders.db", folder.path().display()),
    };
    let database = Database::open(&url).await?;
    database.migrate().await?;
    configure(folder.path(), &url, args.listeners)?;
    let mut rows = Rows { database: name, rows: Vec::new() };

    if args.wants(Part::Triggers) {
        eprintln!("{name}: triggers …");
        triggers::measure(&url, texts, &mut rows).await?;
    }
    if args.wants(Part::Accept) {
        eprintln!("{name}: accepting orders, empty database …");
        let server = Server::start(folder.path()).await?;
        accept::measure(&server, args, texts, "an empty database", &mut rows).await?;
        server.process.stop().await?;
    }
    let fill = Fill::new(args.orders);
    if args.orders > 0 && (args.wants(Part::Read) || args.wants(Part::Accept)) {
        eprintln!("{name}: filling the database …");
        let took = fill.run(&url, texts).await?;
        let orders = count(f64::from(args.orders));
        rows.add(
            &format!("{orders} orders made by SQL in"),
            format!("{:.0} s", took.as_secs_f64()),
        );
        // As workers and servers do within minutes.
        let begin = Instant::now();
        let mut hours = 0;
        loop {
            let more = database.sum_hours().await?;
            hours += more;
            if more == 0 {
                break;
            }
        }
        let took = begin.elapsed().as_secs_f64();
        rows.add("… hours summed up", format!("{hours} in {took:.1} s"));
    }
    let server = Server::start(folder.path()).await?;
    if args.wants(Part::Read) {
        eprintln!("{name}: reading …");
        read::measure(&server, &database, args, &fill, &mut rows).await?;
    }
    if args.orders > 0 && args.wants(Part::Accept) {
        eprintln!("{name}: accepting orders, full database …");
        accept::measure(&server, args, texts, "the full database", &mut rows).await?;
    }
    server.process.stop().await?;
    if args.wants(Part::Listen) {
        eprintln!("{name}: listeners …");
        let server = Server::start(folder.path()).await?;
        listen::measure(&server, args, texts, &mut rows).await?;
        server.process.stop().await?;
    }
    database.close().await;
    Ok(rows.rows)
}

/// The rows of one database, each also printed when it is known.
struct Rows<'a> {
    database: &'a str,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn add(&mut self, name: &str, value: String) {
        eprintln!("  {}: {name}: {value}", self.database);
        self.rows.push(Row::new(name, value));
    }
}

fn configure(folder: &Path, url: &str, listeners: usize) -> anyhow::Result<()> {
    let templates = folder.join("templates");
    std::fs::create_dir(&templates)?;
    std::fs::copy(sitewright_tests::guest(TEMPLATE), templates.join(format!("{TEMPLATE}.wasm")))?;
    std::fs::write(folder.join("hook.secret"), SECRET)?;
    // One address may have seven eighths of the connections.
    let connections = (listeners + 1_000) * 8 / 7;
    let configuration = format!(
        "templates = \"templates\"\nsites = \"sites\"\ncache = {:?}\n[database]\nurl = \
         {url:?}\n[server]\nconnections = {connections}\n[hooks.crm]\nkind = \
         \"bearer\"\nsecret_file = \"hook.secret\"\ntemplate = \"{TEMPLATE}\"\n",
        sitewright_tests::compile_cache().display().to_string(),
    );
    std::fs::write(folder.join("sitewright.toml"), configuration)?;
    Ok(())
}

/// The value that this part of all is not above, in milliseconds; NaN without values.
fn percentile(sorted_ms: &[f64], percent: usize) -> f64 {
    let last = sorted_ms.len().saturating_sub(1);
    sorted_ms.get((sorted_ms.len() * percent / 100).min(last)).copied().unwrap_or(f64::NAN)
}
