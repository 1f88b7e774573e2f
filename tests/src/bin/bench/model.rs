//! A model server in a separate process, so that its CPU time does not count as the client's.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use sitewright_tests::h2_server::H2Server;
use sitewright_tests::hostile::error_body;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

/// Number of text deltas in a streamed answer.
const DELTAS: usize = 20;

/// Line that the server prints when the number of pending requests reaches `--hold`.
const HOLDING: &str = "holding";

/// A running server; it is killed on drop.
pub(crate) struct Model {
    _process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    base_url: String,
    certificate: Option<PathBuf>,
}

/// Options of the server.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Answering {
    /// Latency of each answer in milliseconds
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
    /// Number of pending requests before which none is answered; 0 answers immediately
    #[arg(long, default_value_t = 0)]
    pub(crate) hold: usize,
    /// Text of each answer. Default: a text without meaning
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// Serve HTTP/2 with TLS and write the certificate to this file. Default: HTTP/1.1
    #[arg(long)]
    pub(crate) certificate: Option<PathBuf>,
}

impl Model {
    /// Starts this program as a server that answers each request after `delay`.
    pub(crate) async fn start(delay: Duration) -> anyhow::Result<Model> {
        let delay_ms = u64::try_from(delay.as_millis())?;
        Model::answering(&Answering { delay_ms, ..Answering::default() }).await
    }

    /// Starts this program as a server with these options.
    pub(crate) async fn answering(answering: &Answering) -> anyhow::Result<Model> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve-model")
            .args([
                "--delay-ms",
                &answering.delay_ms.to_string(),
                "--hold",
                &answering.hold.to_string(),
            ])
            .args(answering.text.iter().flat_map(|text| ["--text", text]))
            .args(
                answering
                    .certificate
                    .iter()
                    .flat_map(|file| ["--certificate".as_ref(), file.as_os_str()]),
            )
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the model server does not start")?;
        let stdout = process.stdout.take().context("the child has no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let base_url = stdout.next_line().await?.context("the model server printed no URL")?;
        Ok(Model {
            _process: process,
            stdout,
            base_url,
            certificate: answering.certificate.clone(),
        })
    }

    /// Waits until the number of pending requests reaches [`Answering::hold`].
    pub(crate) async fn holds(&mut self) -> anyhow::Result<()> {
        let line = self.stdout.next_line().await?;
        ensure!(line.as_deref() == Some(HOLDING), "the model server printed {line:?}");
        Ok(())
    }

    /// Certificate file that clients must trust; `None` without TLS.
    pub(crate) fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// URL prefix of `/chat/completions`.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }
}

/// Prints the URL prefix of `/chat/completions` and serves until killed.
pub(crate) async fn serve(answering: Answering) -> anyhow::Result<()> {
    more_files()?;
    let server = Arc::new(Server {
        delay: Duration::from_millis(answering.delay_ms),
        events: events(answering.text.as_deref()),
        hold: answering.hold,
        requests: AtomicUsize::new(0),
        released: watch::Sender::new(answering.hold == 0),
    });
    match &answering.certificate {
        Some(file) => {
            let listening = H2Server::bind(file).await.map_err(|error| anyhow!(error))?;
            println!("{}", listening.base_url().map_err(|error| anyhow!(error))?);
            let answer = move || {
                let server = server.clone();
                async move {
                    // `wait` fails only if the server is gone.
                    drop(server.wait().await);
                    server.events.clone()
                }
            };
            listening.serve(answer).await.map_err(|error| anyhow!(error))
        }
        None => {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            println!("http://{}/v1", listener.local_addr()?);
            let answer: Arc<[u8]> = whole_answer(&server.events).into();
            loop {
                let (stream, _) = listener.accept().await?;
                let (server, answer) = (server.clone(), answer.clone());
                tokio::spawn(async move {
                    // Clients may disconnect at any time.
                    drop(connection(stream, &server, &answer).await);
                });
            }
        }
    }
}

struct Server {
    delay: Duration,
    events: Vec<u8>,
    hold: usize,
    requests: AtomicUsize,
    released: watch::Sender<bool>,
}

impl Server {
    /// Waits until a request may be answered.
    async fn wait(&self) -> anyhow::Result<()> {
        if self.requests.fetch_add(1, Ordering::Relaxed) + 1 == self.hold {
            println!("{HOLDING}");
            self.released.send_replace(true);
        }
        self.released.subscribe().wait_for(|released| *released).await?;
        // A sleep of zero takes 1 ms, the resolution of the timer.
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(())
    }
}

async fn connection(stream: TcpStream, server: &Server, answer: &[u8]) -> anyhow::Result<()> {
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
        server.wait().await?;
        match error_body(&String::from_utf8_lossy(&body)) {
            Some(error) => stream.get_mut().write_all(&bad_request(&error)).await?,
            None => stream.get_mut().write_all(answer).await?,
        }
    }
}

/// The server-sent events of a chat completion.
fn events(text: Option<&str>) -> Vec<u8> {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":\
             1700000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"\
             finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut body = event("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    let pieces: Vec<String> = match text {
        Some(text) => text.split_inclusive(' ').map(str::to_owned).collect(),
        None => (0..DELTAS).map(|delta| format!("piece {delta} of the text, ")).collect(),
    };
    for piece in pieces {
        body += &event(&serde_json::json!({ "content": piece }).to_string(), "null");
    }
    body += &event("{}", "\"stop\"");
    body += "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"\
             completion_tokens\":120}}\n\ndata: [DONE]\n\n";
    body.into_bytes()
}

/// The HTTP/1.1 response with these events.
fn whole_answer(events: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: \
         req-1\r\ncontent-length: {}\r\n\r\n",
        events.len()
    );
    [head.as_bytes(), events].concat()
}

/// The HTTP/1.1 response 400 with this body.
fn bad_request(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: \
         {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Raises the limit on open files to its maximum: each concurrent call needs a socket.
pub(crate) fn more_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .with_context(|| format!("the limit on open files cannot be raised to {maximum:?}"))
}
