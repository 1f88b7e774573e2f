//! The pictures of `docs/src/author/gallery.md`: one of each starter and each template that we ship.
//!
//! `SITEWRIGHT_UPDATE_GALLERY=1` makes them anew, with Chromium: of starters from their sample
//! order, by the native test of JavaScript, and of templates from an order of the tests. They are
//! packed tighter than Chromium does, without a change of any pixel.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use sitewright_tests::author::Desk;
use sitewright_tests::languages::plugin;
use sitewright_tests::root;
use sitewright_tests::standins::skipped;
use tempfile::TempDir;

use crate::author::{JAVASCRIPT_PAGES, NAME, STARTERS, begin, pages_of_all_orders};
use crate::pages::{make, program};

/// Maximum size of a picture: all of them are in the repository.
const MAX_BYTES: usize = 60 << 10;
/// The first bytes of each PNG.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Width and height of a picture, in pixels.
const SIZE: (u32, u32) = (640, 480);
/// Size of the window, in pixels of CSS: a picture shows more than its pixels.
const WINDOW: &str = "--window-size=1000,750";
const SCALE: &str = "--force-device-scale-factor=0.64";

/// The templates that we ship, each with an order of the tests and its language.
const SHIPPED: [(&str, &str, &str); 3] = [
    ("local-business", "03-plumber-us-premium", "en"),
    ("landing-py", "01-restaurant-ptbr-full", "pt-BR"),
    ("landing-js", "02-dentist-us-minimal", "en"),
];

/// The starter with which a project begins if none is named, and all others that have pages of their
/// own.
fn starters() -> impl Iterator<Item = &'static str> {
    ["one-page"].into_iter().chain(STARTERS.map(|(starter, _)| starter))
}

fn picture(name: &str) -> PathBuf {
    root().join("docs/src/author/gallery").join(name).with_extension("png")
}

#[test]
fn the_gallery_shows_every_starter_and_every_template() {
    let test = "the_gallery_shows_every_starter_and_every_template";
    if std::env::var_os("SITEWRIGHT_UPDATE_GALLERY").is_some() {
        update(test);
    }
    let book = fs::read_to_string(root().join("docs/src/author/gallery.md")).unwrap();
    let names: Vec<&str> = starters().chain(SHIPPED.map(|(name, ..)| name)).collect();
    for name in &names {
        assert!(book.contains(&format!("(gallery/{name}.png)")), "{name} is not in the gallery");
        let png = fs::read(picture(name)).unwrap();
        assert!(png.len() <= MAX_BYTES, "{name}: {} bytes", png.len());
        // The header of a PNG: its signature, and the first chunk with width and height.
        let header = [SIGNATURE, b"\0\0\0\rIHDR", &SIZE.0.to_be_bytes(), &SIZE.1.to_be_bytes()];
        assert!(png.starts_with(&header.concat()), "{name} is not {SIZE:?} pixels large");
    }
    let pictures = fs::read_dir(picture("x").parent().unwrap()).unwrap().count();
    assert_eq!(pictures, names.len(), "a picture shows nothing that there is");
}

/// Makes all pictures.
fn update(test: &str) {
    let Some(browser) = program(&["/usr/bin/chromium", "/usr/bin/chromium-browser"], "--version")
    else {
        return skipped(test, "chromium is not here");
    };
    fs::create_dir_all(picture("x").parent().unwrap()).unwrap();
    let desk = Desk::clean("gallery");
    for starter in starters() {
        desk.empty();
        begin(&desk, "js", starter);
        pages_of_all_orders(&desk, ("test/pages.test.js", JAVASCRIPT_PAGES), &[]);
        take(&browser, &desk.path().join(NAME).join("pages/order.json"), starter);
    }
    for (name, order, locale) in SHIPPED {
        if name != "local-business" && plugin(name, test).is_none() {
            continue;
        }
        let site = TempDir::new().unwrap();
        make(name, order, locale, site.path());
        take(&browser, site.path(), name);
    }
}

/// Takes a picture of the entry page of a site.
fn take(browser: &Path, site: &Path, name: &str) {
    let page = site.join("index.html");
    let profile = TempDir::new().unwrap();
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", WINDOW, SCALE])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--screenshot={}", picture(name).display()))
        .arg(format!("file://{}", page.display()));
    let ended = command.stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
    let taken = fs::read(picture(name)).unwrap();
    fs::write(picture(name), repacked(&taken)).unwrap();
}

/// The same picture in fewer bytes. Chromium filters the rows, which serves photographs: pages have
/// areas of one colour and letters that repeat, and are smaller without filters.
fn repacked(taken: &[u8]) -> Vec<u8> {
    let (header, rows) = unfiltered(taken);
    png(&header, &rows)
}

/// The data of the header of a PNG, and its rows, each behind a zero: the number of no filter. The
/// colours must be RGB or RGBA of 8 bits, without passes.
fn unfiltered(png: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut header: Vec<u8> = Vec::new();
    let mut packed: Vec<u8> = Vec::new();
    let mut rest = png.strip_prefix(SIGNATURE).unwrap();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        let (name, behind) = behind.split_at(4);
        let (data, behind) = behind.split_at(length);
        match name {
            b"IHDR" => header.extend(data),
            b"IDAT" => packed.extend(data),
            _ => {}
        }
        // Behind the check sum.
        rest = &behind[4..];
    }
    let pixel = match header[8..] {
        [8, 2, 0, 0, 0] => 3,
        [8, 6, 0, 0, 0] => 4,
        _ => panic!("a header of another kind: {header:?}"),
    };
    let width = u32::from_be_bytes(*header.first_chunk().unwrap());
    let row = usize::try_from(width).unwrap() * pixel;
    let mut filtered = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut filtered).unwrap();

    let mut rows: Vec<u8> = Vec::with_capacity(filtered.len());
    let mut above = vec![0; row];
    for filtered in filtered.chunks_exact(row + 1) {
        let mut plain: Vec<u8> = Vec::with_capacity(row);
        for (at, byte) in filtered[1..].iter().enumerate() {
            let before = at.checked_sub(pixel);
            let [left, corner] = [&plain, &above].map(|row| before.map_or(0, |at| row[at]));
            let guess = match filtered[0] {
                0 => 0,
                1 => left,
                2 => above[at],
                3 => u8::midpoint(left, above[at]),
                4 => nearest(left, above[at], corner),
                other => panic!("a filter of another kind: {other}"),
            };
            plain.push(byte.wrapping_add(guess));
        }
        rows.push(0);
        rows.extend(&plain);
        above = plain;
    }
    (header, rows)
}

/// The neighbour that is nearest to the sum of left and upper one without the corner: filter 4 of
/// PNG.
fn nearest(left: u8, up: u8, corner: u8) -> u8 {
    let expected = i16::from(left) + i16::from(up) - i16::from(corner);
    let distance = |byte: &u8| (expected - i16::from(*byte)).abs();
    [left, up, corner].into_iter().min_by_key(distance).unwrap()
}

/// A PNG of a header and rows.
fn png(header: &[u8], rows: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8], data: &[u8]| {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(data);
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], name, data, &sum.sum().to_be_bytes()].concat()
    };
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(rows).unwrap();
    let packed = packed.finish().unwrap();
    [SIGNATURE, &chunk(b"IHDR", header), &chunk(b"IDAT", &packed), &chunk(b"IEND", b"")].concat()
}

#[test]
fn a_repacked_picture_has_the_same_pixels() {
    // Two pixels of RGB in each row, and each row with another filter.
    let header: [u8; 13] = [0, 0, 0, 2, 0, 0, 0, 5, 8, 2, 0, 0, 0];
    let filtered: [[u8; 7]; 5] = [
        [0, 10, 20, 30, 40, 50, 60],
        [1, 1, 2, 3, 4, 5, 250],
        [2, 7, 0, 200, 9, 100, 1],
        [3, 5, 6, 7, 8, 9, 10],
        [4, 3, 2, 1, 255, 128, 64],
    ];
    let plain: [[u8; 7]; 5] = [
        [0, 10, 20, 30, 40, 50, 60],
        [0, 1, 2, 3, 5, 7, 253],
        [0, 8, 2, 203, 14, 107, 254],
        [0, 9, 7, 108, 19, 66, 191],
        [0, 12, 9, 109, 18, 194, 255],
    ];
    let repacked = repacked(&png(&header, filtered.as_flattened()));
    assert_eq!(unfiltered(&repacked), (header.to_vec(), plain.as_flattened().to_vec()));
}
