//! The one HTTP client of the process.
//!
//! All callers share the connections and the TLS state of the client that [`client`] creates.
//!
//! | item | question |
//! |---|---|
//! | [`client`], [`ClientError`] | how is the client created, with which roots and settings? |
//! | [`Client`], [`Shard`] | which connection does a request use? |
//! | [`connect_within`], [`ConnectWatch`], [`ConnectTimeout`] | how long may connecting take? |
//! | [`Client::with_settings`], [`ConnectionSettings`] | which proxy and certificates has a server? |
//! | [`Client::single`], [`Reach`] | how is a server called that somebody else chose? |
//! | [`is_public`] | which addresses are public? |
//! | [`causes_with_self`], [`was_closed`] | what caused an error of the client? |
//! | [`wait`] | which wait does a server request? |
//!
//! **Invariant:** no other crate builds a `reqwest::Client` (clippy's `disallowed-methods`).
//!
//! **Invariant:** this crate does not know what it sends: no providers, keys, retries or response
//! timeouts. It sends nothing by itself.

mod guard;
mod settings;
mod single;
pub mod wait;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

pub use guard::{PrivateAddress, is_public};
pub use settings::{ConnectionSettings, ProxySetting};
pub use single::{ANSWER_BYTES, AnswerTooLong, Reach, SingleAnswer, SingleClient, SingleError};

use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};

/// The timeout for connecting (name look-up, TCP and TLS together) of a request without
/// [`connect_within`].
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

tokio::task_local! {
    static CONNECT_WITHIN: (Duration, ConnectWatch);
}

/// Observes the connection of one request.
#[derive(Debug, Clone, Default)]
pub struct ConnectWatch {
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    began: Option<Instant>,
    done: Option<Instant>,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connecting {
    /// Not connecting: an open connection is used, or the request has not started yet.
    No,
    /// Connecting since this time.
    Since(Instant),
    /// Connected at this time.
    Done(Instant),
}

impl ConnectWatch {
    pub fn progress(&self) -> Connecting {
        match *self.progress.lock() {
            Progress { done: Some(at), .. } => Connecting::Done(at),
            Progress { began: Some(at), .. } => Connecting::Since(at),
            Progress { .. } => Connecting::No,
        }
    }

    /// How long connecting took; `None` if no connection was established.
    pub fn took(&self) -> Option<Duration> {
        let progress = *self.progress.lock();
        progress.done.zip(progress.began).map(|(done, began)| done - began)
    }
}

/// The HTTP client could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be made; TLS could not be set up: {}", joined(.causes))]
pub struct ClientError {
    /// The errors of the TLS library, outermost first.
    pub causes: Vec<Message>,
}

fn joined(causes: &[Message]) -> String {
    causes.iter().map(Message::as_str).collect::<Vec<_>>().join(": ")
}

impl ClientError {
    fn of(error: &(dyn Error + 'static)) -> Self {
        ClientError { causes: causes_with_self(error) }
    }

    /// What is wrong, for a message that says where.
    pub fn reason(&self) -> Message {
        Message::or(joined(&self.causes), message!("TLS could not be set up"))
    }
}

/// The timeout for connecting expired. Found in the source chain of a request's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectTimeout {
    /// The timeout that expired.
    pub limit: Duration,
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {} ms", self.limit.as_millis())
    }
}

impl Error for ConnectTimeout {}

/// Maximum number of requests that share one HTTP/2 connection. RFC 9113 (section 6.5.2) recommends
/// that servers allow at least 100 streams, and many allow no more. A request beyond the server's
/// limit waits, without an error, until another one has ended.
const STREAMS: usize = 100;

/// The HTTP client of the process. Clones share its connections.
///
/// It consists of shards, each a `reqwest::Client` for at most [`STREAMS`] requests in flight, all
/// with the same TLS settings: `reqwest` keeps one HTTP/2 connection per host, however many
/// requests wait for it.
#[derive(Debug, Clone)]
pub struct Client {
    shards: Arc<Shards>,
}

#[derive(Debug)]
struct Shards {
    tls: rustls::ClientConfig,
    proxy: Proxy,
    first: reqwest::Client,
    /// Made when it is needed first.
    fresh: OnceLock<reqwest::Client>,
    /// Includes the first one.
    all: Mutex<Vec<ShardState>>,
}

#[derive(Debug)]
struct ShardState {
    client: reqwest::Client,
    in_flight: usize,
}

#[derive(Debug)]
enum Proxy {
    None,
    Environment,
    Of(Box<reqwest::Proxy>),
}

/// The connection shard of one request. Hold it until the response has been read.
#[derive(Debug)]
pub struct Shard {
    shards: Arc<Shards>,
    index: usize,
    client: reqwest::Client,
}

impl Client {
    /// The first shard's client, for callers with few concurrent requests.
    pub fn first(&self) -> &reqwest::Client {
        &self.shards.first
    }

    /// A client that opens a connection for each request, for one that must not be sent over a
    /// connection that was kept open.
    pub fn fresh(&self) -> &reqwest::Client {
        self.shards.fresh.get_or_init(|| {
            let fresh = builder(self.shards.tls.clone(), &self.shards.proxy)
                .pool_max_idle_per_host(0)
                .build();
            fresh.unwrap_or_else(|error| {
                tracing::warn!(%error, "no HTTP client without kept connections can be made");
                self.shards.first.clone()
            })
        })
    }

    /// A shard with a free slot, for one of many concurrent requests.
    pub fn shard(&self) -> Shard {
        let mut all = self.shards.all.lock();
        let index = match all.iter().position(|shard| shard.in_flight < STREAMS) {
            Some(index) => index,
            None => match builder(self.shards.tls.clone(), &self.shards.proxy).build() {
                Ok(client) => {
                    all.push(ShardState { client, in_flight: 0 });
                    all.len() - 1
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "no further HTTP client can be made: requests may wait for each other"
                    );
                    0
                }
            },
        };
        let client = match all.get_mut(index) {
            Some(shard) => {
                shard.in_flight += 1;
                shard.client.clone()
            }
            None => self.shards.first.clone(),
        };
        drop(all);
        Shard { shards: self.shards.clone(), index, client }
    }
}

impl Shard {
    /// The client to make the request with.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        if let Some(shard) = self.shards.all.lock().get_mut(self.index) {
            shard.in_flight -= 1;
        }
    }
}

/// Creates the client. Call it once, when the process starts.
///
/// TLS is rustls with ring. Certificates are checked against the roots of the machine (or those of
/// `SSL_CERT_FILE` or `SSL_CERT_DIR`); a machine without roots, such as a minimal container, uses
/// the bundled roots of Mozilla. Redirects are not followed and proxy variables are not read, so
/// that a key is sent to no other host than the configured one.
///
/// # Errors
/// TLS cannot be set up.
pub fn client() -> Result<Client, ClientError> {
    // For libraries that use the process-wide provider. Another one may be installed already.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a rustls crypto provider was installed before");
    }
    Client::of(tls()?, Proxy::None)
}

impl Client {
    fn of(tls: rustls::ClientConfig, proxy: Proxy) -> Result<Client, ClientError> {
        let first =
            builder(tls.clone(), &proxy).build().map_err(|error| ClientError::of(&error))?;
        let all = Mutex::new(vec![ShardState { client: first.clone(), in_flight: 0 }]);
        let shards = Shards { tls, proxy, first, fresh: OnceLock::new(), all };
        Ok(Client { shards: Arc::new(shards) })
    }
}

/// The protocols that are offered to servers.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Environment variables with root certificates that replace those of the machine.
const ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Called once: reading the roots of the machine takes milliseconds.
fn tls() -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::of(&error))?;
    let mut tls = verified(builder, provider)?.with_no_client_auth();
    tls.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(tls)
}

type WantsVerifier = rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>;
type WantsIdentity = rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>;

/// Checks the certificates of servers against the roots of the machine.
fn verified(
    builder: WantsVerifier,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<WantsIdentity, ClientError> {
    Ok(match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(platform) => {
            // Roots that the operator names are not replaced by the bundled ones.
            let named = ROOTS.iter().find_map(|name| Some((name, std::env::var_os(name)?)));
            if let Some((name, path)) = named {
                let path = path.display();
                return Err(ClientError {
                    causes: vec![message!(
                        "no certificate can be read from {path}, which {name} names"
                    )],
                });
            }
            tracing::debug!(
                error = %platform,
                "no certificates on this machine, so the bundled ones are used"
            );
            let mut roots = rustls::RootCertStore::empty();
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
            roots.add_parsable_certificates(bundled.iter().cloned());
            builder.with_root_certificates(roots)
        }
    })
}

#[allow(clippy::disallowed_methods, reason = "the only place that builds clients")]
fn builder(tls: rustls::ClientConfig, proxy: &Proxy) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("sitewright/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connector_layer(LimitConnect);
    match proxy {
        Proxy::None => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::Of(proxy) => builder.no_proxy().proxy(proxy.as_ref().clone()),
    }
}

/// Whether the error says that the server had closed the connection, or broke it, before it sent
/// anything of a response.
pub fn was_closed(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{
                BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
            };
            return matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
            );
        }
        next = error.source();
    }
    false
}

/// The messages of the error and of its sources, outermost first.
pub fn causes_with_self(error: &(dyn Error + 'static)) -> Vec<Message> {
    Message::new(error.to_string()).into_iter().chain(causes_of(error)).collect()
}

/// Limits the time to connect of one request, and returns a watch of its connection. The limit has
/// no effect if an open connection is used.
pub fn connect_within<F: Future>(
    limit: Duration,
    request: F,
) -> (impl Future<Output = F::Output>, ConnectWatch) {
    let watch = ConnectWatch::default();
    (CONNECT_WITHIN.scope((limit, watch.clone()), request), watch)
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Applies the limit of [`connect_within`] to each new connection. `reqwest` has one limit for all
/// requests only.
#[derive(Clone)]
struct LimitConnect;

#[derive(Clone)]
struct Limited<S>(S);

impl<S> Layer<S> for LimitConnect {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited(inner)
    }
}

impl<S, R> Service<R> for Limited<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Called while the request's future is polled, so the task-local is that of its caller.
        let (limit, watch) = CONNECT_WITHIN
            .try_with(Clone::clone)
            .unwrap_or_else(|_| (CONNECT_LIMIT, ConnectWatch::default()));
        watch.progress.lock().began = Some(Instant::now());
        let connecting = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => {
                    watch.progress.lock().done = connected.is_ok().then(Instant::now);
                    connected
                }
                Err(_) => Err(BoxError::from(ConnectTimeout { limit })),
            }
        })
    }
}
