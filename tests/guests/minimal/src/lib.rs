//! A template that does nothing, to measure the overhead of a run.
#![cfg(target_family = "wasm")]

use sitewright_sdk::prelude::*;

struct Minimal;

impl Template for Minimal {
    fn manifest() -> Manifest {
        Manifest::new("minimal", env!("CARGO_PKG_VERSION"), "Does nothing.").locale("en")
    }

    async fn generate(_order: Order, _site: Site) -> Result<()> {
        Ok(())
    }
}

sitewright_sdk::export!(Minimal);
