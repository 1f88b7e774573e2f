//! Builds Rust with cargo, for the target `wasm32-wasip2`.

use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tool::{Listener, Tool};
use super::{BuildError, Mode};
use crate::project::Project;

const TARGET: &str = "wasm32-wasip2";
/// Overrides of the release profile for `template dev`: fast to build, with debug assertions. A
/// profile of its own would make cargo build every proc macro again.
const DEV_PROFILE: [&str; 6] = [
    "profile.release.lto=false",
    "profile.release.opt-level=1",
    "profile.release.codegen-units=16",
    "profile.release.incremental=true",
    "profile.release.debug=\"line-tables-only\"",
    "profile.release.debug-assertions=true",
];
const GET_RUST: &str = "install Rust with rustup (https://rustup.rs), or put it on the PATH";

/// A compiler with the target installed, and the flags that keep this machine's paths out of the
/// component.
#[derive(Debug)]
pub(super) struct Toolchain {
    flags: String,
}

impl Toolchain {
    /// Queries the compiler that cargo uses in the project's folder.
    pub(super) async fn find(project: &Project) -> Result<Self, BuildError> {
        let rustc = |arguments: &[&str]| {
            Tool::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), "rustc", GET_RUST)
                .configure(|command| {
                    command.current_dir(&project.folder).args(arguments);
                })
        };
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"]).print().await?.trim_end());
        if !sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir() {
            return Err(BuildError::Missing {
                tool: "the compiler's target wasm32-wasip2",
                hint: format!(
                    "run `rustup target add {TARGET}` in {} (the compiler in use there is {}); \
                     without rustup, install your distribution's package of Rust's standard \
                     library for {TARGET}",
                    project.folder.display(),
                    sysroot.display()
                ),
            });
        }
        let version = rustc(&["--version", "--verbose"]).print().await?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let (project, commit) = (project.clone(), commit.map(str::to_owned));
        let flags =
            tokio::task::spawn_blocking(move || flags(&project, &sysroot, commit.as_deref()))
                .await
                .map_err(|error| {
                    BuildError::Unexpected(format!("finding cargo's folders failed: {error}"))
                })?;
        // Paths may contain spaces.
        Ok(Toolchain { flags: flags.join("\u{1f}") })
    }

    /// Builds the component and returns its path.
    pub(super) async fn build(
        &self,
        project: &Project,
        mode: Mode,
        listener: Option<Listener<'_>>,
    ) -> Result<PathBuf, BuildError> {
        let options: &[&str] = match mode {
            Mode::Release => &[],
            Mode::Dev => &DEV_PROFILE,
        };
        let cargo =
            Tool::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), "cargo", GET_RUST);
        let cargo = cargo.configure(|command| {
            // `rustc` with one crate type: cargo skips link-time optimization for a crate with
            // several.
            command
                .current_dir(&project.folder)
                .args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET, "--release"])
                .args(["--message-format", "json-render-diagnostics", "--color", "always"])
                .args(options.iter().flat_map(|option| ["--config", *option]))
                // The caller's RUSTFLAGS must not change a template.
                .env_remove("RUSTFLAGS")
                .env("CARGO_ENCODED_RUSTFLAGS", &self.flags);
        });
        let ended = cargo.run(listener).await?;
        if !ended.status.success() {
            return Err(ended.failed("cargo"));
        }
        let manifest = project.folder.join("Cargo.toml");
        ended
            .stdout
            .lines()
            .filter_map(artifact)
            .find(|built| built.manifest == manifest)
            .map(|built| built.file)
            .ok_or_else(|| {
                BuildError::Unexpected(format!(
                    "cargo built {} and reported no component; check that its crate-type has \
                     `cdylib`",
                    manifest.display()
                ))
            })
    }
}

/// A component that cargo built or found up to date.
struct Artifact {
    manifest: PathBuf,
    file: PathBuf,
}

/// The component in one JSON message of cargo; `None` for other messages.
fn artifact(message: &str) -> Option<Artifact> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    }
    // Other messages have other fields.
    let message: Message = serde_json::from_str(message).ok()?;
    let file = message
        .filenames
        .into_iter()
        .find(|file| file.extension().is_some_and(|end| end == "wasm"))?;
    (message.reason == "compiler-artifact")
        .then_some(Artifact { manifest: message.manifest_path, file })
}

/// Flags that replace path prefixes in the component. The author's paths become relative; others
/// keep the parts by which the host recognizes dependencies. If several match, the compiler uses
/// the last.
fn flags(project: &Project, sysroot: &Path, commit: Option<&str>) -> Vec<String> {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}/={to}", from.display());
    let mut flags = vec![remap(&project.folder, "")];
    if let Some(root) = checkout(project) {
        // Before the project's own folder unless it is inside, because the last match counts.
        let at = usize::from(root.starts_with(&project.folder));
        flags.insert(at, remap(&root, "/sitewright/"));
    }
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(home) = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))) {
        flags.push(remap(&home.join("git/checkouts"), "/cargo/git/checkouts/"));
        // The folder does not exist before the first crate was fetched.
        let folders = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        folders.sort();
        flags.extend(folders.iter().map(|folder| remap(folder, "/cargo/registry/src/registry/")));
    }
    let sources = sysroot.join("lib/rustlib/src/rust");
    if let Some(commit) = commit.filter(|_| sources.is_dir()) {
        flags.push(remap(&sources, &format!("/rustc/{commit}/")));
    }
    flags
}

/// The checkout that contains the project's SDK; `None` if the SDK is not a path dependency.
fn checkout(project: &Project) -> Option<PathBuf> {
    let text = std::fs::read_to_string(project.folder.join("Cargo.toml")).ok()?;
    let cargo: toml::Table = text.parse().ok()?;
    let sdk = cargo.get("dependencies")?.get("sitewright-sdk")?.get("path")?.as_str()?;
    project.folder.join(sdk).canonicalize().ok()?.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_cargos_messages() {
        let built = r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/a.wasm"],"fresh":true}"#;
        let found = artifact(built).unwrap();
        assert_eq!((found.manifest, found.file), ("/p/Cargo.toml".into(), "/t/a.wasm".into()));
        for other in [
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/liba.rlib"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not JSON",
        ] {
            assert!(artifact(other).is_none(), "{other}");
        }
    }
}
