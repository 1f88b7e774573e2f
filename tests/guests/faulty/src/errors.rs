//! Errors with causes, and a panic message with control characters.

use std::{error::Error as StdError, fmt};

use sitewright_sdk::prelude::*;

use crate::output;

/// An error with a source.
#[derive(Debug)]
struct Layer {
    message: &'static str,
    source: Option<Box<Layer>>,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|layer| layer as _)
    }
}

/// Writes a page, then returns an error with a chain of three causes.
pub(crate) fn three_deep(site: &Site) -> Result<()> {
    site.write("index.html", output::page("Faulty", "This page must never become visible."))?;
    let bread = Layer { message: "the root: no bread", source: None };
    let menu = Layer { message: "the middle: no menu", source: Some(Box::new(bread)) };
    Err(menu).context("the services page could not be made").map_err(|error: Error| {
        error.with_code("missing-service").attribute("page", "services").context("no site was made")
    })
}

/// Panics with escape sequences and a right-to-left override in the message.
#[inline(never)]
pub(crate) fn panic_escaping() -> ! {
    panic!("a panic that turns \u{1b}[2J\u{1b}[31m the \u{202e} page\r\u{7} over");
}
