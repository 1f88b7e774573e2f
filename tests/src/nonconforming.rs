//! Faulty templates for the conformance suite: one or more for each rule, each of which breaks only
//! that rule.
//!
//! Most are the guest `nonconforming` with a deviation patched into its data section; for rules
//! about the file itself its bytes are changed.

use std::sync::LazyLock;

use memchr::memmem;
use serde_json::{Value, json};

use crate::guest;

/// A template that breaks one rule.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Id of the rule.
    pub rule: &'static str,
    /// Name of the variant, unique within the rule. Default: the id of the rule.
    pub what: String,
    /// The component.
    pub bytes: Vec<u8>,
    /// Environment variables of the run.
    pub settings: Vec<(&'static str, &'static str)>,
    /// Files of the author's cases: path and content.
    pub author: Vec<(&'static str, String)>,
    /// The page that it adds to each site, if that is all it does. Pages of several variants can be
    /// in one component, see [`with_pages`].
    pub page: Option<String>,
}

/// The guest without a deviation.
pub fn good() -> Vec<u8> {
    with_deviation(&json!({}))
}

/// The guest's bytes, and where its slot for a deviation begins. Read once: there are a hundred
/// variants, and looking through megabytes takes a build without optimization a while.
static GUEST: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    let bytes = std::fs::read(guest("guest-nonconforming")).expect("the guest is built");
    let mark = b"{\"place\":\"sitewright-nonconforming\"}";
    let at = memmem::find(&bytes, mark).expect("the guest has the slot");
    (bytes, at)
});

/// The guest with this deviation patched into its data section.
pub fn with_deviation(deviation: &Value) -> Vec<u8> {
    let (mut bytes, at) = GUEST.clone();
    let text = deviation.to_string();
    assert!(text.len() < 16_384, "the deviation does not fit into the slot");
    bytes[at..at + 16_384].fill(b' ');
    bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// The guest that adds these pages to each site, and their paths in it.
pub fn with_pages(pages: &[&str]) -> (Vec<String>, Vec<u8>) {
    pages_beside(serde_json::Map::new(), pages)
}

/// The same without `data.json`, in which each order has another text: what the pages of all sites
/// may load is then the same, and the suite looks at a page once, not once for each order.
pub fn with_pages_alone(pages: &[&str]) -> (Vec<String>, Vec<u8>) {
    pages_beside(serde_json::Map::from_iter([("data.json".to_owned(), Value::Null)]), pages)
}

fn pages_beside(
    mut files: serde_json::Map<String, Value>,
    pages: &[&str],
) -> (Vec<String>, Vec<u8>) {
    let paths: Vec<String> =
        (0..pages.len()).map(|number| format!("extra-{number}.html")).collect();
    files.extend(paths.iter().cloned().zip(pages.iter().map(|page| json!(page))));
    let bytes = with_deviation(&json!({ "files": files }));
    (paths, bytes)
}

/// The guest with each occurrence of `from` replaced by `to`, which must have the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = good();
    let places: Vec<usize> = memmem::find_iter(&bytes, from).collect();
    assert!(!places.is_empty(), "the guest does not contain {from:?}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn variant(rule: &'static str, bytes: Vec<u8>) -> Variant {
    Variant {
        rule,
        what: rule.to_owned(),
        bytes,
        settings: Vec::new(),
        author: Vec::new(),
        page: None,
    }
}

fn fault(rule: &'static str, fault: &str, n: usize) -> Variant {
    variant(rule, with_deviation(&json!({ "fault": fault, "n": n })))
}

fn files(rule: &'static str, files: Value) -> Variant {
    variant(rule, with_deviation(&json!({ "files": files })))
}

/// A valid page with this content in head and body. The guest replaces `(locale)` by the locale of
/// the order.
fn page(head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"(locale)\"><head><meta \
         charset=\"utf-8\"><title>Extra</title><meta name=\"description\" content=\"One page \
         more.\"><meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">{head}</head>\n<body><h1>One page more than others \
         have</h1>{body}</body></html>\n"
    )
}

/// Adds a page.
fn added(rule: &'static str, page: String) -> Variant {
    Variant { page: Some(page.clone()), ..files(rule, json!({ "extra.html": page })) }
}

fn extra(rule: &'static str, head: &str, body: &str) -> Variant {
    added(rule, page(head, body))
}

/// Adds a page in which `from` is replaced by `to`.
fn spoiled(rule: &'static str, from: &str, to: &str) -> Variant {
    let good = page("", "");
    let bad = good.replacen(from, to, 1);
    assert_ne!(good, bad);
    added(rule, bad)
}

/// All faulty templates.
pub fn variants() -> Vec<Variant> {
    [contract(), behaviour(), ai(), limits(), site(), author()].concat()
}

fn contract() -> Vec<Variant> {
    let module = wat::parse_str("(module)").expect("it is a module");
    let types = wat::parse_str(
        "(component
            (import \"sitewright:template/site@0.1.0\" (instance (export \"write\" (func (param \
         \"path\" string)))))
            (instance $nothing)
            (export \"sitewright:template/generator@0.1.0\" (instance $nothing)))",
    )
    .expect("it is a component");
    let mut broken = good();
    broken.truncate(broken.len() / 2);
    vec![
        variant("contract/component", module),
        Variant { what: "half a file".to_owned(), ..variant("contract/component", broken) },
        Variant {
            what: "text".to_owned(),
            ..variant("contract/component", b"no template".to_vec())
        },
        variant("contract/imports", patched("wasi:cli/exit@", "mail:box/send@")),
        variant(
            "contract/exports",
            patched("template/generator@0.2.0", "template/degenerat@0.2.0"),
        ),
        variant(
            "contract/version",
            patched("template/generator@0.2.0", "template/generator@0.9.0"),
        ),
        variant("contract/types", types),
        fault("contract/describe", "describe", 0),
        fault("contract/quick", "quick", 0),
        fault("contract/manifest", "manifest", 0),
        fault("contract/schema", "schema", 0),
        fault("contract/pure", "pure", 0),
    ]
}

fn behaviour() -> Vec<Variant> {
    vec![
        fault("behaviour/minimal", "minimal", 0),
        fault("behaviour/full", "full", 0),
        fault("behaviour/optional", "optional", 0),
        fault("behaviour/values", "values", 0),
        fault("behaviour/locales", "locales", 0),
        fault("behaviour/hostile-text", "hostile", 0),
        fault("behaviour/colours", "colours", 0),
        fault("behaviour/empty-lists", "empty-lists", 0),
        fault("behaviour/long-lists", "long-lists", 0),
        fault("behaviour/deterministic", "deterministic", 0),
        fault("behaviour/distinct", "distinct", 0),
    ]
}

fn ai() -> Vec<Variant> {
    vec![
        fault("ai/no-trap", "no-trap", 0),
        fault("ai/whole-or-failed", "whole", 0),
        fault("ai/blame", "blame", 0),
        fault("ai/slow", "slow", 0),
        fault("ai/off-schema", "off-schema", 0),
        fault("ai/escaped", "escaped", 0),
        fault("ai/smallest", "smallest", 0),
        fault("ai/purposes", "purposes", 0),
        fault("cancel/dropped", "dropped", 0),
    ]
}

fn limits() -> Vec<Variant> {
    vec![
        fault("limits/memory-bytes", "memory", 220 << 20),
        Variant {
            what: "all of it".to_owned(),
            ..fault("limits/memory-bytes", "memory", 300 << 20)
        },
        Variant {
            settings: vec![("SITEWRIGHT_LIMITS__CPU_MS", "1500")],
            ..fault("limits/cpu", "cpu", 0)
        },
        fault("limits/ai-calls", "ai-calls", 55),
        Variant { what: "all of them".to_owned(), ..fault("limits/ai-calls", "ai-calls", 65) },
        fault("limits/files", "files", 1_700),
        fault("limits/file-bytes", "file-bytes", 7 << 20),
        Variant {
            what: "all of them".to_owned(),
            ..fault("limits/file-bytes", "file-bytes", 9 << 20)
        },
        fault("limits/total-bytes", "total-bytes", 54 << 20),
        fault("limits/path-bytes", "path-bytes", 215),
        fault("limits/diagnostics", "diagnostics", 220),
        fault("limits/log-bytes", "log", 240_000),
        fault("limits/stderr-bytes", "stderr", 240_000),
    ]
}

fn site() -> Vec<Variant> {
    let deep = format!("{}{}", "<div>".repeat(300), "</div>".repeat(300));
    let black = "<p style=\"color: #777777; background: #808080\">Grey on grey.</p>";
    vec![
        files("site/entry-page", json!({ "index.html": null, "start.html": page("", "") })),
        fault("site/utf8", "bytes", 0),
        extra("site/html-syntax", "", "<p>An <b>unclosed <i>crossing</b> of</i> elements.</p>"),
        files("site/css-syntax", json!({ "style.css": "p { content: \"no end\n }" })),
        files(
            "site/xml-syntax",
            json!({ "icon.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"><g></svg>" }),
        ),
        files("site/json-syntax", json!({ "more.json": "{ no json" })),
        extra("site/script-syntax", "", "<p onclick=\"open('it's')\">A paragraph.</p>"),
        extra("site/json-ld", "<script type=\"application/ld+json\">{ no json</script>", ""),
        spoiled("site/language", "(locale)", "de"),
        spoiled("site/title", "<title>Extra</title>", ""),
        spoiled("site/description", "name=\"description\"", "name=\"remark\""),
        spoiled("site/viewport", "name=\"viewport\"", "name=\"remark\""),
        spoiled("site/empty-page", "One page more than others have", "One"),
        extra("site/duplicate-id", "", "<p id=\"a\">One.</p><p id=\"a\">Two.</p>"),
        files(
            "site/image-alt",
            json!({
                "extra.html": page("", "<img src=\"i.svg\">"),
                "i.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            }),
        ),
        files("site/image-broken", json!({ "photo.png": "no picture" })),
        extra("site/form-action", "", "<form><button>Send</button></form>"),
        extra("site/broken-reference", "", "<a href=\"nowhere.html\">Nowhere</a>"),
        extra("site/broken-fragment", "", "<a href=\"index.html#nowhere\">Nowhere</a>"),
        extra("site/link-scheme", "", "<a href=\"javascript:void(0)\">Nothing</a>"),
        extra("site/placeholder", "", "<p>Dear {{ customer }},</p>"),
        files(
            "site/sitemap",
            json!({
                "sitemap.xml": "<?xml version=\"1.0\"?>\
                    <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\
                    <url><loc>index.html</loc></url></urlset>",
            }),
        ),
        files(
            "site/svg-namespace",
            json!({ "icon.svg": "<svg width=\"1\"><rect width=\"1\" height=\"1\"/></svg>" }),
        ),
        files(
            "site/svg-script",
            json!({
                "icon.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>a()</script></svg>",
            }),
        ),
        spoiled("site/charset", "charset=\"utf-8\"", "charset=\"latin1\""),
        files(
            "site/no-index",
            json!({
                "index.html": page(
                    "<meta name=\"robots\" content=\"noindex\">",
                    "<p>Harbour Lane Studio, hello@harbourlane.example</p>",
                ),
            }),
        ),
        files("site/whose-site", json!({ "index.html": page("", "") })),
        files("site/robots-disallow", json!({ "robots.txt": "User-agent: *\nDisallow: /\n" })),
        extra("site/local-address", "", "<a href=\"http://localhost:3000/\">Here</a>"),
        extra("site/too-large", "", &deep),
        extra("site/one-h1", "", "<h1>Another one</h1>"),
        extra("site/heading-order", "", "<h4>Far below</h4>"),
        extra("site/labels", "", "<form action=\"mailto:a@example.com\"><input name=\"a\"></form>"),
        extra("site/link-text", "", "<a href=\"index.html\"></a>"),
        extra("site/button-text", "", "<button></button>"),
        extra("site/frame-title", "", "<iframe src=\"index.html\"></iframe>"),
        spoiled("site/zoom", "initial-scale=1", "user-scalable=no"),
        extra("site/inline-contrast", "", black),
        extra("site/tab-order", "", "<button tabindex=\"3\">First</button>"),
        extra("site/external", "", "<img src=\"https://pixel.example/p.gif\" alt=\"\">"),
        Variant {
            what: "in a style sheet".to_owned(),
            ..files(
                "site/external",
                json!({
                    "more.css":
                        "@font-face { font-family: a; src: url(https://fonts.example/a.woff2) }",
                }),
            )
        },
        fault("site/weight", "weight", 0),
    ]
}

fn author() -> Vec<Variant> {
    let order = crate::order("03-plumber-us-premium").to_string();
    let case = |expect: &str| format!("why = \"a test\"\n[expect]\n{expect}\n");
    vec![
        Variant {
            author: vec![
                (
                    "one/case.toml",
                    case("contains = { \"index.html\" = [\"a text that is not there\"] }"),
                ),
                ("one/order.json", order.clone()),
            ],
            ..variant("author/expected", good())
        },
        Variant {
            what: "an outcome".to_owned(),
            author: vec![
                ("one/case.toml", case("outcome = \"failure\"")),
                ("one/order.json", order.clone()),
            ],
            ..variant("author/expected", good())
        },
        Variant {
            author: vec![
                ("one/case.toml", case("outcome = \"site\"")),
                ("one/order.json", order),
                (
                    "one/snapshot/snapshot.json",
                    "{ \"files\": { \"other.html\": \"00\" } }".to_owned(),
                ),
            ],
            ..variant("author/snapshot", good())
        },
    ]
}
