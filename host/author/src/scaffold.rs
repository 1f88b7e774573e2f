//! Creates a new project that builds and passes its tests without changes.
//!
//! Its files are in `scaffold/`, in the language's folder and in `common`, and are embedded in this
//! program. Placeholders such as `@@name@@` are replaced; an unknown placeholder is an error.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::build::js;
use super::name::TemplateName;
use super::project::Language;
use super::sdk::Sdk;
use super::vendor;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Start and end of a placeholder.
const MARK: &str = "@@";

/// The repository's toolchain file; a new project gets the same compiler version.
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");

/// A file of a project: its path, and its text with placeholders.
type ScaffoldFile = (&'static str, &'static str);

macro_rules! files {
    ($($to:literal from $from:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("scaffold/", $from)))),*]
    };
}

/// Files of every project, in any language.
const COMMON: &[ScaffoldFile] = files! {
    "order.json" from "common/order.json",
    "ai.toml" from "common/ai.toml",
    "sitewright.toml" from "common/sitewright.toml",
    "conformance/first/case.toml" from "common/case.toml",
    "conformance/first/order.json" from "common/order.json",
    "conformance/first/ai.toml" from "common/case-ai.toml",
};

const RUST: &[ScaffoldFile] = files! {
    "assets/site.css" from "common/site.css",
    ".gitignore" from "rust/gitignore",
    "Cargo.toml" from "rust/Cargo.toml.in",
    "README.md" from "rust/README.md",
    "rust-toolchain.toml" from "rust/rust-toolchain.toml",
    "src/head.rs" from "rust/src/head.rs",
    "src/lib.rs" from "rust/src/lib.rs",
    "templates/icon.svg" from "rust/templates/icon.svg",
    "templates/index.html" from "rust/templates/index.html",
    "tests/orders.rs" from "rust/tests/orders.rs",
};

const PYTHON: &[ScaffoldFile] = files! {
    "src/assets/site.css" from "common/site.css",
    ".gitignore" from "python/gitignore",
    "README.md" from "python/README.md",
    "pyproject.toml" from "python/pyproject.toml",
    "src/app.py" from "python/src/app.py",
    "src/head.py" from "python/src/head.py",
    "tests/test_orders.py" from "python/tests/test_orders.py",
};

const JS: &[ScaffoldFile] = files! {
    "assets/site.css" from "common/site.css",
    ".gitignore" from "js/gitignore",
    "README.md" from "js/README.md",
    "package.json" from "js/package.json",
    "src/head.js" from "js/src/head.js",
    "src/template.js" from "js/src/template.js",
    "test/orders.test.js" from "js/test/orders.test.js",
};

/// The style sheet of all starters but the one page.
const STYLE: &str = include_str!("scaffold/starters/site.css");

/// Files of a starter in place of those of the one page: in any language, and in each.
struct StarterFiles {
    common: &'static [ScaffoldFile],
    rust: &'static [ScaffoldFile],
    python: &'static [ScaffoldFile],
    js: &'static [ScaffoldFile],
}

/// A starter's own words in each language.
macro_rules! words {
    ($name:literal) => {
        include_str!(concat!("scaffold/starters/", $name, "/words.json"))
    };
}

macro_rules! starter {
    ($name:literal, $($page:literal),+) => {
        StarterFiles {
            common: &[
                ("order.json", include_str!(concat!("scaffold/starters/", $name, "/order.json"))),
                (
                    "conformance/first/order.json",
                    include_str!(concat!("scaffold/starters/", $name, "/order.json")),
                ),
                ("ai.toml", include_str!(concat!("scaffold/starters/", $name, "/ai.toml"))),
            ],
            rust: &[
                ("assets/site.css", STYLE),
                ("assets/words.json", words!($name)),
                (
                    "src/lib.rs",
                    include_str!(concat!("scaffold/starters/", $name, "/rust/src/lib.rs")),
                ),
                $((
                    concat!("templates/", $page),
                    include_str!(concat!("scaffold/starters/", $name, "/rust/templates/", $page)),
                ),)+
                (
                    "tests/orders.rs",
                    include_str!(concat!("scaffold/starters/", $name, "/rust/tests/orders.rs")),
                ),
            ],
            python: &[
                ("src/assets/site.css", STYLE),
                ("src/assets/words.json", words!($name)),
                (
                    "src/app.py",
                    include_str!(concat!("scaffold/starters/", $name, "/python/src/app.py")),
                ),
                (
                    "tests/test_orders.py",
                    include_str!(concat!(
                        "scaffold/starters/",
                        $name,
                        "/python/tests/test_orders.py"
                    )),
                ),
            ],
            js: &[
                ("assets/site.css", STYLE),
                ("assets/words.json", words!($name)),
                (
                    "src/template.js",
                    include_str!(concat!("scaffold/starters/", $name, "/js/src/template.js")),
                ),
                (
                    "test/orders.test.js",
                    include_str!(concat!("scaffold/starters/", $name, "/js/test/orders.test.js")),
                ),
            ],
        }
    };
}

const MULTI_PAGE: StarterFiles = starter!("multi-page", "page.html");
const RESTAURANT: StarterFiles = starter!("restaurant", "index.html");
const PORTFOLIO: StarterFiles = starter!("portfolio", "index.html");
const BLOG: StarterFiles = starter!("blog", "base.html", "home.html", "article.html");

/// The one page in TypeScript. The other starters are in JavaScript.
const TYPESCRIPT: &[ScaffoldFile] = files! {
    "src/head.ts" from "starters/typescript/head.ts",
    "src/template.ts" from "starters/typescript/template.ts",
    "tsconfig.json" from "starters/typescript/tsconfig.json",
};

/// The site with which a new project begins.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    clap::ValueEnum,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Starter {
    /// One page.
    #[default]
    OnePage,
    /// Four pages whose texts are asked for at the same time.
    MultiPage,
    /// A restaurant with its menu and its hours.
    Restaurant,
    /// A portfolio with links to photos of the work, and what clients say.
    Portfolio,
    /// A blog: a page for each article of the order, or articles about its services.
    Blog,
    /// One page in TypeScript, with types of the order. With `--lang js` only.
    Typescript,
}

impl Starter {
    /// One sentence about the site.
    fn summary(self) -> &'static str {
        match self {
            Starter::OnePage | Starter::Typescript => "A site of one page.",
            Starter::MultiPage => "A site of four pages: home, services, about and contact.",
            Starter::Restaurant => "The site of a restaurant, with its menu and its opening hours.",
            Starter::Portfolio => "A portfolio, with work and what clients say about it.",
            Starter::Blog => "A blog, with a list of its articles and a page for each.",
        }
    }

    /// Its files in a language, in place of those of the one page; `None` if there is none.
    fn files(self, language: Language) -> Option<Vec<&'static ScaffoldFile>> {
        let files = match self {
            Starter::OnePage => return Some(Vec::new()),
            Starter::Typescript => {
                return (language == Language::Js).then(|| TYPESCRIPT.iter().collect());
            }
            Starter::MultiPage => MULTI_PAGE,
            Starter::Restaurant => RESTAURANT,
            Starter::Portfolio => PORTFOLIO,
            Starter::Blog => BLOG,
        };
        let own = match language {
            Language::Rust => files.rust,
            Language::Python => files.python,
            Language::Js => files.js,
        };
        Some(own.iter().chain(files.common).collect())
    }
}

/// Rust keywords, and crates of every project: tests cannot use a crate of that name.
const RUST_WORDS: [&str; 46] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "sitewright_sdk",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "type",
];
/// See [`RUST_WORDS`].
const MORE_RUST_WORDS: [&str; 9] =
    ["try", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield"];

/// The parameters of a new project.
#[derive(Debug, Clone)]
pub struct NewProject {
    pub name: TemplateName,
    pub language: Language,
    pub starter: Starter,
    pub sdk: Sdk,
    /// The project's folder; it must be missing or empty.
    pub folder: PathBuf,
}

/// Why a project was not created.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name is reserved in the language.
    #[error("{0}")]
    Name(Message),
    /// The starter does not exist in the language.
    #[error(
        "the starter `{starter}` is not written in {language}: use `--lang js`, or another starter"
    )]
    Starter { starter: Starter, language: Language },
    /// The folder is not empty.
    #[error(
        "{} exists and is not empty, and nothing is ever overwritten: choose another name, or \
         another folder with --dir",
        .0.display()
    )]
    Taken(PathBuf),
    /// A file or folder could not be written.
    #[error("cannot write the project to {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// An embedded file has an unknown placeholder.
    #[error(
        "cannot fill in the scaffold's file {file}: {problem}; this is a bug in Sitewright, please \
         report it"
    )]
    Scaffold { file: &'static str, problem: String },
}

impl NewProject {
    /// Writes the whole project or nothing, and returns the paths of its files, relative to its
    /// folder. Blocking.
    ///
    /// # Errors
    /// If the name is reserved, the folder is not empty, or a file cannot be written.
    pub fn create(&self) -> Result<Vec<String>, NewError> {
        self.check_name()?;
        let files = self.files()?;
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| NewError::Io { path, source }
        };
        if is_taken(&self.folder).map_err(at(&self.folder))? {
            return Err(NewError::Taken(self.folder.clone()));
        }
        let parent = self
            .folder
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(at(parent))?;
        // Written beside and renamed when complete, so that a failure leaves no partial project.
        let parent = parent.canonicalize().map_err(at(parent))?;
        let place = parent.join(self.folder.file_name().unwrap_or_default());
        let unfinished = parent.join(format!(".{}.new-{}", self.name, std::process::id()));
        let written = self.write_to(&files, &unfinished, &place).and_then(|files| {
            // The rename replaces an empty folder, never one that was filled in the meantime.
            fs::rename(&unfinished, &self.folder).map_err(|error| match error.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                    NewError::Taken(self.folder.clone())
                }
                _ => at(&self.folder)(error),
            })?;
            Ok(files)
        });
        if written.is_err() && unfinished.exists() {
            // Best effort: the first error is reported.
            fs::remove_dir_all(&unfinished).ok();
        }
        written
    }

    fn check_name(&self) -> Result<(), NewError> {
        let module = self.name.module();
        let reserved = [RUST_WORDS.as_slice(), &MORE_RUST_WORDS].concat();
        if self.language == Language::Rust && reserved.contains(&module.as_str()) {
            return Err(NewError::Name(message!(
                "a template in Rust cannot be called {:?}, because `{module}` means something \
                 already; `{}-site` would be valid",
                self.name.as_str(),
                self.name
            )));
        }
        Ok(())
    }

    /// Writes the files into `folder`, for a project that will be in `place`.
    fn write_to(
        &self,
        files: &[&'static ScaffoldFile],
        folder: &Path,
        place: &Path,
    ) -> Result<Vec<String>, NewError> {
        let mut written = Vec::new();
        for (path, text) in files {
            let text = self.rendered(path, text, place)?;
            write_new(&folder.join(path), text.as_bytes())?;
            written.push((*path).to_owned());
        }
        if self.sdk == Sdk::Vendored {
            for (path, content) in vendor::files(self.language) {
                write_new(&folder.join(vendor::FOLDER).join(path), content)?;
            }
            written.push(format!("{}/", vendor::FOLDER));
        }
        // The versions with which the SDK was tested; a machine that built a template has them in
        // its cache.
        let lock = match &self.sdk {
            Sdk::Vendored => Some(vendor::LOCK.as_bytes().to_vec()),
            Sdk::Checkout(root) => fs::read(root.join("Cargo.lock")).ok(),
            Sdk::Version(_) => None,
        };
        if let Some(lock) = lock.filter(|_| self.language == Language::Rust) {
            write_new(&folder.join("Cargo.lock"), &lock)?;
            written.push("Cargo.lock".to_owned());
        }
        written.sort();
        Ok(written)
    }

    /// The files of the starter, and those of every project that they do not replace.
    fn files(&self) -> Result<Vec<&'static ScaffoldFile>, NewError> {
        let NewProject { starter, language, .. } = *self;
        let own = match language {
            Language::Rust => RUST,
            Language::Python => PYTHON,
            Language::Js => JS,
        };
        let mut files = starter.files(language).ok_or(NewError::Starter { starter, language })?;
        let replaced: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        // The pages of a starter are other ones.
        let is_page = |path: &str| match starter {
            Starter::OnePage => false,
            Starter::Typescript => [js::ENTRY, "src/head.js"].contains(&path),
            Starter::MultiPage | Starter::Restaurant | Starter::Portfolio | Starter::Blog => {
                path == "templates/index.html"
            }
        };
        let kept = own.iter().chain(COMMON);
        files.extend(kept.filter(|(path, _)| !replaced.contains(path) && !is_page(path)));
        Ok(files)
    }

    fn value(&self, key: &str, place: &Path) -> Option<String> {
        Some(match key {
            "name" => self.name.to_string(),
            "summary" => self.starter.summary().to_owned(),
            "main" if self.starter == Starter::Typescript => js::TYPED_ENTRY.to_owned(),
            "main" => js::ENTRY.to_owned(),
            "head" if self.starter == Starter::Typescript => "src/head.ts".to_owned(),
            "head" => "src/head.js".to_owned(),
            "ident" => self.name.module(),
            "type" => self.name.type_name(),
            "sdk" => self.sdk.cargo_dependency(place),
            "sdk-path" => self.sdk.python_path(place),
            "sdk-package" => self.sdk.python_package(place),
            "sdk-npm" => self.sdk.npm_dependency(place),
            "rust-version" => env!("CARGO_PKG_RUST_VERSION").to_owned(),
            "toolchain" => toolchain().to_owned(),
            _ => return None,
        })
    }

    /// The text with each placeholder replaced.
    fn rendered(&self, file: &'static str, text: &str, place: &Path) -> Result<String, NewError> {
        let wrong = |problem: String| NewError::Scaffold { file, problem };
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split(MARK);
        out.push_str(parts.next().unwrap_or_default());
        while let Some(key) = parts.next() {
            out.push_str(
                &self
                    .value(key, place)
                    .ok_or_else(|| wrong(format!("it has the unknown placeholder {key:?}")))?,
            );
            out.push_str(
                parts
                    .next()
                    .ok_or_else(|| wrong(format!("the placeholder {key:?} does not end")))?,
            );
        }
        Ok(out)
    }
}

/// The compiler version of the repository.
fn toolchain() -> &'static str {
    TOOLCHAIN
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .unwrap_or("stable")
}

/// Whether there is something in the way of a new folder: a file, or a folder that is not empty.
pub(crate) fn is_taken(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(true),
        Err(error) => Err(error),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), NewError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
    };
    write().map_err(|source| NewError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    fn project(name: &str, folder: PathBuf) -> NewProject {
        NewProject {
            name: name.parse().unwrap(),
            language: Language::Rust,
            starter: Starter::OnePage,
            sdk: Sdk::Version("0.1".to_owned()),
            folder,
        }
    }

    #[test]
    fn every_placeholder_of_every_language_is_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut made = 0;
        for (&language, &starter) in Language::ALL
            .iter()
            .flat_map(|language| Starter::VARIANTS.iter().map(move |starter| (language, starter)))
        {
            let into = folder.path().join(format!("{language}-{starter}"));
            let project = NewProject { language, starter, ..project("green-gate", into.clone()) };
            let files = match project.create() {
                Ok(files) => files,
                Err(NewError::Starter { .. })
                    if starter == Starter::Typescript && language != Language::Js =>
                {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            made += 1;
            assert!(files.contains(&"order.json".to_owned()), "{files:?}");
            for file in files.iter().filter(|file| !file.ends_with('/')) {
                let text = fs::read_to_string(into.join(file)).unwrap();
                assert!(!text.contains(MARK), "{file}: {text}");
            }
            let mut sorted = files.clone();
            sorted.dedup();
            assert_eq!(sorted, files, "a file is written once");
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), made, "something was left behind: {left:?}");
    }

    #[test]
    fn an_unknown_or_unterminated_placeholder_is_an_error() {
        let project = project("a", PathBuf::new());
        for (text, problem) in [
            ("a @@wrong@@ b", "unknown placeholder \"wrong\""),
            ("a @@name b", "unknown placeholder"),
            ("@@name@@@@name", "does not end"),
        ] {
            let error =
                project.rendered("some.file", text, Path::new("/p")).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("some.file"), "{error}");
        }
        assert_eq!(project.rendered("x", "@@name@@-@@ident@@", Path::new("/p")).unwrap(), "a-a");
    }

    #[test]
    fn nothing_is_overwritten_and_an_empty_folder_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("there");
        fs::create_dir(&into).unwrap();
        project("a", into.clone()).create().unwrap();
        let before = fs::read(into.join("Cargo.toml")).unwrap();
        for taken in [into.clone(), into.join("Cargo.toml")] {
            assert!(matches!(
                project("b", taken.clone()).create(),
                Err(NewError::Taken(path)) if path == taken
            ));
        }
        assert_eq!(fs::read(into.join("Cargo.toml")).unwrap(), before);
    }

    #[test]
    fn a_word_of_the_language_is_no_name() {
        for name in ["fn", "test", "proc-macro", "yield"] {
            let error = project(name, PathBuf::from("/nowhere")).create().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("-site"), "{error}");
        }
    }
}
