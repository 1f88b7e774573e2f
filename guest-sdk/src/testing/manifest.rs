//! The checks of a manifest that the host makes, except those that need a library.

use crate::{Error, Manifest, Result};

/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 64;

pub(super) fn check(manifest: &Manifest) -> Result<()> {
    let problems = problems(manifest);
    if problems.is_empty() {
        return Ok(());
    }
    let error = Error::new(
        "bad-manifest",
        format!("the host would not load the template `{}`", manifest.name),
    );
    Err(problems.into_iter().fold(error, Error::cause))
}

fn problems(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_name(&manifest.name) || !manifest.name.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push(format!(
            "`name` is `{}`: use lower-case letters, digits and `-`, beginning with a letter, at \
             most {MAX_NAME} bytes",
            manifest.name
        ));
    }
    if !is_version(&manifest.version) {
        problems.push(format!(
            "`version` is `{}`: use a semantic version such as `1.4.0`",
            manifest.version
        ));
    }
    if manifest.summary.trim().is_empty() {
        problems.push(
            "`summary` is empty: describe in one sentence what the template generates".to_owned(),
        );
    }
    for purpose in &manifest.ai_purposes {
        if !is_name(&purpose.name) {
            problems.push(format!(
                "the purpose `{}`: use lower-case letters, digits and `-`, at most {MAX_NAME} \
                 bytes",
                purpose.name
            ));
        }
    }
    if manifest.locales.is_empty() {
        problems.push("`locales` is empty: name at least one language, such as `en`".to_owned());
    }
    problems
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u64>().is_ok())
}
