//! What the examples in languages with their own compilers need of the tools of the component
//! model: bindings from the contract, and a component of a module.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_component::ComponentEncoder;

/// The contract, relative to the root.
pub(crate) const CONTRACT: &str = "wit/0.2.0/template.wit";
/// The world of the contract for languages whose calls block.
const WORLD: &str = "template-sync";
/// The folder of the bindings beside the sources. Failure records show no frame of a file in a
/// folder of this name as the author's own.
pub(crate) const BINDINGS: &str = "wit_bindgen";

/// What wit-bindgen makes: names and contents of files.
pub(crate) type Bindings = BTreeMap<String, Vec<u8>>;

/// Runs a generator of bindings for the world of the contract.
pub(crate) fn generate(
    contract: &Path,
    mut generator: Box<dyn WorldGenerator>,
) -> anyhow::Result<Bindings> {
    let (mut resolve, world) = world(contract)?;
    let mut files = Files::default();
    WorldGenerator::generate(&mut *generator, &mut resolve, world, &mut files)?;
    Ok(files.iter().map(|(name, content)| (name.to_owned(), content.to_vec())).collect())
}

/// The world of the contract for languages whose calls block.
pub(crate) fn world(contract: &Path) -> anyhow::Result<(Resolve, WorldId)> {
    let text = fs::read_to_string(contract)
        .with_context(|| format!("cannot read {}", contract.display()))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_str(contract, &text)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

/// Writes bindings below a folder.
pub(crate) fn write_bindings(bindings: &Bindings, folder: &Path) -> anyhow::Result<()> {
    for (name, content) in bindings {
        let file = folder.join(name);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Makes a component of a module that says which world it is, in the folder `work`, and returns its
/// path. The module may use the WASI of C compilers.
pub(crate) fn encode(module: &[u8], work: &Path) -> anyhow::Result<PathBuf> {
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    let component = encoder.encode().context("wit-component makes no component of the example")?;
    let built = work.join("built.wasm");
    fs::write(&built, component).with_context(|| format!("cannot write {}", built.display()))?;
    Ok(built)
}
