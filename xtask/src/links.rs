//! Checks the links between the Markdown files of the repository.
//!
//! A relative link must lead to an existing file or folder, and its anchor to a heading of that
//! file. Links to other hosts are not followed: the check works offline.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::console;

/// Folders whose Markdown files are checked, with their subfolders.
const FOLDERS: [&str; 3] = ["docs", "guest-sdk", "plugins"];

/// Checks the files in the root folder and in [`FOLDERS`]. Returns an error if a link is broken.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut files = markdown_files(root, false)?;
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        if folder.is_dir() {
            files.extend(markdown_files(&folder, true)?);
        }
    }
    let mut pages = HashMap::new();
    for file in &files {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        pages.insert(file.clone(), Page::parse(&text));
    }
    let (mut links, mut broken) = (0, 0);
    for file in &files {
        for link in &pages[file].links {
            links += 1;
            if let Err(why) = link.check(root, file, &pages) {
                broken += 1;
                let name = file.strip_prefix(root).unwrap_or(file).display();
                console::line(&format!("{name}:{}: {}: {why}", link.line, link.target));
            }
        }
    }
    anyhow::ensure!(broken == 0, "{broken} of {links} links are broken; see the lines above");
    console::line(&format!("{links} links in {} files", files.len()));
    Ok(())
}

/// The Markdown files in a folder, sorted.
fn markdown_files(folder: &Path, with_subfolders: bool) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            let skip = path.file_name().is_some_and(|name| name == "node_modules");
            if with_subfolders && !skip {
                found.extend(markdown_files(&path, true)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.insert(path);
        }
    }
    Ok(found)
}

/// The links of a Markdown file and the places that links can lead to.
#[derive(Debug, Default)]
struct Page {
    links: Vec<Link>,
    anchors: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Link {
    target: String,
    line: usize,
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Page::default();
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        // A reference without a definition is plain text in Markdown; here it is a broken link.
        let missing = std::cell::RefCell::new(Vec::new());
        let undefined = |link: pulldown_cmark::BrokenLink<'_>| {
            if !matches!(link.link_type, pulldown_cmark::LinkType::Shortcut) {
                missing.borrow_mut().push((link.reference.to_string(), link.span));
            }
            None
        };
        let parser = Parser::new_with_broken_link_callback(text, options, Some(undefined));
        let mut heading: Option<String> = None;
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.add_anchor(&slug(&heading.take().unwrap_or_default()));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(Link { target: dest_url.to_string(), line: line(&range) });
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    let targets = attributes(&html, &["href", "src", "srcset"]);
                    let line = line(&range);
                    page.links.extend(targets.map(|target| Link { target, line }));
                    page.anchors.extend(attributes(&html, &["id", "name"]));
                }
                _ => {}
            }
        }
        for (reference, range) in missing.into_inner() {
            page.links.push(Link { target: format!("[{reference}]"), line: line(&range) });
        }
        page
    }

    /// Adds the anchor of a heading. A second heading of the same text has `-1` behind it.
    fn add_anchor(&mut self, slug: &str) {
        let mut anchor = slug.to_owned();
        let mut number = 0;
        while !self.anchors.insert(anchor.clone()) {
            number += 1;
            anchor = format!("{slug}-{number}");
        }
    }
}

impl Link {
    fn check(
        &self,
        root: &Path,
        file: &Path,
        pages: &HashMap<PathBuf, Page>,
    ) -> Result<(), String> {
        let target = self.target.as_str();
        if target.starts_with('[') {
            return Err("the reference is not defined".to_owned());
        }
        let is_external =
            ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
        if is_external {
            return Ok(());
        }
        if target.starts_with('/') {
            return Err("not a relative path".to_owned());
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = path.replace("%20", " ");
        let to = match path.as_str() {
            "" => file.to_owned(),
            path => normalize(&file.parent().unwrap_or(root).join(path)),
        };
        if !to.starts_with(root) {
            return Err("leads out of the repository".to_owned());
        }
        if !to.exists() {
            return Err("no such file or folder".to_owned());
        }
        match pages.get(&to) {
            Some(page) if !anchor.is_empty() && !page.anchors.contains(anchor) => {
                Err("the file has no such heading".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Resolves `.` and `..` without looking at the disk.
fn normalize(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(result.pop()),
            other => result.push(other),
        }
    }
    result
}

/// The anchor of a heading, as GitHub and mdBook make it: lower case, spaces as hyphens, without
/// punctuation.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// The values of these attributes in a piece of HTML, if they are quoted.
fn attributes<'a>(html: &'a str, names: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    html.split([' ', '\n', '<']).filter_map(|word| {
        let (name, value) = word.split_once("=\"")?;
        names.contains(&name).then(|| value.split('"').next().unwrap_or_default().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_anchors() {
        for (heading, anchor) in [
            ("How to run parts of the tests", "how-to-run-parts-of-the-tests"),
            ("`cargo xtask test`: what it does", "cargo-xtask-test-what-it-does"),
            ("AI_calls - a table", "ai_calls---a-table"),
            ("Größe", "größe"),
        ] {
            assert_eq!(slug(heading), anchor);
        }
        let page = Page::parse("# One\n\n## One\n\n<a id=\"two\"></a>\n");
        assert_eq!(page.anchors, ["one", "one-1", "two"].map(str::to_owned).into());
    }

    #[test]
    fn links_are_found_in_every_form_and_not_in_code() {
        let text = "[a](a.md) ![b](b.png)\n\n[c]: c.md#x\n\n[see][c], [missing][d] and [x]\n\n\
                    `[e](e.md)`\n\n```\n[f](f.md)\n```\n\n<img src=\"g.svg\" alt=\"\">\n";
        let page = Page::parse(text);
        let found: Vec<(&str, usize)> =
            page.links.iter().map(|link| (link.target.as_str(), link.line)).collect();
        let expected = [("a.md", 1), ("b.png", 1), ("c.md#x", 5), ("g.svg", 13), ("[d]", 5)];
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_links_are_reported() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("docs/good.md", "# Good\n");
        for (target, expected) in [
            ("docs/good.md", Ok(())),
            ("docs/good.md#good", Ok(())),
            ("docs", Ok(())),
            ("#here", Ok(())),
            ("https://example.org/nothing", Ok(())),
            ("docs/bad.md", Err("no such file or folder")),
            ("docs/good.md#bad", Err("the file has no such heading")),
            ("../outside.md", Err("leads out of the repository")),
            ("/docs/good.md", Err("not a relative path")),
        ] {
            write("README.md", &format!("# Here\n\n[link]({target})\n"));
            let file = root.join("README.md");
            let pages: HashMap<_, _> = [file.clone(), root.join("docs/good.md")]
                .into_iter()
                .map(|file| {
                    let page = Page::parse(&fs::read_to_string(&file).unwrap());
                    (file, page)
                })
                .collect();
            let result = pages[&file].links[0].check(root, &file, &pages);
            assert_eq!(result, expected.map_err(str::to_owned), "{target}");
            assert_eq!(check(root).is_ok(), expected.is_ok(), "{target}");
        }
    }
}
