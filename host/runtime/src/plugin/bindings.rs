//! Bindings of the contract, generated from `wit/`.
//!
//! Each published version has a module; the rest of the host uses the newest. Of the imports only
//! the types are used: the functions are linked by hand in `host_functions`, because generated ones
//! copy their arguments whole before the host sees how long they are.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/")]

/// Version 0.2.0.
pub mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
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

/// The world with blocking functions of version 0.2.0. Types of both worlds are those of [`v0_2`].
pub mod v0_2_sync {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "template-sync",
        imports: {
            // The caller's fiber waits, and no thread.
            "sitewright:template/ai-sync": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "sitewright:template/types": super::v0_2::sitewright::template::types,
            "sitewright:template/ai-types": super::v0_2::sitewright::template::ai_types,
            "sitewright:template/diagnostics": super::v0_2::sitewright::template::diagnostics,
            "sitewright:template/site": super::v0_2::sitewright::template::site,
        },
    });
}

/// Version 0.1.0: an adapter, whose types become those of [`v0_2`]. Types that are the same in both
/// versions are one.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "template",
        imports: {
            "sitewright:template/site": async | trappable,
            "sitewright:template/ai.complete-stream": store | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "sitewright:template/types": super::v0_2::sitewright::template::types,
        },
    });

    use super::types;
    pub use exports::sitewright::template::generator;
    use sitewright::template::ai_types;

    impl From<generator::Manifest> for types::Manifest {
        fn from(manifest: generator::Manifest) -> Self {
            let generator::Manifest { name, version, summary, order_schema, ai_purposes, locales } =
                manifest;
            let purpose =
                |generator::AiPurpose { name, description }| types::AiPurpose { name, description };
            types::Manifest {
                name,
                version,
                summary,
                order_schema,
                ai_purposes: ai_purposes.into_iter().map(purpose).collect(),
                locales,
                order_fields: None,
                copy_marks: Vec::new(),
                fallback_locale: None,
                site_bytes: None,
                external_hosts: Vec::new(),
                exempt_purposes: Vec::new(),
            }
        }
    }

    impl From<generator::Failure> for types::Failure {
        fn from(failure: generator::Failure) -> Self {
            let generator::Failure { code, message, causes, location, ai_calls, attributes } =
                failure;
            types::Failure { code, message, causes, location, ai_calls, attributes }
        }
    }

    impl From<super::ai_types::Completion> for ai_types::Completion {
        fn from(completion: super::ai_types::Completion) -> Self {
            use super::ai_types::FinishReason;
            let super::ai_types::Completion {
                content,
                finish_reason,
                usage,
                provider,
                model,
                call_id,
            } = completion;
            ai_types::Completion {
                content,
                finish_reason: match finish_reason {
                    // This version cannot tell the two apart.
                    FinishReason::Stop | FinishReason::Unsaid => ai_types::FinishReason::Stop,
                    FinishReason::Other => ai_types::FinishReason::Other,
                },
                usage: ai_types::Usage {
                    input_tokens: usage.input_tokens,
                    output_tokens: usage.output_tokens,
                },
                provider,
                model,
                call_id,
            }
        }
    }
}

/// The world with blocking functions of version 0.1.0. Types of both worlds are those of [`v0_1`].
pub mod v0_1_sync {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "template-sync",
        imports: {
            "sitewright:template/ai-sync": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "sitewright:template/types": super::v0_2::sitewright::template::types,
            "sitewright:template/ai-types": super::v0_1::sitewright::template::ai_types,
            "sitewright:template/diagnostics": super::v0_1::sitewright::template::diagnostics,
            "sitewright:template/site": super::v0_1::sitewright::template::site,
        },
    });

    use super::v0_1::generator;
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

pub use v0_2::sitewright::template::{ai_types, diagnostics, site, types};
