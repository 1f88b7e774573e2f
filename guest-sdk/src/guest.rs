//! The exports of the component; see [`export!`](crate::export!).

use std::{marker::PhantomData, panic, sync::Once};

use bindings::{
    exports::sitewright::template::generator::Guest,
    sitewright::template::types::{AiPurpose, Attribute, Failure, Manifest},
};

use crate::{Error, Site, Template, ai::CurrentOrder, backend, order::Order, stall};

/// The bindings of the contract in `wit/`.
// The path leads out of this crate: publishing it alone needs a copy of that folder.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the canonical ABI needs unsafe code"
)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "template",
        path: "../wit/0.2.0",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "sitewright_sdk::__guest::bindings",
    });
}

/// Implements the contract's exports for a template.
pub struct Component<T>(PhantomData<T>);

impl<T: Template> Guest for Component<T> {
    fn describe() -> Manifest {
        report_panics();
        let manifest = T::manifest();
        Manifest {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            order_schema: manifest.order_schema.to_string(),
            ai_purposes: manifest
                .ai_purposes
                .into_iter()
                .map(|purpose| AiPurpose { name: purpose.name, description: purpose.description })
                .collect(),
            locales: manifest.locales,
            order_fields: manifest.order_fields,
            copy_marks: manifest.copy_marks,
            fallback_locale: manifest.fallback_locale,
            site_bytes: manifest.site_bytes,
            external_hosts: manifest.external_hosts,
            exempt_purposes: manifest.exempt_purposes,
        }
    }

    async fn generate(order: String) -> Result<(), Failure> {
        report_panics();
        let document = order;
        let _current = CurrentOrder::set(&document);
        let order: Order = serde_json::from_str(&document).map_err(|error| {
            failure(
                Error::from(error)
                    .context("the order could not be read")
                    .with_code("order-unreadable"),
            )
        })?;
        // Thousands of templates can wait for AI calls at the same time.
        drop(document);
        let work = T::generate(order, Site::new());
        stall::watched(backend::wasm::is_waiting, work).await.map_err(failure)
    }
}

fn failure(error: Error) -> Failure {
    Failure {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        causes: error.causes().to_vec(),
        location: Some(backend::wasm::location(error.location())),
        ai_calls: error.ai_calls().to_vec(),
        attributes: attributes(error.attributes().to_vec()),
    }
}

pub(crate) fn attributes(attributes: Vec<(String, String)>) -> Vec<Attribute> {
    attributes.into_iter().map(|(name, value)| Attribute { name, value }).collect()
}

/// Installs a panic hook that reports each panic to the host before the trap, and then to stderr.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let message = match panic.payload_as_str() {
                Some(text) if text.trim().is_empty() => "a panic without a message",
                Some(text) => text,
                None => "a panic whose payload is no text",
            };
            backend::wasm::panicked(message.to_owned(), panic.location());
            print(panic);
        }));
    });
}
