//! The contrast of texts, and hidden texts: found where style sheets make them certain, silent
//! elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use crate::support::{Files, good_site, options, page, path};
use sitewright_site::{Level, Levels, Rule, SiteProblem, VerifyOptions, verify};

/// A site with a style sheet and a page that has `body`.
fn site(css: &str, head: &str, body: &str) -> Files {
    let mut files = good_site();
    // Without the text that all pages of these tests have.
    let css = format!("{css}\nmain {{ display: none }}\n");
    files.insert(path("text.css"), css.into_bytes());
    let head = format!("<link rel=\"stylesheet\" href=\"text.css\">{head}");
    files.insert(path("extra.html"), page(&head, body).into_bytes());
    files
}

fn found(files: &Files) -> Vec<SiteProblem> {
    let verdict = verify(files, &options()).unwrap();
    assert!(verdict.is_good(), "{verdict}");
    verdict.warnings.into_iter().filter(|warning| warning.rule == Rule::Contrast).collect()
}

#[test]
fn a_text_that_is_hard_to_read_is_found_with_both_colours_and_what_would_do() {
    // A style sheet, a body, and what the warning says.
    let rows: [(&str, &str, &[&str]); 37] = [
        (
            "p{color:#999;background:#fff}",
            "<p>x</p>",
            &["#999999 (`p`) on #ffffff (`p`)", "2.84:1"],
        ),
        (
            "body{background:#fff}.a{color:#aaa}",
            "<p class=a>x</p>",
            &["(`.a`) on #ffffff (`body`)"],
        ),
        ("body{background:#111;color:#333}", "<p>x</p>", &["#333333 (`body`) on #111111 (`body`)"]),
        // Colours as people write them.
        ("p{color:rgb(153 153 153);background-color:white}", "<p>x</p>", &["#999999", "#ffffff"]),
        ("p{color:hsl(0 0% 60%);background:#FFFFFFFF}", "<p>x</p>", &["#999999"]),
        ("p{color:oklch(0.683 0 0);background:white none no-repeat}", "<p>x</p>", &["2.8"]),
        ("p{color:silver;background:snow}", "<p>x</p>", &["#c0c0c0", "#fffafa"]),
        // Custom properties: of the root, of the element, with fallbacks, through each other.
        (
            ":root{--a:#999;--b:var(--c);--c:#fff}p{color:var(--a);background:var(--b)}",
            "<p>x</p>",
            &["2.84"],
        ),
        ("p{color:var(--x, #999);background:var(--y, var(--z, #fff))}", "<p>x</p>", &["2.84"]),
        (
            ":root{--a:#000}.d{--a:#999}p{color:var(--a);background:#fff}",
            "<div class=d><p>x</p></div>",
            &["#999999"],
        ),
        // What a child gets of a property is what it meant where it was set.
        (
            ":root{--a:#999;--b:var(--a)}.d{--a:#000}p{color:var(--b);background:#fff}",
            "<div class=d><p>x</p></div>",
            &["#999999"],
        ),
        // The cascade: specificity, order, importance, attributes.
        (
            "#i{color:#999}.c{color:#000}p{color:#000;background:#fff}",
            "<p id=i class=c>x</p>",
            &["(`#i`)"],
        ),
        ("p{color:#000}p{color:#999;background:#fff}", "<p>x</p>", &["#999999"]),
        ("p{color:#999!important;background:#fff}#i{color:#000}", "<p id=i>x</p>", &["#999999"]),
        ("p{color:#000;background:#fff}", "<p style='color:#999'>x</p>", &["`style` of a `<p>`"]),
        (
            "p:not(.x):first-child{color:#999}p{color:#000;background:#fff}",
            "<div><p>x</p></div>",
            &["#999999"],
        ),
        (
            "p{color:#999;background:#fff}p:hover{color:#000}p:not(:hover){color:#888}",
            "<p>x</p>",
            &["#888888"],
        ),
        ("div{background:#fff;& p{color:#999}}", "<div><p>x</p></div>", &["(`div p`)"]),
        (
            "div{background:#fff;.a &{color:#999}}",
            "<p class=a><span></span></p><section class=a><div>x</div></section>",
            &["#999999"],
        ),
        (
            "div > p + p ~ p{color:#999;background:#fff}",
            "<div><p>a</p><p>b</p><p>c</p></div>",
            &["#999999"],
        ),
        // Media that are the screen, and wishes that visitors do not begin with.
        ("@media screen{p{color:#999;background:#fff}}", "<p>x</p>", &["2.84"]),
        ("p{color:#999;background:#fff}@media print{p{color:#000}}", "<p>x</p>", &["2.84"]),
        (
            "p{color:#999;background:#fff}@media (prefers-color-scheme:dark){p{color:#000}}",
            "<p>x</p>",
            &["2.84"],
        ),
        (
            "@media (prefers-color-scheme: light){p{color:#999;background:#fff}}",
            "<p>x</p>",
            &["2.84"],
        ),
        // The browser's own colours.
        (
            "body{background:#223;color:#fff}",
            "<p>x <a href='sobre/'>y</a></p>",
            &["browser's own colour"],
        ),
        (":root{--z:1}", "<p style='color:#aaa'>x</p>", &["on #ffffff (the browser's own colour)"]),
        // Large texts may have less.
        ("h1{color:#999;background:#fff}", "<h1>x</h1>", &["less than the 3:1", "for large text"]),
        ("p{font:700 14pt/1.2 serif;color:#999;background:#fff}", "<p>x</p>", &["the 3:1"]),
        (
            "html{font-size:50%}p{font-size:2rem;color:#777;background:#fff}",
            "<p>x</p>",
            &["4.47:1", "the 4.5:1"],
        ),
        ("p{color:#777;background:#fff}", "<p>x</p>", &["4.47:1"]),
        // A control's colours are its own.
        ("body{color:#000}button{color:#fff;background:#eee}", "<button>x</button>", &["1.16:1"]),
        // What is in front has a background of its own.
        (".o{position:absolute;background:#fff;color:#999}", "<div class=o>x</div>", &["2.84"]),
        (
            ".o{position:fixed;background:#fff}body{background:#000}.s{background:#fff;color:#999}",
            "<div class=o>x</div><p class=s>y</p>",
            &["`.s`"],
        ),
        ("@import 'css/cores.css';p{color:#999;background:var(--cor)}", "<p>x</p>", &["2.84"]),
        // Steps in `:is()`, as many as people write, and words of a class.
        (
            ":is(.a .b) p:not(:is(.c *)){color:#999;background:#fff}",
            "<div class=a><div class=b><p>x</p></div></div>",
            &["2.84"],
        ),
        (
            ".a{b{color:#000}& .b{& p{color:#999;background:#fff}}}",
            "<div class=a><div class=b><p>x</p></div></div>",
            &["2.84"],
        ),
        ("[class~=b] p{color:#999;background:#fff}", "<div class='a b'><p>x</p></div>", &["2.84"]),
    ];
    for (css, body, words) in rows {
        let found = found(&site(css, "", body));
        assert_eq!(found.len(), 1, "{css} {body}: {found:#?}");
        let message = found[0].message.as_str();
        for word in words {
            assert!(message.contains(word), "{css} {body}: {word:?} is not in {message}");
        }
        assert!(message.contains(" has enough"), "{message}");
    }
}

#[test]
fn what_is_not_certain_is_not_judged() {
    let rows = [
        // Enough contrast.
        ("p{color:#767676;background:#fff}", "<p>x</p>"),
        ("h1{color:#888;background:#fff}", "<h1>x</h1>"),
        ("p{font-size:24px;color:#888;background:#fff}", "<p>x</p>"),
        // No text, or none that is shown.
        ("p{color:#999;background:#fff}", "<p> </p><p>·</p>"),
        ("p{color:#999;background:#fff}", "<p hidden>x</p><div aria-hidden=true><p>x</p></div>"),
        ("p{color:#999;background:#fff;display:none}", "<p>x</p>"),
        ("p{color:#999;background:#fff;clip-path:inset(50%)}", "<p>x</p>"),
        ("p{color:#999;background:#fff}", "<template><p>x</p></template>"),
        ("button{color:#999;background:#fff}", "<button disabled>x</button>"),
        ("svg{color:#999;background:#fff}", "<svg><text>x</text></svg>"),
        // Not all of it applies to this element.
        (".x{color:#999;background:#fff}", "<p>x</p>"),
        ("p{color:#999;background:#fff}p{color:#000}", "<p>x</p>"),
        ("p{color:#999}p.c{background:#fff;color:#000}", "<p class=c>x</p>"),
        ("p:hover{color:#999;background:#fff}", "<p>x</p>"),
        ("p::before{content:'x';color:#999;background:#fff}", "<p>y</p>"),
        ("@media print{p{color:#999;background:#fff}}", "<p>x</p>"),
        // What takes too much to match is not understood, nor is what searches in long values.
        (":is(:is(:is(a p) p) p) p,p{color:#999;background:#fff}", "<p>x</p>"),
        ("[title*=a] p{color:#999;background:#fff}", "<div title=banana><p>x</p></div>"),
        ("[title~=a] p{color:#999;background:#fff}", "<div title='a b'><p>x</p></div>"),
        ("[title/* = */*=a] p{color:#999;background:#fff}", "<div title=a><p>x</p></div>"),
        // Some screens, some browsers, some states.
        ("p{color:#999;background:#fff}@media (max-width:600px){p{color:#000}}", "<p>x</p>"),
        ("@media (min-width:600px){p{color:#999;background:#fff}}", "<p>x</p>"),
        ("p{color:#999;background:#fff}@supports (color:oklch(0 0 0)){p{color:#000}}", "<p>x</p>"),
        ("@layer a{p{color:#999}}p{background:#fff}", "<p>x</p>"),
        ("p{background:#fff}p:lang(pt){color:#999}", "<p>x</p>"),
        ("p{background:#fff}p:has(b){color:#999}", "<p>x<b>y</b></p>"),
        // Colours that are mixed with something, or not understood.
        ("p{color:#9998;background:#fff}", "<p>x</p>"),
        ("p{color:rgb(0 0 0 / 30%);background:#fff}", "<p>x</p>"),
        ("p{color:color-mix(in srgb,#999,#fff);background:#fff}", "<p>x</p>"),
        ("p{color:light-dark(#999,#fff);background:#fff}", "<p>x</p>"),
        ("p{color:#999;background:rgba(255,255,255,.5)}", "<p>x</p>"),
        ("p{color:#999;background:#fff;opacity:.8}", "<p>x</p>"),
        ("div{opacity:50%}p{color:#999;background:#fff}", "<div><p>x</p></div>"),
        ("p{color:#999;background:#fff;mix-blend-mode:multiply}", "<p>x</p>"),
        ("p{color:#999;background:#fff;text-shadow:0 0 3px #000}", "<p>x</p>"),
        ("p{color:var(--no);background:#fff}", "<p>x</p>"),
        (":root{--a:var(--b);--b:var(--a)}p{color:var(--a,#999);background:#fff}", "<p>x</p>"),
        // Images and gradients.
        ("p{color:#fff;background:#fff url(img/pao.png)}", "<p>x</p>"),
        ("p{color:#fff;background:linear-gradient(#000,#111) #fff}", "<p>x</p>"),
        ("p{color:#fff;background-color:#fff;background-image:url(img/pao.png)}", "<p>x</p>"),
        ("div{background:url(img/pao.png)}p{color:#fff}", "<div><p>x</p></div>"),
        (
            ":root{--i:url(img/pao.png)}div{background:#fff;background-image:var(--i)}p{color:#fff}",
            "<div><p>x</p></div>",
        ),
        // Something is in front of the background, or the text elsewhere.
        (
            ".h{background:#fff;position:relative}img{position:absolute}.h p{color:#fff;position:relative}",
            "<div class=h><img src='img/pao.png' alt=''><p>x</p></div>",
        ),
        (
            ".h{background:#fff;position:relative}img{position:absolute}.h p{color:#fff}",
            "<div class=h><div><img src='img/pao.png' alt=''></div><p>x</p></div>",
        ),
        (
            ".h{background:#fff;position:relative}.h::before{content:'';position:absolute;background:#000}.h p{color:#fff}",
            "<div class=h><p>x</p></div>",
        ),
        (
            ".h{background:#fff;position:relative}img{position:absolute;filter:brightness(.5)}p{color:#fff}",
            "<div class=h><picture><img src='img/pao.png' alt=''></picture><p>x</p></div>",
        ),
        (
            ".h{background:#fff;position:relative}video{position:absolute}p{color:#fff}",
            "<div class=h><video src='img/pao.png'></video><p>x</p></div>",
        ),
        ("body{background:#fff}.o{position:absolute;color:#fff}", "<div class=o>x</div>"),
        ("body{background:#fff}.o{margin-top:-3rem;color:#fff}", "<div class=o>x</div>"),
        ("body{background:#fff}.o{transform:translateY(-50%);color:#fff}", "<div class=o>x</div>"),
        (
            ".g{background:#fff}.g > *{grid-area:1/1}p{color:#fff}",
            "<div class=g><img src='img/pao.png' alt=''><p>x</p></div>",
        ),
        // A control's own colours are the browser's.
        ("body{background:#000;color:#fff}", "<button>x</button>"),
        ("button{color:#fff}", "<button>x</button>"),
        // Dark colours of the browser.
        (":root{color-scheme:light dark}", "<p style='color:#aaa'>x</p>"),
        // A sheet that is not understood.
        ("p{color:#999;background:#fff}@property --x{syntax:'*'}", "<p>x</p>"),
        ("@keyframes k{to{color:#000}}p{color:#999;background:#fff;animation:k 1s}", "<p>x</p>"),
        // Only for paper, and only on some screens.
        ("@import 'css/cores.css' print;p{color:#999;background:var(--cor)}", "<p>x</p>"),
        (
            "@import url(css/cores.css) (width > 9px);p{color:#999;background:var(--cor)}",
            "<p>x</p>",
        ),
    ];
    for (css, body) in rows {
        let found = found(&site(css, "", body));
        assert!(found.is_empty(), "{css} {body}: {found:#?}");
    }
}

#[test]
fn a_page_with_a_style_sheet_that_is_not_known_is_not_judged() {
    let css = "p{color:#999;background:#fff}";
    let rows = [
        ("", 1),
        ("<link rel=stylesheet href=https://fonts.googleapis.com/css2?family=Inter>", 1),
        ("<link rel=stylesheet href=https://cdn.example.org/all.css>", 0),
        ("<link rel='alternate stylesheet' href=https://cdn.example.org/all.css>", 1),
        ("<link rel=stylesheet media=print href=https://cdn.example.org/all.css>", 1),
        ("<link rel=stylesheet media=print onload='this.media=\"all\"' href=css/site.css>", 0),
        ("<noscript><link rel=stylesheet href=https://cdn.example.org/all.css></noscript>", 1),
        ("<base href=/>", 0),
        ("<style>p{color:#000}</style>", 0),
        ("<style media=print>p{color:#000}</style>", 1),
    ];
    for (head, expected) in rows {
        let found = found(&site(css, head, "<p>x</p>"));
        assert_eq!(found.len(), expected, "{head}: {found:#?}");
    }
}

#[test]
fn a_warning_names_the_rule_of_the_style_sheet_once() {
    let css = ":root { --ink: #aaa }\n\n.lead {\n  color: var(--ink);\n}\n";
    let body = "<p>\n<b class=lead>Pão e  bolo</b></p>\n<p class=lead>outra vez</p>";
    let mut files = site(css, "", body);
    let again = files[&path("extra.html")].clone();
    files.insert(path("outra.html"), again);
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    let shown = found[0].to_string();
    assert_eq!(found[0].excerpt.as_deref(), Some("Pão e bolo"));
    let expected = "text.css:3: text in #aaaaaa (`.lead`) on #ffffff (the browser's own colour) in \
                    line 13 of `extra.html` has a contrast of 2.32:1, less than the 4.5:1 that \
                    WCAG AA asks for; #747474 has enough [contrast]";
    assert_eq!(shown, expected);
}

#[test]
fn an_operator_chooses_whether_contrast_stops_a_site() {
    let files = site("p{color:#999;background:#fff}", "", "<p>x</p>");
    let checked = |level| {
        let levels = Levels::new([(Rule::Contrast, level)].into()).unwrap();
        verify(&files, &VerifyOptions { levels, ..options() }).unwrap()
    };
    let has = |problems: &[SiteProblem]| problems.iter().any(|one| one.rule == Rule::Contrast);
    assert!(has(&checked(Level::Warning).warnings));
    assert!(has(&checked(Level::Error).problems));
    let off = checked(Level::Off);
    assert!(!has(&off.warnings) && !has(&off.problems));
}

/// A text that is longer than a label.
const LONG: &str = "Padaria barata, pão barato, bolo barato, café barato, padaria perto de mim.";

/// What hides texts of a page, as far as warnings say so. `LONG` in its body is such a text.
fn hidden(css: &str, body: &str) -> Vec<SiteProblem> {
    let verdict = verify(&site(css, "", &body.replace("LONG", LONG)), &options()).unwrap();
    assert!(verdict.is_good(), "{verdict}");
    verdict.warnings.into_iter().filter(|warning| warning.rule == Rule::HiddenText).collect()
}

#[test]
fn a_text_that_no_visitor_sees_is_found_with_what_hides_it() {
    let rows = [
        (".h{display:none}", "<p class=h>LONG</p>", "by `display: none`"),
        ("", "<p style='display: none'>LONG</p>", "by `display: none`"),
        (".h{display:none}", "<div class=h><p>LONG</p> <b>e</b> <p>mais</p></div>", "`display"),
        (".h{display:none}.x:hover{display:block}", "<p class=h>LONG</p>", "`display: none`"),
        (".h{display:none}@media print{.h{display:none}}", "<p class=h>LONG</p>", "`display"),
        (".h{visibility:hidden}", "<p class=h>LONG</p>", "by `visibility: hidden`"),
        ("", "<p hidden>LONG</p>", "by the attribute `hidden`"),
        (".h{font-size:0}", "<div class=h><p>LONG</p></div>", "by a text size of 0"),
        (
            "body{background:#fff}.h{color:#fff}",
            "<p class=h>LONG</p>",
            "by the colour of its background",
        ),
        (".h{text-indent:-9999px}", "<p class=h>LONG</p>", "by a `text-indent`"),
        (".h{text-indent:-100em}", "<div class=h><p>LONG</p></div>", "by a `text-indent`"),
        // Scripts do not end these.
        (".h{font-size:0}", "<p class=h>LONG</p><script>a()</script>", "by a text size of 0"),
    ];
    for (css, body, why) in rows {
        let found = hidden(css, body);
        assert_eq!(found.len(), 1, "{css} {body}: {found:#?}");
        let message = found[0].message.as_str();
        assert!(message.contains(why), "{css} {body}: {why:?} is not in {message}");
        assert_eq!(found[0].file.as_str(), "extra.html");
        assert!(found[0].line.is_some(), "{css} {body}");
        assert!(found[0].excerpt.as_deref().unwrap().starts_with("Padaria barata"), "{found:#?}");
    }
}

#[test]
fn labels_and_what_is_shown_on_demand_are_not_hidden_texts() {
    let rows = [
        (".h{display:none}", "<p class=h>Uma etiqueta</p><p class=h>e mais uma</p>"),
        (".h{display:none}.h{display:block}", "<p class=h>LONG</p>"),
        ("", "<template><p hidden>LONG</p></template>"),
        (".h{display:none}", "<details><summary>x</summary><p class=h>LONG</p></details>"),
        (".h{display:none}", "<nav><div class=h>LONG</div></nav>"),
        (".h{display:none}", "<div class=h role=dialog>LONG</div>"),
        ("", "<p hidden='until-found'>LONG</p>"),
        ("", "<p hidden><label>LONG <input name=site></label></p>"),
        ("", "<a href='/' aria-describedby='a b'>x</a><p hidden id=b>LONG</p>"),
        // A script, a state, another screen or a printer may show it.
        (".h{display:none}", "<p class=h>LONG</p><script>a()</script>"),
        ("", "<p hidden>LONG</p><button onclick='a()'>x</button>"),
        (".h{display:none}.h:target{display:block}", "<p class=h>LONG</p>"),
        (".h{display:none;li:hover &{display:block}}", "<ul><li>x<p class=h>LONG</p></li></ul>"),
        (
            ".h{display:none}input:checked ~ .h{display:block}",
            "<input type=checkbox aria-label=x><p class=h>LONG</p>",
        ),
        (".h{display:none}@media (min-width:600px){.h{display:block}}", "<p class=h>LONG</p>"),
        (".h{display:none}@media print{.h{display:block}}", "<p class=h>LONG</p>"),
        (".h{display:none}", "<style media=print>.h{display:block}</style><p class=h>LONG</p>"),
        (
            ".h{visibility:hidden;animation:show 1s forwards}@keyframes show{to{visibility:visible}}",
            "<p class=h>LONG</p>",
        ),
        // Texts for screen readers, and for links that skip to the content.
        (".h{clip-path:inset(50%);font-size:0}", "<p class=h>LONG</p>"),
        (".sr-only{text-indent:-9999px}", "<p class=sr-only>LONG</p>"),
        // What is in it is shown.
        (".h{font-size:0}.h p{font-size:1rem}", "<div class=h><p>LONG</p></div>"),
        (".h{visibility:hidden}.h p{visibility:visible}", "<div class=h><p>LONG</p></div>"),
        (".h{text-indent:-9999px}.h p{text-indent:0}", "<div class=h><p>LONG</p></div>"),
        ("body{background:#fff}.h{color:#fff}.h p{color:#000}", "<div class=h><p>LONG</p></div>"),
        (".h{text-indent:-1.5em}", "<p class=h>LONG</p>"),
    ];
    for (css, body) in rows {
        let found = hidden(css, body);
        assert!(found.is_empty(), "{css} {body}: {found:#?}");
    }
}
