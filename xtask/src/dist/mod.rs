//! `cargo xtask dist`: makes a release archive.
//!
//! | file | question |
//! |---|---|
//! | this one | what is in an archive, and where does it come from? |
//! | `parts` | what of others is in it? |
//! | `licences` | which licences do these have? |
//! | `sbom` | how is the bill of materials written? |
//! | `archive` | how are the files packed, and their checksums written? |

mod archive;
mod licences;
mod parts;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context as _;
use flate2::Compression;
use xshell::{Shell, cmd};

use crate::args::{DistArgs, Profile};
use crate::build;
use crate::console;
use crate::demo;
use crate::guests::{self, Selection};
use crate::languages::{self, Template};
use crate::process;
use crate::toolchain::Toolchain;
use crate::workspace::{Group, Workspace};
use archive::{Content, Entry};
use parts::Parts;

/// Files of the repository that are in the archive as they are, with their paths there.
const FILES: [(&str, &str); 6] = [
    ("LICENSE", "LICENSE"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("SECURITY.md", "SECURITY.md"),
    // A first site without a key: docs/src/operate/install.md.
    ("plugins/local-business/demo/sitewright.toml", "demo/sitewright.toml"),
    ("plugins/local-business/demo/ai.toml", "demo/ai.toml"),
    ("tests/orders/02-dentist-us-minimal.json", "demo/order.json"),
];
/// Files of deploy/ that are not: they build an image from the sources.
const NOT_DEPLOYED: [&str; 3] = ["Containerfile", "compose.yaml", "sitewright.toml"];
/// The shells whose completions are in the archive, and the names of the files.
const SHELLS: [(&str, &str); 3] =
    [("bash", "sitewright.bash"), ("zsh", "_sitewright"), ("fish", "sitewright.fish")];
/// The variable for the time of the files, in seconds since 1970:
/// <https://reproducible-builds.org/specs/source-date-epoch/>
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The last second of the year 9999.
const LAST_TIME: u64 = 253_402_300_799;

/// Builds host and templates, and writes the archive and its checksum.
pub(crate) fn run(workspace: &Workspace, args: &DistArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let toolchain = Toolchain::find(workspace)?;
    let target = toolchain.host()?;
    let time = time(workspace)?;
    if args.builds() {
        console::heading("host");
        build_host(workspace)?;
        console::heading("templates");
        guests::build_all(workspace, Selection::Templates)?;
    }
    let mut entries = repository_files(workspace)?;

    console::heading("completions and manual pages");
    let binary = binary(workspace, args.profile)?;
    let sh = Shell::new()?;
    let build = host_build(&sh, &binary)?;
    entries.push(Entry::program("sitewright", &binary));
    entries.extend(completions(&sh, &binary)?);
    entries.extend(manual(workspace, &sh, &binary)?);
    console::line(&format!("of sitewright {build}"));

    console::heading("licences and bill of materials");
    let (components, foreign) = components(workspace, args.profile)?;
    // In an archive for tests, compiling the large ones in a debug build would take a minute.
    entries.extend(match args.profile {
        Profile::Release => packed(workspace, &sh, &binary, components)?,
        Profile::Dev => components,
    });
    let parts = Parts::collect(workspace, &toolchain, target, &foreign)?;
    let version = parts.host.version.clone().unwrap_or_default();
    anyhow::ensure!(
        build.split('+').next() == Some(version.as_str()),
        "{} is sitewright {build}, but the workspace has version {version}; build it again: {}",
        binary.display(),
        build_command(args.profile)
    );
    entries.push(Entry::made("THIRD-PARTY-LICENSES.txt", licences::text(parts.foreign())?));
    let timestamp = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time));
    let materials = sbom::document(&parts, target, &timestamp.to_string());
    entries.push(Entry::made("sbom.cdx.json", format!("{materials:#}\n")));
    console::line(&format!("of {} packages of others", parts.foreign().count()));

    console::heading("archive");
    let name = format!("sitewright-{version}-{target}");
    let out = match &args.out {
        Some(out) => std::path::absolute(out)
            .with_context(|| format!("cannot find the folder {}", out.display()))?,
        None => workspace.target.join(args.profile.folder()),
    };
    let file = out.join(format!("{name}.tar.gz"));
    let count = entries.len();
    // A debug build is large, and nobody downloads it.
    let level = match args.profile {
        Profile::Release => Compression::best(),
        Profile::Dev => Compression::none(),
    };
    archive::write(&file, &name, entries, time, level)?;
    let checksum = archive::write_checksums(&out, &file)?;
    let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?;
    console::line(&format!(
        "\n  The archive  {} ({count} files, {})\n  SHA-256      {checksum}\n  Checksums    {}\n  \
         Made in      {}",
        file.display(),
        console::size(size.len()),
        out.join(archive::CHECKSUMS).display(),
        console::duration(start.elapsed())
    ));
    Ok(())
}

/// The time of the files in the archive, in seconds since 1970: `SOURCE_DATE_EPOCH`, else the time
/// of the commit.
fn time(workspace: &Workspace) -> anyhow::Result<u64> {
    let (text, source) = match std::env::var(EPOCH) {
        Ok(text) => (text, EPOCH),
        Err(_) => {
            let sh = workspace.shell()?;
            let text = cmd!(sh, "git log -1 --format=%ct").quiet().read().with_context(|| {
                format!(
                    "git does not know the time of the commit, which the files in the archive get; \
                     set {EPOCH} to seconds since 1970 instead"
                )
            })?;
            (text, "the time of the commit")
        }
    };
    parse_time(&text).with_context(|| {
        format!("{source} is `{text}`, which is no number of seconds since 1970; set {EPOCH}")
    })
}

fn parse_time(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|time| *time <= LAST_TIME)
}

fn build_host(workspace: &Workspace) -> anyhow::Result<()> {
    let sh = workspace.shell()?;
    let changed = cmd!(sh, "git status --porcelain").quiet().ignore_stderr().read();
    if changed.is_ok_and(|changed| !changed.is_empty()) {
        console::line("note: the archive has changes that are in no commit; see `git status`");
    }
    // This package alone: others would enable features of shared dependencies.
    process::run(process::cargo(&sh).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "sitewright",
    ]))
}

fn build_command(profile: Profile) -> &'static str {
    match profile {
        Profile::Release => "cargo build --release --locked -p sitewright",
        Profile::Dev => "cargo build -p sitewright",
    }
}

/// The path of the built host.
fn binary(workspace: &Workspace, profile: Profile) -> anyhow::Result<PathBuf> {
    let binary = build::binary_of(workspace, profile);
    anyhow::ensure!(
        binary.is_file(),
        "{} is not built; run `{}`",
        binary.display(),
        build_command(profile)
    );
    Ok(binary)
}

/// Version and commit of the built host: `0.1.0+1a2b3c4d5e6f`.
fn host_build(sh: &Shell, binary: &Path) -> anyhow::Result<String> {
    let text = cmd!(sh, "{binary} --version")
        .quiet()
        .read()
        .with_context(|| format!("{} does not run on this machine", binary.display()))?;
    let build = text.trim().strip_prefix("sitewright ");
    build.map(str::to_owned).with_context(|| format!("{} says {text:?}", binary.display()))
}

fn completions(sh: &Shell, binary: &Path) -> anyhow::Result<Vec<Entry>> {
    SHELLS
        .into_iter()
        .map(|(shell, name)| {
            let script =
                cmd!(sh, "{binary} completions {shell}").quiet().read().with_context(|| {
                    format!(
                        "{} has made no completions of {shell}; if it is older than this checkout, \
                         build it again",
                        binary.display()
                    )
                })?;
            Ok(Entry::made(format!("completions/{name}"), format!("{script}\n")))
        })
        .collect()
}

fn manual(workspace: &Workspace, sh: &Shell, binary: &Path) -> anyhow::Result<Vec<Entry>> {
    let folder = workspace.target.join("dist-work/man");
    demo::remove(&folder)?;
    process::quietly(cmd!(sh, "{binary} man {folder}"))
        .map_err(|why| anyhow::anyhow!("the manual pages cannot be made: {why}"))?;
    files_below(&folder)?
        .into_iter()
        .map(|path| {
            let page = fs::read(folder.join(&path))
                .with_context(|| format!("cannot read the manual page {path}"))?;
            Ok(Entry::made(format!("man/man1/{path}"), page))
        })
        .collect()
}

/// The components of all templates, and the templates that are not in Rust. Of those, some may be
/// missing in an archive for tests: not every machine can build them.
fn components(
    workspace: &Workspace,
    profile: Profile,
) -> anyhow::Result<(Vec<Entry>, Vec<Template>)> {
    let folder = workspace.components(Group::Templates);
    let file = |name: &str| folder.join(format!("{name}.wasm"));
    let (mut foreign, missing): (Vec<Template>, Vec<Template>) = languages::templates(workspace)?
        .into_iter()
        .partition(|template| file(&template.name).is_file());
    for template in &missing {
        let path = file(&template.name);
        anyhow::ensure!(
            profile == Profile::Dev,
            "{} is not built, and a release has all templates; the output of `cargo xtask build` \
             says which tool is missing",
            path.display()
        );
        console::line(&format!("SKIPPED: {} is not built and not in it", path.display()));
    }
    foreign.sort_by(|a, b| a.name.cmp(&b.name));
    let rust = workspace.guests(Group::Templates).map(|guest| guest.name.as_str());
    let names: Vec<&str> = rust.chain(foreign.iter().map(|one| one.name.as_str())).collect();
    let mut entries = Vec::new();
    for name in names {
        let path = file(name);
        anyhow::ensure!(path.is_file(), "{} is not built; run `cargo xtask build`", path.display());
        entries.push(Entry::copied(format!("templates/{name}.wasm"), path));
    }
    Ok((entries, foreign))
}

/// The components with their manifests in them, so that hosts list them without compiling them.
fn packed(
    workspace: &Workspace,
    sh: &Shell,
    binary: &Path,
    components: Vec<Entry>,
) -> anyhow::Result<Vec<Entry>> {
    let folder = workspace.target.join("dist-work/templates");
    demo::remove(&folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    components
        .into_iter()
        .map(|entry| {
            let Content::File(file) = &entry.content else { return Ok(entry) };
            let copy = folder.join(file.file_name().unwrap_or_default());
            fs::copy(file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
            process::quietly(cmd!(sh, "{binary} template pack {copy}"))
                .map_err(|why| anyhow::anyhow!("{} has no manifest: {why}", copy.display()))?;
            Ok(Entry::copied(entry.path, copy))
        })
        .collect()
}

/// The files of the repository that are in the archive.
fn repository_files(workspace: &Workspace) -> anyhow::Result<Vec<Entry>> {
    let root = &workspace.root;
    let mut entries: Vec<Entry> =
        FILES.iter().map(|(from, to)| Entry::copied(*to, root.join(from))).collect();
    for path in committed_files(workspace, "deploy")? {
        if !NOT_DEPLOYED.iter().any(|name| path == format!("deploy/{name}")) {
            let file = root.join(&path);
            entries.push(Entry::copied(path, file));
        }
    }
    Ok(entries)
}

/// The files of a folder that git knows, by their paths in the repository. Others, such as a `.env`
/// with keys, must not get into an archive.
fn committed_files(workspace: &Workspace, folder: &str) -> anyhow::Result<Vec<String>> {
    let sh = workspace.shell()?;
    let listed = cmd!(sh, "git ls-files -z -- {folder}").quiet().read().with_context(|| {
        format!(
            "git does not list the files of {folder}/, and an archive has no others; make it in a \
             checkout of the repository"
        )
    })?;
    let paths: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    anyhow::ensure!(!paths.is_empty(), "git knows no files in {folder}/ of this checkout");
    Ok(paths)
}

/// The files below a folder, with `/` in their relative paths.
fn files_below(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = languages::files(folder)?;
    let relative = files.iter().filter_map(|file| file.strip_prefix(folder).ok());
    Ok(relative.map(|path| path.display().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds_that_can_be_written_as_a_date() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1764400000\n", Some(1_764_400_000)),
            ("253402300799", Some(LAST_TIME)),
            ("253402300800", None),
            ("-1", None),
            ("today", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_files_of_the_repository_are_there() {
        let workspace = Workspace::load().unwrap();
        let entries = repository_files(&workspace).unwrap();
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        for path in ["deploy/sitewright.service", "deploy/prometheus/sitewright.rules.yml"] {
            assert!(paths.contains(&path), "{path} is missing in {paths:?}");
        }
        for entry in &entries {
            let Content::File(file) = &entry.content else { continue };
            assert!(file.is_file(), "{}", file.display());
        }
        for name in NOT_DEPLOYED {
            assert!(workspace.root.join("deploy").join(name).is_file(), "{name}");
            assert!(!paths.contains(&format!("deploy/{name}").as_str()), "{name}");
        }
    }

    #[test]
    fn files_that_git_does_not_know_are_not_in_an_archive() {
        let root = tempfile::tempdir().unwrap();
        let sh = Shell::new().unwrap();
        sh.change_dir(root.path());
        let workspace = Workspace::at(root.path());
        cmd!(sh, "git init --quiet").quiet().run().unwrap();
        for name in ["deploy/a.service", "deploy/b/c.yaml", "deploy/.env"] {
            sh.write_file(name, "").unwrap();
        }
        let error = committed_files(&workspace, "deploy").unwrap_err().to_string();
        assert!(error.contains("knows no files in deploy/"), "{error}");
        cmd!(sh, "git add deploy/a.service deploy/b").quiet().run().unwrap();
        let found = committed_files(&workspace, "deploy").unwrap();
        assert_eq!(found, ["deploy/a.service", "deploy/b/c.yaml"]);
    }

    #[test]
    fn what_is_not_built_is_an_error_that_says_how_to_build_it() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(root.path());
        for (profile, command) in
            [(Profile::Release, "build --release"), (Profile::Dev, "cargo build -p sitewright")]
        {
            let error = binary(&workspace, profile).unwrap_err().to_string();
            assert!(error.contains("is not built") && error.contains(command), "{error}");
        }
        fs::create_dir_all(root.path().join("plugins/page-js")).unwrap();
        fs::write(root.path().join("plugins/page-js/package.json"), "{}").unwrap();
        let error = components(&workspace, Profile::Release).unwrap_err().to_string();
        assert!(error.contains("page-js.wasm") && error.contains("cargo xtask build"), "{error}");
        assert!(components(&workspace, Profile::Dev).unwrap().0.is_empty());
    }
}
