//! Which files a build read, so that `template dev` builds again only if one of them changes.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{js, python};
use crate::project::{Language, Project};

/// Ends of the paths of files that a build in Rust reads and that cargo does not list.
const OF_CARGO: [&str; 6] = [
    "Cargo.toml",
    BUILD_SCRIPT,
    "rust-toolchain",
    "rust-toolchain.toml",
    ".cargo/config",
    ".cargo/config.toml",
];
const BUILD_SCRIPT: &str = "build.rs";
/// Extensions by which esbuild completes the name of an import: a new file can take the place of
/// another one beside it.
const COMPLETED: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];

/// The files that a build read.
///
/// They are what the language's tools list: cargo's dep-info, esbuild's metafile, and for Python
/// the folders that componentize-py gets. Without such a list (nothing was built yet, there is a
/// build script in Rust, or the list cannot be read) any file counts as read: a build too many is
/// better than a page that is out of date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesRead(Option<Known>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    language: Language,
    /// Absolute paths of files, and of folders with all that is in them.
    paths: BTreeSet<PathBuf>,
}

impl FilesRead {
    /// What the last build of the project read, whose tools wrote `component`. Blocking.
    pub(super) fn by(project: &Project, component: &Path) -> Self {
        let listed = match project.language {
            Language::Rust => rust(project, component),
            Language::Python => python::sdk(project).ok().map(|sdk| {
                vec![project.folder.join("src"), project.folder.join("pyproject.toml"), sdk]
            }),
            Language::Js => bundled(project),
        };
        FilesRead(listed.map(|listed| {
            Known {
                language: project.language,
                // The watcher reports a link by its name, tools by that of the file or with `..`.
                paths: listed
                    .iter()
                    .flat_map(|path| {
                        [plain(path), path.canonicalize().unwrap_or_else(|_| plain(path))]
                    })
                    .collect(),
            }
        }))
    }

    /// Whether the build read this file or folder, or a file in the folder, or could read it now
    /// that it has changed. Absolute path.
    pub fn contains(&self, path: &Path) -> bool {
        let Some(Known { language, paths }) = &self.0 else { return true };
        let inside = || paths.range(path.to_path_buf()..).next();
        path.ancestors().any(|folder| paths.contains(folder))
            || inside().is_some_and(|file| file.starts_with(path))
            || match language {
                Language::Rust => OF_CARGO.iter().any(|end| path.ends_with(end)),
                Language::Python => false,
                Language::Js => is_of_bundler(path) || takes_a_place(path, paths),
            }
    }
}

/// A configuration of the bundler: `package.json`, `tsconfig.json` or one that it extends.
fn is_of_bundler(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "package.json" || (name.starts_with("tsconfig") && name.ends_with(".json"))
}

/// Whether the file is code beside a file that was read.
fn takes_a_place(path: &Path, read: &BTreeSet<PathBuf>) -> bool {
    path.extension().is_some_and(|end| COMPLETED.iter().any(|known| end == *known))
        && read.iter().any(|read| read.parent() == path.parent())
}

/// The files in the dep-info that cargo wrote beside the component: sources of the crate and of its
/// path dependencies, with what macros like `include_str!` read. `None` if there is a build script,
/// which reads what it likes.
fn rust(project: &Project, component: &Path) -> Option<Vec<PathBuf>> {
    let cargo = std::fs::read_to_string(project.folder.join("Cargo.toml")).ok()?;
    let cargo: toml::Table = cargo.parse().ok()?;
    let named = cargo.get("package").is_some_and(|package| package.get("build").is_some());
    if named || project.folder.join(BUILD_SCRIPT).is_file() {
        return None;
    }
    let text = std::fs::read_to_string(component.with_extension("d")).ok()?;
    let (_, listed) = text.lines().next()?.split_once(": ")?;
    // A space in a name is escaped.
    let names = listed.replace("\\ ", "\0");
    let names = names.split(' ').filter(|name| !name.is_empty());
    let files: Vec<PathBuf> =
        names.map(|name| project.folder.join(name.replace('\0', " "))).collect();
    // Two projects with one target folder and one name write the same file.
    files.iter().any(|file| file.starts_with(&project.folder)).then_some(files)
}

/// The files in the metafile that esbuild wrote.
fn bundled(project: &Project) -> Option<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Metafile {
        inputs: serde_json::Map<String, serde_json::Value>,
    }
    let text = std::fs::read(js::metafile(project)).ok()?;
    let metafile: Metafile = serde_json::from_slice(&text).ok()?;
    // An import with attributes is listed as `assets/words.json with { type: "json" }`.
    let names = metafile.inputs.keys().filter_map(|name| name.split(" with ").next());
    let names = names.filter(|name| !name.is_empty());
    Some(names.map(|name| project.folder.join(name)).collect())
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A project of the language with these files; `{root}` in their texts is its folder.
    fn project(language: Language, files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("a shop");
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = text.replace("{root}", &root.display().to_string().replace(' ', "\\ "));
            fs::write(path, text).unwrap();
        }
        (folder, Project { folder: root, name: "shop".parse().unwrap(), language })
    }

    #[test]
    fn a_build_reads_what_its_tools_list() {
        let rust = [
            ("Cargo.toml", "[package]\nname = \"shop\"\n"),
            ("templates/index.html", ""),
            (
                "target/shop.d",
                "{root}/target/shop.wasm: {root}/src/lib.rs {root}/src/pages/home.rs \
                 {root}/src/../templates/index.html {root}/the\\ menu.json\n",
            ),
        ];
        let script = [rust.as_slice(), &[("build.rs", "fn main() {}")]].concat();
        let named = "[package]\nname = \"shop\"\nbuild = \"make.rs\"\n";
        let named = [[("Cargo.toml", named)].as_slice(), &rust[1..]].concat();
        let others = [&rust[..2], &[("target/shop.d", "/a/shop.wasm: /a/src/lib.rs\n")]].concat();
        let python = [
            ("pyproject.toml", "[tool.sitewright]\nsdk = \"vendor/sitewright\"\n"),
            ("vendor/sitewright/sitewright/__init__.py", ""),
        ];
        let js = [(
            ".sitewright/build/shop.meta.json",
            r#"{ "inputs": { "src/template.ts": {}, "assets/words.json with { type: 'json' }": {},
                 "vendor/sitewright/index.js": {} }, "outputs": {} }"#,
        )];
        let all = ["notes.db", "README.md", "src/lib.rs"];
        for (language, files, read, unread) in [
            (
                Language::Rust,
                rust.as_slice(),
                [
                    "src/lib.rs",
                    "src",
                    "src/pages",
                    "templates/index.html",
                    "the menu.json",
                    "vendor/sitewright/guest-sdk/Cargo.toml",
                    "build.rs",
                    ".cargo/config.toml",
                ]
                .as_slice(),
                ["notes.db", "src/notes.db", "tests/orders.rs", "README.md", "sitewright.toml"]
                    .as_slice(),
            ),
            (Language::Rust, script.as_slice(), &all, &[]),
            (Language::Rust, named.as_slice(), &all, &[]),
            // The list is that of another project.
            (Language::Rust, others.as_slice(), &all, &[]),
            // Nothing was built.
            (Language::Rust, &rust[..1], &all, &[]),
            (Language::Js, &[], &all, &[]),
            (Language::Python, &[], &all, &[]),
            (
                Language::Python,
                &python,
                &[
                    "src/app.py",
                    "src/words.json",
                    "pyproject.toml",
                    "vendor/sitewright/sitewright/a.py",
                ],
                &["notes.db", "tests/test_orders.py", "README.md", "vendor/other/a.py"],
            ),
            (
                Language::Js,
                &js,
                &[
                    "src/template.ts",
                    "assets/words.json",
                    "vendor/sitewright/index.js",
                    "package.json",
                    "tsconfig.base.json",
                    "src/template.js",
                    "src",
                ],
                &["notes.db", "src/notes.db", "test/orders.test.js", "README.md", "assets/b.svg"],
            ),
        ] {
            let (_folder, project) = project(language, files);
            let found = FilesRead::by(&project, &project.folder.join("target/shop.wasm"));
            for (names, expected) in [(read, true), (unread, false)] {
                for name in names {
                    let is_read = found.contains(&project.folder.join(name));
                    assert_eq!(is_read, expected, "{language}: {name} in {found:?}");
                }
            }
        }
    }
}
