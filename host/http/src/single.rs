//! One request over a connection of its own, to a server that somebody else chose.
//!
//! The shared client reads and parses as much as a server sends before it lets other tasks run. A
//! server that sends heads of provisional responses (1xx) without end would keep a thread of the
//! runtime busy. Here what a server sends is read in small parts and counted, and a connection ends
//! at [`ANSWER_BYTES`].

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::rt::ReadBufCursor;
use hyper::{Request, StatusCode};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::guard::{PrivateAddress, public_ones};
use super::{CONNECT_LIMIT, Client, ConnectTimeout, is_public};

/// Maximum bytes of an answer, with all its heads: 256 KiB.
pub const ANSWER_BYTES: usize = 256 << 10;
/// Bytes that are read and parsed at once.
const READ_BYTES: usize = 8 << 10;
/// Bytes of an answer that are kept before its reader takes them. The least that hyper allows.
const KEPT_BYTES: usize = 8 << 10;

/// The addresses that may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet: see [`is_public`]. They are checked where they come from,
    /// between the name look-up and the connection: a name that is looked up twice can have
    /// another address the second time.
    Public,
    /// All, also those of this machine and its networks.
    Any,
}

/// Sends single requests. Clones share the TLS settings.
#[derive(Debug, Clone)]
pub struct SingleClient {
    tls: Arc<rustls::ClientConfig>,
}

/// The head of an answer, and its body as it arrives. Dropping it closes the connection.
#[derive(Debug)]
pub struct SingleAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// The task that reads and writes; it ends with this value.
    _connection: JoinSet<()>,
}

/// A request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    #[error("the address has no {0}")]
    Address(&'static str),
    #[error("a header is not allowed in a request")]
    Header(#[from] hyper::http::Error),
    #[error("the name {host} cannot be looked up")]
    Name { host: String, source: io::Error },
    #[error("the name {host} has no address")]
    NoAddress { host: String },
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    #[error(transparent)]
    ConnectTimeout(#[from] ConnectTimeout),
    #[error("no connection to {host}")]
    Connect { host: String, source: io::Error },
    #[error("no TLS connection to {host}")]
    Tls { host: String, source: io::Error },
    #[error("the request has no answer")]
    Exchange(#[from] hyper::Error),
}

/// A server has sent more than [`ANSWER_BYTES`]. Found in the source chain of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerTooLong;

impl fmt::Display for AnswerTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer, with its heads, has more than {} KiB", ANSWER_BYTES >> 10)
    }
}

impl Error for AnswerTooLong {}

impl Client {
    /// A sender of single requests with the same TLS settings. It speaks HTTP/1.1, follows no
    /// redirects and uses no proxy.
    pub fn single(&self) -> SingleClient {
        let mut tls = self.shards.tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        SingleClient { tls: Arc::new(tls) }
    }
}

impl SingleClient {
    /// Sends a POST to an `http` or `https` address, and returns when the head of the final answer
    /// is there. Connecting takes at most [`CONNECT_LIMIT`]; the caller limits the rest.
    ///
    /// # Errors
    /// The address is not one that `reach` allows, or has no answer, or too long a one.
    pub async fn post(
        &self,
        url: &Url,
        reach: Reach,
        headers: HeaderMap,
        body: String,
    ) -> Result<SingleAnswer, SingleError> {
        let connecting = tokio::time::timeout(CONNECT_LIMIT, self.connect(url, reach));
        let io = connecting.await.map_err(|_| ConnectTimeout { limit: CONNECT_LIMIT })??;
        let mut request = Request::post(target(url)).body(body)?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, authority(url)?);
        let agent = concat!("sitewright/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(KEPT_BYTES)
            .handshake(Counted { io, read: 0 })
            .await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for one request ended early");
            }
        });
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(SingleAnswer { status: head.status, headers: head.headers, body, _connection: task })
    }

    async fn connect(&self, url: &Url, reach: Reach) -> Result<Box<dyn Duplex>, SingleError> {
        let host = url.host_str().ok_or(SingleError::Address("host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or(SingleError::Address("port"))?;
        let tcp = tcp(&addresses(&host, port, reach).await?, &host).await?;
        if url.scheme() != "https" {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.clone())
            .map_err(|_| SingleError::Address("host that a certificate could have"))?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await;
        match tls {
            Ok(tls) => Ok(Box::new(tls)),
            Err(source) => Err(SingleError::Tls { host, source }),
        }
    }
}

impl SingleAnswer {
    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, or the answer is too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        loop {
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            match frame.await.transpose()?.map(hyper::body::Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                // Trailers.
                Some(Err(_)) => {}
            }
        }
    }
}

/// The addresses of a host that may be called, at least one.
async fn addresses(host: &str, port: u16, reach: Reach) -> Result<Vec<SocketAddr>, SingleError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return match reach {
            Reach::Public if !is_public(address) => {
                Err(PrivateAddress { host: host.to_owned(), address }.into())
            }
            Reach::Public | Reach::Any => Ok(vec![SocketAddr::new(address, port)]),
        };
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<SocketAddr> =
        found.map_err(|source| SingleError::Name { host: host.to_owned(), source })?.collect();
    let allowed = match reach {
        Reach::Any => found,
        Reach::Public => public_ones(host.to_owned(), &found)?,
    };
    if allowed.is_empty() {
        return Err(SingleError::NoAddress { host: host.to_owned() });
    }
    Ok(allowed)
}

/// A connection to the first of the addresses that accepts one.
async fn tcp(addresses: &[SocketAddr], host: &str) -> Result<TcpStream, SingleError> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(SingleError::Connect { host: host.to_owned(), source: refused })
}

/// The request target: path and query.
fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The value of `Host`.
fn authority(url: &Url) -> Result<HeaderValue, SingleError> {
    let host = url.host_str().ok_or(SingleError::Address("host"))?;
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::try_from(text).map_err(|error| SingleError::Header(error.into()))
}

/// A connection, with TLS or without.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Counts what is read, in small parts.
struct Counted {
    io: Box<dyn Duplex>,
    read: usize,
}

impl hyper::rt::Read for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut part = [0; READ_BYTES];
        let room = READ_BYTES.min(into.remaining());
        let mut part = ReadBuf::new(part.split_at_mut(room).0);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut part))?;
        self.read = self.read.saturating_add(part.filled().len());
        if self.read > ANSWER_BYTES {
            return Poll::Ready(Err(io::Error::other(AnswerTooLong)));
        }
        into.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
