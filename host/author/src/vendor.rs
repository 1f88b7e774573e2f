//! The SDKs that this program carries, as the files of a project.
//!
//! They are written below [`FOLDER`] as in the repository, so that the crates find each other and
//! the contract.

use crate::project::Language;

/// Folder of the SDK in a project.
pub(crate) const FOLDER: &str = "vendor/sitewright";

/// The lock file of the Rust SDK, for a new project.
pub(crate) const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/sdk.lock"));

/// The workspace of the crates of the Rust SDK.
const WORKSPACE: (&str, &[u8]) =
    ("Cargo.toml", include_bytes!(concat!(env!("OUT_DIR"), "/workspace.toml")));

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// The files of the SDK for a language: the path below [`FOLDER`], and the content.
pub(crate) fn files(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let (files, workspace) = match language {
        Language::Rust => (embedded::RUST, Some(WORKSPACE)),
        Language::Python => (embedded::PYTHON, None),
        Language::Js => (embedded::JS, None),
    };
    files.iter().copied().chain(workspace)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The package `sitewright` of a language, as its tools install it from the project.
    fn file(language: Language, path: &str) -> String {
        let found = files(language).find(|(at, _)| *at == path);
        let (_, bytes) = found.unwrap_or_else(|| panic!("{path} is not carried"));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn the_sdks_are_packages_of_the_version_of_this_program() {
        let version = env!("CARGO_PKG_VERSION");
        let python = file(Language::Python, "guest-sdk/python/pyproject.toml");
        let python: toml::Table = python.parse().unwrap();
        let project = &python["project"];
        assert_eq!(
            (project["name"].as_str(), project["version"].as_str()),
            (Some("sitewright"), Some(version))
        );
        let data = python["tool"]["setuptools"]["package-data"]["sitewright"].as_array().unwrap();
        for name in data.iter().filter_map(toml::Value::as_str) {
            file(Language::Python, &format!("guest-sdk/python/sitewright/{name}"));
        }
        // Tests say it to the program.
        let testing = file(Language::Python, "guest-sdk/python/sitewright/testing.py");
        assert!(testing.contains(&format!("\nVERSION = \"{version}\"\n")));
        let js = file(Language::Js, "guest-sdk/js/package.json");
        let js: serde_json::Value = serde_json::from_str(&js).unwrap();
        assert_eq!(
            (js["name"].as_str(), js["version"].as_str()),
            (Some("sitewright"), Some(version))
        );
    }
}
