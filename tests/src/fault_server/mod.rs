//! A server with every fault that can occur on the way to a model, in the format of every provider.
//!
//! | file | contents |
//! |---|---|
//! | `shapes` | answers and errors in each provider's format, streamed or whole |
//! | `wire` | the faults and their effect on a connection |
//! | `mod` | listening, reading requests, executing the steps of a fault |
//!
//! No HTTP library, because a library cannot send broken responses.

pub mod shapes;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use shapes::{Form, Shape};
pub use wire::{Fault, Step};

/// The provider's request id, in every answer with a head.
pub const REQUEST_ID: &str = "req-of-the-fault-server";

/// A running server that executes the same steps on every connection; it stops on drop.
pub struct FaultServer {
    port: u16,
    seen: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl FaultServer {
    /// Starts a server on a free port.
    pub async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let seen = Arc::new(AtomicUsize::new(0));
        let (script, count) = (Arc::new(script), seen.clone());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, count) = (script.clone(), count.clone());
                // Some faults make the client disconnect during an answer.
                tokio::spawn(async move { drop(serve(stream, &script, &count).await) });
            }
        });
        FaultServer { port, seen, listening }
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Number of complete requests so far.
    pub fn requests(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, script: &[Step], seen: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    read_request(&mut stream).await?;
    seen.fetch_add(1, Ordering::SeqCst);
    for step in script {
        match step {
            Step::Send(bytes) => stream.write_all(bytes).await?,
            Step::Dribble(bytes) => {
                for byte in bytes {
                    stream.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Step::Repeat(bytes) => loop {
                stream.write_all(bytes).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            },
            Step::Silence => while stream.read(&mut [0; 1024]).await? > 0 {},
            Step::Reset => {
                // A reset discards data that the client has not read yet.
                tokio::time::sleep(Duration::from_millis(60)).await;
                stream.set_zero_linger()?;
                return Ok(());
            }
        }
    }
    // Closing a socket with unread data resets the connection, so read until the client closes it,
    // for at most 5 s.
    stream.shutdown().await?;
    let rest = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {} };
    drop(tokio::time::timeout(Duration::from_secs(5), rest).await);
    Ok(())
}

/// Reads one request, or the beginning of a TLS client hello.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if bytes[0] == 0x16 {
            return Ok(());
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    while bytes.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
