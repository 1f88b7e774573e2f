//! An HTTP/2 server with TLS, as hosted models have it, with up to 100 concurrent requests per
//! connection.

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

/// Maximum number of concurrent streams per connection, a common value.
pub const STREAMS: u32 = 100;

/// Error of a connection or a request.
pub type H2Error = Box<dyn std::error::Error + Send + Sync>;

/// A bound server; [`H2Server::serve`] runs it.
pub struct H2Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connections: Arc<AtomicUsize>,
}

impl H2Server {
    /// Binds a free port on 127.0.0.1 and writes a new self-signed certificate to the file. Clients
    /// trust it if `SSL_CERT_FILE` names the file.
    ///
    /// # Errors
    /// If the certificate cannot be generated or written, or no port can be bound.
    pub async fn bind(certificate: &Path) -> Result<Self, H2Error> {
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

    /// URL prefix of `/chat/completions`.
    ///
    /// # Errors
    /// If the system does not return the port.
    pub fn base_url(&self) -> Result<String, H2Error> {
        Ok(format!("https://{}/v1", self.listener.local_addr()?))
    }

    /// Counter of accepted connections.
    pub fn connections(&self) -> Arc<AtomicUsize> {
        self.connections.clone()
    }

    /// Answers every request with the server-sent events that `answer` returns, until the future is
    /// dropped.
    ///
    /// # Errors
    /// If accepting a connection fails.
    pub async fn serve<F, W>(self, answer: F) -> Result<(), H2Error>
    where
        F: Fn() -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Vec<u8>> + Send + 'static,
    {
        loop {
            let (stream, _) = self.listener.accept().await?;
            self.connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, answer) = (self.acceptor.clone(), answer.clone());
            // Clients may disconnect at any time.
            tokio::spawn(async move { drop(connection(stream, acceptor, answer).await) });
        }
    }
}

async fn connection<F, W>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    answer: F,
) -> Result<(), H2Error>
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
        tokio::spawn(async move { drop(answer_request(request, respond, answer).await) });
    }
    Ok(())
}

async fn answer_request<F, W>(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
    answer: F,
) -> Result<(), H2Error>
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
