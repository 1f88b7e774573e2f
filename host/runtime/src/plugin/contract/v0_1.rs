//! Version 0.1.0 of the contract.

use wasmtime::component::{Component, Linker};

use super::{Contract, WorldMark};
use crate::host_functions::GuestState;
use crate::plugin::world::{Linked, World};

pub(super) const CONTRACT: Contract = Contract {
    version: "0.1.0",
    worlds: &[
        WorldMark { world: World::TemplateSync, interfaces: &["ai-sync", "generator-sync"] },
        WorldMark { world: World::Template, interfaces: &["ai", "generator"] },
    ],
    brought: &[],
    link,
};

/// Links the component with the host functions. They implement a later version, and convert the
/// types of this one.
fn link(
    linker: &Linker<GuestState>,
    component: &Component,
    world: World,
) -> wasmtime::Result<Linked> {
    linker.instantiate_pre(component).and_then(|instance| Linked::new_0_1(world, instance))
}
