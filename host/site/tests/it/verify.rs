//! The rules of a site: the good site keeps all of them, and each changed one breaks exactly one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use strum::VariantArray as _;

use crate::support::{Files, GIF, good_site, options, page, path};
use sitewright_site::{Level, Levels, Rule, SiteProblem, VerifyOptions, verify};

fn problems_with(files: &Files, options: &VerifyOptions) -> Vec<SiteProblem> {
    verify(files, options).unwrap().problems
}

fn problems(files: &Files) -> Vec<SiteProblem> {
    problems_with(files, &options())
}

fn rules(problems: &[SiteProblem]) -> BTreeSet<Rule> {
    problems.iter().map(|problem| problem.rule).collect()
}

/// A change of the good site.
enum Change {
    /// A file is added or replaced.
    Put(&'static str, Vec<u8>),
    Remove(&'static str),
    /// `extra.html` is added with this in its body.
    Body(&'static str),
    /// `extra.html` is added with this in its head.
    Head(&'static str),
    /// `extra.html` is added, a whole page with one text replaced.
    Replace(&'static str, &'static str),
}

fn changed(change: &Change) -> Files {
    let mut files = good_site();
    let mut extra = |text: String| files.insert(path("extra.html"), text.into_bytes());
    match change {
        Change::Put(name, bytes) => drop(files.insert(path(name), bytes.clone())),
        Change::Remove(name) => assert!(files.remove(&path(name)).is_some()),
        Change::Body(body) => drop(extra(page("", body))),
        Change::Head(head) => drop(extra(page(head, ""))),
        Change::Replace(from, to) => {
            let text = page("", "");
            assert!(text.contains(from));
            extra(text.replace(from, to));
        }
    }
    files
}

#[test]
fn f5_a_good_site_passes() {
    assert_eq!(problems(&good_site()), []);
}

#[test]
fn f5_what_is_odd_but_fine_passes() {
    let fine = [
        Change::Body("<ul><li>um<li>dois</ul><p>sem fim<br/>linha<p>outro"),
        Change::Body("<p>AT&T, R&D, &copy 2026</p>"),
        Change::Body("<a href='sobre/#:~:text=Equipe'>x</a> <a href='#'>x</a> <a href='whatsapp://send?text=oi'>x</a>"),
        Change::Body("<a name='velho'></a><a href='#velho'>x</a>"),
        Change::Body("<form method='dialog'><button>ok</button></form><form data-netlify='true'></form>"),
        Change::Body("<form action='sobre/'><button>ok</button></form>"),
        Change::Body("<form><button formaction='sobre/'>ok</button></form>"),
        Change::Body("<a href='data:text/plain,x' download='x.txt'>x</a>"),
        Change::Put("css/cores.css", b"/**/@import url(//a.example/x.css);a[b=\"//\"]{c:1 / 2;d:'\\'`<'}/* e */\n".to_vec()),
        Change::Put("css/cores.css", b"@media (width<1px){a>b::after{content:\"}\"}}<!-- -->".to_vec()),
        Change::Put("feed.xml", b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<a b='>' c = \"'\" />".to_vec()),
        Change::Put("feed.xml", "<?xml version='1.0'\n\tencoding\t=\n'UTF-8'?><a>é</a>".into()),
        Change::Body("<!-- {{ nota }} --><style>a{b:c}@media x{a{b:c}}</style>"),
        Change::Body("<noscript><p>sem scripts</p></noscript><details><summary>x</summary>y</details>"),
        Change::Body("<svg viewBox='0 0 1 1'><title>x</title><path d='M0 0'/></svg><math><mi>x</mi></math>"),
        Change::Body("<p data-a='{\"a\": {\"b\": 1}}' onclick='if (a) { if (b) { c() }}'>x</p>"),
        Change::Body("<p once='a b' only='let it be'>x</p>"),
        Change::Body("<table><tr><td>1<tr><td>2</table><dl><dt>a<dd>b</dl>"),
        Change::Body("<video poster='img/pao.png' controls><source src='img/pao.png'></video>"),
        Change::Head("<link rel='preconnect' href='https://fonts.example'><link rel='alternate' hreflang='en' href='https://padaria.example/sobre/'>"),
        Change::Replace("lang=\"pt-BR\"", "lang=\"pt\""),
        // Only in the page when a script copies it.
        Change::Body("<p id='a'>x</p><template><p id='a'>y</p><p id='a'>z</p></template>"),
        Change::Body("<template><a href='{{ url }}' title='${name}'>{{ name }}</a><img src='{{ image }}' alt=''></template>"),
        Change::Body("<img src='favicon.svg#svgView(viewBox(0,0,1,1))' alt=''>"),
        Change::Body("<img src='favicon.svg#xywh=0,0,1,1' alt=''>"),
        Change::Body("<p lang='zh-Hant-TW'>x</p><p lang='en-x-pirate'>x</p><p lang='x-pirate'>x</p><p lang=''>x</p>"),
        Change::Body("<template><p lang='{{ lang }}'>x</p></template>"),
        Change::Replace("charset=\"utf-8\"", "charset=\"UTF-8\""),
        Change::Put("b.svg", svg(" xmlns:x='http://www.w3.org/1999/xlink'", "<g x:href='#b' id='b'/>")),
        Change::Put("b.svg", b"<s:svg xmlns:s='http://www.w3.org/2000/svg'><s:g xml:lang='pt'/></s:svg>".to_vec()),
        Change::Put("robots.txt", b"User-agent: GPTBot\nDisallow: /\n\nUser-agent: *\nDisallow:\n".to_vec()),
        Change::Put("js/a.js", b"const a = `${b}`; if (x) {{ y() }}".to_vec()),
        Change::Put("js/a.js", b"import { b } from './c.js'; export default await b;".to_vec()),
        Change::Put("js/a.js", b"var s = document.querySelector('#a'); s && (s.hidden = !s.hidden)\n".to_vec()),
        Change::Put("js/a.js", b"x = a / b / c; y = /[/(]\\)/.test(`${a}${`${b}`}`)".to_vec()),
        Change::Put("js/a.mjs", b"await import('./b.js'); class A { static #b = 1; static { this.#b++ } }".to_vec()),
        Change::Body("<script><!--\nvar a = 1;\n//--></script><script>let b = a?.c ?? d ** 2</script>"),
        Change::Body("<script type='module'>import './a.js'; for await (const a of b) c(a)</script>"),
        // Data, and what browsers ignore.
        Change::Body("<script type='text/x-template'>{{ a }} if (</script><script type='importmap'>{\"imports\": {}}</script>"),
        Change::Body("<script src='https://example.org/a.js'>if (</script><template><script>if (</script></template>"),
        Change::Put("b.svg", b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/x.dtd\"><svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()),
        Change::Put("feed.xml", b"<feed><t>a &amp; b &#233;</t><t><![CDATA[<x>]]></t></feed>".to_vec()),
        Change::Put("feed.atom", b"<feed xmlns='http://www.w3.org/2005/Atom'><title>x</title></feed>".to_vec()),
        // The texts of a source map are code.
        Change::Put("js/a.js.map", br#"{"version": 3, "sourcesContent": ["`${a}` + {{b}}"]}"#.to_vec()),
        Change::Body("<x-card background='red'>x</x-card><iframe src='about:blank' title='x'></iframe>"),
        Change::Body("<a href='viber://chat?number=%2B5511'>x</a> <a href='maps:?q=P%C3%A3o'>x</a> <a href='sip:oi@example.com'>x</a>"),
        Change::Body("<a href='mailto:oi@example.com?subject=Ol%C3%A1&amp;body=x'>x</a> <a href='tel:+55%2011%203000-0000'>x</a> <a href='sms:?body=oi'>x</a>"),
        Change::Body("<h2 id='horários'>x</h2> <a href='#horários'>x</a> <a href='extra.html#hor%C3%A1rios'>x</a>"),
        Change::Body("<picture><source srcset='img/pao.png 1x,img/pao.png 2x' media='(width >= 1px)'><img src='img/pao.png' sizes='(width < 9em) 1px, 2px' alt=''></picture>"),
        Change::Head("<base href='/sobre/'><link rel='stylesheet' href='../css/site.css'>"),
        Change::Put("css/cores.css", b"@layer a, b;@import url(//a.example/x.css) layer(a) supports(display: grid) screen;@container (9px < width) { a { b: url(../img/p\\61 o.png); c: image-set('../img/pao.png' type('image/png') 1x) } }".to_vec()),
    ];
    for (number, change) in fine.iter().enumerate() {
        assert_eq!(problems(&changed(change)), [], "case {number}");
    }
}

fn svg(attributes: &str, content: &str) -> Vec<u8> {
    format!("<svg xmlns='http://www.w3.org/2000/svg'{attributes}>{content}</svg>").into_bytes()
}

#[test]
fn f5_each_rule_is_enforced_alone() {
    use Change::{Body, Head, Put, Remove, Replace};
    let broken = [
        (Rule::Utf8, Put("robots.txt", b"User-agent: \xff".to_vec())),
        (Rule::Utf8, Put("css/cores.css", b"a { b: \"\xe9\" }".to_vec())),
        (Rule::HtmlSyntax, Body("<div><p>aberto</div></section>")),
        (Rule::HtmlSyntax, Body("<div>nunca fechado")),
        (Rule::HtmlSyntax, Body("<div/><p>x</p></div></div>")),
        (Rule::HtmlSyntax, Body("<b><i>cruzado</b></i>")),
        (Rule::HtmlSyntax, Body("<p class=\"a\" class=\"b\">x</p>")),
        (Rule::HtmlSyntax, Body("<table><p>fora</p><tr><td>x</table>")),
        (Rule::HtmlSyntax, Body("<p title=\"aspas \"soltas\"\">x</p>")),
        (Rule::HtmlSyntax, Body("<p>&naoexiste; aqui</p>")),
        (Rule::HtmlSyntax, Replace("<!DOCTYPE html>", "")),
        (Rule::CssSyntax, Put("css/cores.css", b"a { b: 'aberta\n; }".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"a { b: url(a b.png) }".to_vec())),
        (Rule::CssSyntax, Body("<p style='color: red }'>x</p>")),
        (Rule::CssSyntax, Put("css/cores.css", b"a { b: c".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"@media x { a { b: c }\n".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"a { b: c } /* d".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"a { b: 'c".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"```css\na { b: c }\n```".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"// cores\na { b: c }".to_vec())),
        (Rule::CssSyntax, Put("css/cores.css", b"<style>a { b: c }</style>".to_vec())),
        (Rule::CssSyntax, Head("<style>a { b: c</style>")),
        (Rule::XmlSyntax, Put("feed.xml", b"<a><b></a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a/><b/>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>Tom & Jerry</a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>&nbsp;</a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a x='1' x='2'/>".to_vec())),
        (
            Rule::XmlSyntax,
            Put(
                "b.svg",
                b"<!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><svg>&x;</svg>"
                    .to_vec(),
            ),
        ),
        (Rule::XmlSyntax, Put("feed.xml", b"\n<?xml version='1.0'?><a/>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a><?xml version='1.0'?></a>".to_vec())),
        (
            Rule::XmlSyntax,
            Put("feed.xml", "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".into()),
        ),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>]]></a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a b='<'/>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a b='1'c='2'/>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a><1b/></a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>x\x0by</a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a>&#11;</a>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", b"<a b='&#x1;'/>".to_vec())),
        (Rule::XmlSyntax, Put("feed.xml", "<a>\u{ffff}</a>".into())),
        (Rule::XmlSyntax, Put("b.svg", svg("", "<a xlink:title='x'/>"))),
        (Rule::XmlSyntax, Put("b.svg", svg("", "<g xmlns:a='b'/><a:g/>"))),
        (Rule::XmlSyntax, Put("feed.xml", b"<a><b xmlns:c='d'/><c:e/></a>".to_vec())),
        (Rule::SvgNamespace, Put("b.svg", b"<svg width='1'><rect/></svg>".to_vec())),
        (Rule::SvgNamespace, Put("b.svg", b"<svg xmlns='http://www.w3.org/1999/xhtml'/>".to_vec())),
        (Rule::SvgNamespace, Put("b.svg", b"<html xmlns='http://www.w3.org/2000/svg'/>".to_vec())),
        (Rule::SvgScript, Put("b.svg", svg("", "<script>alert(1)</script>"))),
        (Rule::SvgScript, Put("b.svg", svg(" onload='alert(1)'", ""))),
        (
            Rule::SvgScript,
            Put("b.svg", svg("", "<set attributeName='href' to='javascript:alert(1)'/>")),
        ),
        (Rule::Charset, Replace("charset=\"utf-8\"", "charset=\"windows-1252\"")),
        (Rule::Charset, Replace("<meta charset=\"utf-8\">", "")),
        (
            Rule::Charset,
            Replace(
                "<meta charset=\"utf-8\">",
                "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\">",
            ),
        ),
        (Rule::LocalAddress, Head("<link rel=\"canonical\" href=\"http://localhost:4000/\">")),
        (Rule::LocalAddress, Head("<meta property=\"og:url\" content=\"http://127.0.0.1/\">")),
        (Rule::LocalAddress, Body("<img src=\"http://127.0.0.1:8080/a.png\" alt=\"\">")),
        (Rule::LocalAddress, Body("<a href=\"//192.168.0.7/\">x</a>")),
        (Rule::LocalAddress, Body("<p style=\"background: url(http://[::1]/a.png)\">x</p>")),
        (Rule::LocalAddress, Body("<form action=\"http://staging/f\"></form>")),
        (
            Rule::LocalAddress,
            Put(
                "sitemap.xml",
                b"<urlset><url><loc>http://localhost:4000/</loc></url></urlset>".to_vec(),
            ),
        ),
        (Rule::RobotsDisallow, Put("robots.txt", b"User-agent: *\nDisallow: /\n".to_vec())),
        (Rule::JsonSyntax, Put("data.json", b"{\"a\": 1,}".to_vec())),
        (Rule::JsonSyntax, Put("site.webmanifest", b"nada".to_vec())),
        (Rule::JsonSyntax, Put("loja.geojson", b"{,}".to_vec())),
        (Rule::XmlSyntax, Put("feed.atom", b"<feed><title></feed>".to_vec())),
        (Rule::JsonSyntax, Head("<script type=\"importmap\">{imports: {}}</script>")),
        (Rule::JsonSyntax, Body("<script type=\"application/json\">{\"a\": 1,}</script>")),
        (Rule::ScriptSyntax, Body("<script>const a = (1;</script>")),
        (Rule::ScriptSyntax, Body("<script>document.write(\"<b>now)</script>")),
        (Rule::ScriptSyntax, Body("<script>import a from './a.js'</script>")),
        (Rule::ScriptSyntax, Body("<p onclick=\"go('it's')\">x</p>")),
        (Rule::ScriptSyntax, Body("<script>const text = 'It's new'</script>")),
        (Rule::ScriptSyntax, Body("<script>if (/(/.test(a)) b()</script>")),
        (Rule::ScriptSyntax, Head("<script type=\"module\">var a = ;</script>")),
        (Rule::ScriptSyntax, Put("js/a.js", b"function a( { return 1 }".to_vec())),
        (Rule::ScriptSyntax, Put("js/a.js", b"const a: string = 'typed'".to_vec())),
        (Rule::ScriptSyntax, Put("js/a.js", b"const a = <p>x</p>".to_vec())),
        (Rule::ScriptSyntax, Put("js/a.js", b"Here is the script:\nlet a = 1".to_vec())),
        (Rule::ScriptSyntax, Put("js/a.mjs", b"return 1".to_vec())),
        (Rule::JsonLd, Head("<script type=\"application/ld+json\">{\"a\": \"b\" \"c\"}</script>")),
        (Rule::Language, Replace(" lang=\"pt-BR\"", "")),
        (Rule::Language, Replace("pt-BR", "portugues-do-brasil")),
        (Rule::Language, Replace("pt-BR", "pt_BR")),
        (Rule::Language, Replace("pt-BR", "en")),
        (Rule::Language, Body("<p lang=\"en_US\">x</p>")),
        (Rule::Language, Body("<a href=\"sobre/\" lang=\"Português\">x</a>")),
        (Rule::Title, Replace("<title>Padaria</title>", "")),
        (Rule::Title, Replace("<title>Padaria</title>", "<title> </title>")),
        (Rule::Description, Replace("Pães de verdade", "")),
        (Rule::Viewport, Replace("name=\"viewport\"", "name=\"outro\"")),
        (Rule::Viewport, Replace("width=device-width, initial-scale=1", " ")),
        (Rule::EmptyPage, Replace("Pães de fermentação natural todos os dias.", "Em breve")),
        (Rule::DuplicateId, Body("<p id=\"conteudo\">outra vez</p>")),
        (Rule::ImageAlt, Body("<img src=\"img/pao.png\">")),
        (
            Rule::ImageAlt,
            Body("<form action='sobre/'><input type='image' src='img/pao.png'></form>"),
        ),
        (Rule::ImageAlt, Body("<map name='m'><area href='sobre/' shape='default'></map>")),
        (Rule::FormAction, Body("<form><input name=\"x\"></form>")),
        (Rule::FormAction, Body("<form action=\"\"><input name=\"x\"></form>")),
        (Rule::BrokenReference, Body("<a href=\"nada.html\">x</a>")),
        (Rule::BrokenReference, Body("<a href=\"/sobre/nada/\">x</a>")),
        (Rule::BrokenReference, Body("<a href=\"Sobre/\">x</a>")),
        (Rule::BrokenReference, Body("<a href=\"mailto:\">x</a>")),
        (Rule::BrokenReference, Body("<a href=\"http://\">x</a>")),
        (Rule::BrokenReference, Body("<img src=\"img/nada.png\" alt=\"\">")),
        (Rule::BrokenReference, Body("<img src=\"\" alt=\"\">")),
        (Rule::BrokenReference, Body("<template><a href=\"nada.html\">x</a></template>")),
        (
            Rule::BrokenReference,
            Body("<img srcset=\"img/pao.png 1x, img/nada.png 2x\" src=\"img/pao.png\" alt=\"\">"),
        ),
        (Rule::BrokenReference, Body("<p style=\"background: url(img/nada.png)\">x</p>")),
        (Rule::BrokenReference, Body("<form action=\"enviar.php\"></form>")),
        (Rule::BrokenReference, Body("<script src=\"js/nada.js\"></script>")),
        (Rule::BrokenReference, Body("<svg><use href=\"nada.svg#x\"></use></svg>")),
        (Rule::BrokenReference, Head("<link rel=\"stylesheet\" href=\"css/nada.css\">")),
        (Rule::BrokenReference, Head("<link rel=\"manifest\" href=\"nada.webmanifest\">")),
        (Rule::BrokenReference, Head("<style>@import 'nada.css';</style>")),
        (
            Rule::BrokenReference,
            Head("<meta property=\"og:image\" content=\"https://padaria.example/nada.png\">"),
        ),
        (Rule::BrokenReference, Head("<meta http-equiv=\"refresh\" content=\"0; url=nada.html\">")),
        (Rule::BrokenReference, Put("css/cores.css", b"a { b: url(\"nada.png\") }".to_vec())),
        (
            Rule::BrokenReference,
            Put("css/cores.css", b"@media x { a { b: image-set(url(nada.png) 1x) } }".to_vec()),
        ),
        (
            Rule::BrokenReference,
            Put("css/cores.css", b"a { b: image-set('nada.png' type('image/png') 1x) }".to_vec()),
        ),
        (Rule::BrokenReference, Body("<table background='nada.png'><tr><th>x</table>")),
        (
            Rule::BrokenReference,
            Put("site.webmanifest", br#"{"icons": [{"src": "nada.png"}]}"#.to_vec()),
        ),
        (Rule::BrokenReference, Remove("img/letra.woff2")),
        (
            Rule::BrokenReference,
            Put(
                "sitemap.xml",
                b"<urlset><url><loc>https://padaria.example/nada/</loc></url></urlset>".to_vec(),
            ),
        ),
        (Rule::BrokenFragment, Body("<a href=\"#nada\">x</a>")),
        (Rule::BrokenFragment, Body("<a href=\"sobre/#nada\">x</a>")),
        (Rule::BrokenFragment, Body("<svg><use href=\"favicon.svg#nada\"></use></svg>")),
        (Rule::LinkScheme, Body("<a href=\" JavaScript:alert(1)\">x</a>")),
        (Rule::LinkScheme, Body("<a href=\"java&#10;script:alert(1)\">x</a>")),
        (Rule::LinkScheme, Body("<a href=\"file:///etc/passwd\">x</a>")),
        (Rule::LinkScheme, Body("<a href=\"data:text/html,x\">x</a>")),
        (Rule::LinkScheme, Put("b.svg", svg(" xmlns:x='y'", "<a x:href='javascript:alert(1)'/>"))),
        (Rule::Placeholder, Body("<p>Fale com {{BUSINESS_EMAIL}}</p>")),
        (Rule::Placeholder, Body("<p>Fale com ${email}</p>")),
        (Rule::Placeholder, Body("<p>Sobrou }} aqui</p>")),
        (Rule::Placeholder, Body("<p title=\"{{ title }}\">x</p>")),
        (Rule::Placeholder, Body("<p data-a='{\"a\": \"{{ b }}\"}'>x</p>")),
        (
            Rule::Placeholder,
            Head("<script type=\"application/ld+json\">{\"name\": \"{{ name }}\"}</script>"),
        ),
        (Rule::Placeholder, Put("robots.txt", b"Sitemap: ${base}/sitemap.xml".to_vec())),
        (Rule::Placeholder, Put("data.json", br#"{"nome": "{{nome}}"}"#.to_vec())),
        (Rule::Placeholder, Put("feed.xml", b"<a b='{{c}}'/>".to_vec())),
        (
            Rule::Sitemap,
            Put("sitemap.xml", b"<urlset><url><loc>/sobre/</loc></url></urlset>".to_vec()),
        ),
        (Rule::Sitemap, Put("sitemap.xml", b"<urlset><url><loc> </loc></url></urlset>".to_vec())),
        (Rule::Sitemap, Put("sitemap.xml", b"<urlset><url><loc/></url></urlset>".to_vec())),
    ];
    for (number, (rule, change)) in broken.iter().enumerate() {
        let found = problems(&changed(change));
        assert_eq!(rules(&found), BTreeSet::from([*rule]), "case {number}: {found:#?}");
    }
    // Without the entry page, the links to it are broken as well.
    let mut files = good_site();
    files.retain(|path, _| path.as_str() == "robots.txt");
    assert_eq!(rules(&problems(&files)), BTreeSet::from([Rule::EntryPage]));
    assert_eq!(rules(&problems(&Files::new())), BTreeSet::from([Rule::EntryPage]));
}

/// The rules that warn, each with the file.
fn warned(files: &Files) -> BTreeSet<(Rule, String)> {
    let warnings = verify(files, &options()).unwrap().warnings;
    warnings.into_iter().map(|warning| (warning.rule, warning.file.to_string())).collect()
}

/// A page that no rule warns of, with `head` and `body` added, linked from the entry page.
fn quiet(head: &str, body: &str) -> Files {
    let mut files = good_site();
    let text = page(head, body)
        .replace("<title>Padaria", "<title>Uma página que não avisa de nada")
        .replace("Pães de verdade", "Uma descrição que tem o comprimento que as buscas mostram")
        .replace("<main id=\"conteudo\">", "<main id=\"conteudo\"><h1>Pães</h1>");
    files.insert(path("extra.html"), text.into_bytes());
    let links = "<a href='extra.html'>x</a> <a href='sobre/'>x</a> <a href='cardápio.html'>x</a>";
    let link = page("", links);
    files.insert(path("index.html"), link.into_bytes());
    files
}

#[test]
fn each_rule_that_warns_warns_alone() {
    let long = "x".repeat(171);
    let description = format!("<meta name=\"description\" content=\"{long}\">");
    let rows: [(Rule, &str, &str); 16] = [
        (Rule::ExampleAddress, "", "<a href=\"https://yourdomain.example/\">x</a>"),
        (Rule::ExampleAddress, "<link rel=\"canonical\" href=\"https://www.example.com/\">", ""),
        (Rule::Canonical, "<link rel=\"canonical\" href=\"/extra.html\">", ""),
        (Rule::MetaRefresh, "<meta http-equiv=\"refresh\" content=\"5; url=sobre/\">", ""),
        (Rule::TableHeader, "", "<table><tr><td>1</td></tr><tr><td>2</td></tr></table>"),
        (Rule::EmptySection, "", "<section class=\"a\"><div> </div></section>"),
        (
            Rule::JsonLdType,
            "<script type=\"application/ld+json\">{\"@type\": \"Bakery\"}</script>",
            "",
        ),
        (Rule::ImageFile, "", "<img src=\"gif.png\" width=\"1\" height=\"1\" alt=\"\">"),
        (Rule::ImageSize, "", "<img src=\"img/pao.png\" alt=\"\">"),
        (Rule::External, "", "<script src=\"https://outra.example/a.js\"></script>"),
        (Rule::OneH1, "", "<h1>Outro título</h1>"),
        (Rule::HeadingOrder, "", "<h4>Perto</h4>"),
        (Rule::OrphanPage, "", ""),
        (Rule::DuplicateTitle, "", ""),
        (Rule::Direction, "", ""),
        (Rule::DescriptionLength, "", ""),
    ];
    let untouched = warned(&quiet("", ""));
    for (rule, head, body) in rows {
        let mut files = quiet(head, body);
        let extra = path("extra.html");
        let text = String::from_utf8(files[&extra].clone()).unwrap();
        match rule {
            Rule::OrphanPage => {
                drop(files.insert(path("solta.html"), text.replace("Uma", "Outra").into()))
            }
            Rule::DuplicateTitle => {
                let other = text.replace("Uma descrição", "Outra descrição");
                files.insert(path("404.html"), other.into());
            }
            Rule::Direction => drop(
                files.insert(extra, text.replace("<html lang", "<html dir=\"rtl\" lang").into()),
            ),
            Rule::DescriptionLength => {
                let at = text.find("<meta name=\"description\"").unwrap();
                let end = at + text[at..].find('>').unwrap() + 1;
                files.insert(extra, format!("{}{description}{}", &text[..at], &text[end..]).into());
            }
            Rule::ImageFile => drop(files.insert(path("gif.png"), GIF.to_vec())),
            _ => {}
        }
        let found: BTreeSet<Rule> =
            warned(&files).difference(&untouched).map(|(rule, _)| *rule).collect();
        assert_eq!(found, BTreeSet::from([rule]), "{rule}");
        assert_eq!(problems(&files), [], "{rule}");
    }
}

/// What a page has, and the number of hosts that it is warned of.
#[test]
fn pages_load_from_the_site_from_declared_hosts_and_from_what_the_order_names() {
    let order = r#"{"photos": [{"url": "https://www.fotos.example/1.jpg"}]}"#;
    let of_order = VerifyOptions::for_order(order, options().languages).unwrap();
    let external_hosts = ["cdn.example".to_owned()].into();
    let options = VerifyOptions { external_hosts, copy: None, ..of_order };
    let rows = [
        ("<img src='https://cdn.example/a.png' alt=''>", 0),
        ("<img src='https://sub.cdn.example/a.png' alt=''>", 1),
        ("<img src='https://fotos.example/1.jpg' alt=''>", 0),
        ("<img src='https://fotos.example/2.jpg' alt=''>", 1),
        ("<img src='https://fotos.example/1.jpg?w=800#a' alt=''>", 0),
        ("<link rel='preconnect' href='https://www.fotos.example'>", 0),
        ("<link rel='preconnect' href='https://fotos.example.outra.example'>", 1),
        ("<a href='https://outra.example/'>x</a> <form action='https://outra.example/'></form>", 0),
        ("<img src='https://outra.example/a' alt=''><script src='//outra.example/b'></script>", 1),
        ("<img srcset='https://a.outra.example/a 1x, https://b.outra.example/b 2x' alt=''>", 2),
        ("<style>p { background: url(https://outra.example/a.png) }</style>", 1),
        ("<p style='background: url(https://outra.example/a.png)'>x</p>", 1),
        ("<link rel='preconnect' href='https://outra.example'>", 1),
        ("<iframe src='https://outra.example/mapa' title='Mapa'></iframe>", 1),
        ("<template><img src='https://outra.example/{{ a }}' alt=''></template>", 0),
        // What scripts load is not known, but for common trackers.
        ("<script>fetch('https://outra.example/')</script>", 0),
        ("<script>fetch('https://plausible.io/api/event')</script>", 1),
        (
            "<script>var s = document.createElement('script'); s.src = \
             '//www.googletagmanager.com/gtm.js'; document.head.append(s)</script>",
            1,
        ),
    ];
    for (body, expected) in rows {
        let warnings = verify(&quiet("", body), &options).unwrap().warnings;
        let found = warnings.iter().filter(|warning| warning.rule == Rule::External);
        assert_eq!(found.count(), expected, "{body}: {warnings:#?}");
    }
    let mut files = quiet("", "");
    files.insert(path("css/cores.css"), b"@import url(https://outra.example/a.css);".to_vec());
    let warnings = verify(&files, &options).unwrap().warnings;
    let found = warnings.iter().find(|warning| warning.rule == Rule::External).unwrap();
    assert_eq!((found.file.as_str(), found.line), ("css/cores.css", Some(1)));
}

/// What a page has beside its first heading, and the rule that it is warned of.
#[test]
fn headings_are_counted_where_visitors_meet_them() {
    let rows = [
        ("<h2>a</h2><h3>b</h3><h2>c</h2>", None),
        ("<h2>a</h2><h4>b</h4>", Some(Rule::HeadingOrder)),
        ("<svg><title>x</title></svg><h2>a</h2><h3>b</h3><h4>c</h4><h2>d</h2>", None),
        ("<h3>a</h3>", Some(Rule::HeadingOrder)),
        ("<section><h1>a</h1></section>", Some(Rule::OneH1)),
        ("<template><h1>a</h1><h4>b</h4></template>", None),
        ("<div hidden><h1>a</h1></div><div aria-hidden='true'><h5>b</h5></div>", None),
    ];
    for (body, expected) in rows {
        let found = warned(&quiet("", body));
        let of_headings = [Rule::OneH1, Rule::HeadingOrder].into_iter();
        let found = of_headings.filter(|rule| found.contains(&(*rule, "extra.html".to_owned())));
        assert_eq!(found.collect::<Vec<_>>(), Vec::from_iter(expected), "{body}");
    }
    // Nobody reads this page.
    let elsewhere = "<meta http-equiv=\"refresh\" content=\"0; url=sobre/\">";
    let found = warned(&quiet(elsewhere, "<h1>a</h1>"));
    assert!(!found.contains(&(Rule::OneH1, "extra.html".to_owned())), "{found:?}");
}

/// What a page in Portuguese has, and whether it is warned of its language.
#[test]
fn a_text_that_names_its_language_need_not_be_in_that_of_the_page() {
    let text = "Book your table today and enjoy the best pasta in the city with your family.";
    let options = VerifyOptions::for_order("{}", options().languages).unwrap();
    for (body, expected) in [
        (format!("<p>{text}</p>"), true),
        (format!("<p lang='pt'>{text}</p>"), true),
        (format!("<p lang='en-GB'>{text}</p>"), false),
        (format!("<div lang='en'><p>{text}</p></div>"), false),
        (format!("<div lang='en'><p lang='pt-BR'>{text}</p></div>"), true),
        (format!("<p>\n<span lang='en'>{text}</span></p>"), false),
        (format!("<p><b lang='en'>Pasta</b> {text}</p>"), true),
    ] {
        let warnings = verify(&quiet("", &body), &options).unwrap().warnings;
        let is_warned = warnings.iter().any(|warning| {
            warning.rule == Rule::CopyLanguage && warning.file.as_str() == "extra.html"
        });
        assert_eq!(is_warned, expected, "{body}");
    }
}

/// What a page in Portuguese has beside its text, and whether it is warned of its direction.
#[test]
fn a_part_in_a_language_of_the_other_direction_says_so() {
    let rows = [
        ("<blockquote lang='ar'>x</blockquote>", true),
        ("<div lang='he'><p>x</p></div>", true),
        ("<div dir='rtl' lang='ar'><p lang='en'>x</p></div>", true),
        ("<div dir='rtl' lang='ar'><p lang='he'>x</p><p lang='en' dir='ltr'>x</p></div>", false),
        ("<blockquote lang='ar' dir='rtl'>x</blockquote>", false),
        ("<div dir='auto'><p lang='ar'>x</p></div>", false),
        ("<p lang='ar-Latn'>x</p>", false),
        ("<p lang='en'>x</p>", false),
        ("<p><a href='sobre/' lang='ar'>x</a></p>", false),
    ];
    for (body, expected) in rows {
        let found = warned(&quiet("", body));
        let is_warned = found.contains(&(Rule::Direction, "extra.html".to_owned()));
        assert_eq!(is_warned, expected, "{body}");
    }
}

#[test]
fn a_link_with_the_sites_own_address_leads_to_its_page() {
    let links = "<a href='https://padaria.example/extra.html'>x</a> \
                 <a href='https://padaria.example/sobre'>x</a> \
                 <a href='https://padaria.example/card%C3%A1pio.html'>x</a> \
                 <a href='https://padaria.example/loja/'>of another system</a>";
    for (head, expected) in [("<link rel='canonical' href='https://padaria.example/'>", 0), ("", 3)]
    {
        let mut files = quiet("", "");
        files.insert(path("index.html"), page(head, links).into_bytes());
        assert_eq!(problems(&files), []);
        let orphans = warned(&files).into_iter().filter(|(rule, _)| *rule == Rule::OrphanPage);
        assert_eq!(orphans.count(), expected, "{head}");
    }
}

#[test]
fn the_entry_page_is_for_search_engines_and_previews() {
    let entry = |head: &str| {
        let mut files = good_site();
        let icons = "<link rel=\"icon\" href=\"favicon.svg\"><meta property=\"og:image\" \
                     content=\"img/pao.png\">";
        let head = format!("{icons}{head}");
        files.insert(path("index.html"), page(&head, "<a href='sobre/'>x</a>").into_bytes());
        verify(&files, &options()).unwrap()
    };
    let hidden = entry("<meta name=\"robots\" content=\"noindex, follow\">");
    assert_eq!(rules(&hidden.problems), BTreeSet::from([Rule::NoIndex]));
    let shown = entry("<meta name=\"robots\" content=\"index, max-image-preview: none\">");
    assert_eq!(shown.problems, []);
    assert!(!rules(&shown.warnings).contains(&Rule::Icon));
    let mut files = good_site();
    files.insert(path("index.html"), page("", "").into_bytes());
    let bare = rules(&verify(&files, &options()).unwrap().warnings);
    assert!(bare.contains(&Rule::Icon) && bare.contains(&Rule::PreviewImage), "{bare:?}");
    assert!(bare.contains(&Rule::AppIcon), "{bare:?}");
    for (head, needs_address) in
        [("<link rel='canonical' href='https://padaria.example/'>", false), ("", true)]
    {
        files.insert(path("index.html"), page(head, "").into_bytes());
        let warnings = verify(&files, &options()).unwrap().warnings;
        let warning = warnings.iter().find(|warning| warning.rule == Rule::PreviewImage).unwrap();
        let message = warning.message.as_str();
        assert_eq!(message.contains("`site_url`"), needs_address, "{message}");
    }
    for icon in [
        "<link rel=\"apple-touch-icon\" href=\"img/pao.png\">",
        "<link rel=\"manifest\" href=\"site.webmanifest\">",
    ] {
        assert!(!rules(&entry(icon).warnings).contains(&Rule::AppIcon), "{icon}");
    }
    // Other pages may be hidden: those that thank, or say what is not found.
    let mut files = good_site();
    let thanks = page("<meta name=\"robots\" content=\"noindex\">", "");
    files.insert(path("obrigado.html"), thanks.into_bytes());
    assert_eq!(problems(&files), []);
}

#[test]
fn an_operator_chooses_levels_but_not_of_the_rules_that_others_need() {
    let levels = |rule, level| Levels::new([(rule, level)].into());
    let files = changed(&Change::Body("<img src=\"img/pao.png\">"));
    let checked = |levels| verify(&files, &VerifyOptions { levels, ..options() }).unwrap();
    let warns = checked(levels(Rule::ImageAlt, Level::Warning).unwrap());
    assert!(warns.is_good());
    assert!(rules(&warns.warnings).contains(&Rule::ImageAlt));
    let off = checked(levels(Rule::ImageAlt, Level::Off).unwrap());
    assert!(!rules(&off.warnings).contains(&Rule::ImageAlt));
    let strict = checked(levels(Rule::TitleLength, Level::Error).unwrap());
    assert!(rules(&strict.problems).contains(&Rule::TitleLength));
    assert_eq!(levels(Rule::Utf8, Level::Warning), Err(Rule::Utf8));
    assert!(levels(Rule::Utf8, Level::Error).is_ok());
}

/// The title and the description of a page, and whether their lengths are warned of.
#[test]
fn a_wide_character_counts_as_two() {
    let short = "アドレスが変わったか、ないページです。";
    let long = "アドレスが変わったか、存在しないページです。ホームへどうぞ。";
    for (title, description, warns) in [("鮨さくら", short, true), ("鮨さくら銀座", long, false)]
    {
        let mut files = quiet("", "");
        let extra = path("extra.html");
        let text = String::from_utf8(files[&extra].clone()).unwrap();
        let (start, end) = (text.find("<title>").unwrap() + 7, text.find("</title>").unwrap());
        let text = format!("{}{title}{}", &text[..start], &text[end..]);
        let start = text.find("<meta name=\"description\"").unwrap();
        let end = start + text[start..].find('>').unwrap() + 1;
        let meta = format!("<meta name=\"description\" content=\"{description}\">");
        let text = format!("{}{meta}{}", &text[..start], &text[end..]);
        files.insert(extra, text.into_bytes());
        for rule in [Rule::TitleLength, Rule::DescriptionLength] {
            let found = warned(&files).contains(&(rule, "extra.html".to_owned()));
            assert_eq!(found, warns, "{rule}: {title}");
        }
    }
}

#[test]
fn clean_addresses_lead_to_pages_if_the_operators_server_does_so() {
    let files = changed(&Change::Body("<a href=\"card%C3%A1pio\">x</a> <a href=\"/extra/\">x</a>"));
    assert_eq!(rules(&problems(&files)), BTreeSet::from([Rule::BrokenReference]));
    let clean = VerifyOptions { clean_urls: true, ..options() };
    assert_eq!(problems_with(&files, &clean), []);
}

#[test]
fn a7_a_partial_site_lists_what_is_missing() {
    let mut files = good_site();
    for name in ["sobre/index.html", "img/pao.png", "css/site.css", "cardápio.html"] {
        files.remove(&path(name)).unwrap();
    }
    let found = problems(&files);
    assert_eq!(rules(&found), BTreeSet::from([Rule::BrokenReference]));
    let told: String = found.iter().map(|problem| format!("{problem}\n")).collect();
    for name in ["`sobre/index.html`", "`img/pao.png`", "`css/site.css`", "`cardápio.html`"] {
        assert!(told.contains(name), "{name} is not named in\n{told}");
    }
}

#[test]
fn f5_a_problem_names_file_line_and_text() {
    let mut files = good_site();
    let body =
        "<p>um</p>\n<p>dois</p>\n<p>Fale com {{ EMAIL }} hoje</p>\n<a href=\"nada.html\">x</a>";
    files.insert(path("extra.html"), page("", body).into_bytes());
    let found = problems(&files);
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    let line = |needle: &str| {
        page("", body).lines().position(|line| line.contains(needle)).unwrap() as u64 + 1
    };
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!((found[0].rule, found[0].line), (Rule::Placeholder, Some(line("EMAIL"))));
    assert!(found[0].excerpt.as_deref().unwrap().contains("{{ EMAIL }}"), "{found:#?}");
    assert_eq!((found[1].rule, found[1].line), (Rule::BrokenReference, Some(line("nada"))));
    assert!(shown[1].starts_with(&format!(
        "extra.html:{}: the link `nada.html` leads to `nada.html`",
        line("nada")
    )));
    assert!(shown[1].ends_with("[broken-reference]"));
    let json = serde_json::to_value(&found[1]).unwrap();
    assert_eq!(json["rule"], "broken-reference");
}

#[test]
fn f5_a_script_that_does_not_parse_is_named_with_the_place_and_its_line() {
    let mut files = good_site();
    let before = "let before = 1;".repeat(20);
    let body = format!(
        "<p onclick=\"return um()\">um</p>\n<script>\n  let a = 1;\n  {before} let b = [2;\n</script>"
    );
    files.insert(path("extra.html"), page("", &body).into_bytes());
    files.insert(path("js/a.js"), b"let c = 1;\nlet d = 'fim\n".to_vec());
    let found = problems(&files);
    assert_eq!(found.len(), 2, "{found:#?}");
    let text = page("", &body);
    let line = text.lines().position(|line| line.contains("let b")).unwrap() as u64 + 1;
    assert_eq!((found[0].rule, found[0].line), (Rule::ScriptSyntax, Some(line)));
    assert!(found[0].excerpt.as_deref().unwrap().contains("let b = [2;"), "{found:#?}");
    assert!(found[0].message.as_str().contains(" at character 31"), "{found:#?}");
    assert_eq!((found[1].rule, found[1].line), (Rule::ScriptSyntax, Some(2)));
    assert_eq!(found[1].excerpt.as_deref(), Some("let d = 'fim"));
}

#[test]
fn f5_a_near_miss_in_case_is_named() {
    let mut files = good_site();
    files.insert(path("extra.html"), page("", "<img src=\"/IMG/Pao.png\" alt=\"\">").into_bytes());
    let found = problems(&files);
    assert!(found[0].message.as_str().contains("`img/pao.png` in another spelling"), "{found:#?}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn f6_the_customers_braces_are_shown_literally_and_the_templates_are_still_found() {
    let order = include_str!("../../../../tests/orders/04-other-hostile-text.json");
    let options = VerifyOptions::for_order(order, options().languages).unwrap();
    let order: serde_json::Value = serde_json::from_str(order).unwrap();
    let name = order["onboarding"]["business_name"].as_str().unwrap();
    let cut: String = name.chars().take(50).collect();
    let encoded =
        name.replace('\'', "%27").replace('"', "%22").replace(' ', "%20").replace('<', "%3C");
    let ld = serde_json::to_string(&serde_json::json!({ "name": name }))
        .unwrap()
        .replace('<', "\\u003c");
    let fine = [
        format!("<h1>{}</h1>", escaped(name)),
        format!("<h1>\n  Bem-vindo a {}\n</h1>", escaped(&name.replace(' ', "\n  "))),
        format!("<p title=\"{}\">x</p>", escaped(name)),
        format!("<p title=\"Sobre {}…\">x</p>", escaped(&cut)),
        format!("<a href=\"https://wa.me/1?text=Oi%20{encoded}\">x</a>"),
        format!("<script type=\"application/ld+json\">{ld}</script>"),
        "<p>“It’s {{#SERVICES}} ok”</p>".to_owned(),
        "<p>IT'S {{#SERVICES}} OK</p>".to_owned(),
    ];
    for body in &fine {
        let mut files = good_site();
        files.insert(path("extra.html"), page("", body).into_bytes());
        assert_eq!(problems_with(&files, &options), [], "{body}");
    }
    let leftovers = [
        "<p>{{BUSINESS_EMAIL}}</p>".to_owned(),
        "<p>Fale com {{BUSINESS_EMAIL}} ou ${process.env.SECRET}</p>".to_owned(),
        "<p>{{#SERVICES}}</p>".to_owned(),
        format!("<p>{} {{{{ city }}}}</p>", escaped(name)),
        "<p title=\"{{BUSINESS_EMAIL}}\">x</p>".to_owned(),
    ];
    for body in &leftovers {
        let mut files = good_site();
        files.insert(path("extra.html"), page("", body).into_bytes());
        let found = problems_with(&files, &options);
        assert_eq!(rules(&found), BTreeSet::from([Rule::Placeholder]), "{body}: {found:#?}");
    }
}

#[test]
fn f2_what_would_take_for_ever_to_check_is_a_problem_instead() {
    let much = 200_000;
    let attributes = |of: &dyn Fn(usize) -> String| (0..much).map(of).collect::<String>();
    let cases = [
        ("extra.html", page("", &"<div>".repeat(much)), Rule::TooLarge),
        ("extra.html", page("", &"<b><p>".repeat(much)), Rule::TooLarge),
        ("extra.html", page("", &"<!---->".repeat(much)), Rule::TooLarge),
        (
            "extra.html",
            page("", &format!("<p {}>x</p>", attributes(&|n| format!("a{n} ")))),
            Rule::TooLarge,
        ),
        (
            "extra.html",
            page("", &format!("<p {}>x</p>", attributes(&|n| format!("a{n}=''")))),
            Rule::TooLarge,
        ),
        ("x.css", "a{b:url(img/pao.png)}".repeat(20_001), Rule::TooLarge),
        ("x.css", "(".repeat(much), Rule::CssSyntax),
        ("x.css", "a{".repeat(much), Rule::CssSyntax),
        ("x.json", "[".repeat(much), Rule::JsonSyntax),
        ("x.xml", "<a>".repeat(much), Rule::XmlSyntax),
        ("x.xml", format!("<a {} a7=''/>", attributes(&|n| format!("a{n}='' "))), Rule::XmlSyntax),
    ];
    for (name, text, rule) in cases {
        let mut files = good_site();
        files.insert(path(name), text.into_bytes());
        let found = problems(&files);
        assert!(rules(&found).contains(&rule), "{name}: {found:#?}");
    }
}

#[test]
fn f2_problems_are_bounded_and_the_rest_is_counted() {
    let mut files = good_site();
    let body = "<a href=\"nada.html\">x</a>".repeat(70);
    files.insert(path("extra.html"), page("", &body).into_bytes());
    let verdict = verify(&files, &options()).unwrap();
    assert_eq!((verdict.problems.len(), verdict.omitted), (50, 20));
    assert!(!verdict.is_good());
    assert!(verdict.to_string().starts_with("70 problems; extra.html:"), "{verdict}");
    assert!(verdict.to_string().ends_with("; and 60 more"), "{verdict}");
}

#[test]
fn f5_a_sitemap_is_looked_up_under_the_canonical_address() {
    for canonical in [
        "https://h.example/",
        "https://h.example/joe",
        "https://h.example/joe/",
        "https://h.example/joe/index.html",
    ] {
        let folder =
            if canonical.contains("joe") { "https://h.example/joe" } else { "https://h.example" };
        for (entry, broken) in [("/", 0), ("/sobre/", 0), ("/nada/", 1)] {
            let head = format!("<link rel=\"canonical\" href=\"{canonical}\">");
            let sitemap = format!("<urlset><url><loc>{folder}{entry}</loc></url></urlset>");
            let files: Files = [
                ("index.html", page(&head, "")),
                ("sobre/index.html", page("", "")),
                ("sitemap.xml", sitemap),
            ]
            .into_iter()
            .map(|(name, text)| (path(name), text.into_bytes()))
            .collect();
            let found = problems(&files);
            assert_eq!(found.len(), broken, "{canonical} {entry}: {found:#?}");
        }
    }
}

/// Files of pieces that are difficult for parsers.
fn odd_file() -> impl Strategy<Value = String> {
    let pieces = [
        "<",
        ">",
        "</",
        "/>",
        "<!",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "&",
        ";",
        "&#x",
        "&amp;",
        "\"",
        "'",
        "=",
        " ",
        "\n",
        "\0",
        "é",
        "\u{2028}",
        "…",
        "{{",
        "}}",
        "${",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "url(",
        "@import ",
        "//",
        "%",
        "%2F",
        "#",
        "?",
        ":",
        "http:",
        "a",
        "html",
        "head",
        "body",
        "template",
        "table",
        "tr",
        "td",
        "select",
        "option",
        "form",
        "svg",
        "math",
        "title",
        "style",
        "script",
        "p",
        "b",
        "a href=",
        "img srcset=",
        "base href=",
        "id=x",
        "lang=",
        ",",
        "\\",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..80)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn f5_no_file_makes_the_checks_fail_themselves(text in odd_file()) {
        let options = VerifyOptions { literal_texts: vec!["a {{ é".into(), "${ … }}".into()], ..options() };
        let names = ["index.html", "x.css", "x.svg", "sitemap.xml", "x.json", "x.webmanifest", "x.txt", "x.js"];
        let files: Files = names.into_iter().map(|name| (path(name), text.clone().into_bytes())).collect();
        let verdict = verify(&files, &options).unwrap();
        prop_assert!(!verdict.is_good());
        for problem in verdict.problems {
            prop_assert!(!problem.message.as_str().is_empty());
        }
    }
}

#[test]
fn each_rule_is_documented_with_its_level() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference/site-checks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = Rule::VARIANTS
        .iter()
        .map(|rule| format!("| `{rule}` | {} | {} |", rule.level(), rule.demand()))
        .collect();
    // The first rows are those of the levels.
    let rows: Vec<&str> = rows.into_iter().filter(|row| row.matches('|').count() == 4).collect();
    assert_eq!(rows, expected);
}
