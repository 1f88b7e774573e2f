//! The worlds of the contract: which of them a component is made for, and how it is called.

use std::sync::Arc;

use std::fmt;

use serde::Serialize;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use super::bindings::{TemplatePre, TemplateSyncPre, generator};
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
    /// The world that a component is made for, by what it exports; what exports neither is taken
    /// for one of the first.
    pub(super) fn of(component: &Component) -> Self {
        match component.get_export_index(None, "sitewright:template/generator-sync@0.1.0") {
            Some(_) => World::TemplateSync,
            None => World::Template,
        }
    }

    /// Whether a guest keeps its stack while it waits for AI.
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

/// A component with the host's interfaces behind its imports, checked against its world.
pub struct Linked(Pre);

enum Pre {
    Template(TemplatePre<GuestState>),
    TemplateSync(TemplateSyncPre<GuestState>),
}

impl Linked {
    /// Checks that it exports what `world` asks for.
    pub(super) fn new(world: World, instance: InstancePre<GuestState>) -> wasmtime::Result<Self> {
        Ok(Linked(match world {
            World::Template => Pre::Template(TemplatePre::new(instance)?),
            World::TemplateSync => Pre::TemplateSync(TemplateSyncPre::new(instance)?),
        }))
    }

    /// The world it was checked against.
    pub fn world(&self) -> World {
        match self.0 {
            Pre::Template(_) => World::Template,
            Pre::TemplateSync(_) => World::TemplateSync,
        }
    }

    /// Instantiates, and nothing more: what each run pays before it begins.
    ///
    /// # Errors
    /// Whatever stopped the guest.
    pub async fn start(&self, store: &mut Store<GuestState>) -> wasmtime::Result<()> {
        match &self.0 {
            Pre::Template(pre) => pre.instantiate_async(store).await.map(drop),
            Pre::TemplateSync(pre) => pre.instantiate_async(store).await.map(drop),
        }
    }

    /// Instantiates and calls `describe`.
    ///
    /// # Errors
    /// Whatever stopped the guest.
    pub async fn describe(
        &self,
        store: &mut Store<GuestState>,
    ) -> wasmtime::Result<generator::Manifest> {
        match &self.0 {
            Pre::Template(pre) => {
                let template = pre.instantiate_async(&mut *store).await?;
                template.sitewright_template_generator().call_describe(store).await
            }
            Pre::TemplateSync(pre) => {
                let template = pre.instantiate_async(&mut *store).await?;
                template
                    .sitewright_template_generator_sync()
                    .call_describe(store)
                    .await
                    .map(Into::into)
            }
        }
    }

    /// Instantiates and calls `generate`.
    ///
    /// # Errors
    /// Whatever stopped the guest.
    // `&Arc<str>`: half the room of `&str` in a future that is just within a size of the
    // allocator's.
    #[allow(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps its arguments twice, and thousands of these wait"
    )]
    pub fn generate<'a>(
        &'a self,
        store: &'a mut Store<GuestState>,
        order: &'a Arc<str>,
    ) -> impl Future<Output = wasmtime::Result<Result<(), generator::Failure>>> + Send + 'a {
        async move {
            match &self.0 {
                Pre::Template(pre) => {
                    // Boxed, as is all that thousands of runs have while they wait.
                    let template = Box::new(pre.instantiate_async(&mut *store).await?);
                    store
                        .run_concurrent(async |accessor| {
                            template
                                .sitewright_template_generator()
                                .call_generate(accessor, order.to_string())
                                .await
                        })
                        .await?
                }
                Pre::TemplateSync(pre) => {
                    let template = pre.instantiate_async(&mut *store).await?;
                    let call =
                        template.sitewright_template_generator_sync().call_generate(store, order);
                    Ok(Box::pin(call).await?.map_err(Into::into))
                }
            }
        }
    }
}
