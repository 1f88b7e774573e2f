//! Builds the templates in Python and JavaScript.
//!
//! A folder of `plugins/` without a Cargo.toml is such a template: with a `package.json` it is
//! JavaScript, with a `src/app.py` Python. The tools are stand-ins (see [`crate::standins`]). If
//! they cannot be installed, the template is reported as SKIPPED and nothing fails: the rest of the
//! repository does not need it.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::console;
use crate::install;
use crate::process;
use crate::standins::{self, REQUIRE, Standins};
use crate::workspace::{Group, Workspace};

/// As `sitewright template build` does it. Not a dependency: the host is compiled after this crate.
#[path = "../../host/author/src/build/source_map.rs"]
mod source_map;

/// Why a bundle got no table of lines: what [`source_map`] returns.
#[derive(Debug)]
enum BuildError {
    /// A file could not be read or written.
    File { path: PathBuf, operation: &'static str, source: std::io::Error },
    /// The bundler wrote something unexpected.
    Unexpected(String),
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BuildError::File { path, operation, .. } => write!(f, "{} {operation}", path.display()),
            BuildError::Unexpected(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::File { source, .. } => Some(source),
            BuildError::Unexpected(_) => None,
        }
    }
}

/// The language of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
}

impl Language {
    /// The stand-in with the tools that make components of it.
    fn tools(self) -> &'static str {
        match self {
            Language::Python => "python-guest",
            Language::JavaScript => "javascript",
        }
    }

    /// The folder of its SDK, relative to the root.
    fn sdk(self) -> &'static str {
        match self {
            Language::Python => "guest-sdk/python",
            Language::JavaScript => "guest-sdk/js",
        }
    }
}

/// A part of the interpreter that is in the components of a language.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// A licence expression of SPDX.
    pub(crate) licence: &'static str,
    /// Where its sources are.
    pub(crate) address: &'static str,
}

/// What componentize-py puts into a component.
const OF_PYTHON: [Runtime; 2] = [
    Runtime {
        name: "componentize-py",
        licence: "Apache-2.0 WITH LLVM-exception",
        address: "https://github.com/bytecodealliance/componentize-py",
    },
    Runtime { name: "CPython", licence: "PSF-2.0", address: "https://github.com/python/cpython" },
];

/// What componentize-js puts into a component.
const OF_JAVASCRIPT: [Runtime; 4] = [
    Runtime {
        name: "componentize-js",
        licence: "Apache-2.0 WITH LLVM-exception",
        address: "https://github.com/bytecodealliance/ComponentizeJS",
    },
    Runtime {
        name: "StarlingMonkey",
        licence: "Apache-2.0 WITH LLVM-exception",
        address: "https://github.com/bytecodealliance/StarlingMonkey",
    },
    Runtime {
        name: "SpiderMonkey",
        licence: "MPL-2.0",
        address: "https://github.com/mozilla-firefox/firefox",
    },
    Runtime {
        name: "OpenSSL",
        licence: "Apache-2.0",
        address: "https://github.com/openssl/openssl",
    },
];

/// A template in Python or JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The name of its folder and of its component.
    pub(crate) name: String,
    folder: PathBuf,
    language: Language,
}

/// Finds the templates in Python and JavaScript, sorted by name.
pub(crate) fn templates(workspace: &Workspace) -> anyhow::Result<Vec<Template>> {
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
        found.push(Template { name, folder, language });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Builds the templates whose name is `wanted`, if their sources, their tools or the contract have
/// changed since the last build.
pub(crate) fn build(workspace: &Workspace, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let standins = Standins::load(workspace)?;
    for template in templates(workspace)?.into_iter().filter(|template| wanted(&template.name)) {
        let recipe = Recipe {
            name: &template.name,
            tools: template.language.tools(),
            group: Group::Templates,
            stamp: template.stamp(workspace, &standins)?,
        };
        make(workspace, &standins, &recipe, |tools, work| {
            template.componentize(workspace, tools, work)
        })?;
    }
    Ok(())
}

/// What a component is made of, and where it goes.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    /// The name of its file, without `.wasm`.
    pub(crate) name: &'a str,
    /// The stand-in with its tools.
    pub(crate) tools: &'a str,
    /// The group whose folder it is installed into.
    pub(crate) group: Group,
    /// A hash of everything that it is made of.
    pub(crate) stamp: String,
}

/// Makes and installs a component, if its stamp has changed since the last build. `componentize`
/// gets the folder of the tools and a folder to work in, and returns the path of what it made. If
/// the tools cannot be installed, the component is reported as SKIPPED and removed.
pub(crate) fn make(
    workspace: &Workspace,
    standins: &Standins,
    recipe: &Recipe<'_>,
    componentize: impl FnOnce(&Path, &Path) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<()> {
    let name = recipe.name;
    let component = workspace.components(recipe.group).join(format!("{name}.wasm"));
    let work = workspace.target.join("languages").join(name);
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let stamp_file = work.join("stamp");
    if component.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == recipe.stamp) {
        let size = console::size(fs::metadata(&component)?.len());
        console::line(&format!("  {name}  {size:>10}"));
        return Ok(());
    }
    let tools = match standins.install(workspace, recipe.tools) {
        Ok(tools) => tools,
        Err(why) => {
            // A component of older sources must not be used by mistake.
            fs::remove_file(&component).ok();
            anyhow::ensure!(
                !standins::are_required(),
                "{REQUIRE}=1 requires {name}, which cannot be built on this machine: {why}"
            );
            console::line(&format!("\nSKIPPED: {name} is not built: {why}\n"));
            return Ok(());
        }
    };
    let built = componentize(&tools, &work)?;
    let installed = install::install(&built, &component)?;
    fs::write(&stamp_file, &recipe.stamp)
        .with_context(|| format!("cannot write {}", stamp_file.display()))?;
    console::line(&format!("  {name}  {:>10}  changed", console::size(installed.bytes)));
    Ok(())
}

impl Template {
    /// The package that makes its component.
    pub(crate) fn maker(&self) -> &'static str {
        match self.language {
            Language::Python => "componentize-py",
            Language::JavaScript => "@bytecodealliance/componentize-js",
        }
    }

    /// The version of [`Template::maker`].
    pub(crate) fn maker_version(
        &self,
        workspace: &Workspace,
        standins: &Standins,
    ) -> Option<String> {
        standins.version(workspace, self.language.tools(), self.maker())
    }

    /// The parts of its interpreter.
    pub(crate) fn runtimes(&self) -> &'static [Runtime] {
        match self.language {
            Language::Python => &OF_PYTHON,
            Language::JavaScript => &OF_JAVASCRIPT,
        }
    }

    /// A hash of everything that the component is made of.
    fn stamp(&self, workspace: &Workspace, standins: &Standins) -> anyhow::Result<String> {
        let mut hasher = DefaultHasher::new();
        standins.key(workspace, self.language.tools()).hash(&mut hasher);
        let sdk = workspace.root.join(self.language.sdk());
        for folder in [self.folder.join("src"), sdk, workspace.root.join("wit")] {
            hash_files(workspace, &folder, &mut hasher)?;
        }
        Ok(format!("{:016x}", hasher.finish()))
    }

    /// Makes the component in the folder `work` and returns its path.
    fn componentize(
        &self,
        workspace: &Workspace,
        tools: &Path,
        work: &Path,
    ) -> anyhow::Result<PathBuf> {
        let sh = Shell::new()?;
        let (built, wit) = (work.join("built.wasm"), workspace.root.join("wit/0.2.0"));
        let sdk = workspace.root.join(self.language.sdk());
        match self.language {
            Language::Python => {
                // componentize-py writes files beside those that it reads.
                let (sources, sdk_copy) = (work.join("sources"), work.join("sdk"));
                copy(&self.folder.join("src"), &sources)?;
                copy(&sdk, &sdk_copy)?;
                let tool = tools.join("componentize-py");
                process::run(
                    cmd!(
                        sh,
                        "{tool} -d {wit} -w template componentize
                         -p {sources} -p {sdk_copy} -o {built} app"
                    )
                    .ignore_stdout(),
                )?;
            }
            Language::JavaScript => {
                let bundle = work.join(format!("{}.js", self.name));
                let (bundler, tool) = (tools.join("esbuild"), tools.join("componentize-js"));
                let alias = format!("--alias:sitewright={}", sdk.join("index.js").display());
                let outfile = format!("--outfile={}", bundle.display());
                sh.change_dir(&self.folder);
                process::run(cmd!(
                    sh,
                    "{bundler} src/template.js --bundle --format=esm --charset=utf8
                     --log-level=warning --external:sitewright:* --loader:.css=text
                     --sourcemap=external --sources-content=false
                     --loader:.png=binary --loader:.bin=binary --supported:from-base64=false
                     --supported:async-await=false --supported:async-generator=false
                     --supported:for-await=false {alias} {outfile}"
                ))?;
                let map = bundle.with_extension("js.map");
                source_map::append_lines(&bundle, &map, &self.folder.canonicalize()?)?;
                sh.change_dir(work);
                process::run(
                    cmd!(
                        sh,
                        "{tool} {bundle} --wit {wit} --world-name template-sync
                         --disable http fetch-event --out {built}"
                    )
                    .ignore_stdout(),
                )?;
                // componentize-js reports some errors and exits with 0.
                anyhow::ensure!(
                    built.is_file(),
                    "componentize-js has made no component of {}; its output above says why",
                    self.name
                );
            }
        }
        Ok(built)
    }
}

/// Adds the names and the contents of all files below a folder to a hash.
pub(crate) fn hash_files(
    workspace: &Workspace,
    folder: &Path,
    hasher: &mut DefaultHasher,
) -> anyhow::Result<()> {
    for file in files(folder)? {
        file.strip_prefix(&workspace.root).unwrap_or(&file).hash(hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(hasher);
    }
    Ok(())
}

/// Every file below a folder, sorted, without the caches of interpreters.
pub(crate) fn files(folder: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
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

/// Makes the folder `to` an exact copy of the folder `from`.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
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
    fn templates_are_found_by_the_files_in_their_folders() {
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
        let workspace = Workspace::at(root.path());
        let found = templates(&workspace).unwrap();
        let found: Vec<_> =
            found.iter().map(|template| (template.name.as_str(), template.language)).collect();
        assert_eq!(found, [("js", Language::JavaScript), ("py", Language::Python)]);
    }

    #[test]
    fn a_copy_is_exact_and_the_stamp_changes_with_every_file() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for file in ["plugins/py/src/app.py", "guest-sdk/python/a.py", "wit/a.wit"] {
            write(file, "one");
        }
        write("plugins/py/src/__pycache__/app.pyc", "a cache");
        let tools = |version: &str| {
            let python = format!(r#"{{"python-guest": {{"packages": ["tool=={version}"]}}}}"#);
            write(
                "tests/standins/standins.json",
                &format!(r#"{{"python": {python}, "npm": {{}}}}"#),
            );
            Standins::load(&Workspace::at(root.path())).unwrap()
        };
        let standins = tools("1");
        let workspace = Workspace::at(root.path());
        let template = templates(&workspace).unwrap().remove(0);
        let to = root.path().join("copy");
        write("copy/old.py", "from an earlier build");
        copy(&root.path().join("plugins/py/src"), &to).unwrap();
        assert_eq!(files(&to).unwrap(), BTreeSet::from([to.join("app.py")]));

        let first = template.stamp(&workspace, &standins).unwrap();
        assert_eq!(template.stamp(&workspace, &standins).unwrap(), first);
        for file in ["plugins/py/src/app.py", "guest-sdk/python/a.py", "wit/a.wit"] {
            write(file, "two");
            assert_ne!(template.stamp(&workspace, &standins).unwrap(), first, "{file}");
            write(file, "one");
        }
        assert_ne!(template.stamp(&workspace, &tools("2")).unwrap(), first);
        write("plugins/py/src/new.py", "");
        assert_ne!(template.stamp(&workspace, &standins).unwrap(), first);
    }
}
