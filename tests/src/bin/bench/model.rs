//! A model server in a process of its own, so that its processor time does not count as the client's.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

/// Text pieces of the streamed answer.
const PIECES: usize = 20;

/// What the server prints when it holds as many requests as it was told to.
const HOLDING: &str = "holding";

/// A running server; it is killed when dropped.
pub(crate) struct Model {
    _process: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u16,
}

/// How the server answers.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Answering {
    /// How long each answer takes.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
    /// No request is answered before so many are there; then each waits for the delay.
    #[arg(long, default_value_t = 0)]
    pub(crate) hold: usize,
    /// The text of each answer, instead of one that says nothing.
    #[arg(long)]
    pub(crate) text: Option<String>,
}

impl Model {
    /// Starts this program again as a server that answers each request after `delay`.
    pub(crate) async fn start(delay: Duration) -> anyhow::Result<Model> {
        let delay_ms = u64::try_from(delay.as_millis())?;
        Model::answering(&Answering { delay_ms, ..Answering::default() }).await
    }

    /// Starts it with further wishes.
    pub(crate) async fn answering(answering: &Answering) -> anyhow::Result<Model> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve-model")
            .args(["--delay-ms", &answering.delay_ms.to_string(), "--hold", &answering.hold.to_string()])
            .args(answering.text.iter().flat_map(|text| ["--text", text]))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the model server does not start")?;
        let stdout = process.stdout.take().context("it has an output")?;
        let mut said = BufReader::new(stdout).lines();
        let line = said.next_line().await?.context("the model server said no port")?;
        let port = line.parse().map_err(|_| anyhow!("{line:?} is no port"))?;
        Ok(Model { _process: process, said, port })
    }

    /// Waits until it holds as many requests as it was told to.
    pub(crate) async fn holds(&mut self) -> anyhow::Result<()> {
        let line = self.said.next_line().await?;
        ensure!(line.as_deref() == Some(HOLDING), "the model server said {line:?}");
        Ok(())
    }

    /// What stands before `/chat/completions`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

/// Serves until killed; prints its port first.
pub(crate) async fn serve(answering: Answering) -> anyhow::Result<()> {
    more_files()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let server = Arc::new(Server {
        delay: Duration::from_millis(answering.delay_ms),
        answer: answer(answering.text.as_deref()),
        hold: answering.hold,
        came: AtomicUsize::new(0),
        enough: watch::Sender::new(answering.hold == 0),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move {
            // A client that goes away is none of the server's business.
            drop(connection(stream, &server).await);
        });
    }
}

struct Server {
    delay: Duration,
    answer: Vec<u8>,
    hold: usize,
    came: AtomicUsize,
    enough: watch::Sender<bool>,
}

impl Server {
    /// Until it is time to answer.
    async fn wait(&self) -> anyhow::Result<()> {
        if self.came.fetch_add(1, Ordering::Relaxed) + 1 == self.hold {
            println!("{HOLDING}");
            self.enough.send_replace(true);
        }
        self.enough.subscribe().wait_for(|enough| *enough).await?;
        // A sleep of nothing takes a millisecond, the clock's step.
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(())
    }
}

async fn connection(stream: TcpStream, server: &Server) -> anyhow::Result<()> {
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
        drop(body);
        server.wait().await?;
        stream.get_mut().write_all(&server.answer).await?;
    }
}

/// A streamed chat completion, as bytes of the whole HTTP answer.
fn answer(text: Option<&str>) -> Vec<u8> {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut body = event("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    let pieces: Vec<String> = match text {
        Some(text) => text.split_inclusive(' ').map(str::to_owned).collect(),
        None => (0..PIECES).map(|piece| format!("piece {piece} of the text, ")).collect(),
    };
    for piece in pieces {
        body += &event(&serde_json::json!({ "content": piece }).to_string(), "null");
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
