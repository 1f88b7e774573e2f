//! `cargo xtask demo`: makes a website from one order with the real command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;

use crate::args::DemoArgs;
use crate::build::{self, Compiler};
use crate::console;
use crate::demo_console;
use crate::guests::{self, Selection};
use crate::languages;
use crate::process;
use crate::workspace::{Group, Workspace};

/// The order if the command line names none, relative to the root.
const ORDER: &str = "tests/orders/01-restaurant-ptbr-full.json";

/// Builds the templates and the host, makes the site and prints its path.
pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    if args.console {
        return demo_console::run(workspace, args.keep);
    }
    let order = match &args.order {
        None => workspace.root.join(ORDER),
        // The host runs in the root folder; the path is relative to the current one.
        Some(order) => std::path::absolute(order)
            .with_context(|| format!("cannot find the order {}", order.display()))?,
    };
    anyhow::ensure!(
        order.is_file(),
        "--order {}: no such file; sample orders are in tests/orders",
        order.display()
    );
    let mut names: Vec<_> =
        workspace.guests(Group::Templates).map(|guest| guest.name.clone()).collect();
    names.extend(languages::templates(workspace)?.into_iter().map(|template| template.name));
    anyhow::ensure!(
        names.contains(&args.template),
        "--template {}: no such template; plugins/ has {}",
        args.template,
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    let start = Instant::now();
    console::heading("templates");
    guests::build(workspace, Selection::Templates)?;
    languages::build(workspace, |name| name == args.template)?;
    console::heading("host");
    let binary = build::host(workspace, &Compiler::find(workspace)?)?;
    let build_duration = start.elapsed();

    let out = workspace.target.join("demo");
    if !args.keep {
        remove(&out)?;
    }
    let mut generate = generate(workspace, args, &binary, &order, &out);
    console::heading(&command_line(workspace, &generate));
    let start = Instant::now();
    let status = generate.status().with_context(|| format!("cannot start {}", binary.display()))?;
    let run_duration = start.elapsed();
    if !status.success() {
        console::line(&format!(
            "\nNo site was made; the report of the host above says why ({status})."
        ));
        return Ok(process::exit_code(status));
    }
    let site = newest_site(&out)?.with_context(|| {
        format!(
            "the host has reported success, but there is no public/<order>/current/index.html in \
             {}; this is a bug in Sitewright",
            out.display()
        )
    })?;
    console::line(&format!(
        "\n  The site    {}\n  Built in    {}\n  Made in     {}",
        file_url(&site),
        console::duration(build_duration),
        console::duration(run_duration)
    ));
    Ok(ExitCode::SUCCESS)
}

/// The command of the host, as an operator would write it.
fn generate(
    workspace: &Workspace,
    args: &DemoArgs,
    binary: &Path,
    order: &Path,
    out: &Path,
) -> Command {
    let mut generate = Command::new(binary);
    generate.current_dir(&workspace.root).arg("generate").args(["--template", &args.template]);
    generate.arg("--templates").arg(workspace.components(Group::Templates));
    generate.arg("--order").arg(order);
    let config = workspace
        .root
        .join(Group::Templates.sources())
        .join(&args.template)
        .join("demo/sitewright.toml");
    if config.is_file() {
        generate.arg("--config").arg(config);
    }
    generate.arg("--out").arg(out);
    generate
}

/// A command as a user would type it in the root folder.
fn command_line(workspace: &Workspace, command: &Command) -> String {
    let short = |part: &std::ffi::OsStr| {
        let path = Path::new(part);
        path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
    };
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(short)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The entry page of the site that was activated last: `<out>/public/<order>/current/index.html`.
/// With `--keep` there are several sites.
fn newest_site(out: &Path) -> anyhow::Result<Option<PathBuf>> {
    let read = || -> io::Result<Option<(SystemTime, PathBuf)>> {
        let mut newest: Option<(SystemTime, PathBuf)> = None;
        for order in fs::read_dir(out.join("public"))? {
            let current = order?.path().join("current");
            let page = current.join("index.html");
            if !page.is_file() {
                continue;
            }
            // The time of the link itself, not of the release that it points to.
            let activated = fs::symlink_metadata(&current)?.modified()?;
            if newest.as_ref().is_none_or(|(last, _)| activated >= *last) {
                newest = Some((activated, page));
            }
        }
        Ok(newest)
    };
    Ok(read().with_context(|| format!("cannot read {}", out.display()))?.map(|(_, page)| page))
}

/// A path as a `file:` URL.
fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                url.push(char::from(byte))
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_accents_are_encoded() {
        for (path, url) in [
            (
                "/repo/target/demo/101/current/index.html",
                "file:///repo/target/demo/101/current/index.html",
            ),
            ("/casa de ana/maçã#1", "file:///casa%20de%20ana/ma%C3%A7%C3%A3%231"),
        ] {
            assert_eq!(file_url(Path::new(path)), url);
        }
    }

    #[test]
    fn the_site_that_was_activated_last_is_found() {
        let out = tempfile::tempdir().unwrap();
        let site = |order: &str| {
            let current = out.path().join("public").join(order).join("current");
            fs::create_dir_all(&current).unwrap();
            fs::write(current.join("index.html"), "<!doctype html>").unwrap();
            current
        };
        fs::create_dir_all(out.path().join("100/failures")).unwrap();
        fs::create_dir(out.path().join("public")).unwrap();
        assert_eq!(newest_site(out.path()).unwrap(), None);
        let (old, new) = (site("102"), site("101"));
        let at = |folder: &Path, seconds| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::open(folder).unwrap().set_modified(time).unwrap();
        };
        at(&old, 1000);
        at(&new, 2000);
        assert_eq!(newest_site(out.path()).unwrap(), Some(new.join("index.html")));
    }

    #[test]
    fn the_demo_folder_is_removed_if_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("demo");
        remove(&demo).unwrap();
        fs::create_dir_all(demo.join("101")).unwrap();
        remove(&demo).unwrap();
        assert!(!demo.exists());
    }
}
