//! What an application of FastAPI accepts that hands its orders to Celery, for comparison: one
//! process each for the application and for Redis, and no worker of Celery.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

use super::accept::{Door, send};
use super::fill::Texts;
use super::{Args, Rows, percentile};
use crate::table::{Row, count};

/// The name of its column.
pub(super) const NAME: &str = "FastAPI and Celery";
/// How long each of the two may take to listen.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// `programs`: the folder of the programs of a Python environment.
pub(super) async fn measure(
    programs: &Path,
    args: &Args,
    texts: &Texts,
) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (broker_port, port) = (free_port()?, free_port()?);
    let own = programs.join("redis-server");
    let mut redis = Command::new(if own.is_file() { own } else { PathBuf::from("redis-server") });
    redis.args(["--bind", "127.0.0.1", "--port", &broker_port.to_string()]);
    let _broker = started(&mut redis, folder.path(), broker_port).await?;
    let mut application = Command::new(programs.join("python"));
    application
        .args(["-m", "uvicorn", "celery_accept:app", "--host", "127.0.0.1"])
        .args(["--log-level", "warning", "--port", &port.to_string(), "--app-dir"])
        .arg(sitewright_tests::root().join("tests/standins"))
        .env("BROKER", format!("redis://127.0.0.1:{broker_port}/0"));
    let _application = started(&mut application, folder.path(), port).await?;

    eprintln!("{NAME}: accepting orders …");
    let url = format!("http://127.0.0.1:{port}/orders");
    let sent = send(url.into(), args, texts, Door::Celery, "the broker").await?;
    let mut rows = Rows { database: NAME, rows: Vec::new() };
    rows.add(
        &format!("orders accepted/s, `delay`, {} connections", args.connections),
        count(args.posts as f64 / sent.took.as_secs_f64()),
    );
    rows.add(
        "… latency, median / 99th percentile",
        format!("{:.1} / {:.1} ms", percentile(&sent.ms, 50), percentile(&sent.ms, 99)),
    );
    Ok(rows.rows)
}

/// A port that is free at the moment of the call.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Starts a program in a folder, and waits until it listens. It is killed on drop.
async fn started(command: &mut Command, folder: &Path, port: u16) -> anyhow::Result<Child> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let errors = folder.join(format!("{port}.log"));
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&errors)?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("`{name}` does not start"))?;
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let runs = child.try_wait()?.is_none() && begin.elapsed() < STARTS_WITHIN;
        ensure!(
            runs,
            "`{name}` does not listen: {}",
            std::fs::read_to_string(&errors).unwrap_or_default()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(child)
}
