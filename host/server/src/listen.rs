//! The listener: connections with bounds, and a shutdown that lets requests end.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, HOST, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Response, Version};
use axum::response::IntoResponse as _;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sitewright_control::CountListeners;
use sitewright_jobs::Error as DatabaseError;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::access::{Client, Lock, is_loopback};
use super::app::{App, ServerParts};
use super::console::random;
use super::console::refusal::{is_page, no_page};
use super::places::{Place, Places};
use super::previews::{self, Previews};
use super::problem::{Problem, ProblemKind};
use super::routes::router;
use super::{bulk, hooks};
use crate::CONSOLE;

/// Maximum number of headers of a request.
const MAX_HEADERS: usize = 64;
/// Maximum bytes of a request's line and headers.
const MAX_HEAD: usize = 32 << 10;
/// How long changes may go on after the time that requests have to end.
const LAST_ACTIONS: Duration = Duration::from_secs(2);
/// Pause after a connection could not be accepted: no file descriptor may be left.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "cannot listen on {address} (`server.listen`, --listen): {source}; use another address, or \
         port 0 for any free one"
    )]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error(
        "cannot listen on {address} for previews (`server.console.previews`): {source}; use another \
         address, or port 0 for any free one"
    )]
    BindPreviews { address: SocketAddr, source: std::io::Error },
    /// What a template made would be on the origin of the console.
    #[error(
        "`server.console.previews_url` is {url:?}, which {why}; write how browsers reach \
         `server.console.previews`, like https://previews.example"
    )]
    PreviewsUrl { url: String, why: &'static str },
    #[error("the server cannot start: {0}")]
    Random(String),
    /// Whoever reaches the address could do everything.
    #[error(
        "{address} (`server.listen`, --listen) can be reached from other machines, and there is no \
         token: make one with `sitewright token create NAME --scope admin`, or listen on 127.0.0.1"
    )]
    NoTokens { address: SocketAddr },
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A one-time link to the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLink {
    /// Host and port: `RANDOM.localhost:8080`. Browsers look for such a host on their own machine;
    /// the address of the server is the same place for programs that do not.
    pub authority: String,
    /// `/console/enter?key=…`.
    pub path: String,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    previews: Option<TcpListener>,
    address: SocketAddr,
    app: App,
}

impl Server {
    /// Binds the address. Nothing is answered before [`Server::serve`].
    ///
    /// # Errors
    /// If the address is in use or not permitted; or if other machines reach the API and there is
    /// no token.
    pub async fn bind(parts: ServerParts) -> Result<Self, ServerError> {
        let wanted = parts.settings.listen;
        // The status of a worker answers probes without a token, and nothing else.
        // With an identity provider nobody gets in without a login either.
        if parts.surface.has_api()
            && parts.oidc.is_none()
            && !is_loopback(wanted.ip())
            && !parts.database.has_tokens().await?
        {
            return Err(ServerError::NoTokens { address: wanted });
        }
        let failed = |source| ServerError::Bind { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let has_logins = parts.settings.console.proxy_header.is_some() || parts.oidc.is_some();
        if let Some(url) = &parts.settings.console.previews_url {
            let wrong = |why| ServerError::PreviewsUrl { url: url.clone(), why };
            previews::check_url(url, address).map_err(wrong)?;
        }
        let previews = match parts.settings.console.previews {
            Some(wanted) if parts.surface.has_api() => Some(bind_previews(wanted).await?),
            _ => None,
        };
        let app = App::new(parts, Lock::new(address, has_logins));
        let previews = match previews {
            Some((listener, address)) => {
                let url = app.settings.console.previews_url.clone();
                let origin = url.unwrap_or_else(|| format!("http://{address}"));
                let origin = origin.trim_end_matches('/').to_owned();
                let secret = random().map_err(|problem| ServerError::Random(problem.detail))?;
                app.previews.get_or_init(|| Previews { origin, secret });
                Some(listener)
            }
            None => None,
        };
        Ok(Server { listener, previews, address, app })
    }

    /// The address, with the port that was chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts the open streams of events, from now on and while the server answers.
    pub fn listeners(&self) -> CountListeners {
        let hub = self.app.hub.clone();
        Arc::new(move || hub.listeners())
    }

    /// Makes a one-time link to the console, if the server has no tokens and only this machine
    /// reaches it. From then on the console needs the session that it begins.
    ///
    /// # Errors
    /// If the database fails, or the system has no random numbers.
    pub async fn console_link(&self) -> Result<Option<ConsoleLink>, Problem> {
        if !self.app.lock.is_open(&self.app.database).await? {
            return Ok(None);
        }
        let (key, host) = self.app.link.make()?;
        let authority = match self.address.ip().to_canonical() {
            IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                format!("{host}:{}", self.address.port())
            }
            // Such a host does not lead to 127.0.0.2.
            _ => self.address.to_string(),
        };
        Ok(Some(ConsoleLink { authority, path: format!("{CONSOLE}/enter?key={key}") }))
    }

    /// Answers requests until `stop` is cancelled. Then no connection is accepted, streams of
    /// events end, and requests have `server.grace_ms` to end. Whether all did.
    pub async fn serve(self, stop: CancellationToken) -> bool {
        let Server { listener, previews, app, .. } = self;
        let places = Places::new(app.settings.connections);
        if app.surface.has_api() && !app.hooks.is_empty() {
            app.actions.spawn(hooks::map_due(app.clone()));
        }
        if app.surface.has_api() {
            app.actions.spawn(bulk::make_all(app.clone()));
            app.actions.spawn(sum_hours(app.clone()));
        }
        let api = answer_all(listener, router(&app), &app, &places, &stop);
        let previews = async {
            match previews {
                Some(listener) => {
                    answer_all(listener, previews::router(&app), &app, &places, &stop).await
                }
                None => true,
            }
        };
        let (api, previews) = tokio::join!(api, previews);
        // A change goes on without its connection. The database must be open until the audit log
        // has it.
        app.actions.close();
        if tokio::time::timeout(LAST_ACTIONS, app.actions.wait()).await.is_err() {
            let begun = app.actions.len();
            tracing::error!(begun, "changes were interrupted, and are not in the audit log");
        }
        api && previews
    }
}

async fn bind_previews(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::BindPreviews { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Sums up hours that are over, whichever process is there: a worker does so, too.
async fn sum_hours(app: App) {
    app.stop.run_until_cancelled(app.database.sum_hours_regularly()).await;
}

/// Answers the requests to one address until `stop` is cancelled and they have ended. Whether all did
/// in time.
async fn answer_all(
    listener: TcpListener,
    router: Router,
    app: &App,
    places: &Arc<Places>,
    stop: &CancellationToken,
) -> bool {
    let settings = &app.settings;
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = stop.run_until_cancelled(accept(&listener, places)).await;
        let Some((stream, client, place)) = accepted else { break };
        let answers = Answers { router: router.clone(), client, app: app.clone() };
        let service = service_fn(move |request: Request<Incoming>| {
            let answers = answers.clone();
            async move { Ok::<_, Infallible>(answers.answer(request.map(Body::new)).await) }
        });
        let mut stream = TimeoutStream::new(stream);
        // One that does not read its answers would keep its place for ever.
        stream.set_write_timeout(Some(settings.answer_within()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(settings.header_ms))
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let stopping = stop.clone();
        connections.spawn(async move {
            if let Err(error) = ended(connection, stopping).await {
                tracing::debug!(%error, %client, "a connection ended with an error");
            }
            drop(place);
        });
    }
    drop(listener);
    app.stop.cancel();
    let grace = Duration::from_millis(settings.grace_ms);
    let all = async { while connections.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(grace, all).await.is_ok();
    if !in_time {
        let open = connections.len();
        tracing::warn!(open, "requests did not end in time; their connections are closed");
    }
    in_time
}

/// Serves a connection until it ends; once `stop` is cancelled, until its request is answered.
async fn ended<S>(
    connection: http1::Connection<TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>, S>,
    stop: CancellationToken,
) -> hyper::Result<()>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// The next connection, with its place among `server.connections`.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> (TcpStream, SocketAddr, Place) {
    let mut free = places.free().await;
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let place = match places.take(free, client.ip()) {
                    Ok(place) => place,
                    // Closed at once: waiting would keep the place from others.
                    Err(still_free) => {
                        tracing::debug!(%client, "an address has too many connections");
                        free = still_free;
                        continue;
                    }
                };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "small packets of a connection may be delayed");
                }
                return (stream, client, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection.
#[derive(Clone)]
struct Answers {
    router: Router,
    client: SocketAddr,
    app: App,
}

impl Answers {
    /// Always an answer, also if a handler panics or takes too long.
    async fn answer(mut self, mut request: Request) -> Response<Body> {
        request.extensions_mut().insert(Client(self.client));
        let is_page = self.app.surface.has_api() && is_page(request.uri().path());
        let refuse = |kind, detail: String| match is_page {
            true => no_page(kind, detail),
            false => Problem::new(kind, detail).into_response(),
        };
        let within = self.app.settings.answer_within();
        let unclear = unclear(&request);
        let ends = unclear.is_some() || request.headers().contains_key(TRANSFER_ENCODING);
        let answer = async {
            match unclear {
                Some((kind, detail)) => Ok(refuse(kind, detail)),
                None => self.router.call(request).await,
            }
        };
        let answer = AssertUnwindSafe(answer).catch_unwind();
        let mut response = match tokio::time::timeout(within, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_panic)) => {
                tracing::error!("a handler of the API panicked");
                refuse(ProblemKind::Internal, "the handler of this request failed".to_owned())
            }
            Err(_) => {
                let detail = format!("no answer within {} ms", within.as_millis());
                refuse(ProblemKind::Timeout, detail)
            }
        };
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if ends {
            // It may have had a length too, which the HTTP library removes: a proxy in front that
            // believed the length takes what follows for its body, and it is not a request here.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Why no handler gets a request: a proxy in front could take it for another one, with another host
/// or another end (RFC 9112, sections 3.2 and 6.1).
fn unclear(request: &Request) -> Option<(ProblemKind, String)> {
    let hosts = request.headers().get_all(HOST).iter().count();
    // HTTP/1.0 needs none.
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        let detail = format!("the request has {hosts} headers `Host`; HTTP/1.1 needs one");
        return Some((ProblemKind::BadRequest, detail));
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        (Some(_), _) => {
            let detail = "the body has a transfer coding other than `chunked`, or several";
            Some((ProblemKind::UnknownCoding, detail.to_owned()))
        }
    }
}
