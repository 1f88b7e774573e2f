//! The pages that `dev` adds to the site: the failure report, and the script that reloads pages.

use askama::Template as _;

use super::places::Links;
use super::{Failed, Notes, ansi};
use sitewright_failure::render;
use sitewright_model::failure::Diagnostic;
use sitewright_model::message::causes_of;

/// Path prefix of the server's own resources; it hides a folder of that name in the site.
pub(super) const OWN: &str = "/__sitewright/";

/// Reloads the page if the server shows another version than the page's own, and shows the notes
/// about the site in a drawer, with a choice of the order if there are several. Its root is closed,
/// so that the site's styles do not reach it.
pub(super) const SCRIPT: &str = r#"(() => {
  "use strict";
  const version = new URL(document.currentScript.src).searchParams.get("version");
  const news = new EventSource("/__sitewright/events");
  news.onmessage = (message) => {
    if (message.data === version) return;
    news.close();
    location.reload();
  };
  const drawer = ([lines, { orders, chosen }]) => {
    // The page of widths shows it once.
    if (window !== window.top) return;
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "closed" });
    root.innerHTML = `<style>
      details { position: fixed; right: .5rem; bottom: .5rem; z-index: 2147483647; max-width: 40rem;
        background: #1b1d1f; color: #e6e6e6; border-radius: .25rem; font: .8125rem/1.4 monospace; }
      summary { padding: .375rem .75rem; cursor: pointer; }
      pre { margin: 0; padding: 0 .75rem .75rem; max-height: 50vh; overflow: auto;
        white-space: pre-wrap; overflow-wrap: anywhere; }
      p { margin: 0; padding: 0 .75rem .5rem; } a { color: #90caf9; }
    </style><details><summary></summary><p><a>at the widths of devices</a>
      <a href="/__sitewright/edit">edit order and replies</a> <label>order
      <select></select></label></p><pre></pre></details>`;
    root.querySelector("summary").textContent = `${lines.length} notes about this site`;
    root.querySelector("pre").textContent = lines.join("\n");
    root.querySelector("a").href = `/__sitewright/widths#${location.pathname}`;
    const select = root.querySelector("select");
    select.parentElement.hidden = orders.length < 2;
    select.append(...orders.map((order, at) => new Option(order, at, false, at === chosen)));
    select.onchange = () => fetch(`/__sitewright/orders/${select.value}`, { method: "PUT" });
    document.body.append(host);
  };
  const read = (name) => fetch(`/__sitewright/${name}`).then((answer) => answer.json());
  Promise.all([read("notes"), read("orders")]).then(drawer, () => {});
})();
"#;

/// A page that shows the page of the site that is named after `#` at the widths of devices.
pub(super) const WIDTHS: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>At the widths of devices</title>
<style>
body { margin: 0; padding: 1rem; color: #e6e6e6; background: #1b1d1f; font: 1rem/1.5 system-ui, sans-serif; }
main { display: flex; gap: 1rem; align-items: flex-start; overflow-x: auto; }
figure { margin: 0; flex: none; } figcaption { padding-bottom: .25rem; }
iframe { display: block; border: 0; background: #fff; height: 85vh; }
a { color: #90caf9; }
</style>
</head>
<body>
<p><a id="back" href="/">back to the page</a></p>
<main></main>
<script>
"use strict";
const named = decodeURI(location.hash.slice(1));
// A path of this site, and no other address.
const path = /^\/(?!\/)/.test(named) ? named : "/";
document.getElementById("back").href = path;
for (const [device, width] of [["phone", 360], ["large phone", 430], ["tablet", 768], ["laptop", 1280]]) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = `${device}, ${width} px`;
  const frame = document.createElement("iframe");
  Object.assign(frame, { src: path, title: device });
  frame.style.width = `${width}px`;
  figure.append(caption, frame);
  document.querySelector("main").append(figure);
}
</script>
</body>
</html>
"#;

/// Width of a report in columns; fits a page of usual width.
const WIDTH: usize = 110;

#[derive(askama::Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% if has_failed %}✗{% else %}…{% endif %} {{ title }}</title>
<style>
body { margin: 0; padding: 1.5rem; color: #e6e6e6; background: #1b1d1f; font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.25rem; }
h1.failed { color: #ff8a80; }
pre { overflow-x: auto; padding: 1rem; background: #111; font: .875rem/1.5 ui-monospace, monospace; }
.b { font-weight: 700; } .d { color: #9aa0a6; }
.c1, .c9 { color: #ff8a80; } .c2, .c10 { color: #a5d6a7; } .c3, .c11 { color: #ffe082; }
.c4, .c12, a { color: #90caf9; } .c5, .c13 { color: #ce93d8; } .c6, .c14 { color: #80deea; } .c8 { color: #9aa0a6; }
</style>
</head>
<body>
<h1{% if has_failed %} class="failed"{% endif %}>{{ title }}</h1>
<p>{{ next }}</p>
{% if has_failed %}<pre>{{ report|safe }}</pre>
{% endif %}
<script src="{{ script }}"></script>
</body>
</html>
"#
)]
struct Page<'a> {
    title: &'a str,
    next: &'a str,
    /// Whether there is a report.
    has_failed: bool,
    report: &'a str,
    script: &'a str,
}

/// The address of the script in a page of this version.
fn script(version: &str) -> String {
    format!("{OWN}reload.js?version={version}")
}

/// The page with the report of a failure.
pub(super) fn failure(failed: &Failed, version: &str, links: Option<&Links>) -> String {
    let (title, report) = match failed {
        Failed::Build(error) => match error.output() {
            Some(output) => ("The template was not built", output.to_owned()),
            None => {
                let causes: Vec<String> =
                    causes_of(error).iter().map(|cause| format!("because {cause}")).collect();
                ("The template was not built", format!("{error}\n{}", causes.join("\n")))
            }
        },
        Failed::Attempt(record) => ("No site was made", render::terminal(record, WIDTH)),
        Failed::Before(message) => ("No site was made", message.to_string()),
    };
    let html = ansi::html(&report);
    page(
        title,
        "Fix it and save: this page is replaced when the next build succeeds.",
        Some(&links.map_or_else(|| html.clone(), |links| links.added(&html))),
        version,
    )
}

/// The notes about a site, one a line: warnings first, then what the template logged and printed.
pub(super) fn note_lines(notes: &Notes) -> Vec<String> {
    let reported = notes.diagnostics.iter().map(Diagnostic::summary);
    let warned = notes.warnings.iter().map(ToString::to_string);
    let printed = &notes.printed;
    let texts =
        [("log", &printed.log.text), ("stderr", &printed.stderr), ("stdout", &printed.stdout)];
    let printed = texts.into_iter().flat_map(|(name, text)| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = lines.len().saturating_sub(MAX_PRINTED);
        lines[shown..].iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
    });
    reported.chain(warned).chain(printed).collect()
}

/// Maximum lines of a log or an output among the notes; the newest are shown.
const MAX_PRINTED: usize = 200;

/// The page before the first site.
pub(super) fn waiting(version: &str) -> String {
    page("The first site is being built", "It appears here when it is ready.", None, version)
}

fn page(title: &str, next: &str, report: Option<&str>, version: &str) -> String {
    let (has_failed, report) = (report.is_some(), report.unwrap_or_default());
    let page = Page { title, next, has_failed, report, script: &script(version) };
    // Rendering into a `String` fails only if a value's `Display` does; none of these can.
    page.render()
        .unwrap_or_else(|error| format!("<!doctype html><title>{title}</title><p>{error}</p>"))
}

/// A page of the site with the reload script added. The release itself stays unchanged.
pub(super) fn with_reload_script(html: &[u8], version: &str) -> Vec<u8> {
    const END: &[u8] = b"</body>";
    let tag = format!("<script src=\"{}\"></script>", script(version));
    let at = html
        .windows(END.len())
        .rposition(|part| part.eq_ignore_ascii_case(END))
        .unwrap_or(html.len());
    [&html[..at], tag.as_bytes(), &html[at..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sitewright_model::message;

    #[test]
    fn a_failure_is_shown_and_never_obeyed() {
        let failed = Failed::Before(message!("a text: {}", "<script>alert(1)</script>"));
        let page = failure(&failed, "7", None);
        assert!(page.contains("a text: &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.contains("reload.js?version=7"), "{page}");
    }

    #[test]
    fn the_script_comes_last_in_a_page() {
        for (html, expected) in [
            (
                "<body>a</BODY>",
                "<body>a<script src=\"/__sitewright/reload.js?version=1\"></script></BODY>",
            ),
            ("a", "a<script src=\"/__sitewright/reload.js?version=1\"></script>"),
        ] {
            assert_eq!(
                String::from_utf8(with_reload_script(html.as_bytes(), "1")).unwrap(),
                expected
            );
        }
    }
}
