//! The licences of everything in an archive that others wrote, as one text.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;

use super::parts::Part;

/// How deep below the folder of a crate its licences are searched: crates that contain the sources
/// of a C library keep its licence beside them.
const DEPTH: usize = 3;
/// Beginnings of the names of licences, in upper case.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
/// Ends of the names of other files.
const SOURCES: [&str; 10] = ["rs", "c", "h", "py", "js", "json", "toml", "html", "sh", "pl"];
/// Folders of a crate that are not part of what is built.
const SKIPPED: [&str; 5] = ["target", "tests", "test", "benches", "examples"];

const RULE: &str =
    "================================================================================";

/// A licence text and the parts that it belongs to.
struct Section {
    title: String,
    text: String,
    parts: Vec<String>,
}

/// The table of all parts, followed by each licence text once, with the parts that it belongs to.
/// A part without a licence of its own has the standard text of the licence that it names.
pub(crate) fn text<'a>(parts: impl Iterator<Item = &'a Part>) -> anyhow::Result<String> {
    let mut table = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for part in parts {
        let label = match &part.version {
            Some(version) => format!("{} {version}", part.name),
            None => part.name.clone(),
        };
        let address = part.address.as_deref().unwrap_or("-");
        table.push(format!("{label}\n    {}\n    {address}\n", part.licence));
        for (title, text) in texts(part)? {
            let key = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let at = *known.entry(key).or_insert(sections.len());
            if at == sections.len() {
                sections.push(Section { title, text, parts: Vec::new() });
            }
            if let Some(section) = sections.get_mut(at)
                && section.parts.last() != Some(&label)
            {
                section.parts.push(label.clone());
            }
        }
    }
    let mut whole = format!(
        "Sitewright contains software of others: {} packages, listed here with their licences and \
         the\nplaces of their sources. The texts of the licences follow.\n\n{}",
        table.len(),
        table.concat()
    );
    for Section { title, text, parts } in sections {
        let parts = parts.join(", ");
        whole.push_str(&format!("\n{RULE}\n{title}\nof {parts}\n{RULE}\n\n{}\n", text.trim_end()));
    }
    Ok(whole)
}

/// The licence texts of a part with their titles.
fn texts(part: &Part) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    if let Some(folder) = &part.folder {
        search(folder, DEPTH, &mut found).with_context(|| {
            format!("cannot read the sources of {} in {}", part.name, folder.display())
        })?;
        found.sort();
    }
    if found.is_empty() {
        return standard(part);
    }
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 1 && !name.starts_with('.') && !SKIPPED.contains(&name.as_str())
        {
            search(&entry.path(), depth - 1, found)?;
        } else if kind.is_file() && is_licence(&name) {
            let bytes = fs::read(entry.path())?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            if !text.trim().is_empty() {
                found.push((name, text));
            }
        }
    }
    Ok(())
}

fn is_licence(name: &str) -> bool {
    let upper = name.to_uppercase();
    let extension = Path::new(name).extension().unwrap_or_default().to_string_lossy();
    NAMES.iter().any(|begin| upper.starts_with(begin)) && !SOURCES.contains(&&*extension)
}

/// The texts of the licences that a part names.
fn standard(part: &Part) -> anyhow::Result<Vec<(String, String)>> {
    let expression = spdx::Expression::parse(&part.licence).with_context(|| {
        format!("the licence of {} is no expression of SPDX: {}", part.name, part.licence)
    })?;
    let mut found = Vec::new();
    for requirement in expression.requirements() {
        let licence = requirement.req.license.id().with_context(|| {
            format!(
                "{} has the licence {} and no file with its text, and SPDX has none either; it \
                 cannot be shipped",
                part.name, requirement.req
            )
        })?;
        found.push((format!("{} (standard text)", licence.name), licence.text().to_owned()));
        if let Some(exception) = requirement.req.addition.as_ref().and_then(|more| more.id()) {
            found
                .push((format!("{} (standard text)", exception.name), exception.text().to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn part(name: &str, licence: &str, folder: Option<&Path>) -> Part {
        Part {
            reference: format!("pkg:cargo/{name}@1.0.0"),
            name: name.to_owned(),
            version: Some("1.0.0".to_owned()),
            description: None,
            licence: licence.to_owned(),
            address: Some(format!("https://example.com/{name}")),
            folder: folder.map(Into::into),
            checksum: None,
            own: false,
            uses: BTreeSet::new(),
        }
    }

    #[test]
    fn each_text_is_there_once_with_all_who_share_it() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("one/LICENSE-MIT", "Copyright Ana\r\n\r\nYou may  copy it\r\n");
        write("one/src/license.rs", "fn licence() {}");
        write("two/COPYING", "Copyright Ana\n\nYou may copy it\n");
        write("two/sources/lib/LICENSE.txt", "Licence of a library in C");
        write("two/tests/LICENSE", "Licence of a test");
        fs::create_dir(root.path().join("three")).unwrap();
        let folder = |name: &str| root.path().join(name);
        let parts = [
            part("one", "MIT", Some(&folder("one"))),
            part("two", "MIT", Some(&folder("two"))),
            part("three", "Apache-2.0 WITH LLVM-exception OR Zlib", Some(&folder("three"))),
        ];
        let text = text(parts.iter()).unwrap();
        assert_eq!(text.matches("You may  copy it").count(), 1, "{text}");
        for contained in [
            "3 packages",
            "one 1.0.0\n    MIT\n    https://example.com/one\n",
            "LICENSE-MIT\nof one 1.0.0, two 1.0.0\n",
            "LICENSE.txt\nof two 1.0.0\n",
            "Apache-2.0 (standard text)\nof three 1.0.0\n",
            "LLVM-exception (standard text)\nof three 1.0.0\n",
            "Zlib (standard text)\nof three 1.0.0\n",
        ] {
            assert!(text.contains(contained), "{contained:?} is missing in\n{text}");
        }
        assert!(!text.contains("You may copy it") && !text.contains("of a test"), "{text}");
        assert!(!text.contains("fn licence"), "{text}");
    }

    #[test]
    fn a_part_without_any_text_is_an_error_that_names_it() {
        let secret = part("secret", "LicenseRef-Secret", None);
        let error = text(std::iter::once(&secret)).unwrap_err().to_string();
        assert!(error.contains("secret") && error.contains("LicenseRef-Secret"), "{error}");
    }
}
