//! Builds the templates in other languages than Rust, where their tools can be had.
//!
//! A folder of `plugins/` without a Cargo.toml is one: with a `package.json` it is JavaScript, with
//! a `src/app.py` Python. The tools come from the languages' own package managers into the target
//! folder, in versions that this repository names. Where they cannot be had, that is said, and
//! nothing fails: the rest of the repository needs none of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::install;
use crate::process;
use crate::say;
use crate::workspace::{Group, Workspace};

/// Makes components of Python programs. The tests' own guest in Python is built with the same
/// environment.
const PYTHON_TOOLS: &str = "componentize-py==0.25.1";
/// Where the tools for JavaScript are named, with a lock file.
const JAVASCRIPT_TOOLS: &str = "xtask/javascript";
/// Makes a missing tool an error.
const REQUIRE: &str = "SITEWRIGHT_REQUIRE_STANDINS";

/// A language that a template is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
}

/// A template in another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// The folder's name, and its file's.
    pub(crate) name: String,
    folder: PathBuf,
    language: Language,
}

/// The templates in other languages, sorted by name.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<Vec<Foreign>> {
    let plugins = workspace.root.join(Group::Templates.sources());
    let mut found = Vec::new();
    for entry in
        fs::read_dir(&plugins).with_context(|| format!("cannot read {}", plugins.display()))?
    {
        let folder = entry?.path();
        let language = match () {
            () if folder.join("Cargo.toml").is_file() => continue,
            () if folder.join("package.json").is_file() => Language::JavaScript,
            () if folder.join("src/app.py").is_file() => Language::Python,
            () => continue,
        };
        let name =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        found.push(Foreign { name, folder, language });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Builds those that are `wanted` by name and whose sources, tools or contract have changed.
pub(crate) fn build(workspace: &Workspace, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    for template in all(workspace)?.into_iter().filter(|template| wanted(&template.name)) {
        let component =
            workspace.components(Group::Templates).join(format!("{}.wasm", template.name));
        let work = workspace.target.join("languages").join(&template.name);
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let (stamp, known) = (work.join("stamp"), template.stamp(workspace)?);
        if component.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == known) {
            say::line(&format!(
                "  {}  {:>10}",
                template.name,
                say::size(fs::metadata(&component)?.len())
            ));
            continue;
        }
        let tools = match template.tools(workspace) {
            Ok(tools) => tools,
            Err(why) => {
                // One of other sources must not pass for this one.
                fs::remove_file(&component).ok();
                anyhow::ensure!(
                    std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
                    "{REQUIRE}=1 demands {}, and it cannot be built here: {why}",
                    template.name
                );
                say::line(&format!("\nSKIPPED: {} is not built: {why}\n", template.name));
                continue;
            }
        };
        let built = template.componentize(workspace, &tools, &work)?;
        let installed = install::install(&built, &component)?;
        fs::write(&stamp, known).with_context(|| format!("cannot write {}", stamp.display()))?;
        say::line(&format!("  {}  {:>10}  changed", template.name, say::size(installed.bytes)));
    }
    Ok(())
}

impl Foreign {
    /// Identifies what the component is made of.
    fn stamp(&self, workspace: &Workspace) -> anyhow::Result<String> {
        let mut hasher = DefaultHasher::new();
        let mut folders =
            vec![self.folder.join("src"), self.sdk(workspace), workspace.root.join("wit")];
        match self.language {
            Language::Python => PYTHON_TOOLS.hash(&mut hasher),
            Language::JavaScript => folders.push(workspace.root.join(JAVASCRIPT_TOOLS)),
        }
        for folder in folders {
            for file in files(&folder)? {
                file.strip_prefix(&workspace.root).unwrap_or(&file).hash(&mut hasher);
                fs::read(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?
                    .hash(&mut hasher);
            }
        }
        Ok(format!("{:016x}", hasher.finish()))
    }

    /// What its author imports.
    fn sdk(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join("guest-sdk").join(match self.language {
            Language::Python => "python",
            Language::JavaScript => "js",
        })
    }

    /// The folder of the programs that build it, installed when they are not there; or why they
    /// cannot be had.
    fn tools(&self, workspace: &Workspace) -> Result<PathBuf, String> {
        let standins = workspace.target.join("standins");
        match self.language {
            Language::Python => python(&standins.join("python-guest")),
            Language::JavaScript => {
                npm(&standins.join("javascript"), &workspace.root.join(JAVASCRIPT_TOOLS))
            }
        }
    }

    /// Makes the component, inside `work`.
    fn componentize(
        &self,
        workspace: &Workspace,
        tools: &Path,
        work: &Path,
    ) -> anyhow::Result<PathBuf> {
        let (built, wit) = (work.join("built.wasm"), workspace.root.join("wit"));
        match self.language {
            Language::Python => {
                // The tool leaves things beside what it reads.
                let (sources, sdk) = (work.join("sources"), work.join("sdk"));
                copy(&self.folder.join("src"), &sources)?;
                copy(&self.sdk(workspace), &sdk)?;
                let mut tool = Command::new(tools.join("componentize-py"));
                tool.arg("-d")
                    .arg(&wit)
                    .args(["-w", "template", "componentize", "-p"])
                    .arg(&sources);
                process::run(
                    tool.arg("-p").arg(&sdk).arg("-o").arg(&built).arg("app").stdout(Stdio::null()),
                )?;
            }
            Language::JavaScript => {
                let bundle = work.join(format!("{}.js", self.name));
                let mut bundler = Command::new(tools.join("esbuild"));
                bundler.current_dir(&self.folder).arg("src/template.js");
                bundler.args(["--bundle", "--format=esm", "--charset=utf8", "--log-level=warning"]);
                bundler.args(["--external:sitewright:*", "--loader:.css=text"]);
                bundler.arg(format!(
                    "--alias:sitewright={}",
                    self.sdk(workspace).join("index.js").display()
                ));
                process::run(bundler.arg(format!("--outfile={}", bundle.display())))?;
                let mut tool = Command::new(tools.join("componentize-js"));
                tool.current_dir(work).arg(&bundle).arg("--wit").arg(&wit);
                tool.args([
                    "--world-name",
                    "template-sync",
                    "--disable",
                    "http",
                    "fetch-event",
                    "--out",
                ]);
                process::run(tool.arg(&built).stdout(Stdio::null()))?;
                // It complains on its own, and ends well all the same.
                anyhow::ensure!(
                    built.is_file(),
                    "componentize-js has made no component of {}",
                    self.name
                );
            }
        }
        Ok(built)
    }
}

/// An environment with the Python tools, shared with the tests; see `Packages` there.
fn python(folder: &Path) -> Result<PathBuf, String> {
    let (programs, done) = (folder.join("venv/bin"), folder.join("installed"));
    let _lock = lock(folder)?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == PYTHON_TOOLS) {
        return Ok(programs);
    }
    quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    quietly(install.args([
        "--only-binary",
        ":all:",
        "--timeout",
        "20",
        "--retries",
        "1",
        PYTHON_TOOLS,
    ]))?;
    fs::write(&done, PYTHON_TOOLS).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// What the lock file beside `wanted`'s package.json names, installed into `folder`.
fn npm(folder: &Path, wanted: &Path) -> Result<PathBuf, String> {
    let (programs, done) = (folder.join("node_modules/.bin"), folder.join("installed"));
    let _lock = lock(folder)?;
    let read = |path: PathBuf| {
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let exactly = read(wanted.join("package-lock.json"))?;
    if fs::read_to_string(&done).is_ok_and(|installed| installed == exactly) {
        return Ok(programs);
    }
    for file in ["package.json", "package-lock.json"] {
        fs::copy(wanted.join(file), folder.join(file)).map_err(|error| error.to_string())?;
    }
    // Not `npm ci`, which refuses where a registry lacks packages for other systems.
    let flags =
        ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    quietly(Command::new("npm").current_dir(folder).args(flags))?;
    fs::write(&done, exactly).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// Keeps other processes out for as long as it is held.
fn lock(folder: &Path) -> Result<File, String> {
    let open = || {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    };
    open().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))
}

/// Runs a program that may be missing; its last word says why it failed.
fn quietly(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{program} ended with {}: {last}", done.status))
}

/// Every file below a folder, in one order, without what interpreters leave behind.
fn files(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("__pycache__" | "node_modules") => {}
            _ if path.is_dir() => found.extend(files(&path)?),
            _ => drop(found.insert(path)),
        }
    }
    Ok(found)
}

/// Makes `to` a copy of `from`, and nothing besides.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    for file in files(from)? {
        let copy = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(copy.parent().unwrap_or(to))?;
        fs::copy(&file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_in_other_languages_are_found_by_what_stands_in_their_folders() {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("plugins");
        for file in [
            "rusty/Cargo.toml",
            "rusty/package.json",
            "js/package.json",
            "py/src/app.py",
            "notes/README.md",
        ] {
            let file = plugins.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let workspace = Workspace {
            root: root.path().to_owned(),
            target: root.path().join("target"),
            guests: Vec::new(),
        };
        let found = all(&workspace).unwrap();
        let found: Vec<_> =
            found.iter().map(|template| (template.name.as_str(), template.language)).collect();
        assert_eq!(found, [("js", Language::JavaScript), ("py", Language::Python)]);
    }

    #[test]
    fn a_copy_has_what_the_sources_have_and_a_stamp_changes_with_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for file in ["plugins/py/src/app.py", "guest-sdk/python/a.py", "wit/a.wit"] {
            write(file, "one");
        }
        write("plugins/py/src/__pycache__/app.pyc", "left behind");
        let workspace = Workspace {
            root: root.path().to_owned(),
            target: root.path().join("target"),
            guests: Vec::new(),
        };
        let template = all(&workspace).unwrap().remove(0);
        let to = root.path().join("copy");
        write("copy/old.py", "from the last time");
        copy(&root.path().join("plugins/py/src"), &to).unwrap();
        assert_eq!(files(&to).unwrap(), BTreeSet::from([to.join("app.py")]));

        let first = template.stamp(&workspace).unwrap();
        assert_eq!(template.stamp(&workspace).unwrap(), first);
        for file in ["plugins/py/src/app.py", "guest-sdk/python/a.py", "wit/a.wit"] {
            write(file, "two");
            assert_ne!(template.stamp(&workspace).unwrap(), first, "{file}");
            write(file, "one");
        }
        write("plugins/py/src/new.py", "");
        assert_ne!(template.stamp(&workspace).unwrap(), first);
    }
}
