//! A small site that passes all checks, and helpers that stage and publish it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use sitewright_site::{
    OrderDir, Release, ReleaseId, ReleaseInfo, ReleaseTemplate, SiteLimits, SitePath, SitesRoot,
    StagedSite, Staging, VerifiedSite, VerifyOptions, publish,
};
use time::macros::datetime;

pub(crate) type Files = BTreeMap<SitePath, Vec<u8>>;

pub(crate) fn path(text: &str) -> SitePath {
    SitePath::parse(text, 255).unwrap()
}

pub(crate) fn dir(name: &str) -> OrderDir {
    OrderDir::new(name).unwrap()
}

/// A PNG of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\
    \0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\
    \0\0\0\x0aIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\
    \0\0\0\0IEND\xaeB`\x82";

/// A GIF of one pixel.
pub(crate) const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// A chunk of a PNG.
pub(crate) fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = Crc::new();
    sum.update(name);
    sum.update(data);
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], name, data, &sum.sum().to_be_bytes()].concat()
}

/// The signature and header of a PNG: with this size, the bits of a number and the kind of colours,
/// and interlaced if `passes` is 1.
pub(crate) fn png_header(width: u32, height: u32, [depth, color, passes]: [u8; 3]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[depth, color, 0, 0, passes]].concat());
    [&b"\x89PNG\r\n\x1a\n"[..], &header].concat()
}

/// Compressed as the rows of a PNG are.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A black PNG of one bit for each pixel, with so many bytes that say nothing.
pub(crate) fn png(width: u32, height: u32, bytes: usize) -> Vec<u8> {
    let rows = vec![0; usize::try_from((width.div_ceil(8) + 1) * height).unwrap()];
    let header = png_header(width, height, [1, 0, 0]);
    let (data, more) = (chunk(b"IDAT", &packed(&rows)), chunk(b"juNk", &vec![0; bytes]));
    [header, data, more, chunk(b"IEND", b"")].concat()
}

/// A page with `head` and `body` added to what every page needs.
pub(crate) fn page(head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"pt-BR\">\n<head>\n<meta \
         charset=\"utf-8\">\n<title>Padaria</title>\n<meta name=\"description\" content=\"Pães de \
         verdade\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n{head}\n</head>\n<body>\n<main id=\"conteudo\"><p>Pães de \
         fermentação natural todos os dias.</p></main>\n{body}\n</body>\n</html>\n"
    )
}

/// A site that breaks no rule and uses everything that the rules check.
pub(crate) fn good_site() -> Files {
    let head = r##"<link rel="canonical" href="https://padaria.example/">
<link rel="stylesheet" href="css/site.css?v=3">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="manifest" href="site.webmanifest">
<meta property="og:image" content="https://padaria.example/img/pao.png">
<style>main { background: url('img/pao.png') }</style>
<script type="application/ld+json">{"@context": "https://schema.org", "@type": "LocalBusiness", "name": "Padaria", "telephone": "+551130000000"}</script>"##;
    let body = r##"<a href="sobre/">Sobre</a> <a href="sobre">Sobre</a> <a href="/sobre/index.html#equipe">Equipe</a>
<a href="#conteudo">Topo</a> <a href="#top">Topo</a> <a href="sobre/?de=inicio#equipe">Sobre</a>
<a href="https://example.org/qualquer">Fora</a> <a href="mailto:oi@example.com">E-mail</a> <a href="tel:+551130000000">Fone</a>
<a href="card%C3%A1pio.html">Cardápio</a> <a href="https://padaria.example/fora-do-site">Loja</a>
<img src="img/pao.png" srcset="img/pao.png 1x, img/pao.png?2x 2x" alt="Pão">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">
<svg role="img"><use href="favicon.svg#forma"></use></svg>
<form action="https://formularios.example/f/1" method="post"><label>Nome <input name="nome"></label></form>
<pre>{{ isto é código }}</pre> <code>${também}</code> <script>const ola = `${1}`;</script>"##;
    let about = page(
        "<link rel=\"stylesheet\" href=\"../css/site.css\">",
        "<h2 id=\"equipe\">Equipe</h2><p>Joe &amp; Ana <b>em</b> casa. <a \
         href=\"../\">Início</a></p>",
    );
    let css = "@import \"cores.css\";\n@font-face { src: url(\"/img/letra.woff2#a\") }\nbody { \
               background: url(../img/pao.png) }\n@media (min-width: 1px) { a { color: red }}\n";
    let sitemap = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n\
                   <url><loc>https://padaria.example/</loc></url>\n<url><loc>https://padaria.example/sobre/</loc></url>\n\
                   <url><loc>https://outra.example/nada</loc></url>\n</urlset>\n";
    [
        ("index.html", page(head, body).into_bytes()),
        ("sobre/index.html", about.into_bytes()),
        ("cardápio.html", page("", "<p>Pão &amp; café</p>").into_bytes()),
        ("css/site.css", css.as_bytes().to_vec()),
        ("css/cores.css", b":root { --cor: #fff }".to_vec()),
        ("img/pao.png", PNG.to_vec()),
        ("img/letra.woff2", vec![0xff, 0x00]),
        (
            "favicon.svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"><path id=\"forma\" d=\"M0 0\"/></svg>"
                .to_vec(),
        ),
        (
            "site.webmanifest",
            br#"{"name": "Padaria", "start_url": ".", "icons": [{"src": "img/pao.png"}]}"#.to_vec(),
        ),
        ("sitemap.xml", sitemap.as_bytes().to_vec()),
        ("robots.txt", b"User-agent: *\nAllow: /\n".to_vec()),
    ]
    .into_iter()
    .map(|(name, bytes)| (path(name), bytes))
    .collect()
}

const HOSTS: [&str; 6] = [
    "padaria.example",
    "example.org",
    "outra.example",
    "formularios.example",
    "fonts.example",
    "example.com",
];

pub(crate) fn options() -> VerifyOptions {
    VerifyOptions {
        languages: vec!["pt-BR".parse().unwrap()],
        // Of the order that the good site was made for.
        example_hosts: HOSTS.iter().map(|host| (*host).to_owned()).collect(),
        ..VerifyOptions::default()
    }
}

pub(crate) fn staging(root: &SitesRoot, order: &str, attempt: &str) -> Staging {
    Staging::new(root, dir(order), dir(attempt), SiteLimits::default())
}

pub(crate) fn staged(root: &SitesRoot, order: &str, attempt: &str, files: &Files) -> StagedSite {
    let staging = staging(root, order, attempt);
    for (path, bytes) in files {
        staging.write(path.as_str(), bytes).unwrap();
    }
    staging.seal().unwrap()
}

pub(crate) fn verified(
    root: &SitesRoot,
    order: &str,
    attempt: &str,
    files: &Files,
) -> VerifiedSite {
    staged(root, order, attempt, files).verify(&options()).unwrap()
}

pub(crate) fn info(id: Option<ReleaseId>) -> ReleaseInfo {
    ReleaseInfo {
        usage: serde_json::Value::Null,
        id,
        template: ReleaseTemplate {
            name: "local-business".into(),
            version: "1.2.3".into(),
            digest: "sha256:abc".into(),
        },
        host_build: "test".into(),
        ai: serde_json::json!({ "calls": 3 }),
        revision: None,
        locale: Some("pt-BR".into()),
        warnings: Vec::new(),
        diagnostics: Vec::new(),
        created_at: datetime!(2026-11-23 12:00 UTC),
    }
}

/// Publishes the good site, with `mark` in its entry page.
pub(crate) fn publish_marked(root: &SitesRoot, order: &str, mark: u32, keep: usize) -> Release {
    let mut files = good_site();
    let entry = page("", &format!("<p>versão {mark}</p>"));
    files.insert(path("index.html"), entry.into_bytes());
    publish(verified(root, order, &format!("attempt-{mark}"), &files), info(None), keep).unwrap()
}
