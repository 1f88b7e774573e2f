//! Writes the sites of the test orders to a folder, to look at: `cargo run -p local-business
//! --example render -- FOLDER`.
#![allow(clippy::unwrap_used, reason = "a tool for the author")]

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
