//! Makes a new project from a git repository: `sitewright template new --from`.
//!
//! The repository is a stranger's: git gets no option from its address, runs no hook, follows no
//! submodule and writes no link. Nothing of it runs; the build of the project does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::build::tool::Tool;
use crate::build::{BuildError, Listener};
use crate::name::TemplateName;
use crate::project::Project;
use sitewright_model::message::Message;

/// The address of a git repository: `https://…`, `ssh://…`, `git@host:path`, `file://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl(String);

/// Why a text is not the address of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the address of a git repository: use `https://…`, `ssh://…`, `git@host:path` or \
     `file://…`"
)]
pub struct GitUrlError(String);

impl FromStr for GitUrl {
    type Err = GitUrlError;

    fn from_str(text: &str) -> Result<Self, GitUrlError> {
        let error = || GitUrlError(text.chars().take(200).collect());
        if text.starts_with('-') || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(error());
        }
        let scheme = ["https://", "ssh://", "file://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let rest = match scheme {
            Some(rest) => Some(rest),
            // `user@host:path`. Without a user it may be a helper's: `ext::sh -c …`.
            None => text
                .split_once(':')
                .filter(|(host, path)| {
                    let is_host = |c: char| c.is_ascii_alphanumeric() || "@.-_".contains(c);
                    host.contains('@') && host.chars().all(is_host) && !path.starts_with(':')
                })
                .map(|(host, _)| host),
        };
        // A host that begins with `-` would be an option of ssh.
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('-') => Ok(GitUrl(text.to_owned())),
            _ => Err(error()),
        }
    }
}

/// Why no project was made of a repository.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The folder is not empty.
    #[error(
        "{} exists and is not empty, and nothing is ever overwritten: choose another name, or \
         another folder with --dir",
        .0.display()
    )]
    Taken(PathBuf),
    /// git is missing or failed.
    #[error(transparent)]
    Git(#[from] BuildError),
    /// The repository has no project in its root.
    #[error("the repository is no template: {0}")]
    NoProject(Message),
    /// A file could not be written.
    #[error("cannot write the project to {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Fetches the newest commit of a repository into `folder`, without its history. The project keeps
/// its own name. `name` is that of the new folder, for messages.
///
/// # Errors
/// If the folder is not empty, git fails, or the repository has no project of a template in its
/// root. Nothing is left behind.
pub async fn fetch(
    url: &GitUrl,
    name: &TemplateName,
    folder: &Path,
    listener: Listener<'_>,
) -> Result<Project, FetchError> {
    let place = folder.to_owned();
    let name = name.to_string();
    let unfinished = blocking(move || prepare(&place, &name)).await?;
    let git = Tool::new("git", "git", "install git (https://git-scm.com)").configure(|command| {
        for option in [
            "core.hooksPath=/dev/null",
            "core.symlinks=false",
            "core.fsmonitor=false",
            "protocol.ext.allow=never",
        ] {
            command.args(["-c", option]);
        }
        command
            .args(["clone", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules"])
            .args(["--template", "", "--"])
            .arg(&url.0)
            .arg(&unfinished)
            // Nobody sees a question.
            .env("GIT_TERMINAL_PROMPT", "0");
    });
    let cloned = match git.run(Some(listener)).await {
        Ok(ended) if ended.status.success() => Ok(()),
        Ok(ended) => Err(ended.failed("git").into()),
        Err(error) => Err(error.into()),
    };
    let folder = folder.to_owned();
    blocking(move || {
        let finished = cloned.and_then(|()| finish(&unfinished, &folder));
        if finished.is_err() && unfinished.exists() {
            // Best effort: the first error is reported.
            fs::remove_dir_all(&unfinished).ok();
        }
        finished
    })
    .await
}

/// The folder beside `folder` in which the project is made.
fn prepare(folder: &Path, name: &str) -> Result<PathBuf, FetchError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| FetchError::Io { path, source }
    };
    if crate::scaffold::is_taken(folder).map_err(at(folder))? {
        return Err(FetchError::Taken(folder.to_owned()));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(at(parent))?;
    let parent = parent.canonicalize().map_err(at(parent))?;
    Ok(parent.join(format!(".{name}.new-{}", std::process::id())))
}

/// Removes the history, checks that there is a project, and moves it to its place.
fn finish(unfinished: &Path, folder: &Path) -> Result<Project, FetchError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| FetchError::Io { path, source }
    };
    let history = unfinished.join(".git");
    fs::remove_dir_all(&history).map_err(at(&history))?;
    Project::open(unfinished).map_err(FetchError::NoProject)?;
    // The rename replaces an empty folder, never one that was filled in the meantime.
    fs::rename(unfinished, folder).map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
            FetchError::Taken(folder.to_owned())
        }
        _ => at(folder)(error),
    })?;
    Project::open(folder).map_err(FetchError::NoProject)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| BuildError::Unexpected(format!("making the project failed: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_repositories_are_given_to_git() {
        for (text, valid) in [
            ("https://example.com/a/b.git", true),
            ("ssh://git@example.com/a", true),
            ("git@example.com:a/b.git", true),
            ("file:///srv/template", true),
            ("--upload-pack=touch /tmp/x", false),
            ("-u", false),
            ("ext::sh -c date", false),
            ("a@ext::sh", false),
            ("ssh://-oProxyCommand=date/x", false),
            ("-a@example.com:b", false),
            ("http://example.com/a", false),
            ("../template", false),
            ("https://", false),
            ("https://example.com/a b", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<GitUrl>().is_ok(), valid, "{text:?}");
        }
    }
}
