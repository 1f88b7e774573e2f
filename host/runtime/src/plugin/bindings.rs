//! Bindings of the contract, generated from `wit/`.
//!
//! Each published version has a module; the rest of the host uses the newest. Of the imports only
//! the types are used: the functions are linked by hand in `host_functions`, because generated ones
//! copy their arguments whole before the host sees how long they are.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/template.wit")]

/// Version 0.1.0.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit",
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

/// The world with blocking functions of version 0.1.0. Types of both worlds are those of [`v0_1`].
pub mod v0_1_sync {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "template-sync",
        imports: {
            // The caller's fiber waits, and no thread.
            "sitewright:template/ai-sync": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "sitewright:template/types": super::v0_1::sitewright::template::types,
            "sitewright:template/ai-types": super::v0_1::sitewright::template::ai_types,
            "sitewright:template/diagnostics": super::v0_1::sitewright::template::diagnostics,
            "sitewright:template/site": super::v0_1::sitewright::template::site,
        },
    });

    use super::generator;
    use exports::sitewright::template::generator_sync;

    impl From<generator_sync::Manifest> for generator::Manifest {
        fn from(manifest: generator_sync::Manifest) -> Self {
            let generator_sync::Manifest {
                name,
                version,
                summary,
                order_schema,
                ai_purposes,
                locales,
            } = manifest;
            let purpose = |generator_sync::AiPurpose { name, description }| generator::AiPurpose {
                name,
                description,
            };
            let ai_purposes = ai_purposes.into_iter().map(purpose).collect();
            generator::Manifest { name, version, summary, order_schema, ai_purposes, locales }
        }
    }

    impl From<generator_sync::Failure> for generator::Failure {
        fn from(failure: generator_sync::Failure) -> Self {
            let generator_sync::Failure { code, message, causes, location, ai_calls, attributes } =
                failure;
            generator::Failure { code, message, causes, location, ai_calls, attributes }
        }
    }
}

pub use v0_1::TemplatePre;
pub use v0_1::exports::sitewright::template::generator;
pub use v0_1::sitewright::template::{ai_types, diagnostics, site, types};
pub use v0_1_sync::TemplateSyncPre;
