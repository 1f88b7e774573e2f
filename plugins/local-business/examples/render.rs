//! Renders the sites of the test orders, and one in each language, into a folder, for review in a
//! browser:
//! `cargo run -p local-business --example render -- FOLDER`. Default: `target/local-business`.
#![allow(clippy::unwrap_used, reason = "developer tool")]

use std::path::PathBuf;

use local_business::language::Language;

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    let folder = PathBuf::from(
        std::env::args().nth(1).unwrap_or_else(|| "target/local-business".to_owned()),
    );
    let orders =
        common::ORDERS.map(|(name, locale)| (name.to_owned(), common::order(name, locale)));
    let real = common::REAL.map(|name| (name.to_owned(), common::real_order(name)));
    let languages = Language::ALL.map(|language| {
        let order = common::order("03-plumber-us-premium", language.code());
        (format!("language-{}", language.code()), order)
    });
    for (name, order) in orders.into_iter().chain(real).chain(languages) {
        let run = common::site_of(&order);
        for (path, bytes) in &run.files {
            let path = folder.join(&name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
