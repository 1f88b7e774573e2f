//! Previews of releases, on an address of their own: a site that a template made, and whatever is in
//! it, is never on the origin of the console. Nobody logs in here: the console knows a key for each
//! release, which is a part of the address.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use sitewright_control::release_store;
use sitewright_site::store::content::content_type;
use sitewright_site::{OrderDir, ReleaseId, SitePath, SiteStore};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::access::{is_loopback, names_this_machine};
use super::app::App;
use super::console::is_same;
use super::problem::{Problem, ProblemKind};

/// Maximum bytes of a file: 32 MiB.
const MAX_FILE: u64 = 32 << 20;
/// Files that are read at the same time.
static READ: Semaphore = Semaphore::const_new(2);
/// KiB of files that are being sent: 64 MiB. A page knows its own address, with the key, and may
/// tell it to anybody: who loads a large file slowly, over a thousand connections, must not have it
/// in memory a thousand times.
static SENT: Semaphore = Semaphore::const_new(64 << 10);
/// Hexadecimal digits of a key: 128 bits.
const KEY: usize = 32;

/// No form, no window, no storage, no cookie, and no other origin than an opaque one: its scripts
/// reach nothing of the console, whatever they try.
const POLICY: &str = "sandbox allow-scripts; frame-ancestors 'none'; form-action 'none'";

/// Where previews are, and the secret of their keys.
#[derive(Debug, Clone)]
pub(crate) struct Previews {
    /// The beginning of their addresses, without a slash at the end.
    pub(crate) origin: String,
    pub(crate) secret: String,
}

/// Checks how browsers reach previews, for a console at this address. Behind a proxy the console has
/// another origin, which only its requests tell: [`Previews::are_at`].
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn check_url(url: &str, console: SocketAddr) -> Result<(), &'static str> {
    let Ok(uri) = url.parse::<Uri>() else { return Err("is no address") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("has no http:// or https:// before its host");
    };
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err("has no http:// or https:// before its host"),
    };
    if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
        return Err("has more than a scheme, a host and a port");
    }
    if authority.port_u16().unwrap_or(port) != console.port() {
        return Ok(());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_same = host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == console.ip());
    let is_this_machine = is_loopback(console.ip()) || console.ip().is_unspecified();
    if is_same || (is_this_machine && names_this_machine(authority.as_str(), None)) {
        return Err("is the origin of the console");
    }
    Ok(())
}

impl Previews {
    /// Whether a request for this host came to the origin of previews.
    pub(crate) fn are_at(&self, host: &str) -> bool {
        let own = self.origin.split_once("://").map(|(_, authority)| authority);
        own.is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// The address of the preview of a release.
    pub(crate) fn address(&self, order: &str, release: &str) -> String {
        let key = self.key(order, release);
        let order = sitewright_console::address::encoded(order);
        let release = sitewright_console::address::encoded(release);
        format!("{}/{key}/{order}/{release}/", self.origin)
    }

    /// A part of a digest, so that nothing can be added to what was digested.
    fn key(&self, order: &str, release: &str) -> String {
        let text = format!("{}\0{order}\0{release}", self.secret);
        hex::encode(Sha256::digest(text)).chars().take(KEY).collect()
    }
}

pub(crate) fn router(app: &App) -> Router {
    Router::new().fallback(preview).with_state(app.clone())
}

/// `GET /{key}/{order}/{release}/{path}`.
async fn preview(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut answer = match (&parts.method, file(&app, parts.uri.path()).await) {
        (&Method::GET | &Method::HEAD, Ok(answer)) => answer,
        (&Method::GET | &Method::HEAD, Err(problem)) => {
            tracing::error!(detail = problem.detail, "a preview cannot be shown");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The preview cannot be shown; see the log.")
        }
        _ => {
            let answer = text(StatusCode::METHOD_NOT_ALLOWED, "Previews are only read.");
            ([(ALLOW, "GET, HEAD")], answer).into_response()
        }
    };
    let all = [
        (CONTENT_SECURITY_POLICY, POLICY),
        // The page has no origin, and asks for its own fonts, modules and data as a stranger. Who
        // knows the address knows the key; there are no cookies.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (X_FRAME_OPTIONS, "DENY"),
        // The key is in the address.
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in all {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn text(status: StatusCode, says: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], says).into_response()
}

/// The file at a path, or why there is none. The same answer for a wrong key as for a release that
/// is not there.
async fn file(app: &App, path: &str) -> Result<Response, Problem> {
    let nothing =
        || text(StatusCode::NOT_FOUND, "There is no such preview, or no such file in it.");
    let Some(previews) = app.previews.get() else { return Ok(nothing()) };
    let mut parts = path.trim_start_matches('/').splitn(4, '/');
    let decoded = |part: &str| {
        let part = percent_decode_str(part).decode_utf8().ok()?;
        Some(part.into_owned())
    };
    let (Some(key), Some(order), Some(release)) = (
        parts.next().and_then(decoded),
        parts.next().and_then(decoded),
        parts.next().and_then(decoded),
    ) else {
        return Ok(nothing());
    };
    if !is_same(&previews.key(&order, &release), &key) {
        return Ok(nothing());
    }
    let Some(rest) = parts.next() else { return with_slash(path) };
    // No file has a name that is not UTF-8.
    let Some(rest) = decoded(rest) else { return Ok(nothing()) };
    let (Ok(folder), Ok(id)) = (OrderDir::new(&order), release.parse::<ReleaseId>()) else {
        return Ok(nothing());
    };
    let Some(store) = release_store(&app.sites, app.store.as_ref()).await? else {
        return Ok(nothing());
    };
    for name in candidates(&rest) {
        if let Some(found) = found(&store, &folder, id, name).await? {
            return Ok(found);
        }
    }
    let index = format!("{rest}/index.html");
    let is_folder = !rest.is_empty() && !rest.ends_with('/');
    if is_folder && found(&store, &folder, id, index).await?.is_some() {
        return with_slash(path);
    }
    Ok(nothing())
}

/// A file of a release; `None` if it has none with this name.
async fn found(
    store: &SiteStore,
    folder: &OrderDir,
    id: ReleaseId,
    name: String,
) -> Result<Option<Response>, Problem> {
    let Ok(path) = SitePath::try_from(name) else { return Ok(None) };
    // Never closed.
    let _one_of_few = READ.acquire().await.ok();
    let Some(content) = store.file(folder, id, &path, MAX_FILE).await? else { return Ok(None) };
    let Some(content) = SentFile::new(content, &SENT) else {
        let says = "Too much is being loaded at this time. Load the page again.";
        return Ok(Some(text(StatusCode::SERVICE_UNAVAILABLE, says)));
    };
    let sent = Bytes::from_owner(content);
    Ok(Some(([(CONTENT_TYPE, content_type(&path))], sent).into_response()))
}

/// A file that is being sent, with its part of [`SENT`] until all of it is written.
struct SentFile {
    content: Vec<u8>,
    _room: SemaphorePermit<'static>,
}

impl SentFile {
    /// `None` if there is no room for it.
    fn new(content: Vec<u8>, room: &'static Semaphore) -> Option<Self> {
        let kib = u32::try_from(content.len().div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let room = room.try_acquire_many(kib).ok()?;
        Some(SentFile { content, _room: room })
    }
}

impl AsRef<[u8]> for SentFile {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// Leads to the same path with a slash at its end, which relative links of the page need.
fn with_slash(path: &str) -> Result<Response, Problem> {
    let address = format!("/{}/", path.trim_matches('/'));
    let address = HeaderValue::from_str(&address).map_err(|error| {
        let detail = format!("the address of a preview cannot be written: {error}");
        Problem::new(ProblemKind::Internal, detail)
    })?;
    Ok((StatusCode::PERMANENT_REDIRECT, [(LOCATION, address)]).into_response())
}

/// The files that a web server looks for.
fn candidates(path: &str) -> Vec<String> {
    match path {
        "" => vec!["index.html".to_owned()],
        folder if folder.ends_with('/') => vec![format!("{folder}index.html")],
        file => vec![file.to_owned(), format!("{file}.html")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_the_console_is_not_that_of_previews() {
        for (console, url, is_right) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/", false),
            ("127.0.0.1:8080", "http://LOCALHOST:8080", false),
            ("127.0.0.1:8080", "http://[::1]:8080", false),
            ("[::1]:80", "http://localhost", false),
            ("0.0.0.0:8080", "http://127.0.0.1:8080", false),
            ("10.0.0.7:8080", "http://10.0.0.7:8080", false),
            ("10.0.0.7:443", "https://10.0.0.7", false),
            ("127.0.0.1:8080", "previews.example", false),
            ("127.0.0.1:8080", "//previews.example", false),
            ("127.0.0.1:8080", "ftp://previews.example", false),
            ("127.0.0.1:8080", "https://a@previews.example", false),
            ("127.0.0.1:8080", "https://previews.example/x", false),
            ("127.0.0.1:8080", "https://previews.example/?x", false),
            ("127.0.0.1:8080", "", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8081", true),
            ("127.0.0.1:8080", "https://previews.example", true),
            ("127.0.0.1:8080", "https://previews.example:8080/", true),
            ("10.0.0.7:8080", "http://10.0.0.8:8080", true),
        ] {
            let checked = check_url(url, console.parse().unwrap());
            assert_eq!(checked.is_ok(), is_right, "{console} {url}: {checked:?}");
        }
    }

    #[test]
    fn a_file_has_its_room_until_its_last_byte_is_written() {
        static ROOM: Semaphore = Semaphore::const_new(10);
        let file = |kib: usize| SentFile::new(vec![b'x'; kib << 10], &ROOM);
        let mut first = Bytes::from_owner(file(8).unwrap());
        assert!(file(3).is_none(), "two are left");
        drop(file(2).unwrap());
        // As a connection writes it.
        let begin = first.split_to(8 << 9);
        drop(begin);
        assert_eq!(ROOM.available_permits(), 2);
        assert_eq!(first.len(), 8 << 9);
        drop(first);
        assert_eq!(ROOM.available_permits(), 10);
    }

    #[test]
    fn each_release_has_a_key_of_its_own() {
        let previews =
            |secret: &str| Previews { origin: "http://x".to_owned(), secret: secret.to_owned() };
        let one = previews("a").address("1", "R");
        assert!(one.starts_with("http://x/") && one.ends_with("/1/R/"), "{one}");
        for other in [
            previews("b").address("1", "R"),
            previews("a").address("2", "R"),
            previews("a").address("1", "S"),
        ] {
            assert_ne!(other[9..41], one[9..41], "{other}");
        }
        assert_eq!(previews("a").key("1", "R").len(), KEY);
        assert!(previews("a").address("../x", "R").contains("/..%2Fx/"));
    }
}
