//! Builds the example template in Go, `examples/go`, for the tests.
//!
//! wit-bindgen makes the bindings from the contract, Go compiles them with the sources, and
//! wit-component makes a component of that. The bindings need a Go module, whose sources are in the
//! crate of the generator: no proxy of Go modules is needed. Go is a stand-in: if it cannot be
//! installed, the example is reported as SKIPPED. `docs/src/author/go.md` has the commands of an
//! author.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_bindgen_go::{Format, Opts};
use wit_component::StringEncoding;
use xshell::{Cmd, Shell, cmd};

use crate::example::{self, BINDINGS, Bindings, CONTRACT};
use crate::languages::{self, Recipe};
use crate::process;
use crate::standins::Standins;
use crate::toolchain::TARGET;
use crate::workspace::{Group, Workspace};

/// The name of its component in the folder of the guests of the tests.
const NAME: &str = "example-go";
/// Its sources, relative to the root.
const SOURCES: &str = "examples/go";
/// The stand-in with the compiler.
const TOOLS: &str = "go-guest";
/// Its Go module, as its `go.mod` says.
const MODULE: &str = "example.com/onepage";
/// The Go module that the bindings need.
const SUPPORT: &str = "go.bytecodealliance.org/pkg";
/// The crate of the generator, which has the sources of [`SUPPORT`] in `src/pkg`.
const GENERATOR: &str = "wit-bindgen-go";
/// The flags of the compiler: a WASI reactor, with paths that begin at the module in panics, and
/// without the commit, which would change the bytes. The module of the bindings calls an allocator
/// of Go's runtime that is not public, which the linker refuses otherwise.
const FLAGS: [&str; 4] =
    ["-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-checklinkname=0"];

/// Builds the example into the folder of the guests of the tests, if its sources, its compiler or
/// the contract have changed since the last build.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let standins = Standins::load(workspace)?;
    let bindings = bindings(&workspace.root.join(CONTRACT))?;
    let mut hasher = DefaultHasher::new();
    standins.key(workspace, TOOLS).hash(&mut hasher);
    FLAGS.hash(&mut hasher);
    bindings.hash(&mut hasher);
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER.hash(&mut hasher);
    languages::hash_files(workspace, &workspace.root.join(SOURCES), &mut hasher)?;
    let stamp = format!("{:016x}", hasher.finish());
    let recipe = Recipe { name: NAME, tools: TOOLS, group: Group::TestGuests, stamp };
    languages::make(workspace, &standins, &recipe, |tools, work| {
        componentize(workspace, &bindings, tools, work)
    })
}

/// Makes the bindings for the world of the contract, as packages of the module of the example.
fn bindings(contract: &Path) -> anyhow::Result<Bindings> {
    let options = Opts {
        // A formatter in PATH would change the bytes.
        format: Format::False,
        pkg_name: Some(format!("{MODULE}/{BINDINGS}")),
        export_pkg_name: Some(MODULE.to_owned()),
        ..Opts::default()
    };
    example::generate(contract, options.build())
        .context("wit-bindgen makes no bindings for Go from the contract")
}

/// The sources of the Go module that the bindings need.
fn support(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let options = ["--locked", "--filter-platform", TARGET];
    let metadata = MetadataCommand::new()
        .manifest_path(workspace.root.join("Cargo.toml"))
        .other_options(options.map(str::to_owned))
        .exec()
        .context("cannot read the dependencies with `cargo metadata`")?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == GENERATOR)
        .with_context(|| format!("`cargo metadata` knows no crate {GENERATOR}"))?;
    let manifest = package.manifest_path.as_std_path();
    Ok(manifest.with_file_name("src").join("pkg"))
}

/// Makes the component in the folder `work` and returns its path.
fn componentize(
    workspace: &Workspace,
    bindings: &Bindings,
    tools: &Path,
    work: &Path,
) -> anyhow::Result<PathBuf> {
    let folder = work.join("sources");
    languages::copy(&workspace.root.join(SOURCES), &folder)?;
    let generated = folder.join(BINDINGS);
    example::write_bindings(bindings, &generated)?;
    languages::copy(&support(workspace)?, &generated.join("pkg"))?;

    let (go, core) = (tools.join("go"), work.join("core.wasm"));
    let replace = format!("-replace={SUPPORT}=./{BINDINGS}/pkg");
    let flags = FLAGS;
    let sh = Shell::new()?;
    sh.change_dir(&folder);
    process::run(isolated(cmd!(sh, "{go} mod edit {replace}"), work))?;
    process::run(isolated(cmd!(sh, "{go} build {flags...} -o {core} ."), work))?;

    let mut module = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    let (resolve, world) = example::world(&workspace.root.join(CONTRACT))?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .context("wit-component cannot add the contract to the module")?;
    example::encode(&module, work)
}

/// A command of Go that compiles for WebAssembly, keeps its files in the folder `work`, downloads
/// nothing, and does not depend on settings of this machine.
fn isolated<'a>(command: Cmd<'a>, work: &Path) -> Cmd<'a> {
    command
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOCACHE", work.join("cache"))
        .env("GOPATH", work.join("path"))
        .env("GOENV", "off")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_example_imports_what_the_bindings_have() {
        let workspace = Workspace::load().unwrap();
        let bindings = bindings(&workspace.root.join(CONTRACT)).unwrap();
        let packages: BTreeSet<&str> =
            bindings.keys().filter_map(|name| name.split_once('/')).map(|name| name.0).collect();
        let start = format!("{MODULE}/{BINDINGS}/");
        let mut used = BTreeSet::new();
        for file in languages::files(&workspace.root.join(SOURCES)).unwrap() {
            if file.extension().is_none_or(|end| end != "go") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            for name in text.split('"').filter_map(|quoted| quoted.strip_prefix(&start)) {
                assert!(packages.contains(name), "{} imports {name}", file.display());
                used.insert(name.to_owned());
            }
        }
        assert!(used.len() >= 5, "{used:?}");
        // The host calls the packages of the example through this one.
        let exports = String::from_utf8(bindings["wit_exports/wit_exports.go"].clone()).unwrap();
        let folder = "export_sitewright_template_generator_sync";
        assert!(exports.contains(&format!("\"{MODULE}/{folder}\"")), "{exports}");
        assert!(workspace.root.join(SOURCES).join(folder).is_dir());
    }

    #[test]
    fn the_example_requires_the_module_that_the_bindings_are_made_for() {
        let workspace = Workspace::load().unwrap();
        let file = workspace.root.join(SOURCES).join("go.mod");
        let text = fs::read_to_string(file).unwrap();
        let required = format!("require {}\n", wit_bindgen_go::remote_pkg_version());
        assert!(text.contains(&required), "{text}");
        assert!(text.starts_with(&format!("module {MODULE}\n")), "{text}");
        assert!(wit_bindgen_go::remote_pkg_version().starts_with(SUPPORT));
        // What is compiled in its place has the same name.
        let module = support(&workspace).unwrap().join("go.mod");
        let text = fs::read_to_string(&module).unwrap();
        assert!(text.starts_with(&format!("module {SUPPORT}\n")), "{}", module.display());
    }
}
