//! The pictures of `docs/src/author/gallery.md`: one of each starter and each template that we ship.
//!
//! `SITEWRIGHT_UPDATE_GALLERY=1` makes them anew, with Chromium: of starters from their sample
//! order, by the native test of JavaScript, and of templates from an order of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sitewright_tests::author::Desk;
use sitewright_tests::languages::plugin;
use sitewright_tests::root;
use sitewright_tests::standins::skipped;
use tempfile::TempDir;

use crate::author::{JAVASCRIPT_PAGES, NAME, STARTERS, begin, pages_of_all_orders};
use crate::pages::{make, program};

/// Maximum size of a picture: all of them are in the repository.
const MAX_BYTES: usize = 60 << 10;
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
        let header =
            [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &SIZE.0.to_be_bytes(), &SIZE.1.to_be_bytes()];
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
}
