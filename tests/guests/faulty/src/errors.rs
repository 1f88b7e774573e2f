//! Errors with causes.

use std::{error::Error as StdError, fmt};

use sitewright_sdk::prelude::*;

use crate::output;

/// An error with a source.
#[derive(Debug)]
struct Layer {
    says: &'static str,
    source: Option<Box<Layer>>,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|layer| layer as _)
    }
}

/// Writes a page and fails afterwards, for a reason with a reason with a reason.
pub(crate) fn three_deep(site: &Site) -> Result<()> {
    site.write("index.html", output::page("Faulty", "This page must never become visible."))?;
    let bread = Layer { says: "the root: no bread", source: None };
    let menu = Layer { says: "the middle: no menu", source: Some(Box::new(bread)) };
    Err(menu).context("the services page could not be made").map_err(|error: Error| {
        error.with_code("missing-service").attribute("page", "services").context("no site was made")
    })
}

/// Panics with what would repaint a terminal and turn its lines round.
#[inline(never)]
pub(crate) fn panic_escaping() -> ! {
    panic!("a panic that turns \u{1b}[2J\u{1b}[31m the \u{202e} page\r\u{7} over");
}
