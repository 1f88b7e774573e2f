//! The worlds of the contract: which of them a component is made for, and how its exports are
//! called.

use std::sync::Arc;

use std::fmt;

use serde::Serialize;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use super::bindings::{types, v0_1, v0_1_sync, v0_2, v0_2_sync};
use super::meter::LimitHit;
use crate::host_functions::GuestState;

/// A world of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// With async functions.
    Template,
    /// With blocking ones, for languages whose tools lack async functions.
    TemplateSync,
}

impl World {
    /// The world of this version that a component is made for, by its exports. `Template` if it
    /// exports neither generator.
    pub(super) fn of(component: &Component, version: &str) -> Self {
        let blocking = format!("sitewright:template/generator-sync@{version}");
        match component.get_export_index(None, &blocking) {
            Some(_) => World::TemplateSync,
            None => World::Template,
        }
    }

    /// Whether a guest holds its stack while it waits for AI.
    pub fn waits_on_its_stack(self) -> bool {
        self == World::TemplateSync
    }
}

/// As `wit/` names it.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            World::Template => "template",
            World::TemplateSync => "template-sync",
        })
    }
}

/// Why `generate` did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("the template returned a failure: {0:?}")]
    Returned(types::Failure),
    /// A trap, a limit, or a host function that failed.
    #[error("the template was stopped: {0:#}")]
    Stopped(wasmtime::Error),
}

impl From<wasmtime::Error> for GenerateError {
    fn from(error: wasmtime::Error) -> Self {
        GenerateError::Stopped(error)
    }
}

/// A component linked with the host functions and checked against its world.
pub struct Linked(Pre);

enum Pre {
    Template(v0_2::TemplatePre<GuestState>),
    TemplateSync(v0_2_sync::TemplateSyncPre<GuestState>),
    Template01(v0_1::TemplatePre<GuestState>),
    TemplateSync01(v0_1_sync::TemplateSyncPre<GuestState>),
}

/// Instantiates the component of one of the worlds, and calls `describe`.
macro_rules! described {
    ($pre:expr, $store:expr, $generator:ident) => {{
        let template = $pre.instantiate_async(&mut *$store).await?;
        template.$generator().call_describe(&mut *$store).await
    }};
}

/// Instantiates the component of a world with async functions, and calls `generate`.
macro_rules! generated {
    ($pre:expr, $store:expr, $order:expr) => {{
        // Boxed, like everything that thousands of waiting runs hold.
        let template = $pre.instantiate_async(&mut *$store).await;
        let template = Box::new(template.map_err(|error| named(error, $store))?);
        let generated = $store
            .run_concurrent(async |accessor| {
                template
                    .sitewright_template_generator()
                    .call_generate(accessor, $order.to_string())
                    .await
            })
            .await
            .flatten();
        generated.map_err(|error| named(error, $store))?
    }};
}

/// The same for a world with blocking functions.
macro_rules! generated_blocking {
    ($pre:expr, $store:expr, $order:expr) => {{
        let template = $pre.instantiate_async(&mut *$store).await;
        let template = template.map_err(|error| named(error, $store))?;
        let call =
            template.sitewright_template_generator_sync().call_generate(&mut *$store, $order);
        let generated = Box::pin(call).await;
        generated.map_err(|error| named(error, $store))?
    }};
}

impl Linked {
    /// Checks that it exports what `world` of the newest version requires.
    pub(super) fn new(world: World, instance: InstancePre<GuestState>) -> wasmtime::Result<Self> {
        Ok(Linked(match world {
            World::Template => Pre::Template(v0_2::TemplatePre::new(instance)?),
            World::TemplateSync => Pre::TemplateSync(v0_2_sync::TemplateSyncPre::new(instance)?),
        }))
    }

    /// The same for version 0.1.0.
    pub(super) fn new_0_1(
        world: World,
        instance: InstancePre<GuestState>,
    ) -> wasmtime::Result<Self> {
        Ok(Linked(match world {
            World::Template => Pre::Template01(v0_1::TemplatePre::new(instance)?),
            World::TemplateSync => Pre::TemplateSync01(v0_1_sync::TemplateSyncPre::new(instance)?),
        }))
    }

    /// The world it was checked against.
    pub fn world(&self) -> World {
        match self.0 {
            Pre::Template(_) | Pre::Template01(_) => World::Template,
            Pre::TemplateSync(_) | Pre::TemplateSync01(_) => World::TemplateSync,
        }
    }

    /// Instantiates it, which each run does first.
    ///
    /// # Errors
    /// What stopped the guest.
    pub async fn start(&self, store: &mut Store<GuestState>) -> wasmtime::Result<()> {
        match &self.0 {
            Pre::Template(pre) => pre.instantiate_async(store).await.map(drop),
            Pre::TemplateSync(pre) => pre.instantiate_async(store).await.map(drop),
            Pre::Template01(pre) => pre.instantiate_async(store).await.map(drop),
            Pre::TemplateSync01(pre) => pre.instantiate_async(store).await.map(drop),
        }
    }

    /// Instantiates and calls `describe`.
    ///
    /// # Errors
    /// What stopped the guest.
    pub async fn describe(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<types::Manifest> {
        let described: wasmtime::Result<types::Manifest> = async {
            match &self.0 {
                Pre::Template(pre) => described!(pre, store, sitewright_template_generator),
                Pre::TemplateSync(pre) => {
                    described!(pre, store, sitewright_template_generator_sync)
                }
                Pre::Template01(pre) => {
                    described!(pre, store, sitewright_template_generator).map(Into::into)
                }
                Pre::TemplateSync01(pre) => {
                    let described = described!(pre, store, sitewright_template_generator_sync);
                    described.map(v0_1::generator::Manifest::from).map(Into::into)
                }
            }
        }
        .await;
        described.map_err(|error| named(error, store))
    }

    /// Instantiates and calls `generate`.
    ///
    /// # Errors
    /// What stopped the guest, or the failure that the template returned.
    // `&Arc<str>` takes half the memory of `&str` in a future that just fits a size class of the
    // allocator.
    #[allow(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps its arguments twice, and thousands of these wait"
    )]
    pub fn generate<'a>(
        &'a self,
        store: &'a mut Store<GuestState>,
        order: &'a Arc<str>,
    ) -> impl Future<Output = Result<(), GenerateError>> + Send + 'a {
        async move {
            match &self.0 {
                Pre::Template(pre) => {
                    generated!(pre, store, order).map_err(GenerateError::Returned)
                }
                Pre::TemplateSync(pre) => {
                    generated_blocking!(pre, store, order).map_err(GenerateError::Returned)
                }
                Pre::Template01(pre) => generated!(pre, store, order)
                    .map_err(|failure| GenerateError::Returned(failure.into())),
                Pre::TemplateSync01(pre) => {
                    generated_blocking!(pre, store, order).map_err(|failure| {
                        let failure = v0_1::generator::Failure::from(failure);
                        GenerateError::Returned(failure.into())
                    })
                }
            }
        }
    }
}

/// The error, as a [`LimitHit`] if one call passed too many bytes: wasmtime has no type for that.
pub(crate) fn named(error: wasmtime::Error, store: &Store<GuestState>) -> wasmtime::Error {
    const TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
    match error.root_cause().to_string().contains(TOO_MUCH) {
        true => error.context(LimitHit::Call { max: store.hostcall_fuel() as u64 }),
        false => error,
    }
}
