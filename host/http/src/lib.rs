//! The one HTTP client of the process.
//!
//! Everything that speaks HTTP shares the connections and the TLS state of [`client`]. What differs
//! between callers, the time to connect, is given with the call: [`connect_within`].

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};

/// The time to connect (name look-up, TCP and TLS together) of a request that [`connect_within`]
/// does not limit.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

tokio::task_local! {
    static CONNECT_WITHIN: (Duration, ConnectWatch);
}

/// Tells how far the connection of a request is.
#[derive(Debug, Clone, Default)]
pub struct ConnectWatch {
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    began: Option<Instant>,
    done: Option<Instant>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connecting {
    /// None is being made: one was open, or the request has not come so far.
    No,
    /// It is being made since then.
    Since(Instant),
    /// It was made then.
    Done(Instant),
}

impl ConnectWatch {
    /// How far it is.
    pub fn progress(&self) -> Connecting {
        match *self.lock() {
            Progress { done: Some(at), .. } => Connecting::Done(at),
            Progress { began: Some(at), .. } => Connecting::Since(at),
            Progress { .. } => Connecting::No,
        }
    }

    /// How long it took, when it was made.
    pub fn took(&self) -> Option<Duration> {
        let progress = *self.lock();
        progress.done.zip(progress.began).map(|(done, began)| done - began)
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be made; TLS could not be set up: {}", .causes.iter().map(Message::as_str).collect::<Vec<_>>().join(": "))]
pub struct ClientError {
    /// What the TLS library said, outermost first.
    pub causes: Vec<Message>,
}

impl ClientError {
    fn of(error: &(dyn Error + 'static)) -> Self {
        ClientError { causes: causes_with_self(error) }
    }
}

/// A connection was not made in time. Found in the source chain of a request's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectTimeout {
    /// The limit that passed.
    pub limit: Duration,
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {} ms", self.limit.as_millis())
    }
}

impl Error for ConnectTimeout {}

/// Requests that share one connection of HTTP/2: no server may be expected to allow more (RFC 9113,
/// section 6.5.2, and what nginx and the content networks before hosted models do). Whatever
/// exceeds a server's number waits in silence until another request has ended.
const STREAMS: usize = 100;

/// The HTTP client of the process. Clones share all of it.
///
/// Below it is one client of the library for every [`STREAMS`] requests in flight, all with the
/// same TLS: the library keeps one connection of HTTP/2 for a host, however many requests wait for
/// it.
#[derive(Debug, Clone)]
pub struct Client {
    lanes: Arc<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    tls: rustls::ClientConfig,
    first: reqwest::Client,
    /// The first one too.
    all: Mutex<Vec<LaneState>>,
}

#[derive(Debug)]
struct LaneState {
    client: reqwest::Client,
    in_flight: usize,
}

/// The right to make one request, for as long as its answer is read.
#[derive(Debug)]
pub struct Lane {
    lanes: Arc<Lanes>,
    index: usize,
    client: reqwest::Client,
}

impl Client {
    /// For what makes few requests at once.
    pub fn first(&self) -> &reqwest::Client {
        &self.lanes.first
    }

    /// For one request of many: it waits for none of the others.
    pub fn lane(&self) -> Lane {
        let mut all = self.lanes.lock();
        let index = match all.iter().position(|lane| lane.in_flight < STREAMS) {
            Some(index) => index,
            None => match builder(self.lanes.tls.clone()).build() {
                Ok(client) => {
                    all.push(LaneState { client, in_flight: 0 });
                    all.len() - 1
                }
                Err(error) => {
                    tracing::warn!(%error, "no further HTTP client can be made: requests may wait for each other");
                    0
                }
            },
        };
        let client = match all.get_mut(index) {
            Some(lane) => {
                lane.in_flight += 1;
                lane.client.clone()
            }
            None => self.lanes.first.clone(),
        };
        drop(all);
        Lane { lanes: self.lanes.clone(), index, client }
    }
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Vec<LaneState>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// What makes the request.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.lock().get_mut(self.index) {
            lane.in_flight -= 1;
        }
    }
}

/// Makes the client. Call it once, when the process starts.
///
/// TLS is rustls with ring. Certificates are checked against the machine's own roots (or those of
/// `SSL_CERT_FILE`), and where a machine has none (a minimal container) against the bundled ones of
/// Mozilla. Redirects are not followed and proxy variables are not read: an AI endpoint
/// that redirects is a mistake in the configuration, and a key must not travel where nobody sent
/// it.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> Result<Client, ClientError> {
    // Other libraries take the process-wide provider. It is fine when another part was first.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a rustls crypto provider was installed before");
    }
    let tls = tls()?;
    let first = builder(tls.clone()).build().map_err(|error| ClientError::of(&error))?;
    let all = Mutex::new(vec![LaneState { client: first.clone(), in_flight: 0 }]);
    Ok(Client { lanes: Arc::new(Lanes { tls, first, all }) })
}

/// The variables that name other roots than the machine's, as most programs read them.
const ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Made once: reading the machine's roots takes milliseconds.
fn tls() -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::of(&error))?;
    let mut tls = match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(platform) => {
            // Whoever names roots wants those and no others.
            if let Some((name, path)) = ROOTS.iter().find_map(|name| Some((name, std::env::var_os(name)?))) {
                let path = path.display();
                return Err(ClientError {
                    causes: vec![message!("no certificate can be read from {path}, which {name} names")],
                });
            }
            tracing::debug!(error = %platform, "no certificates on this machine, so the bundled ones are used");
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
            builder.with_root_certificates(roots)
        }
    }
    .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[allow(clippy::disallowed_methods, reason = "the one place where clients are made")]
fn builder(tls: rustls::ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("sitewright/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connector_layer(LimitConnect)
}

/// The error's own text and those of its sources.
pub fn causes_with_self(error: &(dyn Error + 'static)) -> Vec<Message> {
    Message::new(error.to_string()).into_iter().chain(causes_of(error)).collect()
}

/// A request of the one client with its own limit on the time to connect, and the watch that tells
/// how far that is. A connection that is already open costs nothing.
pub fn connect_within<F: Future>(
    limit: Duration,
    request: F,
) -> (impl Future<Output = F::Output>, ConnectWatch) {
    let watch = ConnectWatch::default();
    (CONNECT_WITHIN.scope((limit, watch.clone()), request), watch)
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Puts a limit on each connection that the client makes. The client itself knows only one limit
/// for all callers.
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
        // Called while the request's own future is polled, so the task-local is that of its caller.
        let (limit, watch) = CONNECT_WITHIN
            .try_with(Clone::clone)
            .unwrap_or_else(|_| (CONNECT_LIMIT, ConnectWatch::default()));
        watch.lock().began = Some(Instant::now());
        let connecting = self.0.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => {
                    watch.lock().done = connected.is_ok().then(Instant::now);
                    connected
                }
                Err(_) => Err(BoxError::from(ConnectTimeout { limit })),
            }
        })
    }
}
