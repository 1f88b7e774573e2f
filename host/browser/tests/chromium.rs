//! Sites in a real Chromium: each fault is found, with its place, and nothing else; and nothing of
//! the browser is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helper functions fail the test"
)]
#![allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sitewright_browser::{AXE_VERSION, Browser, ViewLimits, find};
use sitewright_site::{Level, Levels, Rule, SitePath, ViewedSite, Viewer as _};

#[path = "../../../tests/src/standins.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public for the end-to-end tests")]
mod standins;

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The browser of this machine; without one, the test is reported as skipped.
fn program(test: &str) -> Option<PathBuf> {
    let found = find(None, std::env::var_os("PATH").as_deref());
    if found.is_err() {
        standins::skipped(test, "chromium is not here");
    }
    found.ok()
}

/// A page with this head and body that has no fault by itself.
fn page(head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Bakery</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{head}</head>\n\
         <body><main><h1>Bread of the day</h1>\n{body}\n</main></body></html>\n"
    )
}

fn site(files: &[(&str, String)]) -> ViewedSite {
    let file = |(path, text): &(&str, String)| {
        (SitePath::parse(path, 255).unwrap(), text.clone().into_bytes())
    };
    ViewedSite { files: files.iter().map(file).collect(), ..ViewedSite::default() }
}

async fn seen(browser: &Browser, site: ViewedSite) -> Vec<String> {
    let problems = browser.view(site).await.unwrap();
    problems.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_page_is_found_with_its_place() {
    const TEST: &str = "each_fault_of_a_page_is_found_with_its_place";
    let Some(program) = program(TEST) else { return };
    let browser = Browser::start(&program).await.unwrap();
    let image = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"></svg>";
    // What is on the page, and the beginning and a part of what must be found. `None`: nothing.
    type Row = (&'static str, String, Option<(&'static str, &'static str)>);
    let rows: Vec<Row> = vec![
        ("nothing", page("", "<p>Fresh.</p><img src=\"a.svg\" alt=\"A loaf\">"), None),
        (
            "a box that is too wide for phones",
            page("<style>.w { width: 600px }</style>", "<div class=\"w\"><p>Rye</p></div>"),
            Some((
                "index.html: at a width of 360 and 390 px visitors must scroll sideways: `div.w` \
                 with `p` sticks out by",
                "[browser-overflow]",
            )),
        ),
        (
            "a text without a gap",
            page("", &format!("<p id=\"long\">{}</p>", "Bread".repeat(60))),
            Some((
                "index.html: at a width of 360, 390 and 1440 px visitors must scroll sideways: the \
                 text of `#long` sticks out by",
                "[browser-overflow]",
            )),
        ),
        (
            "a text without a gap, from right to left",
            page("", &format!("<p id=\"long\">{}</p>", "Bread".repeat(20)))
                .replace("lang=\"en\"", "lang=\"ar\" dir=\"rtl\""),
            Some(("index.html: at a width of 360 and 390 px", "the text of `#long` sticks out by")),
        ),
        (
            "boxes that scroll by themselves, are cut, or are fixed",
            page(
                "<style>.s { overflow-x: auto } .h { overflow: hidden } .w { width: 2000px }\n\
                 .f { position: fixed; top: 0 }</style>",
                "<div class=\"s\" tabindex=\"0\"><div class=\"w\">Rye</div></div>\n\
                 <div class=\"h\"><div class=\"w\">Rye</div></div><div class=\"f w\">Rye</div>",
            ),
            None,
        ),
        (
            "a form with fields named as what every element has",
            page(
                "<style>.w { width: 600px }</style>",
                "<form action=\"/\"><p><label>Adults <input name=\"id\"></label></p>\n\
                 <p><label>Children <input name=\"children\"></label></p>\n\
                 <div class=\"w\">Rye</div></form>",
            ),
            Some((
                "index.html: at a width of 360 and 390 px visitors must scroll sideways: `div.w` \
                 sticks out by",
                "[browser-overflow]",
            )),
        ),
        (
            "an error of a script",
            page("", "<p>Fresh.</p>\n<script>bake()</script>"),
            Some((
                "index.html:6: seen in a browser: a script stops with an error: ReferenceError: \
                 bake is not defined",
                "[browser-console]",
            )),
        ),
        (
            "a rejected promise in a file",
            page("<script src=\"app.js\"></script>", ""),
            Some((
                "app.js:2: seen in a browser on `index.html`: a script stops with an error: Error: \
                 no oven",
                "[browser-console]",
            )),
        ),
        (
            "an error in the console",
            page("", "<script>console.error('bad', 7, {}); console.warn('fine')</script>"),
            Some((
                "index.html:5: seen in a browser: the console shows an error: bad 7 Object",
                "[browser-console]",
            )),
        ),
        (
            "a style that the page's own policy refuses",
            page(
                "<meta http-equiv=\"content-security-policy\" content=\"style-src 'self'\">\
                 <style>p { color: red }</style>",
                "",
            ),
            Some(("index.html", "violates the following Content Security Policy")),
        ),
        (
            "a file that is not there",
            page("", "<img src=\"img/no%20bread.png\" alt=\"Bread\">"),
            Some((
                "index.html: seen in a browser: the page asks for `img/no%20bread.png`, which the \
                 site does not have",
                "[browser-request]",
            )),
        ),
        (
            "a page that leads to one that is not there",
            page("", "<script>location = 'gone.html'</script>"),
            Some((
                "index.html: seen in a browser: the page asks for `gone.html`",
                "[browser-request]",
            )),
        ),
        (
            "a page that loads itself again",
            page("", "<script>location.reload()</script>"),
            Some((
                "index.html: seen in a browser: a browser cannot look at the page: it loads itself \
                 again",
                "[browser-console]",
            )),
        ),
        (
            "a form that a script sends to the site",
            page("", "<script>fetch('/api', { method: 'POST', body: 'x' })</script>"),
            Some(("index.html: seen in a browser: the page asks for `api`", "[browser-request]")),
        ),
        (
            "an image without a text",
            page("", "<img src=\"a.svg\">"),
            Some((
                "index.html: accessibility at a width of 360 and 1440 px: image-alt (critical): \
                 Images must have alternative text: `img`: Element does not have an alt attribute",
                "[browser-axe]",
            )),
        ),
        (
            "grey on grey, in what is folded",
            page(
                "<style>.g { color: #999 }</style>",
                "<details><summary>More</summary><p class=\"g\">Rye</p></details>",
            ),
            Some(("index.html: accessibility at", "color-contrast (serious)")),
        ),
        (
            "other hosts, this machine, workers, dialogs and another tab",
            page(
                "",
                "<img src=\"https://other.example/a.png\" alt=\"\">\n<script>alert(1);\n\
                 open('https://other.example/');\n\
                 fetch('https://127.0.0.1:1/').catch(() => {});\n\
                 navigator.serviceWorker.register('sw.js');\n\
                 new WebSocket('wss://10.0.0.1/');</script>",
            ),
            None,
        ),
        (
            "a script that misses what another host has",
            page(
                "<script src=\"https://other.example/lib.js\"></script>",
                "<script>lib()</script>",
            ),
            Some((
                "index.html:5: seen in a browser: a script stops with an error: ReferenceError: \
                 lib is not defined (nothing was loaded from other.example)",
                "[browser-console]",
            )),
        ),
    ];
    let mut wrong = Vec::new();
    for (what, page, expected) in rows {
        let app = "// The oven.\nPromise.reject(new Error('no oven'));\n".to_owned();
        let files = [("index.html", page), ("app.js", app), ("a.svg", image.to_owned())];
        let found = seen(&browser, site(&files)).await;
        let is_right = match (expected, found.as_slice()) {
            (None, []) => true,
            (Some((begin, part)), [one]) => one.starts_with(begin) && one.contains(part),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{what}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_looked_at_with_what_they_share_once() {
    const TEST: &str = "all_pages_are_looked_at_with_what_they_share_once";
    let Some(program) = program(TEST) else { return };
    let browser = Browser::start(&program).await.unwrap();
    let shared = || page("<script src=\"/app.js\"></script>", "<a href=\"/about/\">About us</a>");
    let files = [
        ("about/index.html", shared()),
        ("index.html", shared()),
        ("menu.html", page("", "<img src=\"menu.png\">")),
        ("moved.html", page("", "<script>location = '/about'</script>")),
        ("one.html", page("", "<script>location = 'two.html'</script>")),
        ("two.html", page("", "<script>location = 'one.html'</script>")),
        ("app.js", "bake()".to_owned()),
    ];
    let found = seen(&browser, site(&files)).await;
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(
        found[0].starts_with("app.js:1: seen in a browser on `index.html` and one other page: ")
    );
    assert!(found[1].starts_with("menu.html: accessibility"), "{found:#?}");
    assert!(found[2].starts_with("menu.html: seen in a browser: the page asks for `menu.png`"));
    for (found, page, other) in [(&found[3], "one", "two"), (&found[4], "two", "one")] {
        assert!(found.starts_with(&format!("{page}.html: ")), "{found}");
        assert!(found.contains(&format!("in a circle by itself, first to `{other}.html`")));
    }

    // A rule that is off is not checked.
    let levels = Levels::new(BTreeMap::from([(Rule::BrowserAxe, Level::Off)])).unwrap();
    let found = seen(&browser, ViewedSite { levels, ..site(&files) }).await;
    assert_eq!(found.len(), 4, "{found:#?}");
    browser.close().await;
}

/// A page that never ends costs its time only: the others are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_busy_for_ever_or_leads_elsewhere_holds_up_no_other() {
    const TEST: &str = "a_page_that_is_busy_for_ever_or_leads_elsewhere_holds_up_no_other";
    let Some(program) = program(TEST) else { return };
    let limits = ViewLimits { page: Duration::from_secs(8), pages: 3, ..ViewLimits::default() };
    let browser = Browser::start(&program).await.unwrap().with_limits(limits);
    let files = [
        ("zzz.html", page("", "")),
        ("index.html", page("<script>for (;;);</script>", "")),
        ("leaves.html", page("", "<script>location = 'https://other.example/'</script>")),
        ("wrong.html", page("", "<script>bake()</script>")),
    ];
    let found = seen(&browser, site(&files)).await;
    let of = |file: &str| -> Vec<&String> {
        found.iter().filter(|problem| problem.starts_with(file)).collect()
    };
    let [busy] = of("index.html")[..] else { panic!("{found:#?}") };
    assert!(busy.contains("is not done with the page after 8 s"), "{busy}");
    assert!(busy.ends_with("[too-large]"), "{busy}");
    let [leaves] = of("leaves.html")[..] else { panic!("{found:#?}") };
    assert!(leaves.contains("it leads visitors to `other.example` by itself"), "{leaves}");
    let [left] = of("zzz.html")[..] else { panic!("{found:#?}") };
    assert!(left.contains("a browser looked at 3 of the 4 pages only"), "{left}");
    assert_eq!(of("wrong.html").len(), 1, "{found:#?}");
    browser.close().await;
}

/// WebRTC needs no request: it sends datagrams to any address that a page names.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_sends_no_datagram() {
    const TEST: &str = "a_page_sends_no_datagram";
    let Some(program) = program(TEST) else { return };
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let script = format!(
        "<script>const peer = new RTCPeerConnection({{\n\
         iceServers: [{{ urls: 'stun:127.0.0.1:{port}' }}] }});\n\
         peer.createDataChannel('x');\n\
         peer.setLocalDescription();</script>"
    );
    let browser = Browser::start(&program).await.unwrap();
    let found = seen(&browser, site(&[("index.html", page("", &script))])).await;
    assert!(found.is_empty(), "{found:#?}");
    browser.close().await;
    let nothing = server.recv(&mut [0; 2_048]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

/// Processes whose command line has this text.
fn processes(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

/// The folders of running browsers that this process has started.
fn folders(before: &[PathBuf]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("sitewright-browser-") && !before.contains(path)
        })
        .filter(|path| processes(&path.display().to_string()) > 0)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_browser_is_left_whether_it_is_closed_or_dropped() {
    const TEST: &str = "nothing_of_a_browser_is_left_whether_it_is_closed_or_dropped";
    let Some(program) = program(TEST) else { return };
    for is_closed in [true, false] {
        let before = folders(&[]);
        let browser = Browser::start(&program).await.unwrap();
        // Another test's browser may have started meanwhile: its own profile is among these.
        let own = folders(&before);
        assert!(!own.is_empty(), "its folder is not found");
        if is_closed {
            browser.close().await;
            let view = browser.view(site(&[("index.html", page("", ""))])).await;
            assert!(view.unwrap_err().as_str().contains("has ended"));
        } else {
            drop(browser);
        }
        let gone = || {
            own.iter()
                .any(|folder| !folder.exists() && processes(&folder.display().to_string()) == 0)
        };
        for _ in 0..600 {
            if gone() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(gone(), "closed: {is_closed}: {own:?}");
    }
}

#[tokio::test]
async fn a_program_that_is_no_browser_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("chromium");
    std::fs::write(&fake, "#!/bin/sh\necho 'no library' >&2\nexit 3\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&fake, mode).unwrap();
    let error = Browser::start(&fake).await.unwrap_err().to_string();
    assert!(error.contains("does not start") && error.contains("no library"), "{error}");
}

#[test]
fn the_version_of_axe_core_is_the_one_that_is_said() {
    let file = root().join("host/browser/axe/axe.min.js");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with(&format!("/*! axe v{AXE_VERSION}\n")));
    // The bill of materials of a release, and the book.
    for (file, says) in [
        ("xtask/src/dist/parts.rs", format!("const AXE_CORE: &str = \"{AXE_VERSION}\";")),
        ("docs/src/reference/site-checks.md", format!("/axe-core) {AXE_VERSION}, which")),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&says), "{file} names another version");
    }
}
