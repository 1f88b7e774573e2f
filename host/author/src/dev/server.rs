//! The HTTP server of `dev`: serves the newest site, or the report of the last failure. It listens
//! on the loopback interface only.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, ORIGIN,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use bytes::Bytes;
use futures::Stream;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::edit::{self, Inputs};
use super::places::Links;
use super::{Failed, Notes, page};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::store::content::content_type;
use sitewright_site::{Address, Release, find_address};

/// The content security policy of failure pages: they load nothing from other hosts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The files of a release, read into memory, so that later changes on the disk do not show.
#[derive(Debug, Default)]
pub struct ServedSite {
    files: HashMap<String, (Bytes, &'static str)>,
    notes: Notes,
}

impl ServedSite {
    /// Reads the files of a release.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(release: Release, notes: Notes) -> Result<Self, Message> {
        let read = move || {
            let mut files = HashMap::new();
            for file in &release.manifest.files {
                let path = release.path.join(file.path.as_str());
                let bytes = std::fs::read(&path).map_err(|error| {
                    message!("the site's file {} cannot be read: {error}", path.display())
                })?;
                files.insert(
                    file.path.as_str().to_owned(),
                    (Bytes::from(bytes), content_type(&file.path)),
                );
            }
            Ok(ServedSite { files, notes })
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| message!("reading the site's files failed: {error}"))?
    }

    /// What there is to say about the site.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
}

/// Identifies what the server shows. Pages of an earlier process may still be open in a browser, so
/// it contains the time at which this process started.
#[derive(Debug, Clone, Copy)]
struct PageVersion {
    process_start_ms: u128,
    number: u64,
}

impl fmt::Display for PageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process_start_ms, self.number)
    }
}

/// What the browser gets now.
#[derive(Clone)]
struct Shown {
    version: PageVersion,
    /// The newest site; `None` before the first one.
    site: Option<Arc<ServedSite>>,
    /// A page that replaces every page of the site, for example the report of a failure.
    instead: Option<String>,
}

/// Holds what the server shows: the newest site, or a failure; and which order it is made of.
pub struct Board {
    shown: watch::Sender<Shown>,
    links: Option<Links>,
    /// The order documents among which the browser chooses.
    orders: Arc<[PathBuf]>,
    /// The index of the chosen one.
    chosen: watch::Sender<usize>,
    inputs: Arc<Inputs>,
    /// The template's schema of orders, once it is known.
    schema: watch::Sender<Option<Arc<str>>>,
}

impl Board {
    /// A board for these order documents, of which the first one is chosen. Files in reports are
    /// `links`.
    pub fn new(orders: Vec<PathBuf>, links: Option<Links>) -> Self {
        let process_start_ms = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        let version = PageVersion { process_start_ms, number: 0 };
        let instead = Some(page::waiting(&version.to_string()));
        Board {
            shown: watch::Sender::new(Shown { version, site: None, instead }),
            links,
            orders: orders.into(),
            chosen: watch::Sender::new(0),
            inputs: Arc::default(),
            schema: watch::Sender::new(None),
        }
    }

    /// The same with what the browser can change beside the order. Default: nothing.
    #[must_use]
    pub fn with_inputs(self, inputs: Inputs) -> Self {
        Board { inputs: Arc::new(inputs), ..self }
    }

    /// Sets the schema of which the form of the order is made, as JSON text.
    pub(super) fn set_schema(&self, schema: Arc<str>) {
        self.schema.send_replace(Some(schema));
    }

    /// The order documents.
    pub fn orders(&self) -> &[PathBuf] {
        &self.orders
    }

    /// Follows which order is chosen, by its index.
    pub(super) fn chosen(&self) -> watch::Receiver<usize> {
        self.chosen.subscribe()
    }

    /// Shows a site; open pages reload.
    pub fn show(&self, site: Arc<ServedSite>) {
        self.next(|shown| {
            shown.site = Some(site);
            shown.instead = None;
        });
    }

    /// Shows the report of a failure instead of the site; open pages reload.
    pub fn fail(&self, failed: &Failed) {
        let links = self.links.as_ref();
        self.next(|shown| {
            shown.instead = Some(page::failure(failed, &shown.version.to_string(), links));
        });
    }

    fn next(&self, change: impl FnOnce(&mut Shown)) {
        self.shown.send_modify(|shown| {
            shown.version.number += 1;
            change(shown);
        });
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds `port` on 127.0.0.1; 0 chooses a free port.
    ///
    /// # Errors
    /// If the port is in use or not permitted.
    pub async fn bind(port: u16) -> Result<Self, Message> {
        let wrong = |error: std::io::Error| {
            message!(
                "cannot listen on port {port} (--port): {error}; use another port, or 0 for any \
                 free one"
            )
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        Ok(Server { listener, address })
    }

    /// The address of the site's entry page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves the board's content until `stop` is cancelled.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, board: &Board, stop: CancellationToken) -> std::io::Result<()> {
        let port = self.address.port();
        let served = Served {
            shown: board.shown.subscribe(),
            stop: stop.clone(),
            orders: board.orders.clone(),
            chosen: board.chosen.clone(),
            inputs: board.inputs.clone(),
            schema: board.schema.subscribe(),
        };
        let router = Router::new()
            .route(&format!("{}events", page::OWN), get(events))
            .route(&format!("{}reload.js", page::OWN), get(script))
            .route(&format!("{}notes", page::OWN), get(notes))
            .route(&format!("{}widths", page::OWN), get(widths))
            .route(&format!("{}orders", page::OWN), get(orders))
            .route(&format!("{}edit", page::OWN), get(edit::page))
            .route(&format!("{}inputs", page::OWN), get(edit::inputs))
            // Another site's page cannot send a PUT, and is refused if its browser does.
            .route(&format!("{}orders/{{index}}", page::OWN), put(choose))
            .route(&format!("{}edit/order", page::OWN), put(edit::put_order))
            .route(&format!("{}edit/script", page::OWN), put(edit::put_script))
            .route(&format!("{}edit/cases/{{name}}", page::OWN), put(edit::put_case))
            .fallback(file)
            .with_state(served)
            .layer(middleware::from_fn(move |request, next| {
                only_for_this_machine(port, request, next)
            }));
        axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

#[derive(Clone)]
pub(super) struct Served {
    shown: watch::Receiver<Shown>,
    stop: CancellationToken,
    pub(super) orders: Arc<[PathBuf]>,
    pub(super) chosen: watch::Sender<usize>,
    pub(super) inputs: Arc<Inputs>,
    pub(super) schema: watch::Receiver<Option<Arc<str>>>,
}

impl Served {
    /// Whether there is no site of the inputs as they are.
    pub(super) fn fails(&self) -> bool {
        let shown = self.shown.borrow();
        shown.site.is_none() || shown.instead.is_some()
    }
}

/// Rejects requests with another `Host`: with DNS rebinding, a foreign page could otherwise read
/// the site and the order's data in it. Only pages of this server change something.
async fn only_for_this_machine(port: u16, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let allowed =
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let is_default = port == 80 && ["127.0.0.1", "localhost"].contains(&host);
    if !is_default && !allowed.iter().any(|allowed| allowed == host) {
        let text = format!("This server answers to http://{}/ and no other name.\n", allowed[0]);
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if !reads && is_foreign(request.headers(), host) {
        let text = "Pages of other origins change nothing here.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the page of another origin sent the request: a browser says so, or names the origin.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let own = format!("http://{host}");
    let is_other = |origin: &HeaderValue| origin.as_bytes() != own.as_bytes();
    let is_other_site =
        |site: &HeaderValue| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none";
    headers.get_all(ORIGIN).iter().any(is_other)
        || headers.get_all("sec-fetch-site").iter().any(is_other_site)
}

/// Streams the version that is shown, and each later one.
async fn events(
    State(served): State<Served>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let Served { mut shown, stop, .. } = served;
    shown.mark_changed();
    let versions = futures::stream::unfold((shown, stop), |(mut shown, stop)| async {
        tokio::select! {
            biased;
            // An open stream would block the graceful shutdown.
            () = stop.cancelled() => return None,
            changed = shown.changed() => changed.ok()?,
        }
        let version = shown.borrow_and_update().version.to_string();
        Some((Ok(Event::default().data(version)), (shown, stop)))
    });
    Sse::new(versions).keep_alive(KeepAlive::default())
}

/// The notes about the site that is shown, as lines of text.
async fn notes(State(served): State<Served>) -> Response {
    let shown = served.shown.borrow().clone();
    // In place of a failure's page nothing is said about the last site.
    let site = shown.site.filter(|_| shown.instead.is_none());
    let lines = site.map(|site| page::note_lines(site.notes())).unwrap_or_default();
    let json = serde_json::Value::from(lines).to_string();
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}

/// The names of the orders, and the index of the chosen one.
async fn orders(State(served): State<Served>) -> Response {
    let name = |order: &PathBuf| order.file_name().unwrap_or_default().display().to_string();
    let json = serde_json::json!({
        "orders": served.orders.iter().map(name).collect::<Vec<_>>(),
        "chosen": *served.chosen.borrow(),
    });
    ([(CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}

/// Chooses another order; the site of it is shown when it is made.
async fn choose(State(served): State<Served>, Path(index): Path<usize>) -> StatusCode {
    if index >= served.orders.len() {
        return StatusCode::NOT_FOUND;
    }
    served.chosen.send_if_modified(|chosen| std::mem::replace(chosen, index) != index);
    StatusCode::NO_CONTENT
}

async fn widths() -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page::WIDTHS).into_response()
}

async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], page::SCRIPT).into_response()
}

/// Serves a file of the site, or the replacement page in place of its HTML pages.
async fn file(State(served): State<Served>, request: Request) -> Response {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let shown = served.shown.borrow().clone();
    let Ok(path) = percent_decode_str(request.uri().path().trim_start_matches('/')).decode_utf8()
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let found = shown.site.as_deref().map_or(Found::Nothing, |site| site.find(&path));
    match (found, &shown.instead) {
        // The replacement page loads no assets, but an older page that is still open may.
        (Found::File(bytes, kind), _) if !is_html(kind) => {
            ([(CONTENT_TYPE, kind)], bytes).into_response()
        }
        (_, Some(instead)) => {
            let headers =
                [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
            (StatusCode::SERVICE_UNAVAILABLE, headers, instead.clone()).into_response()
        }
        (Found::File(bytes, kind), None) => {
            page_response(StatusCode::OK, &bytes, kind, shown.version)
        }
        (Found::Folder(location), None) => {
            (StatusCode::FOUND, [(LOCATION, location)]).into_response()
        }
        (Found::Nothing, None) => {
            match shown.site.as_deref().and_then(|site| site.files.get("404.html")) {
                Some((bytes, kind)) => {
                    page_response(StatusCode::NOT_FOUND, bytes, kind, shown.version)
                }
                None => (StatusCode::NOT_FOUND, "The site has no such file.\n").into_response(),
            }
        }
    }
}

fn page_response(
    status: StatusCode,
    html: &[u8],
    kind: &'static str,
    version: PageVersion,
) -> Response {
    let page = page::with_reload_script(html, &version.to_string());
    (status, [(CONTENT_TYPE, kind)], Body::from(page)).into_response()
}

fn is_html(kind: &str) -> bool {
    kind.starts_with("text/html")
}

/// What a request path names.
enum Found {
    /// A file: its content and content type.
    File(Bytes, &'static str),
    /// A folder; redirect to this address.
    Folder(String),
    Nothing,
}

impl ServedSite {
    /// Resolves a path like a static file server.
    fn find(&self, path: &str) -> Found {
        match find_address(path, false, |file| self.files.contains_key(file)) {
            Address::File(file) => self
                .files
                .get(&file)
                .map_or(Found::Nothing, |(bytes, kind)| Found::File(bytes.clone(), kind)),
            Address::Folder(folder) => {
                let encoded = percent_encoding::utf8_percent_encode(
                    &folder,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                Found::Folder(format!("/{}", encoded.to_string().replace("%2F", "/")))
            }
            Address::Nothing => Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn pages_of_other_origins_change_nothing() {
        let board = Board::new(vec![PathBuf::from("a.json"), PathBuf::from("b.json")], None);
        let server = Server::bind(0).await.unwrap();
        let (address, stop) = (server.address, CancellationToken::new());
        let put = async |path: &str, headers: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!(
                "PUT /__sitewright/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
                 Content-Length: 0\r\n{headers}\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.split(' ').nth(1).unwrap().to_owned()
        };
        let own = format!("Origin: http://{address}\r\n");
        let other_name = format!("Origin: http://localhost:{}\r\n", address.port());
        let twice = format!("{own}Origin: https://evil.example\r\n");
        let of_other_site = format!("{own}Sec-Fetch-Site: cross-site\r\n");
        let ask = async {
            for headers in [
                "Origin: https://evil.example\r\n",
                "Origin: null\r\n",
                "Origin: http://127.0.0.1:1\r\n",
                "Sec-Fetch-Site: cross-site\r\n",
                "Sec-Fetch-Site: same-site\r\n",
                &*other_name,
                &*twice,
                &*of_other_site,
            ] {
                for path in ["orders/1", "edit/order", "edit/script", "edit/cases/x"] {
                    assert_eq!(put(path, headers).await, "403", "{path}: {headers}");
                }
            }
            assert_eq!(*board.chosen().borrow(), 0);
            for headers in
                ["", &*own, "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n"]
            {
                assert_eq!(put("orders/1", headers).await, "204", "{headers}");
            }
            assert_eq!(*board.chosen().borrow(), 1);
            stop.cancel();
        };
        let (served, ()) = tokio::join!(server.serve(&board, stop.clone()), ask);
        served.unwrap();
    }
}
