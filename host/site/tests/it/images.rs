//! Files of images that browsers cannot show, and the places that pages have for images.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{
    Files, GIF, PNG, chunk, good_site, options, packed, page, path, png, png_header,
};
use sitewright_site::verify::verify_counted;
use sitewright_site::{Rule, SiteProblem, verify};

/// Pictures of real encoders, as `pictures/make.py` makes them. The first are of 40 by 56 pixels,
/// the others of 24 by 24.
const BASELINE: &[u8] = include_bytes!("pictures/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("pictures/progressive.jpg");
const RESTARTS: &[u8] = include_bytes!("pictures/gray-restarts.jpg");
const CMYK: &[u8] = include_bytes!("pictures/cmyk.jpg");
const LOSSY: &[u8] = include_bytes!("pictures/lossy.webp");
const LOSSY_ALPHA: &[u8] = include_bytes!("pictures/lossy-alpha.webp");
const LOSSLESS_ALPHA: &[u8] = include_bytes!("pictures/lossless-alpha.webp");
const MOVING_WEBP: &[u8] = include_bytes!("pictures/moving.webp");
const STILL_GIF: &[u8] = include_bytes!("pictures/still.gif");
const MOVING_GIF: &[u8] = include_bytes!("pictures/moving.gif");

/// A gray JPEG: each block is a code of one bit for "as before", and one for "nothing more".
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    let table = |kind| [&[0xff, 0xc4, 0, 20, kind, 1][..], &[0; 16]].concat();
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    [
        &b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08"[..],
        &size[..],
        b"\x01\x01\x11\0",
        &table(0),
        &table(0x10),
        SCAN,
        &vec![0; (2 * blocks).div_ceil(8)],
        b"\xff\xd9",
    ]
    .concat()
}

/// The head of a scan of a gray JPEG.
const SCAN: &[u8] = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0";

/// A black GIF: the codes have as many bits as a byte while they begin anew often enough.
fn gif(width: u16, height: u16) -> Vec<u8> {
    let head = [&b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0"[..], &width.to_le_bytes()].concat();
    let pixels = usize::from(width) * usize::from(height);
    let mut codes = Vec::new();
    for at in (0..pixels).step_by(100) {
        codes.push(0x80);
        codes.extend(vec![0; 100.min(pixels - at)]);
    }
    codes.push(0x81);
    let blocks = codes.chunks(255).flat_map(|codes| {
        let length = u8::try_from(codes.len()).unwrap();
        [&[length][..], codes].concat()
    });
    [&head[..], &height.to_le_bytes(), b"\0\x07", &blocks.collect::<Vec<u8>>(), b"\0;"].concat()
}

/// A WebP of one chunk, whose data has only its first half, as its lengths say.
fn half_of_webp(webp: &[u8]) -> Vec<u8> {
    let half = u32::try_from(webp.len() - 20).unwrap() / 4 * 2;
    let (length, kept) = (half + 12, usize::try_from(half).unwrap());
    let (name, data) = (&webp[8..16], &webp[20..20 + kept]);
    [&b"RIFF"[..], &length.to_le_bytes(), name, &half.to_le_bytes(), data].concat()
}

/// A PNG with these chunks of packed rows.
fn png_of(width: u32, height: u32, kind: [u8; 3], data: &[&[u8]]) -> Vec<u8> {
    let mut bytes = png_header(width, height, kind);
    if kind[1] == 3 {
        bytes.extend(chunk(b"PLTE", &[0; 48]));
    }
    for data in data {
        bytes.extend(chunk(b"IDAT", data));
    }
    [bytes, chunk(b"IEND", b"")].concat()
}

/// The rows of a PNG of 20 by 20 pixels: of 8 bits, with the filters in turn.
fn rows() -> Vec<u8> {
    (0..20_u8).flat_map(|row| [&[row % 5][..], &[row; 20]].concat()).collect()
}

fn gray(rows: &[u8]) -> Vec<u8> {
    png_of(20, 20, [8, 0, 0], &[&packed(rows)])
}

/// An AVIF file with these brands, of four bytes each, and a second box.
fn avif(brands: &str) -> Vec<u8> {
    let length = u8::try_from(8 + brands.len()).unwrap();
    [&[0, 0, 0, length][..], b"ftyp", brands.as_bytes(), b"\0\0\0\x08meta"].concat()
}

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
        ("a.webp", LOSSLESS_ALPHA.to_vec()),
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
        for length in [0, 2, bytes.len() / 2, bytes.len() - 17] {
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
        (
            "a.png",
            [png_header(8, 8, [8, 0, 0]), end.clone()].concat(),
            "begins as PNG, but has no pixels",
        ),
        (
            "a.png",
            [png_header(8, 8, [5, 0, 0]), chunk(b"IDAT", b""), end].concat(),
            "begins as PNG, but its header says what that format does not allow",
        ),
        ("a.png", PNG[..50].to_vec(), "its PNG data says that it is longer than the 50 bytes"),
        ("a.png", PNG[..33].to_vec(), "begins as PNG, but has no pixels"),
        (
            "a.jpg",
            BASELINE[..BASELINE.len() - 2].to_vec(),
            "the image is cut: it ends without the end mark of a JPEG",
        ),
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

/// What browsers show well, by what is special about it.
fn good_pictures() -> Vec<(String, Vec<u8>)> {
    let mut pictures: Vec<(String, Vec<u8>)> = [
        ("baseline.jpg", BASELINE),
        ("progressive.jpg", PROGRESSIVE),
        ("restarts.jpg", RESTARTS),
        ("cmyk.jpg", CMYK),
        ("lossy.webp", LOSSY),
        ("lossy-alpha.webp", LOSSY_ALPHA),
        ("lossless-alpha.webp", LOSSLESS_ALPHA),
        ("moving.webp", MOVING_WEBP),
        ("still.gif", STILL_GIF),
        ("moving.gif", MOVING_GIF),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
    .into();
    let (width, height) = (9_u64, 5_u64);
    for [depth, color, channels] in
        [[1, 0, 1], [16, 0, 1], [8, 2, 3], [16, 2, 3], [2, 3, 1], [8, 4, 2], [16, 6, 4]]
    {
        // Columns and rows of each pass.
        let passes = [(2, 1), (1, 1), (3, 1), (2, 2), (5, 1), (4, 3), (9, 2)];
        for (interlaced, passes) in [(0, &[(width, height)][..]), (1, &passes[..])] {
            let bytes = |columns: u64| 1 + (columns * depth * channels).div_ceil(8);
            let all: u64 = passes.iter().map(|(columns, rows)| rows * bytes(*columns)).sum();
            let rows = packed(&vec![0; usize::try_from(all).unwrap()]);
            let (first, second) = rows.split_at(1);
            let [depth, color] = [depth, color].map(|number| u8::try_from(number).unwrap());
            let kind = [depth, color, interlaced];
            let name = format!("{depth}-bits-{color}-{interlaced}.png");
            pictures.push((name, png_of(9, 5, kind, &[first, second])));
        }
    }
    pictures
}

#[test]
fn pictures_that_browsers_show_are_whole() {
    let mut pictures = good_pictures();
    let mut add = |name: &str, bytes: Vec<u8>| pictures.push((name.to_owned(), bytes));
    add("more-behind.jpg", [BASELINE, b"more"].concat());
    add("no-trailer.gif", STILL_GIF[..STILL_GIF.len() - 1].to_vec());
    let mut second_frame = MOVING_GIF.to_vec();
    second_frame[2230..2240].fill(0xff);
    add("broken-second-frame.gif", second_frame);
    let mut sum = packed(&rows());
    *sum.last_mut().unwrap() ^= 1;
    add("sum-of-rows.png", png_of(20, 20, [8, 0, 0], &[&sum]));
    add("more-rows.png", gray(&[rows(), rows()].concat()));
    let packed = packed(&rows());
    let bytes: Vec<&[u8]> = packed.chunks(1).collect();
    add("chunks-of-a-byte.png", png_of(20, 20, [8, 0, 0], &bytes));
    let mut text = chunk(b"tEXt", b"a\0b");
    *text.last_mut().unwrap() ^= 1;
    let png = gray(&rows());
    add("sum-of-text.png", [&png[..33], &text, &png[33..]].concat());
    for missing in [1, 5, 12] {
        add(&format!("no-end-{missing}.png"), png[..png.len() - missing].to_vec());
    }
    for (name, bytes) in pictures {
        assert_eq!(problems(&name, &bytes), [], "{name}");
    }
}

#[test]
fn pictures_whose_pixels_do_not_decode_are_broken() {
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    // As if it had its end.
    let cut = |jpeg: &[u8]| [&jpeg[..jpeg.len() * 3 / 4], b"\xff\xd9"].concat();
    let mut no_end = gray(&rows()[..210]);
    no_end.truncate(no_end.len() - 12);
    let gray_rows = packed(&rows());
    let mut wrong_filter = rows();
    wrong_filter[10 * 21] = 9;
    let interlaced = |bytes: usize| png_of(20, 20, [8, 0, 1], &[&packed(&vec![0; bytes])]);
    let no_palette = [png_header(8, 8, [8, 3, 0]), gray(&rows())[33..].to_vec()].concat();
    let mut codes = STILL_GIF.to_vec();
    codes[795..797].fill(0xff);
    let mut signature = LOSSLESS_ALPHA.to_vec();
    signature[20] = 0;
    let bomb = [
        png_header(30_000, 30_000, [8, 0, 0]),
        chunk(b"IDAT", &packed(&[0; 1_000])),
        chunk(b"IEND", b""),
    ];
    let scans = [SCAN, &[0]].concat().repeat(501);
    let scans = [&jpeg(8, 8)[..65], &scans, b"\xff\xd9"].concat();
    let rows = [
        ("a.jpg", cut(BASELINE), "the picture ends after row 16 of 56, so browsers show a part"),
        ("b.jpg", cut(RESTARTS), "the picture ends after row 32 of 56"),
        ("c.jpg", cut(CMYK), "the picture ends after row 32 of 56"),
        // The same without an end.
        ("d.jpg", BASELINE[..1036].to_vec(), "of a JPEG, and the picture ends after row 16 of 56"),
        ("e.jpg", flipped(BASELINE, 1321), "the picture is broken after row 48 of 56"),
        ("f.jpg", flipped(PROGRESSIVE, 1009), "broken before the first of 56 rows in pass 10"),
        ("g.jpg", scans, "more than 500 scans"),
        ("a.png", gray(&rows()[..210]), "the picture ends after row 10 of 20"),
        ("i.png", no_end, "the picture ends after row 10 of 20, so browsers show a part of it"),
        ("b.png", flipped(&gray(&rows()), 60), "so browsers show a part of it, or nothing"),
        (
            "h.png",
            flipped(&gray(&rows()), 40 + gray_rows.len()),
            "the picture was changed before the first of 20 rows: the checksum of its PNG data",
        ),
        (
            "c.png",
            png_of(20, 20, [8, 0, 0], &[&flipped(&gray_rows, 0)]),
            "broken before the first of 20 rows, so browsers show a part of it, or nothing: its PNG",
        ),
        ("d.png", gray(&wrong_filter), "the picture is broken after row 10 of 20"),
        ("e.png", interlaced(19), "the picture ends after row 2 of 3 in pass 2"),
        ("f.png", no_palette, "numbers of colours, but no colours"),
        ("g.png", bomb.concat(), "has 30000 by 30000 pixels, for which browsers need more memory"),
        ("a.gif", [&STILL_GIF[..1048], b"\0;"].concat(), "the picture ends after row 9 of 24"),
        ("b.gif", codes, "the picture is broken before the first of 24 rows"),
        ("c.gif", STILL_GIF[..1100].to_vec(), "of the file, and the picture ends after row "),
        ("a.webp", half_of_webp(LOSSY), "its WebP data cannot be decoded, so browsers show"),
        ("b.webp", half_of_webp(LOSSLESS_ALPHA), "its WebP data cannot be decoded"),
        ("c.webp", signature, "its WebP data cannot be decoded"),
    ];
    for (name, bytes, words) in rows {
        let found = problems(name, &bytes);
        assert_eq!(found.len(), 1, "{name}: {words}: {found:#?}");
        assert_eq!((found[0].rule, found[0].file.as_str()), (Rule::ImageBroken, name), "{words}");
        assert!(found[0].message.as_str().contains(words), "{words:?} is not in {found:#?}");
    }
}

/// Steps beyond twice those of a picture with half as many pixels.
const SLACK: u64 = 64 << 10;

#[test]
fn twice_as_many_pixels_take_at_most_twice_the_steps() {
    type Maker = fn(u16) -> Vec<u8>;
    let makers: [(&str, Maker); 3] = [
        ("a.png", |n| png(2_048, 4_096 * u32::from(n), 0)),
        ("a.jpg", |n| jpeg(2_048, 4_096 * n)),
        ("a.gif", |n| gif(512, 1_024 * n)),
    ];
    let steps = |name: &str, bytes: Vec<u8>| {
        let mut files = good_site();
        files.insert(path(name), bytes);
        let (verdict, steps) = verify_counted(&files, &options()).unwrap();
        assert!(verdict.is_good(), "{name}: {verdict}");
        steps
    };
    for (name, picture) in makers {
        let (once, twice) = (steps(name, picture(1)), steps(name, picture(2)));
        assert!(twice <= 2 * once + SLACK, "{name}: {once} steps, then {twice}");
        assert!(twice > once + SLACK, "{name}: pixels are not counted: {once}, then {twice}");
    }
    // Nothing is decoded of a picture with too many.
    let bomb = png_of(30_000, 30_000, [8, 0, 0], &[&packed(&vec![0; 1_000_000])]);
    let mut files = good_site();
    let (_, without) = verify_counted(&files, &options()).unwrap();
    files.insert(path("a.png"), bomb);
    let (_, with) = verify_counted(&files, &options()).unwrap();
    assert!(with <= without + SLACK, "{without} steps, then {with}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn changed_pictures_are_checked(
        picture in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<Index>()),
    ) {
        let pictures = good_pictures();
        let (name, bytes) = picture.get(&pictures);
        let mut bytes = bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for problem in problems(name, &bytes) {
            prop_assert_eq!(problem.rule, Rule::ImageBroken, "{:?}", problem);
        }
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
