//! Files of images that browsers cannot show, and the places that pages have for images.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use crate::support::{Files, GIF, PNG, good_site, options, page, path};
use sitewright_site::{Rule, SiteProblem, verify};

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], name, data, &[0; 4]].concat()
}

/// The header of a PNG with this size and depth.
fn header(width: u32, height: u32, depth: u8) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[depth, 0, 0, 0, 0]].concat());
    [&b"\x89PNG\r\n\x1a\n"[..], &header].concat()
}

/// A PNG with `bytes` bytes of data.
fn png(width: u32, height: u32, bytes: usize) -> Vec<u8> {
    [header(width, height, 8), chunk(b"IDAT", &vec![0; bytes]), chunk(b"IEND", b"")].concat()
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    [
        &b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08"[..],
        &size[..],
        b"\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\0\xff\xd9",
    ]
    .concat()
}

/// An AVIF file with these brands, of four bytes each, and a second box.
fn avif(brands: &str) -> Vec<u8> {
    let length = u8::try_from(8 + brands.len()).unwrap();
    [&[0, 0, 0, length][..], b"ftyp", brands.as_bytes(), b"\0\0\0\x08meta"].concat()
}

const WEBP: &[u8] = b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\0\0\0\0\0";
const ICO: &[u8] = b"\0\0\x01\0\x01\0\x01\x01\0\0\x01\0\x20\0\x04\0\0\0\x16\0\0\0data";

/// The problems of the good site with one more file.
fn problems(name: &str, bytes: &[u8]) -> Vec<SiteProblem> {
    let mut files = good_site();
    files.insert(path(name), bytes.to_vec());
    verify(&files, &options()).unwrap().problems
}

#[test]
fn a_file_that_is_cut_is_no_image() {
    let rows = [
        ("a.png", PNG.to_vec()),
        ("b.png", png(800, 400, 5_000)),
        ("a.jpg", jpeg(30, 20)),
        ("a.gif", GIF.to_vec()),
        ("a.webp", WEBP.to_vec()),
        ("a.avif", avif("avif\0\0\0\0mif1miaf")),
        // The first brand may be that of the container.
        ("b.avif", avif("mif1\0\0\0\0mif1avif")),
        ("a.ico", ICO.to_vec()),
        // Browsers accept a PNG as icon.
        ("b.ico", PNG.to_vec()),
        // With a fill byte before the first segment.
        ("b.jpg", [&b"\xff\xd8\xff"[..], &jpeg(30, 20)[2..]].concat()),
        // What follows the end is ignored.
        ("c.png", [PNG, b"more"].concat()),
        ("c.jpg", [&jpeg(30, 20)[..], b"more"].concat()),
    ];
    for (name, bytes) in rows {
        assert_eq!(problems(name, &bytes), [], "{name}");
        for length in [0, 2, bytes.len() / 2, bytes.len() - 9] {
            let found = problems(name, &bytes[..length]);
            let rules: Vec<Rule> = found.iter().map(|problem| problem.rule).collect();
            assert_eq!(rules, [Rule::ImageBroken], "{name}, {length} bytes: {found:#?}");
            assert_eq!(found[0].file.as_str(), name);
        }
    }
}

#[test]
fn what_keeps_browsers_from_showing_an_image_is_said() {
    let end = chunk(b"IEND", b"");
    let rows = [
        ("a.png", Vec::new(), "the image is empty"),
        ("a.png", b"\xef\xbf\xbdPNG\r\n\x1a\n".to_vec(), "not PNG, and no format that browsers"),
        ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "not PNG, and no format"),
        ("a.avif", avif("heic\0\0\0\0mif1heic"), "not AVIF, and no format that browsers show"),
        ("a.png", png(0, 400, 9), "a width or height of 0"),
        ("a.jpg", jpeg(30, 0), "a width or height of 0"),
        ("a.gif", GIF.iter().map(|byte| byte & 0xfe).collect(), "no format that browsers show"),
        ("a.png", [header(8, 8, 8), end.clone()].concat(), "begins as PNG, but has no pixels"),
        (
            "a.png",
            [header(8, 8, 5), chunk(b"IDAT", b""), end].concat(),
            "begins as PNG, but its header says what that format does not allow",
        ),
        ("a.png", PNG[..50].to_vec(), "its PNG data says that it is longer than the 50 bytes"),
        // A name of another format changes nothing.
        ("a.png", jpeg(30, 20)[..30].to_vec(), "its JPEG data says that it is longer than the 30"),
    ];
    for (name, bytes, words) in rows {
        let found = problems(name, &bytes);
        assert_eq!(found.len(), 1, "{words}: {found:#?}");
        assert_eq!(found[0].rule, Rule::ImageBroken, "{words}");
        assert!(found[0].message.as_str().contains(words), "{words:?} is not in {found:#?}");
    }
}

/// The good site with a page, and with the images that it may show.
fn site(css: &str, body: &str) -> Files {
    let mut files = good_site();
    files.insert(path("extra.html"), page(&format!("<style>{css}</style>"), body).into_bytes());
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 200 50'/>";
    let images = [
        ("foto.png", png(800, 400, 40 << 10)),
        ("grande.png", png(1600, 800, 40 << 10)),
        ("ligeira.png", png(1600, 800, 9)),
        ("quadrado.png", png(400, 400, 9)),
        ("pesada.png", png(1600, 800, 1 << 20)),
        ("foto.jpg", jpeg(400, 200)),
        ("logo.svg", svg.to_vec()),
    ];
    files.extend(images.map(|(name, bytes)| (path(name), bytes)));
    files
}

/// What is said of the sizes of images in a file.
fn said(files: &Files, file: &str) -> Vec<String> {
    let verdict = verify(files, &options()).unwrap();
    assert!(verdict.is_good(), "{verdict}");
    let of_file = verdict
        .warnings
        .into_iter()
        .filter(|warning| warning.rule == Rule::ImageSize && warning.file.as_str() == file);
    of_file
        .map(|warning| {
            assert!(file != "extra.html" || warning.line.is_some(), "{warning:?}");
            warning.message.as_str().to_owned()
        })
        .collect()
}

#[test]
fn images_have_a_place_of_their_shape_and_files_that_fit_it() {
    let rows = [
        // A page jumps.
        ("", "<img src=foto.png alt=''>", Some("write those of the file, 800 by 400")),
        ("", "<img src=foto.png width=100% height=400 alt=''>", Some("so the page jumps")),
        ("img{width:100%;height:auto}", "<img src=foto.png alt=''>", Some("so the page jumps")),
        ("", "<img src='https://outra.example/a' alt=''>", Some("so the page jumps")),
        ("", "<img src=foto.jpg alt=''>", Some("write those of the file")),
        ("", "<img src=foto.png width=800 height=400 alt=''>", None),
        ("", "<img src=foto.png width=800px height=400px alt=''>", None),
        ("img{aspect-ratio:2/1}", "<img src=foto.png alt=''>", None),
        (".h{height:20rem}", "<img class=h src=foto.png alt=''>", None),
        ("", "<img src=foto.png style='height: 20rem' alt=''>", None),
        ("@media (min-width:40em){img{height:9rem}}", "<img src=foto.png alt=''>", None),
        ("img{position:absolute}", "<img src=foto.png alt=''>", None),
        ("img{display:none}", "<img src=foto.png alt=''>", None),
        (
            "",
            "<img hidden src=foto.png alt=''><noscript><img src=foto.png alt=''></noscript>",
            None,
        ),
        ("", "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' alt=''>", None),
        (
            "",
            "<picture><source srcset=foto.png width=800 height=400><img src=foto.png alt=''>\
             </picture>",
            None,
        ),
        // Another shape.
        (
            "",
            "<img src=foto.png width=400 height=400 alt=''>",
            Some("a place of 400 by 400 pixels, but the file is 800 by 400"),
        ),
        ("", "<img src=logo.svg width=64 height=64 alt=''>", Some("but the file is 200 by 50")),
        ("", "<img src=logo.svg width=80 height=20 alt=''>", None),
        ("img{object-fit:cover}", "<img src=foto.png width=400 height=400 alt=''>", None),
        ("img{height:9rem}", "<img src=foto.png width=400 height=400 alt=''>", None),
        (
            "",
            "<picture><source srcset=quadrado.png media='(width < 9em)'>\
             <img src=foto.png width=800 height=400 alt=''></picture>",
            Some("the image `quadrado.png` has a place of 800 by 400 pixels"),
        ),
        (
            "",
            "<picture><source srcset=quadrado.png width=400 height=400 media='(width < 9em)'>\
             <img src=foto.png width=800 height=400 alt=''></picture>",
            None,
        ),
        // Photos say how the camera was held.
        ("", "<img src=foto.jpg width=200 height=400 alt=''>", None),
        ("", "<img src=foto.jpg width=300 height=300 alt=''>", Some("the file is 400 by 200")),
        // Far more pixels than are shown.
        (
            "",
            "<img src=foto.png width=150 height=75 alt=''>",
            Some("is 800 pixels wide and shown at 150"),
        ),
        (
            ".m{width:100px}",
            "<img class=m src=foto.png width=800 height=400 alt=''>",
            Some(
                "wide and shown at 100, so visitors load much more than they see; write a file of \
                  at most 400 pixels",
            ),
        ),
        ("", "<img src=foto.png width=200 height=100 alt=''>", None),
        ("", "<img src=ligeira.png width=20 height=10 alt=''>", None),
        ("img{width:100%}", "<img src=foto.png width=150 height=75 alt=''>", None),
        ("", "<img src=logo.svg width=8 height=2 alt=''>", None),
        // Sets.
        (
            "",
            "<img srcset='foto.png 800w, grande.png 1600w' sizes=50vw src=grande.png width=80 \
             height=40 alt=''>",
            None,
        ),
        (
            "",
            "<img srcset='foto.png 400w, grande.png 1600w' sizes=50vw src=foto.png width=800 \
             height=400 alt=''>",
            Some("says that `foto.png` is 400 pixels wide, but the file has 800"),
        ),
        (
            "",
            "<img srcset='foto.png, grande.png 2x' src=foto.png width=400 height=200 alt=''>",
            None,
        ),
        (
            "",
            "<img srcset='foto.png 1x, grande.png 2x' src=foto.png width=200 height=100 alt=''>",
            Some("the image `grande.png` is 1600 pixels wide and shown at 200"),
        ),
    ];
    for (css, body, expected) in rows {
        let found = said(&site(css, body), "extra.html");
        assert_eq!(found.len(), usize::from(expected.is_some()), "{css} {body}: {found:#?}");
        if let Some(words) = expected {
            assert!(found[0].contains(words), "{css} {body}: {words:?} is not in {found:#?}");
        }
    }
}

#[test]
fn images_that_pages_show_are_light() {
    let heavy = "more than the 1048576 that phones load quickly";
    let rows = [
        ("", "<img src=pesada.png width=1600 height=800 alt=''>", true),
        ("", "<img srcset='pesada.png 2x' src=foto.png width=800 height=400 alt=''>", true),
        ("p{background:url(pesada.png)}", "<p>x</p>", true),
        // Somebody wants it in full.
        ("", "<a href=pesada.png>x</a>", false),
    ];
    for (css, body, is_warned) in rows {
        let found = said(&site(css, body), "pesada.png");
        assert_eq!(found.iter().any(|said| said.contains(heavy)), is_warned, "{body}: {found:#?}");
    }
}
