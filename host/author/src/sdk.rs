//! The SDK of a new project: that of this program, a checkout of the repository, or a published
//! version.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::vendor;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The folder of the Rust SDK in a checkout.
const IN_CHECKOUT: &str = "guest-sdk";
/// The Rust SDK's package.
const PACKAGE: &str = "sitewright-sdk";

/// The value of `--sdk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdkSource {
    /// A published version, for example `0.1`.
    Version(String),
    /// A checkout of the repository, or the SDK's folder in it.
    Path(PathBuf),
}

impl FromStr for SdkSource {
    type Err = std::convert::Infallible;

    /// A text that looks like a version, and is not an existing path, is a version; everything else
    /// is a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = core.split('.').collect();
        let is_version = parts.len() <= 3
            && parts.iter().all(|part| is_number(part))
            && !Path::new(text).exists();
        Ok(if is_version {
            SdkSource::Version(text.to_owned())
        } else {
            SdkSource::Path(PathBuf::from(text))
        })
    }
}

/// An SDK that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// The SDK that this program carries, copied into the project.
    Vendored,
    /// A published version.
    Version(String),
    /// A checkout; an absolute path.
    Checkout(PathBuf),
}

impl Sdk {
    /// Finds the SDK. Default: the one that this program carries. Blocking.
    ///
    /// # Errors
    /// If a path contains no SDK.
    pub fn find(asked: Option<&SdkSource>) -> Result<Self, Message> {
        match asked {
            Some(SdkSource::Version(version)) => Ok(Sdk::Version(version.clone())),
            Some(SdkSource::Path(path)) => {
                let full = path.canonicalize().map_err(|error| {
                    message!(
                        "cannot find the SDK {} (--sdk): {error}; give a checkout of the \
                         repository, or a version like 0.1",
                        path.display()
                    )
                })?;
                checkout_of(&full).map(Sdk::Checkout).ok_or_else(|| {
                    message!(
                        "the folder {} has no SDK (--sdk): neither it nor its {IN_CHECKOUT} has \
                         the Cargo.toml of the package `{PACKAGE}`; give a checkout of the \
                         repository, or a version like 0.1",
                        path.display()
                    )
                })
            }
            None => Ok(Sdk::Vendored),
        }
    }

    /// The location of the Python package, as a value in the pyproject.toml in `folder`.
    pub(super) fn python_path(&self, folder: &Path) -> String {
        let path = match self {
            Sdk::Version(_) => "installed".to_owned(),
            Sdk::Vendored => vendor::FOLDER.to_owned(),
            Sdk::Checkout(root) => text(&relative(folder, root)),
        };
        toml::Value::String(path).to_string()
    }

    /// The folder of the Python package for editors, as a value in the pyproject.toml in `folder`.
    pub(super) fn python_package(&self, folder: &Path) -> String {
        let package = |root: &Path| text(&root.join(IN_CHECKOUT).join("python"));
        let path = match self {
            Sdk::Version(_) => return "[]".to_owned(),
            Sdk::Vendored => package(Path::new(vendor::FOLDER)),
            Sdk::Checkout(root) => package(&relative(folder, root)),
        };
        toml::Value::Array(vec![toml::Value::String(path)]).to_string()
    }

    /// The dependency, as a value in the package.json in `folder`.
    pub(super) fn npm_dependency(&self, folder: &Path) -> String {
        let package = |root: &Path| format!("file:{}", text(&root.join(IN_CHECKOUT).join("js")));
        let dependency = match self {
            Sdk::Version(version) => version.clone(),
            Sdk::Vendored => package(Path::new(vendor::FOLDER)),
            Sdk::Checkout(root) => package(&relative(folder, root)),
        };
        serde_json::Value::String(dependency).to_string()
    }

    /// The checkout; `None` for any other SDK.
    pub fn checkout(&self) -> Option<&Path> {
        match self {
            Sdk::Checkout(root) => Some(root),
            Sdk::Version(_) | Sdk::Vendored => None,
        }
    }

    /// The dependency, as a value in the Cargo.toml in `folder`.
    pub(super) fn cargo_dependency(&self, folder: &Path) -> String {
        let quoted = |text: String| toml::Value::String(text).to_string();
        let path = |root: &Path| format!("{{ path = {} }}", quoted(text(&root.join(IN_CHECKOUT))));
        match self {
            Sdk::Version(version) => quoted(version.clone()),
            Sdk::Vendored => path(Path::new(vendor::FOLDER)),
            Sdk::Checkout(root) => path(&relative(folder, root)),
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The path from a folder to another one, both absolute, so that a project can be moved together
/// with its SDK, and no file of it names a folder of this machine.
fn relative(folder: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to[common..].iter().copied()).collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

impl std::fmt::Display for Sdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sdk::Version(version) => write!(f, "version {version}"),
            Sdk::Vendored => {
                write!(f, "of this program ({}, in {})", env!("CARGO_PKG_VERSION"), vendor::FOLDER)
            }
            Sdk::Checkout(root) => write!(f, "{}", root.display()),
        }
    }
}

/// The checkout of which `folder` is the root or the SDK's folder.
fn checkout_of(folder: &Path) -> Option<PathBuf> {
    [Some(folder), folder.parent().filter(|_| folder.ends_with(IN_CHECKOUT))]
        .into_iter()
        .flatten()
        .find(|root| is_sdk(&root.join(IN_CHECKOUT)) && root.join("wit").is_dir())
        .map(Path::to_owned)
}

fn is_sdk(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Cargo {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .ok()
        .and_then(|text| toml::from_str::<Cargo>(&text).ok())
        .is_some_and(|cargo| cargo.package.name == PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_from_a_path() {
        for (text, version) in [
            ("0.1", true),
            ("1", true),
            ("0.1.0-rc.1", true),
            (".", false),
            ("../sdk", false),
            ("0.1/x", false),
            ("", false),
        ] {
            let source: SdkSource = text.parse().unwrap();
            assert_eq!(matches!(source, SdkSource::Version(_)), version, "{text:?}");
        }
    }

    #[test]
    fn a_path_to_the_sdk_is_relative() {
        for (from, to, expected) in [
            ("/a/b/project", "/a/sdk", "../../sdk"),
            ("/a", "/a/b/c", "b/c"),
            ("/a/b", "/", "../.."),
            ("/a", "/a", "."),
        ] {
            assert_eq!(
                relative(Path::new(from), Path::new(to)),
                Path::new(expected),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn the_checkout_and_its_sdk_folder_mean_the_same_and_other_folders_are_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap()
            .canonicalize()
            .unwrap();
        for path in [root.clone(), root.join("guest-sdk")] {
            assert_eq!(Sdk::find(Some(&SdkSource::Path(path))), Ok(Sdk::Checkout(root.clone())));
        }
        for path in [root.join("host"), root.join("nowhere")] {
            let error = Sdk::find(Some(&SdkSource::Path(path.clone()))).unwrap_err();
            assert!(error.as_str().contains(&path.display().to_string()), "{error}");
            assert!(error.as_str().contains("--sdk"), "{error}");
        }
        assert_eq!(Sdk::find(None), Ok(Sdk::Vendored));
    }
}
