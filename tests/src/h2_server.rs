//! A server as hosted models have it: HTTP/2 over TLS, and a hundred requests on a connection.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::SendStream;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Requests that it serves on one connection at once, like most.
pub const STREAMS: u32 = 100;

/// What went wrong with a connection or a request.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// A server that is not serving yet.
pub struct H2Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connections: Arc<AtomicUsize>,
}

impl H2Server {
    /// On a free port of this machine, with a certificate of its own, which it writes to a file:
    /// programs trust it when their `SSL_CERT_FILE` names that.
    ///
    /// # Errors
    /// What cannot be made or written.
    pub async fn bind(certificate: &Path) -> Result<Self, Trouble> {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        std::fs::write(certificate, own.cert.pem())?;
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(H2Server {
            listener: TcpListener::bind(("127.0.0.1", 0)).await?,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            connections: Arc::default(),
        })
    }

    /// What stands before `/chat/completions`.
    ///
    /// # Errors
    /// When the system does not tell the port.
    pub fn base_url(&self) -> Result<String, Trouble> {
        Ok(format!("https://{}/v1", self.listener.local_addr()?))
    }

    /// Counts the connections that were made.
    pub fn connections(&self) -> Arc<AtomicUsize> {
        self.connections.clone()
    }

    /// Answers every request with what `answer` gives, a stream of server-sent events, until it is
    /// dropped.
    ///
    /// # Errors
    /// When it cannot take connections any more.
    pub async fn serve<F, W>(self, answer: F) -> Result<(), Trouble>
    where
        F: Fn() -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Vec<u8>> + Send + 'static,
    {
        loop {
            let (stream, _) = self.listener.accept().await?;
            self.connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, answer) = (self.acceptor.clone(), answer.clone());
            // A client that goes away is none of the server's business.
            tokio::spawn(async move { drop(connection(stream, acceptor, answer).await) });
        }
    }
}

async fn connection<F, W>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    answer: F,
) -> Result<(), Trouble>
where
    F: Fn() -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Vec<u8>> + Send + 'static,
{
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let mut builder = h2::server::Builder::new();
    let mut connection =
        builder.max_concurrent_streams(STREAMS).handshake::<_, bytes::Bytes>(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let answer = answer.clone();
        tokio::spawn(async move { drop(request_answered(request, respond, answer).await) });
    }
    Ok(())
}

async fn request_answered<F, W>(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
    answer: F,
) -> Result<(), Trouble>
where
    F: Fn() -> W,
    W: Future<Output = Vec<u8>>,
{
    let mut body = request.into_body();
    while let Some(part) = body.data().await {
        let bytes = part?.len();
        body.flow_control().release_capacity(bytes)?;
    }
    let answer = answer().await;
    let head = Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "text/event-stream")
        .header("x-request-id", "req-1")
        .body(())?;
    let mut stream: SendStream<bytes::Bytes> = respond.send_response(head, false)?;
    stream.send_data(answer.into(), true)?;
    Ok(())
}
