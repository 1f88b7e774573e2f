//! The contract's host side, generated from `wit/`.
//!
//! Each published version of the contract has a module here; the rest of the host works with the newest.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/template.wit")]

/// Version 0.1.0.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "template",
        imports: {
            "sitewright:template/site": async | trappable,
            // Makes a stream and a future in the store.
            "sitewright:template/ai.complete-stream": store | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub use v0_1::exports::sitewright::template::generator;
pub use v0_1::sitewright::template::{ai, ai_types, diagnostics, site, types};
pub use v0_1::{Template as TemplateWorld, TemplatePre};
