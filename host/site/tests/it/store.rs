//! Releases in the sites folder and in an object store: visitors see a release only if it is whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "each async test has the one runtime of its process: its own"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::s3_server::S3Server;
use crate::support::{Files, dir, good_site, info, page, path, verified};
use serde_json::Value;
use sitewright_site::{
    DEFAULT_KEEP, Pointer, Release, ReleaseId, SiteStore, SitesRoot, StoreError, StoreErrorKind,
    StoreLimits, place,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use ulid::Ulid;

const ORDER: &str = "order-7";

/// Short time-outs: the tests wait for failures.
fn limits() -> StoreLimits {
    StoreLimits {
        connect: Duration::from_secs(1),
        request: Duration::from_secs(5),
        retries: 1,
        retry_for: Duration::from_secs(2),
        operation: Duration::from_secs(30),
        clean_up: Duration::from_secs(3),
        ..StoreLimits::default()
    }
}

/// The environment for a server that accepts every key.
fn env(origin: &str) -> Vec<(String, String)> {
    variables(&[
        ("AWS_ACCESS_KEY_ID", "AKIDANYONE"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret-77"),
        ("AWS_ENDPOINT", origin),
        ("AWS_ALLOW_HTTP", "true"),
    ])
}

fn client() -> reqwest::Client {
    sitewright_http::client().unwrap().first().clone()
}

fn variables(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn open(
    url: Option<&str>,
    root: &SitesRoot,
    env: &[(String, String)],
    limits: StoreLimits,
) -> Result<SiteStore, StoreError> {
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    SiteStore::open(url, root, env, &client(), limits).await
}

/// A store under test, with views of it from outside.
struct Bench {
    _temp: tempfile::TempDir,
    root: SitesRoot,
    store: SiteStore,
    outside: Outside,
    client: reqwest::Client,
    attempts: AtomicUsize,
}

enum Outside {
    Folder,
    /// The server's endpoint, and the bucket with the prefix.
    S3 {
        origin: String,
        bucket: String,
        prefix: String,
    },
}

/// The response of a web server to a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    bytes: Vec<u8>,
    content_type: Option<String>,
    cache: Option<String>,
}

fn root() -> (tempfile::TempDir, SitesRoot) {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("sites")).unwrap();
    (temp, root)
}

impl Bench {
    async fn folder() -> Self {
        let (temp, root) = root();
        let store = open(None, &root, &[], limits()).await.unwrap();
        Bench {
            _temp: temp,
            root,
            store,
            outside: Outside::Folder,
            client: client(),
            attempts: AtomicUsize::new(0),
        }
    }

    async fn s3(server: &S3Server, prefix: &str, limits: StoreLimits) -> Self {
        Self::s3_through(server, server.origin(), prefix, limits).await
    }

    async fn s3_through(
        server: &S3Server,
        origin: &str,
        prefix: &str,
        limits: StoreLimits,
    ) -> Self {
        let (temp, root) = root();
        let url = format!("s3://sites/{prefix}");
        let store = open(Some(&url), &root, &env(origin), limits).await.unwrap();
        let outside = Outside::S3 {
            origin: server.origin().to_owned(),
            bucket: "sites".to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
        };
        Bench { _temp: temp, root, store, outside, client: client(), attempts: AtomicUsize::new(0) }
    }

    fn place(&self, files: &Files, id: Option<ReleaseId>) -> Release {
        let attempt = format!("a{}", self.attempts.fetch_add(1, Ordering::Relaxed));
        place(verified(&self.root, ORDER, &attempt, files), info(id)).unwrap()
    }

    /// Puts and activates a release.
    async fn release(&self, files: &Files) -> ReleaseId {
        let release = self.place(files, None);
        self.store.put(&release).await.unwrap();
        self.store.activate(&dir(ORDER), release.manifest.id, DEFAULT_KEEP).await.unwrap();
        release.manifest.id
    }

    /// The file below the order's public folder, as a visitor gets it.
    async fn get(&self, name: &str) -> Option<Got> {
        self.get_from(&format!("public/{ORDER}/{name}")).await
    }

    /// A release's manifest, which visitors do not get.
    async fn manifest(&self, id: ReleaseId) -> Option<Got> {
        let private = if self.is_folder() { "" } else { "private/" };
        self.get_from(&format!("{private}{ORDER}/manifests/{id}.json")).await
    }

    async fn get_from(&self, name: &str) -> Option<Got> {
        match &self.outside {
            Outside::Folder => {
                let bytes = std::fs::read(self.root.path().join(name)).ok()?;
                Some(Got { bytes, content_type: None, cache: None })
            }
            Outside::S3 { origin, bucket, prefix } => {
                let mut url = url::Url::parse(origin).unwrap();
                url.path_segments_mut()
                    .unwrap()
                    .push(bucket)
                    .extend(format!("{prefix}{name}").split('/'));
                let answer = self.client.get(url).send().await.unwrap();
                if answer.status() == 404 {
                    return None;
                }
                assert_eq!(answer.status(), 200, "{name}");
                let header = |header: &str| {
                    answer.headers().get(header).map(|value| value.to_str().unwrap().to_owned())
                };
                let (content_type, cache) = (header("content-type"), header("cache-control"));
                Some(Got { bytes: answer.bytes().await.unwrap().to_vec(), content_type, cache })
            }
        }
    }

    /// The names below the order's public folder (`releases/...`) and its private one
    /// (`manifests/...`), without staging areas.
    async fn names(&self) -> BTreeSet<String> {
        match &self.outside {
            Outside::Folder => {
                let mut names = BTreeSet::new();
                for (top, folder) in [
                    (self.root.public_path().join(ORDER), "releases"),
                    (self.root.path().join(ORDER), "manifests"),
                ] {
                    let mut folders = vec![top.join(folder)];
                    while let Some(folder) = folders.pop() {
                        for entry in std::fs::read_dir(folder).into_iter().flatten() {
                            let path = entry.unwrap().path();
                            if path.is_dir() {
                                folders.push(path);
                            } else {
                                let name = path.strip_prefix(&top).unwrap();
                                names.insert(name.to_str().unwrap().to_owned());
                            }
                        }
                    }
                }
                names
            }
            Outside::S3 { origin, bucket, prefix } => {
                let public = format!("{prefix}public/{ORDER}/");
                let private = format!("{prefix}private/{ORDER}/");
                let name = |key: &String| {
                    let below = key.strip_prefix(&public).or_else(|| key.strip_prefix(&private));
                    below.map(str::to_owned)
                };
                let keys = all_keys(&self.client, origin, bucket, prefix).await;
                keys.iter().filter_map(name).collect()
            }
        }
    }

    /// The current release, read as a web server does.
    async fn visible(&self) -> Option<ReleaseId> {
        let path = match &self.outside {
            Outside::Folder => {
                let link =
                    std::fs::read_link(self.root.public_path().join(ORDER).join("current")).ok()?;
                link.to_str().unwrap().to_owned()
            }
            Outside::S3 { .. } => {
                let got = self.get("current.json").await?;
                assert_eq!(got.content_type.as_deref(), Some("application/json"));
                assert_eq!(got.cache.as_deref(), Some("no-cache"));
                let pointer: Pointer = serde_json::from_slice(&got.bytes).unwrap();
                assert_eq!(pointer.path, format!("releases/{}", pointer.release));
                pointer.path
            }
        };
        let id = path.strip_prefix("releases/").unwrap();
        Some(ReleaseId(Ulid::from_string(id).unwrap()))
    }

    fn local_releases(&self) -> usize {
        let releases = self.root.public_path().join(ORDER).join("releases");
        std::fs::read_dir(releases).map_or(0, Iterator::count)
    }

    fn is_folder(&self) -> bool {
        matches!(self.outside, Outside::Folder)
    }
}

/// The keys of a bucket that begin with `prefix`, as the server lists them.
async fn all_keys(
    client: &reqwest::Client,
    origin: &str,
    bucket: &str,
    prefix: &str,
) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    loop {
        let after: String = keys.last().cloned().unwrap_or_default();
        let query = [
            ("list-type", "2"),
            ("max-keys", "1000"),
            ("prefix", prefix),
            ("start-after", after.as_str()),
        ];
        let mut url = url::Url::parse(&format!("{origin}/{bucket}")).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let text = client.get(url).send().await.unwrap().text().await.unwrap();
        let found: Vec<_> = text
            .split("<Key>")
            .skip(1)
            .map(|rest| {
                rest.split("</Key>").next().unwrap().replace("&amp;", "&").replace("&apos;", "'")
            })
            .collect();
        if found.is_empty() {
            return keys;
        }
        keys.extend(found);
    }
}

fn marked(mark: &str) -> Files {
    let mut files = good_site();
    files.insert(path("index.html"), page("", &format!("<p>versão {mark}</p>")).into_bytes());
    files
}

/// Names with spaces, accents, other scripts and every character that is special in URLs or stores.
fn odd_names() -> Files {
    let mut files = good_site();
    let names = [
        "um dois/três quatro.txt",
        "日本語/ページ.html.txt",
        "a~b.txt",
        "50% off.txt",
        "100%25.txt",
        "c#d.txt",
        "e+f.txt",
        "g&h=i.txt",
        "[j]{k}^`.txt",
        "l'm;n,o!p@q$r(s).txt",
        "ponto.final/no-extension",
        "emoji 🍞.txt",
    ];
    files.extend(names.map(|name| (path(name), format!("bytes of {name}").into_bytes())));
    files.insert(path("empty.txt"), Vec::new());
    files
}

/// A site of five hundred files.
fn many() -> Files {
    let mut files = good_site();
    for number in files.len()..500 {
        files.insert(
            path(&format!("texts/{number}.txt")),
            format!("text {number}\n").repeat(50).into_bytes(),
        );
    }
    files
}

/// Each store with each prefix.
async fn benches(server: Option<&S3Server>, case: &str) -> Vec<(String, Bench)> {
    let mut benches = vec![(format!("{case} in the folder"), Bench::folder().await)];
    if let Some(server) = server {
        for prefix in [case.to_owned(), format!("deep/{case} ü")] {
            let bench = Bench::s3(server, &prefix, limits()).await;
            benches.push((format!("{case} in s3://sites/{prefix}"), bench));
        }
    }
    benches
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_put_whole_then_seen_then_replaced_and_pruned_in_every_store() {
    let server = S3Server::start("site stores on an S3 server", &[]).await;
    for (case, bench) in benches(server.as_ref(), "bytes").await {
        every_byte(&case, &bench, &marked("1"), &odd_names()).await;
    }
    for (case, bench) in benches(server.as_ref(), "many").await {
        every_byte(&case, &bench, &good_site(), &many()).await;
    }
    for (case, bench) in benches(server.as_ref(), "between").await {
        killed_between(&case, &bench).await;
    }
    for (case, bench) in benches(server.as_ref(), "discard").await {
        discarded(&case, &bench).await;
    }
    for (case, bench) in benches(server.as_ref(), "keep").await {
        kept(&case, &bench).await;
    }
    let Some(server) = &server else { return };
    // A prefix is optional.
    let top = Bench::s3(server, "", limits()).await;
    every_byte("the top of the bucket", &top, &marked("1"), &good_site()).await;
    raced(&Bench::s3(server, "race", limits()).await).await;
    repeated(&Bench::s3(server, "repeated", limits()).await).await;
    changed_on_the_disk(&Bench::s3(server, "changed", limits()).await).await;
    // The write test leaves no object.
    let left = all_keys(&client(), server.origin(), "sites", "").await;
    assert!(!left.iter().any(|key| key.contains(".probe-")), "{left:?}");
}

async fn every_byte(case: &str, bench: &Bench, first: &Files, second: &Files) {
    assert_eq!(bench.store.current(&dir(ORDER)).await.unwrap(), None, "{case}");
    let mut before = None;
    for files in [first, second] {
        let release = bench.place(files, None);
        let id = release.manifest.id;
        let json = std::fs::read(bench.root.manifest_path(&dir(ORDER), id)).unwrap();
        bench.store.put(&release).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        // A release is not visible before it is activated.
        assert_eq!(bench.visible().await, before, "{case}");
        assert_eq!(bench.store.current(&dir(ORDER)).await.unwrap(), before, "{case}");
        for _ in 0..2 {
            bench.store.activate(&dir(ORDER), id, DEFAULT_KEEP).await.unwrap();
            assert_eq!(bench.visible().await, Some(id), "{case}");
        }
        assert_eq!(bench.store.current(&dir(ORDER)).await.unwrap(), Some(id), "{case}");
        assert!(
            bench
                .store
                .location_of(&dir(ORDER), id)
                .ends_with(&format!("/public/{ORDER}/releases/{id}"))
        );
        for (path, bytes) in files {
            let got = bench.get(&format!("releases/{id}/{path}")).await;
            let got = got.unwrap_or_else(|| panic!("{case}: no `{path}`"));
            assert!(got.bytes == *bytes, "{case}: `{path}`");
            if !bench.is_folder() {
                assert_eq!(
                    got.cache.as_deref(),
                    Some("public, max-age=31536000, immutable"),
                    "{case}: {path}"
                );
                let wanted = match path.extension().as_deref() {
                    Some("html") => "text/html; charset=utf-8",
                    Some("css") => "text/css; charset=utf-8",
                    Some("png") => "image/png",
                    Some("woff2") => "font/woff2",
                    Some("svg") => "image/svg+xml",
                    Some("webmanifest") => "application/manifest+json",
                    Some("xml") => "application/xml",
                    Some("txt") => "text/plain; charset=utf-8",
                    _ => "application/octet-stream",
                };
                assert_eq!(got.content_type.as_deref(), Some(wanted), "{case}: `{path}`");
            }
        }
        let manifest = bench.manifest(id).await.unwrap();
        assert_eq!(manifest.bytes, json, "{case}");
        let begin = format!("releases/{id}/");
        let names = bench.names().await;
        let of_release = names.iter().filter(|name| name.starts_with(&begin)).count();
        assert_eq!(of_release, files.len(), "{case}: no file too many: {names:?}");
        assert!(names.contains(&format!("manifests/{id}.json")), "{case}: {names:?}");
        before = Some(id);
        read_back(case, bench, id, files).await;
    }
    assert_eq!(
        bench.local_releases(),
        if bench.is_folder() { 2 } else { 0 },
        "{case}: staging only"
    );
}

/// The newest release is listed first, and its files are read back, but none that is too large.
async fn read_back(case: &str, bench: &Bench, id: ReleaseId, files: &Files) {
    let listed = bench.store.releases(&dir(ORDER)).await.unwrap();
    let newest = listed.first().unwrap();
    assert_eq!((newest.id, newest.current), (id, true), "{case}");
    assert_eq!(newest.manifest.as_ref().unwrap().files.len(), files.len(), "{case}");
    assert_eq!(listed.iter().filter(|release| release.current).count(), 1, "{case}");
    for (path, bytes) in files {
        let size = bytes.len() as u64;
        let read = bench.store.file(&dir(ORDER), id, path, size).await.unwrap();
        assert!(read.as_deref() == Some(bytes.as_slice()), "{case}: `{path}`");
        if let Some(less) = size.checked_sub(1) {
            let read = bench.store.file(&dir(ORDER), id, path, less).await.unwrap();
            assert_eq!(read, None, "{case}: `{path}`");
        }
    }
    let none = ReleaseId(Ulid::from_parts(1, 1));
    for (id, name) in [(id, "nothing.html"), (none, "index.html")] {
        let read = bench.store.file(&dir(ORDER), id, &path(name), 1_000).await.unwrap();
        assert_eq!(read, None, "{case}: {id} {name}");
    }
}

/// The process is killed between `put` and `activate`: the old release stays current, and a later
/// call activates the new one.
async fn killed_between(case: &str, bench: &Bench) {
    let old = bench.release(&marked("old")).await;
    let release = bench.place(&marked("new"), None);
    bench.store.put(&release).await.unwrap();
    assert_eq!(bench.visible().await, Some(old), "{case}");
    bench.store.activate(&dir(ORDER), release.manifest.id, DEFAULT_KEEP).await.unwrap();
    assert_eq!(bench.visible().await, Some(release.manifest.id), "{case}");
    // An older release can be activated again.
    bench.store.activate(&dir(ORDER), old, DEFAULT_KEEP).await.unwrap();
    assert_eq!(bench.visible().await, Some(old), "{case}");
    // An unknown release cannot be activated.
    let none = ReleaseId(Ulid::from_parts(1, 1));
    let error = bench.store.activate(&dir(ORDER), none, DEFAULT_KEEP).await.unwrap_err();
    assert_eq!(bench.visible().await, Some(old), "{case}");
    let text = error.to_string();
    assert!(text.contains(ORDER) && text.contains(&none.to_string()), "{case}: {text}");
}

async fn discarded(case: &str, bench: &Bench) {
    let old = bench.release(&marked("old")).await;
    let before = bench.names().await;
    let release = bench.place(&odd_names(), None);
    bench.store.put(&release).await.unwrap();
    assert_ne!(bench.names().await, before, "{case}");
    for _ in 0..2 {
        bench.store.discard(&dir(ORDER), release.manifest.id).await.unwrap();
        assert_eq!(bench.names().await, before, "{case}");
    }
    // A release that was placed and never put is removed as well.
    let placed = bench.place(&marked("placed"), None);
    bench.store.discard(&dir(ORDER), placed.manifest.id).await.unwrap();
    assert!(!placed.path.exists(), "{case}");
    // The current release stays.
    bench.store.discard(&dir(ORDER), old).await.unwrap();
    assert_eq!((bench.visible().await, bench.names().await), (Some(old), before), "{case}");
}

async fn kept(case: &str, bench: &Bench) {
    let mut ids = Vec::new();
    for mark in 0..4 {
        ids.push(bench.release(&marked(&mark.to_string())).await);
    }
    let there = async || -> Vec<bool> {
        let names = bench.names().await;
        ids.iter().map(|id| names.contains(&format!("manifests/{id}.json"))).collect()
    };
    assert_eq!(there().await, [true, true, true, true], "{case}");
    // Back to the oldest, which keeps the newest of the others.
    bench.store.activate(&dir(ORDER), ids[0], 2).await.unwrap();
    assert_eq!(there().await, [true, false, false, true], "{case}");
    bench.store.activate(&dir(ORDER), ids[3], 1).await.unwrap();
    assert_eq!(there().await, [false, false, false, true], "{case}");
    bench.store.activate(&dir(ORDER), ids[3], 0).await.unwrap();
    assert_eq!(
        (there().await, bench.visible().await),
        (vec![false, false, false, true], Some(ids[3])),
        "{case}"
    );
    let names = bench.names().await;
    let current = format!("releases/{}/", ids[3]);
    let others = ["current.json".to_owned(), format!("manifests/{}.json", ids[3])];
    let rest: Vec<_> =
        names.iter().filter(|name| !name.starts_with(&current) && !others.contains(name)).collect();
    assert!(rest.is_empty(), "{case}: {rest:?}");
}

/// Many activate different releases at once: the pointer is always whole, and ends on one of them.
async fn raced(bench: &Bench) {
    let mut ids = Vec::new();
    for mark in 0..4 {
        let release = bench.place(&marked(&mark.to_string()), None);
        bench.store.put(&release).await.unwrap();
        ids.push(release.manifest.id);
    }
    let order = dir(ORDER);
    let all = ids.iter().map(|id| bench.store.activate(&order, *id, DEFAULT_KEEP));
    for result in futures::future::join_all(all).await {
        if let Err(error) = result {
            assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
        }
    }
    let visible = bench.visible().await.unwrap();
    assert!(ids.contains(&visible), "{visible}");
}

/// A worker that does not know that it stored a release stores it again: nothing changes, not even
/// if the release is current.
async fn repeated(bench: &Bench) {
    let release = bench.place(&marked("1"), None);
    bench.store.put(&release).await.unwrap();
    let names = bench.names().await;
    bench.store.put(&release).await.unwrap();
    bench.store.activate(&dir(ORDER), release.manifest.id, DEFAULT_KEEP).await.unwrap();
    bench.store.put(&release).await.unwrap();
    let mut with_pointer = names;
    with_pointer.insert("current.json".to_owned());
    assert_eq!(bench.names().await, with_pointer);
    // Made again with another text under the same id, and damaged on the disk: the current one
    // stays whole.
    let again = bench.place(&marked("2"), Some(release.manifest.id));
    std::fs::remove_file(again.path.join("css/site.css")).unwrap();
    let error = bench.store.put(&again).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Folder, "{error}");
    assert!(error.to_string().contains("it is the release that visitors see"), "{error}");
    assert_eq!(bench.names().await, with_pointer);
}

/// A release that was changed after its checks is not stored.
async fn changed_on_the_disk(bench: &Bench) {
    let release = bench.place(&marked("1"), None);
    std::fs::write(release.path.join("css/site.css"), "body { color: red }").unwrap();
    let error = bench.store.put(&release).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Folder);
    let text = error.to_string();
    assert!(text.contains("css/site.css") && text.contains("not what was checked"), "{text}");
    assert_eq!(bench.names().await, BTreeSet::new(), "what was stored of it is removed");
    assert!(release.path.exists(), "its folder stays");
    let gone = Release { path: release.path.clone(), manifest: release.manifest.clone() };
    bench.store.discard(&dir(ORDER), release.manifest.id).await.unwrap();
    let error = bench.store.put(&gone).await.unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
}

/// A URL, an environment, and the kind and parts of the error that both cause.
type Refused<'a> = (&'a str, Vec<(String, String)>, StoreErrorKind, &'a [&'a str]);

/// A store's error contains what, where, why and what to do, and no secret.
fn assert_error(error: &StoreError, kind: StoreErrorKind, parts: &[&str], secrets: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind, kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    for secret in secrets {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!text.contains('\n') && text.len() < 1200, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_is_refused_at_the_start_with_what_to_do() {
    let Some(server) = S3Server::start("rights on an S3 server", &["accounts"]).await else {
        return;
    };
    let (_temp, root) = root();
    let with = |id: &str, secret: &str, endpoint: &str| {
        let mut env = env(endpoint);
        env[0].1 = id.to_owned();
        env[1].1 = secret.to_owned();
        env
    };
    let ((writer, secret), (reader, reader_secret)) =
        (server.account("writer"), server.account("reader"));
    let origin = server.origin();
    let good = with(writer, secret, origin);
    let store = open(Some("s3://sites/of/writer"), &root, &good, limits()).await;
    let store = store.unwrap_or_else(|error| panic!("{error}"));
    let shown = format!("{store:?}");
    assert!(!shown.contains(secret) && shown.contains("s3://sites/of/writer"), "{shown}");
    // The server checks signatures: each name is signed as it is sent.
    let release = place(verified(&root, ORDER, "signed", &odd_names()), info(None)).unwrap();
    store.put(&release).await.unwrap_or_else(|error| panic!("{error}"));
    store
        .activate(&dir(ORDER), release.manifest.id, 1)
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_answer = format!("http://{}", hanging.local_addr().unwrap());
    const URL: &str = "s3://sites/p";
    use StoreErrorKind::{BadCredentials, BucketMissing, Configuration, Denied, Unreachable};
    let cases: Vec<Refused<'_>> = vec![
        (
            "s3://no-such/p",
            good.clone(),
            BucketMissing,
            &["s3://no-such/p", "NoSuchBucket", "make the bucket `no-such`"],
        ),
        (
            URL,
            with(reader, reader_secret, origin),
            Denied,
            &[URL, "writing an object", "AccessDenied", "let the host's account"],
        ),
        (
            URL,
            with("AKIANOBODY", "never-given-1", origin),
            BadCredentials,
            &[URL, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"],
        ),
        (
            URL,
            with(writer, "never-given-2", origin),
            BadCredentials,
            &[URL, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"],
        ),
        (URL, with(writer, secret, &closed), Unreachable, &[URL, "refused", "AWS_ENDPOINT"]),
        (URL, with(writer, secret, &no_answer), Unreachable, &[URL, "no answer within 1 s"]),
        (URL, with(writer, secret, "http://no-such-host.invalid"), Unreachable, &[URL, "dns"]),
        (
            URL,
            good[..3].to_vec(),
            Configuration,
            &[URL, "127.0.0.1", "http://", "AWS_ALLOW_HTTP=true"],
        ),
        (URL, good[1..].to_vec(), Configuration, &[URL, "AWS_ACCESS_KEY_ID"]),
    ];
    let impatient = StoreLimits { request: Duration::from_secs(1), ..limits() };
    for (url, env, kind, parts) in cases {
        let secrets = [secret, reader_secret, "never-given"];
        let limits = if parts.iter().any(|part| part.contains("no answer")) {
            impatient.clone()
        } else {
            limits()
        };
        let error = open(Some(url), &root, &env, limits).await.map(|_| ()).unwrap_err();
        assert_error(&error, kind, parts, &secrets);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_store_is_refused_before_anything_is_asked() {
    let (_temp, root) = root();
    let folder = url::Url::from_file_path(root.path()).unwrap();
    for same in [None, Some("file"), Some(folder.as_str())] {
        let store = open(same, &root, &[], limits()).await.unwrap();
        assert!(matches!(store, SiteStore::Folder(_)), "{same:?}");
    }
    use StoreErrorKind::{Configuration, NoCredentials};
    let keys = env("http://127.0.0.1:9");
    let plus = |name: &str, value: &str| [keys.clone(), variables(&[(name, value)])].concat();
    let long = format!("s3://sites/{}", "a".repeat(600));
    let azure = variables(&[
        ("AZURE_STORAGE_ACCOUNT_NAME", "acc"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "bad key!!"),
    ]);
    let google =
        variables(&[("GOOGLE_SERVICE_ACCOUNT_KEY", r#"{"private_key": "planted-secret-77"}"#)]);
    let metadata = |origin: &str| variables(&[("AWS_METADATA_ENDPOINT", origin)]);
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let forbidding = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                drop(stream.read(&mut [0; 4096]).await);
                let answer =
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(stream.write_all(answer).await);
            }
        });
        origin
    };
    let cases: Vec<Refused<'_>> = vec![
        ("", keys.clone(), Configuration, &["not a URL", "s3://bucket/prefix"]),
        ("sites", keys.clone(), Configuration, &["not a URL", "s3://bucket/prefix"]),
        ("ftp://sites/p", keys.clone(), Configuration, &["ftp://"]),
        ("s3:///p", keys.clone(), Configuration, &["no bucket"]),
        ("s3://AKID:planted-secret-77@sites/p", keys.clone(), Configuration, &["before `@`"]),
        ("s3://sites/p?secret=planted-secret-77", keys.clone(), Configuration, &["after `?`"]),
        ("s3://sites:9000/p", keys.clone(), Configuration, &["9000", "AWS_ENDPOINT"]),
        (&long, keys.clone(), Configuration, &["600", "512"]),
        ("file:///some/where/else", keys.clone(), Configuration, &["sites folder"]),
        (
            "s3://sites",
            plus("AWS_PROXY_URL", "http://p"),
            Configuration,
            &["AWS_PROXY_URL", "take it out"],
        ),
        (
            "s3://sites",
            plus("AWS_ENDPOINT", "http://me:planted-secret-77@h"),
            Configuration,
            &["AWS_ENDPOINT", "password"],
        ),
        ("az://sites", Vec::new(), Configuration, &["az://sites", "AZURE_STORAGE_ACCOUNT_NAME"]),
        ("az://sites", azure, Configuration, &["az://sites", "AZURE_STORAGE_ACCOUNT_KEY"]),
        ("gs://sites", google, Configuration, &["gs://sites", "GOOGLE_APPLICATION_CREDENTIALS"]),
        (
            "s3://sites/p",
            metadata(&closed),
            NoCredentials,
            &["s3://sites/p", "refused", "AWS_ACCESS_KEY_ID"],
        ),
        (
            "s3://sites/p",
            metadata(&forbidding),
            NoCredentials,
            &["s3://sites/p", "403", "AWS_ACCESS_KEY_ID"],
        ),
    ];
    for (url, env, kind, parts) in cases {
        let error = open(Some(url), &root, &env, limits()).await.map(|_| ()).unwrap_err();
        assert_error(&error, kind, parts, &["planted-secret-77", "bad key!!"]);
    }
}

/// A proxy of the server that closes in the middle of a request, after a number of bytes.
struct Proxy {
    origin: String,
    bytes_left: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn before(server: &S3Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let behind = server.origin().strip_prefix("http://").unwrap().to_owned();
        let bytes_left = Arc::new(AtomicUsize::new(usize::MAX));
        let left = bytes_left.clone();
        let task = tokio::spawn(async move {
            // Dropped with the task, which ends each connection.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let inside = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    Some(ended) = connections.join_next() => match ended {
                        Ok(true) => return,
                        _ => continue,
                    },
                };
                connections.spawn(forward(inside, behind.clone(), left.clone()));
            }
        });
        Proxy { origin, bytes_left, task }
    }
}

/// Forwards one connection. Returns whether the proxy has reached its limit.
async fn forward(mut inside: TcpStream, behind: String, left: Arc<AtomicUsize>) -> bool {
    let mut outside = TcpStream::connect(behind).await.unwrap();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (inside.split(), outside.split());
    let requests = async {
        let mut buffer = vec![0; 512];
        loop {
            let Ok(count @ 1..) = from_client.read(&mut buffer).await else { return false };
            let enough = left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count));
            if enough.is_err() {
                return true;
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return false;
            }
        }
    };
    tokio::select! {
        end = requests => end,
        _ = tokio::io::copy(&mut from_server, &mut to_client) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_a_server_that_goes_in_the_middle_of_an_upload_leaves_the_old_release_visible() {
    let Some(server) = S3Server::start("an S3 server that goes away", &[]).await else { return };
    let proxy = Proxy::before(&server).await;
    let bench = Bench::s3_through(&server, &proxy.origin, "gone", limits()).await;
    let old = bench.release(&marked("old")).await;
    let before: BTreeMap<_, _> = {
        let mut all = BTreeMap::new();
        for name in bench.names().await.into_iter().filter(|name| !name.starts_with("manifests/")) {
            let got = bench.get(&name).await;
            all.insert(name, got);
        }
        all
    };
    let release = bench.place(&many(), None);
    let id = release.manifest.id;
    // Each file takes a request of more than a kilobyte.
    proxy.bytes_left.store(150_000, Ordering::Relaxed);
    let put = bench.store.put(&release);
    let error = tokio::time::timeout(Duration::from_secs(60), put).await.unwrap().unwrap_err();
    tokio::time::timeout(Duration::from_secs(60), proxy.task).await.unwrap().unwrap();
    assert_error(
        &error,
        StoreErrorKind::Unreachable,
        &[
            ORDER,
            &id.to_string(),
            "s3://sites/gone",
            "could not be written",
            "could not be removed",
            "visitors see what they saw before",
            "AWS_ENDPOINT",
        ],
        &["planted-secret-77"],
    );
    let begun = |names: &BTreeSet<String>| {
        names.iter().filter(|name| name.starts_with(&format!("releases/{id}/"))).count()
    };
    let stored = begun(&bench.names().await);
    assert!((20..400).contains(&stored), "in the middle: {stored}");
    assert!(error.kind.is_transient());
    assert!(release.path.join("index.html").exists(), "its folder stays for another try");
    assert!(bench.root.manifest_path(&dir(ORDER), id).exists(), "and so does its manifest");
    assert_eq!(bench.visible().await, Some(old));
    for (name, was) in &before {
        assert!(bench.get(name).await == *was, "{name}");
    }
    let names = bench.names().await;
    assert!(!names.contains(&format!("manifests/{id}.json")), "a part is no release");
    let error = bench.store.activate(&dir(ORDER), id, DEFAULT_KEEP).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable);

    // It is back, at another address: a part cannot be activated, the same release can be put
    // again.
    let back = SiteStore::open(
        Some("s3://sites/gone"),
        &bench.root,
        env(server.origin()).into_iter().map(|(name, value)| (name.into(), value.into())),
        &client(),
        limits(),
    )
    .await
    .unwrap();
    let error = back.activate(&dir(ORDER), id, DEFAULT_KEEP).await.unwrap_err();
    assert_error(&error, StoreErrorKind::NotFound, &[ORDER, "only a part"], &[]);
    assert_eq!(bench.visible().await, Some(old));
    back.put(&release).await.unwrap();
    assert_eq!(begun(&bench.names().await), 500);
    back.activate(&dir(ORDER), id, DEFAULT_KEEP).await.unwrap();
    assert_eq!(bench.visible().await, Some(id));
}

/// A pointer that a person wrote: `activate` repairs it, nothing else trusts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_that_is_none_is_told_and_repaired() {
    let Some(server) = S3Server::start("a broken pointer on an S3 server", &[]).await else {
        return;
    };
    let bench = Bench::s3(&server, "broken", limits()).await;
    let id = bench.release(&good_site()).await;
    let url = format!("{}/sites/broken/public/{ORDER}/current.json", server.origin());
    let put = bench.client.put(url).body(Value::Null.to_string()).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let error = bench.store.current(&dir(ORDER)).await.unwrap_err();
    assert_error(&error, StoreErrorKind::Damaged, &[ORDER, "current.json"], &[]);
    assert!(bench.store.discard(&dir(ORDER), id).await.is_err(), "it may be the current one");
    bench.store.activate(&dir(ORDER), id, DEFAULT_KEEP).await.unwrap();
    assert_eq!(bench.visible().await, Some(id));
    assert!(Path::new(&bench.store.location_of(&dir(ORDER), id)).ends_with(id.to_string()));
}
