//! Links from files and lines in a report to the author's editor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Characters of a path that end or change a URL.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'?');

/// The address that opens a file in an editor: with `{path}`, and perhaps `{line}` and `{column}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor(String);

/// Why a text is not the address of an editor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an editor's address has a scheme and `{{path}}`, like `{}`", Editor::default())]
pub struct EditorError;

impl Default for Editor {
    /// Visual Studio Code.
    fn default() -> Self {
        Editor("vscode://file{path}:{line}:{column}".to_owned())
    }
}

impl FromStr for Editor {
    type Err = EditorError;

    fn from_str(text: &str) -> Result<Self, EditorError> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        // A script is no editor.
        let is_scheme = !scheme.is_empty() && scheme.chars().all(letters);
        if is_scheme && text.contains("{path}") {
            Ok(Editor(text.to_owned()))
        } else {
            Err(EditorError)
        }
    }
}

impl fmt::Display for Editor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the links of a project.
#[derive(Debug, Clone)]
pub struct Links {
    /// Absolute path of the project.
    pub root: PathBuf,
    pub editor: Editor,
}

impl Links {
    /// Escaped HTML with a link around each file of the project that is named with a line.
    pub(super) fn added(&self, html: &str) -> String {
        let mut out = String::with_capacity(html.len() * 2);
        let mut rest = html;
        while let Some(start) = rest.find(is_start) {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            if rest.starts_with('<') {
                let end = rest.find('>').map_or(rest.len(), |at| at + 1);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            let word = &rest[..rest.find(|c| !is_of_path(c)).unwrap_or(rest.len())];
            let (shown, target) = match place(word, &rest[word.len()..]) {
                Some(place) => (place.bytes, self.target(&place)),
                None => (word.len(), None),
            };
            let text = &rest[..shown];
            match target {
                Some(url) => out.push_str(&format!("<a href=\"{url}\">{text}</a>")),
                None => out.push_str(text),
            }
            rest = &rest[shown..];
        }
        out.push_str(rest);
        out
    }

    /// The address of a place; `None` if it is not in a file of the project.
    fn target(&self, place: &Place<'_>) -> Option<String> {
        // A component in Python names the folder `src` `/0`.
        let name = place.path.strip_prefix("/0/").unwrap_or(place.path);
        let file = [self.root.join(name), self.root.join("src").join(name)]
            .into_iter()
            .filter_map(|file| file.canonicalize().ok())
            .find(|file| file.starts_with(&self.root) && file.is_file())?;
        let path = file.to_str()?;
        let url = self
            .editor
            .0
            .replace("{path}", &utf8_percent_encode(path, IN_PATH).to_string())
            .replace("{line}", place.line)
            .replace("{column}", place.column);
        Some(url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;"))
    }
}

/// A file and a line in a text.
struct Place<'a> {
    path: &'a str,
    line: &'a str,
    /// `1` if it is not named.
    column: &'a str,
    /// Bytes of the text that names it.
    bytes: usize,
}

/// The place that begins with `word`: `src/lib.rs:12:5`, or `src/app.py&quot;, line 12`.
fn place<'a>(word: &'a str, after: &'a str) -> Option<Place<'a>> {
    const PYTHON: &str = "&quot;, line ";
    Path::new(word).extension()?;
    if let Some(rest) = after.strip_prefix(PYTHON) {
        let line = number(rest)?;
        let bytes = word.len() + PYTHON.len() + line.len();
        return Some(Place { path: word, line, column: "1", bytes });
    }
    let line = number(after.strip_prefix(':')?)?;
    let column = after[1 + line.len()..].strip_prefix(':').and_then(number);
    let bytes = word.len() + 1 + line.len() + column.map_or(0, |column| column.len() + 1);
    Some(Place { path: word, line, column: column.unwrap_or("1"), bytes })
}

/// The digits that a text begins with.
fn number(text: &str) -> Option<&str> {
    let digits = &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())];
    (1..=9).contains(&digits.len()).then_some(digits)
}

fn is_start(c: char) -> bool {
    c == '<' || is_of_path(c)
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_project_with_a_line_become_links_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        for name in ["src/lib.rs", "src/app.py", "order & co.json"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let links = Links { root: root.clone(), editor: Editor::default() };
        let link = |file: &str, place: &str, text: &str| {
            format!("<a href=\"vscode://file{}/{file}:{place}\">{text}</a>", root.display())
        };
        let (rust, python) = ("src/lib.rs", "src/app.py");
        for (html, expected) in [
            (
                "--&gt; src/lib.rs:12:5\n",
                format!("--&gt; {}\n", link(rust, "12:5", "src/lib.rs:12:5")),
            ),
            ("at src/lib.rs:7.", format!("at {}.", link(rust, "7:1", "src/lib.rs:7"))),
            ("app.py:3", link(python, "3:1", "app.py:3")),
            (
                "File &quot;/0/app.py&quot;, line 4, in",
                format!("File &quot;{}, in", link(python, "4:1", "/0/app.py&quot;, line 4")),
            ),
            (
                "<span class=\"c1\">src/lib.rs:1</span>",
                format!("<span class=\"c1\">{}</span>", link(rust, "1:1", "src/lib.rs:1")),
            ),
            ("src/lib.rs", "src/lib.rs".to_owned()),
            ("src/none.rs:1 http://a.de:80/ 12:30 /etc/passwd.d:1", String::new()),
            ("../../etc/hosts.x:1 src/lib.rs:99999999999", String::new()),
        ] {
            let expected = if expected.is_empty() { html } else { &expected };
            assert_eq!(links.added(html), expected, "{html}");
        }
    }

    #[test]
    fn an_editor_is_an_address_with_a_path() {
        for (text, valid) in [
            ("zed://file{path}:{line}", true),
            ("idea://open?file={path}&line={line}", true),
            ("vscode", false),
            ("vscode://file", false),
            ("javascript:alert('{path}')", false),
            ("://{path}", false),
        ] {
            assert_eq!(text.parse::<Editor>().is_ok(), valid, "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::write(root.join("a.js"), "x").unwrap();
        let editor = "idea://open?file={path}&line={line}".parse().unwrap();
        let html = Links { root: root.clone(), editor }.added("a.js:5");
        let file = root.join("a.js").display().to_string();
        assert_eq!(html, format!("<a href=\"idea://open?file={file}&amp;line=5\">a.js:5</a>"));
    }
}
