//! Version 0.2.0 of the contract.

use wasmtime::component::{Component, Linker};

use super::{Contract, WorldMark};
use crate::host_functions::GuestState;
use crate::plugin::world::{Linked, World};

pub(super) const CONTRACT: Contract = Contract {
    version: "0.2.0",
    worlds: &[
        WorldMark { world: World::TemplateSync, interfaces: &["ai-sync", "generator-sync"] },
        WorldMark { world: World::Template, interfaces: &["ai", "generator"] },
    ],
    brought: &[
        "order data in AI requests that the host delimits, and one reply for equal requests of \
         several orders",
        "files in chunks, and whether a file exists",
        "a finish reason for replies of which the provider did not say why they ended",
        "in the manifest: the order fields in use, texts that no visitor may read, a fallback \
         language, the expected size of a site, the hosts that pages load from, and the purposes \
         whose replies are not copy",
    ],
    link,
};

/// Links the component with the host functions, which implement this version.
fn link(
    linker: &Linker<GuestState>,
    component: &Component,
    world: World,
) -> wasmtime::Result<Linked> {
    linker.instantiate_pre(component).and_then(|instance| Linked::new(world, instance))
}
