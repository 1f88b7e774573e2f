//! Renders the sites of the test orders into a folder, for review in a browser:
//! `cargo run -p local-business --example render -- FOLDER`. Default: `target/local-business`.
#![allow(clippy::unwrap_used, reason = "developer tool")]

use std::path::PathBuf;

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    let folder = PathBuf::from(
        std::env::args().nth(1).unwrap_or_else(|| "target/local-business".to_owned()),
    );
    for (name, locale) in common::ORDERS {
        let run = common::site_of(&common::order(name, locale));
        for (path, bytes) in &run.files {
            let path = folder.join(name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
