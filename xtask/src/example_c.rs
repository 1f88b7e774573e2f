//! Builds the example template in C, `examples/c`, for the tests.
//!
//! wit-bindgen makes the bindings from the contract, zig compiles them with the sources, and
//! wit-component makes a component of that. zig is a stand-in: if it cannot be installed, the
//! example is reported as SKIPPED. `docs/src/author/c.md` has the commands of an author.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use xshell::{Shell, cmd};

use crate::example::{self, BINDINGS, Bindings, CONTRACT};
use crate::languages::{self, Recipe};
use crate::process;
use crate::standins::Standins;
use crate::workspace::{Group, Workspace};

/// The name of its component in the folder of the guests of the tests.
const NAME: &str = "example-c";
/// Its sources, relative to the root.
const SOURCES: &str = "examples/c";
/// The stand-in with the compiler.
const TOOLS: &str = "c-guest";
/// The flags of the compiler. The source is in the debug information, so that a record shows the
/// lines around the one that failed. 1 MiB of stack leaves room for the order.
const FLAGS: [&str; 12] = [
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-std=c23",
    "-O1",
    "-g",
    "-gdwarf-5",
    "-gembed-source",
    // Paths in records begin at the sources, wherever they were compiled.
    "-fdebug-compilation-dir=.",
    "-Wl,-z,stack-size=1048576",
    "-I",
    BINDINGS,
    "-o",
];

/// Builds the example into the folder of the guests of the tests, if its sources, its compiler or
/// the contract have changed since the last build.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let standins = Standins::load(workspace)?;
    let bindings = bindings(&workspace.root.join(CONTRACT))?;
    let sources = workspace.root.join(SOURCES);
    let mut hasher = DefaultHasher::new();
    standins.key(workspace, TOOLS).hash(&mut hasher);
    FLAGS.hash(&mut hasher);
    bindings.hash(&mut hasher);
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER.hash(&mut hasher);
    languages::hash_files(workspace, &sources, &mut hasher)?;
    let stamp = format!("{:016x}", hasher.finish());
    let recipe = Recipe { name: NAME, tools: TOOLS, group: Group::TestGuests, stamp };
    languages::make(workspace, &standins, &recipe, |tools, work| {
        componentize(&sources, &bindings, tools, work)
    })
}

/// Makes the bindings for the world of the contract, and the object file that says to
/// wit-component which world it is.
fn bindings(contract: &Path) -> anyhow::Result<Bindings> {
    example::generate(contract, wit_bindgen_c::Opts::default().build())
        .context("wit-bindgen makes no bindings for C from the contract")
}

/// Makes the component in the folder `work` and returns its path.
fn componentize(
    sources: &Path,
    bindings: &Bindings,
    tools: &Path,
    work: &Path,
) -> anyhow::Result<PathBuf> {
    let folder = work.join("sources");
    languages::copy(sources, &folder)?;
    example::write_bindings(bindings, &folder.join(BINDINGS))?;
    let mut inputs: Vec<PathBuf> = Vec::new();
    for file in languages::files(&folder)? {
        if file.extension().is_some_and(|end| end == "c" || end == "o") {
            inputs.push(file.strip_prefix(&folder)?.to_owned());
        }
    }
    let (python, core, cache) = (tools.join("python"), work.join("core.wasm"), work.join("zig"));
    let flags = FLAGS;
    let sh = Shell::new()?;
    sh.change_dir(&folder);
    let compile = cmd!(sh, "{python} -m ziglang cc {flags...} {core} {inputs...}")
        .env("ZIG_GLOBAL_CACHE_DIR", &cache)
        .env("ZIG_LOCAL_CACHE_DIR", &cache);
    process::run(compile)?;

    let module = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    example::encode(&module, work)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words of a text in C.
    fn words(text: &str) -> BTreeSet<&str> {
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect()
    }

    #[test]
    fn the_bindings_have_each_name_that_the_example_uses() {
        let workspace = Workspace::load().unwrap();
        let bindings = bindings(&workspace.root.join(CONTRACT)).unwrap();
        let names: Vec<&str> = bindings.keys().map(String::as_str).collect();
        assert_eq!(names, ["template_sync.c", "template_sync.h", "template_sync_component_type.o"]);
        let header = String::from_utf8(bindings["template_sync.h"].clone()).unwrap();
        let known = words(&header);
        let mut used = 0;
        for file in languages::files(&workspace.root.join(SOURCES)).unwrap() {
            if file.extension().is_none_or(|end| end != "c") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let generated = |name: &&&str| {
                ["sitewright_", "SITEWRIGHT_", "exports_", "template_sync_"]
                    .iter()
                    .any(|start| name.starts_with(start))
            };
            for name in words(&text).iter().filter(generated) {
                assert!(known.contains(name), "{} uses {name}", file.display());
                used += 1;
            }
        }
        assert!(used > 20, "{used}");
    }
}
