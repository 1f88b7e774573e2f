//! A model server in a process of its own, so that its processor time does not count as the client's.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Text pieces of the streamed answer.
const PIECES: usize = 20;

/// A running server; it is killed when dropped.
pub(crate) struct Model {
    _process: Child,
    port: u16,
}

impl Model {
    /// Starts this program again as a server that answers each request after `delay`.
    pub(crate) async fn start(delay: Duration) -> anyhow::Result<Model> {
        let delay = delay.as_millis().to_string();
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve-model", "--delay-ms", &delay])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the model server does not start")?;
        let stdout = process.stdout.take().context("it has an output")?;
        let line =
            BufReader::new(stdout).lines().next_line().await?.context("the model server said no port")?;
        Ok(Model { _process: process, port: line.parse().map_err(|_| anyhow!("{line:?} is no port"))? })
    }

    /// What stands before `/chat/completions`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

/// Serves until killed; prints its port first.
pub(crate) async fn serve(delay: Duration) -> anyhow::Result<()> {
    more_files()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let answer: std::sync::Arc<[u8]> = answer().into();
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::spawn(async move {
            // A client that goes away is none of the server's business.
            drop(connection(stream, delay, &answer).await);
        });
    }
}

async fn connection(stream: TcpStream, delay: Duration, answer: &[u8]) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        // A sleep of nothing takes a millisecond, the clock's step.
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.get_mut().write_all(answer).await?;
    }
}

/// A streamed chat completion, as bytes of the whole HTTP answer.
fn answer() -> Vec<u8> {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut body = event("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    for piece in 0..PIECES {
        body += &event(&format!("{{\"content\":\"piece {piece} of the text, \"}}"), "null");
    }
    body += &event("{}", "\"stop\"");
    body += "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":120}}\n\ndata: [DONE]\n\n";
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req-1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// As many open files as the system allows: a socket for each call in flight.
pub(crate) fn more_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .with_context(|| format!("the limit on open files cannot be raised to {maximum:?}"))
}
