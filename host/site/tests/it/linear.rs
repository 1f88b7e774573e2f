//! The work of the checks is linear in the site: twice as much of anything takes at most twice the
//! steps. Also the checks of small sites, and those in a child.

use std::time::Duration;

use proptest::prelude::*;
use sitewright_confined::{Budget, Confined, ConfinedError};
use sitewright_site::verify::verify_counted;
use sitewright_site::{
    PublishedField, PublishedValue, QUICK_BYTES, QUICK_IMAGE_BYTES, QuickCheck, Rule, SitesRoot,
    Verdict, VerifyError, VerifyOptions, verify,
};

use crate::support::{Files, PNG, good_site, options, page, path, png, staged};

/// Steps that do not grow with the site: what limits of depth, attributes and errors allow.
const SLACK: u64 = 4 << 20;

/// A file that somebody writes to keep the checks busy.
struct Family {
    name: &'static str,
    file: &'static str,
    /// The file, for a number of repetitions.
    text: fn(usize) -> String,
}

const fn family(name: &'static str, file: &'static str, text: fn(usize) -> String) -> Family {
    Family { name, file, text }
}

fn body(text: &str) -> String {
    page("", text)
}

fn numbered(n: usize, of: fn(usize) -> String) -> String {
    (0..n).map(of).collect()
}

const HTML: &str = "extra.html";

/// Each family as it was found or thought of, with about 10 to 60 bytes for each repetition.
const FAMILIES: &[Family] = &[
    family("plain paragraphs", HTML, |n| body(&"<p>A good page &amp; more.</p>\n".repeat(n))),
    family("style in svg", HTML, |n| {
        body(&format!("<svg>{}</svg>", "<style>a{b:url(img/pao.png)}".repeat(n)))
    }),
    family("style beside style in svg", HTML, |n| {
        body(&format!("<svg>{}</svg>", "<style>a{b:url(x)}<g></g></style>".repeat(n)))
    }),
    family("script in svg", HTML, |n| {
        body(&format!("<svg>{}</svg>", "<script type='application/ld+json'>{}".repeat(n)))
    }),
    family("template in template", HTML, |n| body(&"<template><p>x".repeat(n))),
    family("closed templates", HTML, |n| {
        body(&format!("{}{}", "<template>".repeat(n), "</template>".repeat(n)))
    }),
    family("a long base", HTML, |n| {
        page(&format!("<base href='/{}'>", "a/".repeat(n)), &"<a href=x>x</a>".repeat(n))
    }),
    family("a long canonical address", "index.html", |n| {
        let head = format!("<link rel=canonical href='https://a.example{}'>", "/a".repeat(n));
        let alternates = "<link rel=alternate href='https://a.example/'>".repeat(n / 4);
        page(&format!("{head}{alternates}"), "")
    }),
    family("links", HTML, |n| body(&"<a href=nada>x</a>".repeat(n))),
    family("long links", HTML, |n| body(&format!("<a href='/{}'>x</a>", "a".repeat(n)).repeat(4))),
    family("pictures", HTML, |n| {
        let picture = "<picture><source srcset='a 1x'><img alt='' src=img/pao.png></picture>";
        body(&picture.repeat(n))
    }),
    family("images of one picture", HTML, |n| {
        let (addresses, images) = ("img/pao.png 1x,", "<img alt='' src=img/pao.png>");
        let (addresses, images) = (addresses.repeat(n), images.repeat(n));
        body(&format!("<picture><source srcset='{addresses}'>{images}</picture>"))
    }),
    family("a srcset", HTML, |n| body(&format!("<img alt='' srcset='{}'>", "x 1x,".repeat(n)))),
    family("commas in a srcset", HTML, |n| {
        body(&format!("<img alt='' srcset='a{}'>", ", ,".repeat(n)))
    }),
    family("many attributes", HTML, |n| {
        body(&format!("<p {}>x</p>", numbered(250, |n| format!("a{n} "))).repeat(n / 40))
    }),
    family("too many attributes", HTML, |n| {
        body(&format!("<p {}>x</p>", numbered(n, |n| format!("a{n}='' "))))
    }),
    family("one attribute again and again", HTML, |n| body(&format!("<p {}>", "a ".repeat(n)))),
    family("attributes of the end tag", HTML, |n| {
        body(&format!("<p>x</p {}>", numbered(n, |n| format!("a{n} "))))
    }),
    family("attributes of another body", HTML, |n| {
        body(&numbered(n, |n| format!("<body a{n}='x'>")))
    }),
    family("attributes behind a script", HTML, |n| {
        let attributes = numbered(n, |n| format!("a{n} "));
        body(&format!("<script><!-- <p \" </script><p {attributes}>"))
    }),
    family("bold with attributes", HTML, |n| {
        let bold = format!("<b {}>x</b>", numbered(100, |n| format!("a{n} ")));
        let open = numbered(100, |n| format!("<b n{n}>"));
        body(&format!("{open}{}{}", bold.repeat(n / 20), "</b>".repeat(100)))
    }),
    family("formatting in each paragraph", HTML, |n| {
        let open = numbered(40, |n| format!("<font size={n}>"));
        body(&format!("<p>{open}{}", "<p>x".repeat(n)))
    }),
    family("a long attribute in each paragraph", HTML, |n| {
        body(&format!("<p><b title='{{{{{}'>{}", "x ".repeat(n), "<p>x".repeat(n)))
    }),
    family("crossed", HTML, |n| body(&"<b><p>x</b>".repeat(n))),
    family("crossed links", HTML, |n| body(&"<a><b><a><b>".repeat(n))),
    family("links around blocks", HTML, |n| body(&"<a><div>".repeat(n))),
    family("unclosed bold", HTML, |n| body(&"<p><b>x".repeat(n))),
    family("tables in tables", HTML, |n| body(&"<table><tr><td>".repeat(n))),
    family("foster children", HTML, |n| body(&format!("<table>{}</table>", "<b>x<i>".repeat(n)))),
    family("text in a table", HTML, |n| body(&format!("<table>{}</table>", "x<tr>".repeat(n)))),
    family("selects", HTML, |n| body(&"<select><option>x".repeat(n))),
    family("lists", HTML, |n| body(&format!("<ul>{}</ul>", "<li>x".repeat(n)))),
    family("deep elements", HTML, |n| body(&"<div>".repeat(n))),
    family("end tags that nothing opened", HTML, |n| body(&"</x>".repeat(n))),
    family("comments", HTML, |n| body(&"<!---->".repeat(n))),
    family("a long comment", HTML, |n| body(&format!("<!--{}-->", "--!-<!".repeat(n)))),
    family("open brackets", HTML, |n| body(&"<".repeat(n))),
    family("bogus comments", HTML, |n| body(&"<?x ></ x><!x>".repeat(n))),
    family("sections in svg", HTML, |n| body(&format!("<svg>{}</svg>", "<![CDATA[x]]>".repeat(n)))),
    family("references to characters", HTML, |n| body(&"&amp;&notit;&#x41;&".repeat(n))),
    family("null characters", HTML, |n| body(&"\0x".repeat(n))),
    family("the same id", HTML, |n| body(&"<i id=x></i>".repeat(n))),
    family("ids", HTML, |n| body(&numbered(n, |n| format!("<i id=x{n}></i>")))),
    family("images without alt", HTML, |n| body(&"<img src=img/pao.png>".repeat(n))),
    family("words of the order", HTML, |n| body(&"<p>x y x y x</p>".repeat(n))),
    family("letters in elements", HTML, |n| body(&"x<b>y</b>".repeat(n))),
    family("headings", HTML, |n| body(&"<h1>x<h2>y".repeat(n))),
    family("titles in svg", HTML, |n| body(&format!("<svg>{}</svg>", "<title>x".repeat(n)))),
    family("placeholders", HTML, |n| body(&"<p>{{ x }}</p>".repeat(n))),
    family("one text of placeholders", HTML, |n| body(&"{{ x }} $".repeat(n))),
    family("an attribute of placeholders", HTML, |n| {
        body(&format!("<p title='{}'>x</p>", "{{ x }}+%7B".repeat(n)))
    }),
    family("a language", HTML, |n| page("", "").replace("pt-BR", &"pt-".repeat(n))),
    family("style attributes", HTML, |n| body(&"<p style='a:)'>x</p>".repeat(n))),
    family("scripts", HTML, |n| body(&"<script><!-- <script> --></script>".repeat(n))),
    family("an open script", HTML, |n| body(&format!("<script>{}", "<!-- <script </".repeat(n)))),
    family("an open title", HTML, |n| page(&format!("<title>{}", "</titl </x".repeat(n)), "")),
    family("json-ld", HTML, |n| {
        let items = r#"{"a":"b"},"#.repeat(n);
        page(&format!("<script type='application/ld+json'>[{items}0]</script>"), "")
    }),
    family("meta tags", HTML, |n| page(&"<meta name=x content=y>".repeat(n), "")),
    family("rules for each element", HTML, |n| {
        let style = format!("<style>{}</style>", "*{color:#999;--a:1}".repeat(n));
        page(&style, &"<i>x</i>".repeat(n))
    }),
    family("rules that look at siblings", HTML, |n| {
        let style = format!("<style>{}</style>", "b~*~i{color:red}i:nth-child(2){}".repeat(n / 4));
        page(&style, &"<i>x</i>".repeat(n))
    }),
    family("steps of selectors in each other", HTML, |n| {
        let style = "<style>:is(:is(b q) q) q{color:red}q{:is(:is(b q) q) &{color:red}}</style>";
        page(style, &format!("{}{}", "<q>".repeat(200), "<q>x</q>".repeat(n)))
    }),
    family("more steps of selectors in each other", HTML, |n| {
        let style = "<style>:is(:is(:is(:is(:is(b q) q) q) q) q) q{color:red}</style>";
        page(style, &format!("{}{}", "<q>".repeat(200), "<q>x</q>".repeat(n)))
    }),
    family("selectors that look beside elements around", HTML, |n| {
        let beside = format!("{}<q>", "<q></q>".repeat(n / 100)).repeat(100);
        page("<style>b~q q{color:red}b~q~q q{color:red}</style>", &beside)
    }),
    family("selectors that look beside comments", HTML, |n| {
        let style = "<style>:empty q{color:red}b+q q{color:red}</style>";
        page(style, &format!("{}<q>{}", "<!---->".repeat(n), "<q>x</q>".repeat(n)))
    }),
    family("searches in a long attribute", HTML, |n| {
        let style = format!("<style>{}</style>", "[title*=b] q{color:red}".repeat(n / 8));
        page(&style, &format!("<p title='{}'>{}", "a".repeat(n), "<q>x</q>".repeat(n)))
    }),
    family("many classes", HTML, |n| {
        let style = format!("<style>{}</style>", ".b q{color:red}".repeat(n / 8));
        let classes = numbered(n, |n| format!("a{n} "));
        page(&style, &format!("<p class='{classes}'>{}", "<q>x</q>".repeat(n)))
    }),
    family("custom properties of each element", HTML, |n| {
        let root = numbered(n, |n| format!("--a{n}:var(--a{});", n + 1));
        page(&format!("<style>:root{{{root}}}i{{--b:1}}</style>"), &"<i>x</i>".repeat(n))
    }),
    family("texts that are hard to read", HTML, |n| {
        body(&numbered(n, |n| format!("<i style='color:#{:03}'>x</i>", 900 + n % 100)))
    }),
    family("css selectors", "x.css", |n| format!("{}a{{color:red}}", "a,".repeat(n))),
    family("css nested selectors", "x.css", |n| "& &{color:red;".repeat(n)),
    family("css selectors in selectors", "x.css", |n| format!("{}a", ":is(a,".repeat(n))),
    family("css rules in many selectors", "x.css", |n| {
        format!("{}a{{{}}}", "a:hover,".repeat(n), "b{color:red}".repeat(n))
    }),
    family("css conditions in many selectors", "x.css", |n| {
        format!("{}a{{{}}}", "a,".repeat(n), "@media print{color:red}".repeat(n))
    }),
    family("css rules", "x.css", |n| numbered(n, |n| format!(".a{n}{{color:red}}"))),
    family("css custom properties", "x.css", |n| numbered(n, |n| format!("--a{n}:var(--b);"))),
    family("script brackets", "x.js", |n| "(".repeat(n)),
    family("script values in templates", "x.js", |n| "`${a".repeat(n)),
    family("script regular expressions", "x.js", |n| "/(".repeat(n)),
    family("script statements", "x.js", |n| "if(a){b=1}else c;\n".repeat(n)),
    family("script functions", "x.js", |n| format!("{}a", "a=>".repeat(n))),
    family("script strings", "x.js", |n| "'\\'\n".repeat(n)),
    family("script comments", "x.js", |n| "/*/**/<!--\n".repeat(n)),
    family("script errors", "x.js", |n| "let a = ;\n".repeat(n)),
    family("css urls", "x.css", |n| "url(a)".repeat(n)),
    family("css brackets", "x.css", |n| ")".repeat(n)),
    family("css in brackets", "x.css", |n| format!("({}", ")]}".repeat(n))),
    family("css open brackets", "x.css", |n| "({[".repeat(n)),
    family("css functions", "x.css", |n| "url( \"x\"".repeat(n)),
    family("css bad urls", "x.css", |n| "url(a b ".repeat(n)),
    family("css blanks", "x.css", |n| format!("url({}'", " ".repeat(n))),
    family("css strings", "x.css", |n| "'\n".repeat(n)),
    family("css escapes", "x.css", |n| "url(\\61 \\)".repeat(n)),
    family("css comments", "x.css", |n| "/*/*/**".repeat(n)),
    family("css imports", "x.css", |n| "@import 'x';".repeat(n)),
    family("css data", "x.css", |n| "a{b:url(data:x)}".repeat(n)),
    family("json objects", "x.json", |n| format!("[{}0]", r#"{"":0},"#.repeat(n))),
    family("json depth", "x.json", |n| "[".repeat(n)),
    family("json placeholders", "x.json", |n| format!("[{}0]", r#""{{","#.repeat(n))),
    family("json fields", "x.json", |n| {
        format!("{{{}}}", numbered(n, |n| format!("\"a{n}\":0,")).trim_end_matches(','))
    }),
    family("a manifest", "x.webmanifest", |n| {
        format!(r#"{{"icons":[{}0]}}"#, r#"{"src":"a"},"#.repeat(n))
    }),
    family("xml depth", "x.svg", |n| format!("{}{}", "<a>x".repeat(n), "</a>".repeat(n))),
    family("xml elements", "x.svg", |n| format!("<a>{}</a>", "<b id='x'>x</b>".repeat(n))),
    family("xml style", "x.svg", |n| format!("<a>{}</a>", "<style>x</style>".repeat(n))),
    family("xml links", "x.svg", |n| format!("<a>{}</a>", "<b href='x'/>".repeat(n))),
    family("xml attributes", "x.svg", |n| format!("<a {}/>", numbered(n, |n| format!("a{n}='' ")))),
    family("xml references", "x.svg", |n| format!("<a>{}</a>", "&amp;&#65;".repeat(n))),
    family("xml comments", "x.svg", |n| format!("<a>{}</a>", "<!--x--><?x?>".repeat(n))),
    family("xml sections", "x.svg", |n| format!("<a>{}</a>", "<![CDATA[x]]>".repeat(n))),
    family("xml brackets", "x.svg", |n| format!("<a>{}</a>", "<".repeat(n))),
    family("xml placeholders", "x.svg", |n| format!("<a>{}</a>", "<b c='{{'/>".repeat(n))),
    family("a sitemap", "sitemap.xml", |n| {
        format!("<urlset>{}</urlset>", "<loc>https://a.example/</loc>".repeat(n))
    }),
    family("a bad sitemap", "sitemap.xml", |n| {
        format!("<urlset>{}</urlset>", "<loc>x</loc>".repeat(n))
    }),
    family("text placeholders", "x.txt", |n| "{{ x }} ${".repeat(n)),
    family("not utf-8", "x.txt", |n| "\u{ff}\n".repeat(n)),
];

/// The order's texts: as many and as confusing as an order can have.
fn hostile_options() -> VerifyOptions {
    let literal_texts = (1..300).map(|n| format!("{}{{{{ x }} y", "{{ x }}".repeat(n % 40)));
    let fields = (0..1_000).map(|n| PublishedField {
        pointer: format!("/services/{n}"),
        value: PublishedValue::Text(format!("{}{n}", "x y ".repeat(n % 40))),
    });
    VerifyOptions { literal_texts: literal_texts.collect(), fields: fields.collect(), ..options() }
}

fn site(family: &Family, n: usize) -> Files {
    let mut files = good_site();
    files.insert(path(family.file), (family.text)(n).into_bytes());
    files
}

fn bytes(files: &Files) -> u64 {
    files.values().map(|bytes| bytes.len() as u64).sum()
}

#[test]
fn f2_twice_as_much_of_anything_takes_at_most_twice_the_steps() {
    let options = hostile_options();
    for family in FAMILIES {
        let files = |n| site(family, n);
        let (once, twice) = (files(4_000), files(8_000));
        let (_, steps) = verify_counted(&once, &options).unwrap();
        let (verdict, more) = verify_counted(&twice, &options).unwrap();
        let name = family.name;
        assert!(more <= 2 * steps + SLACK, "{name}: {steps} steps, then {more}");
        // The work that a file may take, and one of the parser's pieces.
        let all = bytes(&twice);
        assert!(more <= 70 * all + 2 * SLACK, "{name}: {more} steps for {all} bytes");
        assert!(verdict.problems.len() <= 500, "{name}");
        for problem in &verdict.problems {
            let length = problem.message.as_str().len();
            assert!(length < 2_000, "{name}: a message of {length} bytes");
        }
    }
}

#[test]
fn f2_what_a_file_has_too_much_of_is_named() {
    let rows = [
        ("style in svg", 6_000, "nests elements deeper than 256"),
        ("template in template", 6_000, "nests elements deeper than 256"),
        ("a long base", 6_000, "the `<base href>` has 12001 bytes"),
        ("long links", 20_000, "has more than 8192 bytes, as 4 addresses of the file do"),
        ("too many attributes", 6_000, "one of its tags has more than 256 attributes"),
        ("one attribute again and again", 6_000, "one of its tags has more than 256 attributes"),
        ("attributes of the end tag", 6_000, "one of its tags has more than 256 attributes"),
        ("attributes behind a script", 6_000, "one of its tags has more than 256 attributes"),
        ("crossed", 6_000, "it has more than 64 syntax errors"),
        ("unclosed bold", 6_000, "it has more than 64 syntax errors"),
        ("comments", 120_000, "it has more than 100,000 elements"),
        ("css urls", 30_000, "too many references: 30000, of which 20000 were looked up"),
        ("a manifest", 30_000, "too many references: 30000, of which 20000 were looked up"),
        ("xml links", 30_000, "too many references: 30000, of which 20000 were looked up"),
        ("xml depth", 6_000, "it nests elements deeper than 256"),
        ("xml attributes", 6_000, "an element has more than 256 attributes"),
        ("json depth", 6_000, "recursion limit exceeded"),
        ("script brackets", 6_000, "nests deeper than 1000 brackets"),
        ("script values in templates", 6_000, "nests deeper than 1000 brackets"),
        ("script functions", 6_000, "nests deeper than 1000 brackets"),
    ];
    for (name, n, words) in rows {
        let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
        let found = verify(&site(family, n), &options()).unwrap();
        let named = |problem: &sitewright_site::SiteProblem| {
            problem.file.as_str() == family.file && problem.message.as_str().contains(words)
        };
        assert!(found.problems.iter().any(named), "{name}: {found}");
    }
}

#[test]
fn f2_a_site_has_a_limited_number_of_references() {
    let mut files = good_site();
    for n in 0..12 {
        files
            .insert(path(&format!("{n}.css")), "url(data:x)url(img/pao.png)".repeat(19_000).into());
    }
    let found = verify(&files, &options()).unwrap();
    assert!(found.problems.iter().all(|problem| problem.rule == Rule::TooLarge), "{found}");
    let named = "a file may have 20000 and a site 200000";
    assert!(found.to_string().contains(named), "{found}");
}

/// A page of nested and repeated pieces.
fn pages() -> impl Strategy<Value = (String, String, String)> {
    let pieces = vec![
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<a href=x>",
        "</a>",
        "<i id=a>",
        "</i>",
        "<div>",
        "</div>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
        "<template>",
        "</template>",
        "<svg>",
        "</svg>",
        "<style>",
        "</style>",
        "<script>",
        "</script>",
        "<title>",
        "</title>",
        "<select>",
        "<option>",
        "<ul>",
        "<li>",
        "<form>",
        "</form>",
        "<math>",
        "<mi>",
        "<h1>",
        "</h1>",
        "<button>",
        "<nobr>",
        "<body x>",
        "<html y>",
        "<frameset>",
        "<textarea>",
        "</textarea>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<plaintext>",
        "<br>",
        "<img src=x>",
        "<base href=x>",
        "text",
        " ",
        "{{",
        "}}",
        "&amp;",
        "\"",
        "'",
        "<",
        ">",
        "/",
        "a=b ",
        "</x>",
    ];
    let part = |most| {
        let pieces = prop::sample::select(pieces.clone());
        prop::collection::vec(pieces, 0..most).prop_map(|pieces| pieces.concat())
    };
    (part(6), part(6), part(4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn f2_a_page_of_repeated_pieces_takes_linear_work((open, middle, close) in pages()) {
        let page = |n: usize| {
            let text = format!("{}{}{}", open.repeat(n), middle.repeat(n), close.repeat(n));
            let mut files = good_site();
            files.insert(path("extra.html"), body(&text).into_bytes());
            files
        };
        let options = hostile_options();
        let (_, steps) = verify_counted(&page(1_000), &options).unwrap();
        let (_, more) = verify_counted(&page(2_000), &options).unwrap();
        prop_assert!(more <= 2 * steps + SLACK, "{steps} steps, then {more}");
    }

    #[test]
    fn f2_a_small_site_has_the_same_verdict_at_once_and_in_a_child((open, middle, close) in pages()) {
        let mut files = good_site();
        files.insert(path("extra.html"), body(&format!("{open}{middle}{close}")).into_bytes());
        let expected = verify(&files, &options()).unwrap();
        prop_assert_eq!(&quickly(&files), &Some(expected.clone()));
        prop_assert_eq!(confined(&files).ok(), Some(expected));
    }
}

fn quickly(files: &Files) -> Option<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(folder.path()).unwrap();
    match staged(&root, "a", "b", files).verify_quickly(&options()).result {
        Ok(QuickCheck::Verified(site)) => Some(site.verdict().clone()),
        Ok(QuickCheck::Undecided(_)) => None,
        Err(VerifyError::Rejected(verdict)) => Some(verdict),
        Err(error) => panic!("{error}"),
    }
}

fn confined(files: &Files) -> Result<Verdict, VerifyError> {
    confined_with(files, None, Duration::from_secs(10))
}

#[allow(clippy::disallowed_methods, reason = "a property test is not async")]
fn confined_with(
    files: &Files,
    deadline: Option<std::time::Instant>,
    cpu: Duration,
) -> Result<Verdict, VerifyError> {
    let folder = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(folder.path()).unwrap();
    let staged = staged(&root, "a", "b", files);
    let budget = Budget { cpu, memory_bytes: 512 << 20, deadline };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let here = Confined::here();
    let checking = staged.verify_confined(options(), &here, "template", budget);
    match runtime.block_on(checking).result {
        Ok(site) => Ok(site.verdict().clone()),
        Err(VerifyError::Rejected(verdict)) => Ok(verdict),
        Err(error) => Err(error),
    }
}

#[test]
fn f2_only_small_sites_with_little_work_are_checked_at_once() {
    let text = |bytes: usize| {
        let mut files = good_site();
        let left = bytes - usize::try_from(text_bytes(&files)).unwrap();
        files.insert(path("x.txt"), "x".repeat(left).into_bytes());
        files
    };
    let max = usize::try_from(QUICK_BYTES).unwrap();
    assert!(quickly(&text(max)).is_some_and(|verdict| verdict.is_good()));
    assert_eq!(quickly(&text(max + 1)), None);
    assert!(confined(&text(max + 1)).unwrap().is_good());

    // What is read of images.
    let image = |bytes: u64| {
        let mut files = good_site();
        let known = files.iter().filter(|(path, _)| path.as_str().ends_with(".png"));
        let left = bytes - known.map(|(_, file)| file.len() as u64).sum::<u64>();
        let mut large = PNG.to_vec();
        large.resize(usize::try_from(left).unwrap(), 0);
        files.insert(path("grande.png"), large);
        files
    };
    assert!(quickly(&image(QUICK_IMAGE_BYTES)).is_some_and(|verdict| verdict.is_good()));
    assert_eq!(quickly(&image(QUICK_IMAGE_BYTES + 1)), None);
    assert!(confined(&image(QUICK_IMAGE_BYTES + 1)).unwrap().is_good());

    // Small, but with many pixels, or of a format whose decoder does not count its steps.
    for (name, bytes) in [
        ("grande.png", png(4_096, 8_192, 0)),
        ("foto.webp", include_bytes!("pictures/lossy.webp").to_vec()),
    ] {
        let mut files = good_site();
        files.insert(path(name), bytes);
        assert_eq!(quickly(&files), None, "{name}");
        assert!(confined(&files).unwrap().is_good(), "{name}");
    }

    // Small, but the parser repeats much of it.
    let mut files = good_site();
    let bold = format!("<b {}>x</b>", numbered(250, |n| format!("a{n} ")));
    let open = numbered(200, |n| format!("<b n{n}>"));
    let text = format!("{open}{}{}", bold.repeat(20), "</b>".repeat(200));
    files.insert(path("extra.html"), body(&text).into_bytes());
    assert!(text_bytes(&files) < QUICK_BYTES, "{}", text_bytes(&files));
    assert_eq!(quickly(&files), None);
}

#[test]
fn images_are_checked_in_a_child_as_at_once() {
    let mut files = good_site();
    // More than a child gets at once.
    for n in 0..201 {
        files.insert(path(&format!("inteira-{n}.png")), PNG.to_vec());
    }
    let mut changed = PNG.to_vec();
    changed[45] ^= 1;
    files.insert(path("mudada.png"), changed);
    files.insert(path("inteira.png"), PNG.to_vec());
    files.insert(path("cortada.png"), PNG[..40].to_vec());
    let found = confined(&files).unwrap();
    let broken: Vec<_> =
        found.problems.iter().map(|found| (found.rule, found.file.as_str())).collect();
    let expected = [(Rule::ImageBroken, "cortada.png"), (Rule::ImageBroken, "mudada.png")];
    assert_eq!(broken, expected, "{found}");
    files.retain(|path, _| !path.as_str().starts_with("inteira-"));
    assert_eq!(quickly(&files).as_ref(), Some(&found));
}

fn text_bytes(files: &Files) -> u64 {
    let text = |path: &str| !path.ends_with(".png") && !path.ends_with(".woff2");
    files.iter().filter(|(path, _)| text(path.as_str())).map(|(_, file)| file.len() as u64).sum()
}

#[test]
fn f2_a_check_ends_with_its_deadline() {
    let family = FAMILIES.iter().find(|family| family.name == "plain paragraphs").unwrap();
    let now = Some(std::time::Instant::now());
    let files = site(family, 60_000);
    let error = confined_with(&files, now, Duration::from_secs(10)).unwrap_err();
    let VerifyError::Stopped(stopped) = error else { panic!("{error}") };
    assert_eq!(stopped.error, ConfinedError::Deadline);
    assert_eq!(stopped.largest.map(|(file, _)| file), Some(path("extra.html")));
}

/// What is read before a child gets the site is part of what its check may take.
#[test]
fn f2_reading_images_takes_from_the_budget_of_the_check() {
    let error = confined_with(&good_site(), None, Duration::from_nanos(1)).unwrap_err();
    let VerifyError::Stopped(stopped) = error else { panic!("{error}") };
    assert_eq!(stopped.error, ConfinedError::Cpu { limit_ms: 0 });
}
