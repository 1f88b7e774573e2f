//! Reads the author's `conformance` folder: settings, replies and cases.
//!
//! A stranger may have written the folder. Every file in it is opened through [`Folder`]: names
//! stay inside the folder, links are not followed, and each file, and all files together, have
//! limits that are checked before anything is collected.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answers::AuthorRules;
use super::case::{Case, OrderSource};
use sitewright_files::{FileError, Folder, Limit, json, toml};
use sitewright_model::message;
use sitewright_model::message::Message;

/// The folder's name beside a template or its source.
pub const FOLDER: &str = "conformance";
/// The settings in it.
const SETTINGS: &str = "conformance.toml";
/// A case's file in its folder.
pub(super) const CASE: &str = "case.toml";
/// A case's order, if `case.toml` names none.
const ORDER: &str = "order.json";
/// A case's script, if `case.toml` names none.
const SCRIPT: &str = "ai.toml";

/// Maximum bytes of `conformance.toml` and of `case.toml`. 1 MiB.
const MAX_SETTINGS: Limit = Limit::fixed(1 << 20);
/// Maximum bytes of a script. 4 MiB: 64 replies of 64 KiB each.
const MAX_SCRIPT: Limit = Limit::fixed(4 << 20);
/// Maximum values of a TOML file. A table of TOML takes some hundred bytes of memory.
const MAX_VALUES: usize = 20_000;
/// Maximum values and names of fields of an order.
const MAX_ORDER_VALUES: usize = 100_000;
/// Maximum entries of the folder.
const MAX_ENTRIES: usize = 2_000;
/// Maximum bytes of all files of the folder, without snapshots. 64 MiB.
const MAX_BYTES: usize = 64 << 20;
/// Maximum values of all files of the folder.
const MAX_ALL_VALUES: usize = 1_000_000;
/// Maximum hosts that pages may load from.
const MAX_EXTERNAL: usize = 1_000;
/// Maximum texts and files that one case expects. Each text is searched in a file of the site.
const MAX_EXPECTED: usize = 1_000;

/// The content of a `conformance` folder.
#[derive(Debug, Default)]
pub(super) struct AuthorFolder {
    /// Hosts that pages may load from.
    pub(super) external: Vec<String>,
    /// Replies for the suite's own cases.
    pub(super) answers: AuthorRules,
    pub(super) cases: Vec<AuthorCase>,
}

/// One case of the author.
#[derive(Debug, Clone)]
pub(super) struct AuthorCase {
    pub(super) case: Case,
    pub(super) folder: PathBuf,
    pub(super) order: serde_json::Value,
    pub(super) answers: AuthorRules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Hosts that pages may load from, for example `fonts.example.com`.
    #[serde(default)]
    external: Vec<String>,
    /// A script with good replies for the suite's own cases, for requests without a schema: a file
    /// in the folder.
    #[serde(default)]
    answers: Option<String>,
}

impl AuthorFolder {
    /// Reads a folder; a missing one is empty. Orders have at most `order_bytes` bytes. Blocking.
    ///
    /// # Errors
    /// If a file cannot be read, is invalid or too large; the message names file and field.
    pub(super) fn read(folder: &Path, order_bytes: u64) -> Result<Self, Message> {
        if !folder.is_dir() {
            return Ok(AuthorFolder::default());
        }
        let folder = Folder::open(folder).map_err(unreadable)?;
        let mut reader = Reader { order_bytes, bytes: 0, values: 0 };
        let settings: Settings = match folder.contains(SETTINGS) {
            true => reader.toml(&folder, SETTINGS)?,
            false => Settings::default(),
        };
        if settings.external.len() > MAX_EXTERNAL {
            return Err(message!(
                "in {}: `external` has {} hosts; at most {MAX_EXTERNAL} are allowed",
                folder.path().join(SETTINGS).display(),
                settings.external.len()
            ));
        }
        let answers = settings.answers.map(|file| reader.script(&folder, &file));
        let answers = answers.transpose()?.unwrap_or_default();
        let mut cases = Vec::new();
        for name in folder.folders(MAX_ENTRIES).map_err(unreadable)? {
            let case = folder.folder(&name).map_err(unreadable)?;
            if case.contains(CASE) {
                cases.push(AuthorCase::read(&case, &name, &mut reader)?);
            } else if case.contains(ORDER) || case.contains(SCRIPT) {
                return Err(message!(
                    "the folder {} looks like a case and has no {CASE}; add one, `[expect]` alone \
                     is enough",
                    case.path().display()
                ));
            }
        }
        Ok(AuthorFolder { external: settings.external, answers, cases })
    }
}

impl AuthorCase {
    /// Reads one case. Blocking.
    fn read(folder: &Folder, name: &str, reader: &mut Reader) -> Result<Self, Message> {
        let file = folder.path().join(CASE);
        let mut case: Case = reader.toml(folder, CASE)?;
        for (field, set) in [
            ("rule", case.rule.is_some()),
            ("ai.fault", case.ai.fault.is_some()),
            ("ai.at", !case.ai.at.is_empty()),
        ] {
            if set {
                return Err(message!(
                    "in {}: `{field}` is for the suite's own cases; write faults as rules of \
                     `ai.toml`",
                    file.display()
                ));
            }
        }
        let texts = |texts: &std::collections::BTreeMap<String, Vec<String>>| {
            texts.values().map(|texts| 1 + texts.len()).sum::<usize>()
        };
        let expected =
            case.expect.files.len() + texts(&case.expect.contains) + texts(&case.expect.lacks);
        if expected > MAX_EXPECTED {
            return Err(message!(
                "in {}: `expect` has {expected} files and texts; at most {MAX_EXPECTED} are \
                 allowed",
                file.display()
            ));
        }
        if case.name.is_empty() {
            case.name = name.to_owned();
        }
        let OrderSource::File(order) = &case.order else {
            return Err(message!(
                "in {}: `order` must name a file, like \"order.json\"",
                file.display()
            ));
        };
        let order = reader.order(folder, order)?;
        let script = match &case.ai.script {
            Some(name) => Some(name.as_str()),
            None => Some(SCRIPT).filter(|name| folder.contains(name)),
        };
        let answers = script.map(|name| reader.script(folder, name)).transpose()?;
        let answers = answers.unwrap_or_default();
        Ok(AuthorCase { case, folder: folder.path().to_owned(), order, answers })
    }
}

/// Reads the files of one `conformance` folder, and counts what all of them have together.
struct Reader {
    /// `limits.order_bytes`.
    order_bytes: u64,
    bytes: usize,
    values: usize,
}

impl Reader {
    /// Counts a file before it is parsed.
    fn count(
        &mut self,
        folder: &Folder,
        name: &str,
        text: &str,
        values: usize,
    ) -> Result<(), Message> {
        self.bytes = self.bytes.saturating_add(text.len());
        self.values = self.values.saturating_add(values);
        let over = [
            (self.bytes > MAX_BYTES, format!("{MAX_BYTES} bytes")),
            (self.values > MAX_ALL_VALUES, format!("{MAX_ALL_VALUES} values")),
        ];
        match over.into_iter().find(|(over, _)| *over) {
            Some((_, most)) => Err(message!(
                "with {}, the files of the conformance folder have more than {most}; split it into \
                 folders and check each with --cases",
                folder.path().join(name).display()
            )),
            None => Ok(()),
        }
    }

    fn toml<T: DeserializeOwned>(&mut self, folder: &Folder, name: &str) -> Result<T, Message> {
        let text = folder.read_text(name, MAX_SETTINGS).map_err(unreadable)?;
        self.count(folder, name, &text, toml::count(&text))?;
        toml::parse(&text, MAX_VALUES).map_err(|error| {
            message!("the file {} cannot be read: {error}", folder.path().join(name).display())
        })
    }

    fn script(&mut self, folder: &Folder, name: &str) -> Result<AuthorRules, Message> {
        let wrong = |error: String| message!("in {}: {error}", folder.path().join(name).display());
        let text = folder.read_text(name, MAX_SCRIPT).map_err(unreadable)?;
        let values = toml::count(&text);
        self.count(folder, name, &text, values)?;
        if values > MAX_VALUES {
            return Err(wrong(toml::TomlError::TooMany(MAX_VALUES).to_string()));
        }
        AuthorRules::read(&text).map_err(wrong)
    }

    fn order(&mut self, folder: &Folder, name: &str) -> Result<serde_json::Value, Message> {
        let limit = Limit::of_key("limits.order_bytes", self.order_bytes);
        let text = folder.read_text(name, limit).map_err(unreadable)?;
        self.count(folder, name, &text, json::count(text.as_bytes()))?;
        let path = folder.path().join(name);
        json::parse(text.as_bytes(), MAX_ORDER_VALUES).map_err(|error| match error {
            json::JsonError::TooMany(_) => {
                message!("the order {} cannot be read: {error}", path.display())
            }
            json::JsonError::Invalid(error) => {
                message!("the order {} is not JSON: {error}", path.display())
            }
        })
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
fn unreadable(error: FileError) -> Message {
    message!("the file {} cannot be read: {}", error.path.display(), error.problem)
}

/// The author's folder of a template: beside its file, or in the source folder from the
/// configuration, which is the project or its `src`.
pub(super) fn folder_of(template: &Path, source: Option<PathBuf>) -> Option<PathBuf> {
    let beside = template.parent().map(|folder| folder.join(FOLDER));
    // In a folder with several templates, each has a folder of cases of its own.
    let own = template.file_stem().and_then(|stem| Some(beside.as_ref()?.join(stem)));
    let above = source
        .as_ref()
        .filter(|source| source.ends_with("src"))
        .and_then(|source| Some(source.parent()?.join(FOLDER)));
    [source.map(|source| source.join(FOLDER)), above, own.filter(|own| !own.join(CASE).exists())]
        .into_iter()
        .flatten()
        .chain(beside)
        .find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with one case that has these files, beside a secret.
    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("secret.json"), "{\"secret\": true}").unwrap();
        let case = top.path().join("conformance/first");
        std::fs::create_dir_all(&case).unwrap();
        for (name, content) in [("case.toml", ""), ("order.json", "{}")].iter().chain(files) {
            std::fs::write(case.join(name), content).unwrap();
        }
        top
    }

    fn read(top: &tempfile::TempDir) -> Result<AuthorFolder, String> {
        AuthorFolder::read(&top.path().join("conformance"), 1 << 20)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_source_of_a_template_is_its_project_or_the_src_of_it() {
        let project = tempfile::tempdir().unwrap();
        let cases = project.path().join(FOLDER);
        for folder in [FOLDER, "src", "other"] {
            std::fs::create_dir(project.path().join(folder)).unwrap();
        }
        let template = Path::new("/nowhere/dist/a.wasm");
        for (source, expected) in
            [("", Some(cases.clone())), ("src", Some(cases)), ("other", None), ("src/lib", None)]
        {
            let found = folder_of(template, Some(project.path().join(source)));
            assert_eq!(found, expected, "{source:?}");
        }
    }

    #[test]
    fn a_name_in_a_case_means_a_plain_file_of_its_folder() {
        let rules = "[[rule]]\nanswer = { text = \"x\" }\n";
        let folder = with(&[
            ("case.toml", "order = \"./order.json\"\nai = { script = \"s.toml\" }\n"),
            ("s.toml", rules),
        ]);
        assert_eq!(read(&folder).unwrap().cases.len(), 1);
        let outside = folder.path().join("secret.json").display().to_string();
        for name in [
            "/dev/zero",
            "/etc/passwd",
            "/proc/self/environ",
            outside.as_str(),
            "../../secret.json",
            "../first/order.json",
            "x/../order.json",
            "..",
            "",
            ".",
            "link",
            "fifo",
            "zero",
            "folder",
            "up/secret.json",
        ] {
            for field in ["order", "ai.script", "answers"] {
                let text = format!("{field} = {name:?}\n");
                let top = match field {
                    "answers" => with(&[]),
                    _ => with(&[("case.toml", text.as_str())]),
                };
                let folder = match field {
                    "answers" => top.path().join("conformance"),
                    _ => top.path().join("conformance/first"),
                };
                symlink("/etc/hostname", folder.join("link")).unwrap();
                symlink("/dev/zero", folder.join("zero")).unwrap();
                symlink("../..", folder.join("up")).unwrap();
                std::fs::create_dir(folder.join("folder")).unwrap();
                let made = std::process::Command::new("mkfifo").arg(folder.join("fifo")).status();
                assert!(made.unwrap().success());
                if field == "answers" {
                    std::fs::write(top.path().join("conformance/conformance.toml"), &text).unwrap();
                }
                let error = read(&top).err().unwrap_or_else(|| panic!("{field} {name} is read"));
                assert!(error.contains("cannot be read"), "{field} {name}: {error}");
            }
        }
    }

    #[test]
    fn the_files_that_are_always_read_are_plain_files_too() {
        for name in ["first/case.toml", "first/order.json", "first/ai.toml", "conformance.toml"] {
            for target in ["/dev/zero", "/etc/hostname"] {
                let top = with(&[]);
                let file = top.path().join("conformance").join(name);
                drop(std::fs::remove_file(&file));
                symlink(target, &file).unwrap();
                let error = read(&top).unwrap_err();
                assert!(error.contains("it is a symbolic link"), "{name}: {error}");
            }
        }
        // A case that is a link is not left out without a word.
        let top = with(&[]);
        symlink(top.path().join("conformance/first"), top.path().join("conformance/second"))
            .unwrap();
        let error = read(&top).unwrap_err();
        assert!(error.contains("second") && error.contains("it is a symbolic link"), "{error}");
    }

    #[test]
    fn everything_is_counted_before_it_is_parsed() {
        let order = format!("{{\"x\": \"{}\"}}", "x".repeat(1 << 20));
        let values = format!("[{}0]", "0,".repeat(200_000));
        let script = format!("# {}", "x".repeat(4 << 20));
        let tables = "[[rule]]\n".repeat(20_000);
        let case = format!("why = \"{}\"", "x".repeat(1 << 20));
        let texts = format!("[expect]\nfiles = [{}]", "\"a\", ".repeat(1_001));
        let rows: [(&str, &str, &str); 6] = [
            ("order.json", &order, "1048576 bytes, the limit `limits.order_bytes`"),
            ("order.json", &values, "it has more than 100000 values"),
            ("ai.toml", &script, "it has more than 4194304 bytes"),
            ("ai.toml", &tables, "it has more than 20000 values and tables"),
            ("case.toml", &case, "it has more than 1048576 bytes"),
            ("case.toml", &texts, "`expect` has 1001 files and texts"),
        ];
        for (name, content, part) in rows {
            let error = read(&with(&[(name, content)])).unwrap_err();
            assert!(error.contains(name) && error.contains(part), "{name}: {error}");
        }
        let top = with(&[]);
        let hosts = format!("external = [{}]", "\"a\", ".repeat(1_001));
        std::fs::write(top.path().join("conformance/conformance.toml"), hosts).unwrap();
        let error = read(&top).unwrap_err();
        assert!(error.contains("`external` has 1001 hosts"), "{error}");
    }

    #[test]
    fn all_files_together_have_a_limit() {
        let mut reader = Reader { order_bytes: 1, bytes: MAX_BYTES - 1, values: 0 };
        let top = with(&[]);
        let folder = Folder::open(top.path()).unwrap();
        assert!(reader.count(&folder, "a", "x", MAX_ALL_VALUES).is_ok());
        let error = reader.count(&folder, "a", "", 1).unwrap_err().to_string();
        assert!(error.contains("more than 1000000 values"), "{error}");
        let error = reader.count(&folder, "a", "x", 0).unwrap_err().to_string();
        assert!(error.contains("more than 67108864 bytes"), "{error}");
    }
}
