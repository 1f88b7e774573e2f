//! Version 0.1.0 of the contract.

use wasmtime::component::{Component, Linker};

use super::{Contract, WorldMark};
use crate::host_functions::GuestState;
use crate::plugin::world::{Linked, World};

/// What the host knows of it.
pub(super) const CONTRACT: Contract = Contract {
    version: "0.1.0",
    worlds: &[
        WorldMark { world: World::TemplateSync, interfaces: &["ai-sync", "generator-sync"] },
        WorldMark { world: World::Template, interfaces: &["ai", "generator"] },
    ],
    brought: &[],
    link,
};

/// The component with the host's interfaces behind its imports. The host speaks this version
/// itself; an older one is spoken by a module that turns its types into those of the newest.
fn link(
    linker: &Linker<GuestState>,
    component: &Component,
    world: World,
) -> wasmtime::Result<Linked> {
    linker.instantiate_pre(component).and_then(|instance| Linked::new(world, instance))
}
