//! `cargo xtask demo`: one order, through the real command line, to a website.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

use anyhow::Context as _;

use crate::args::DemoArgs;
use crate::guests::{self, Selection};
use crate::host;
use crate::languages;
use crate::process;
use crate::say;
use crate::workspace::{Group, Workspace};

/// The order of a demo that names none, from the repository's root.
const ORDER: &str = "tests/orders/01-restaurant-ptbr-full.json";

/// Builds what is needed, makes the site and says where it is.
pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let order = match &args.order {
        None => workspace.root.join(ORDER),
        // The host runs in the repository's root; the path was meant from here.
        Some(order) => std::path::absolute(order)
            .with_context(|| format!("cannot find {}", order.display()))?,
    };
    anyhow::ensure!(
        order.is_file(),
        "--order {}: there is no such file; sample orders are in tests/orders",
        order.display()
    );
    let mut names: Vec<_> =
        workspace.guests(Group::Templates).map(|guest| guest.name.clone()).collect();
    names.extend(languages::all(workspace)?.into_iter().map(|template| template.name));
    anyhow::ensure!(
        names.contains(&args.template),
        "--template {}: there is no such template; plugins/ has {}",
        args.template,
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    let start = Instant::now();
    say::step("templates");
    guests::build(workspace, Selection::Templates)?;
    languages::build(workspace, |name| name == args.template)?;
    say::step("host");
    let binary = host::build(workspace)?;
    let build_took = start.elapsed();

    let out = workspace.target.join("demo");
    if !args.keep {
        remove(&out)?;
    }
    let mut generate = generate(workspace, args, &binary, &order, &out);
    say::step(&command_line(workspace, &generate));
    let start = Instant::now();
    let status = generate.status().with_context(|| process::cannot_start(&generate))?;
    let run_took = start.elapsed();
    if !status.success() {
        say::line(&format!("\nNo site was made; the host's report above says why ({status})."));
        return Ok(process::exit_code(status));
    }
    let site = newest_site(&out)?.with_context(|| {
        format!(
            "the host says it is done, and there is no <order>/current/index.html in {}; this is \
             a mistake in Sitewright",
            out.display()
        )
    })?;
    say::line(&format!(
        "\n  The site    {}\n  Built in    {}\n  Made in     {}",
        file_url(&site),
        say::duration(build_took),
        say::duration(run_took)
    ));
    Ok(ExitCode::SUCCESS)
}

/// The host's command, exactly as an operator would write it.
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

/// A command as one would type it in the repository's root.
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

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot empty {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The entry page of the site that was switched last: `<out>/<order>/current/index.html`. With
/// `--keep` there are others.
fn newest_site(out: &Path) -> anyhow::Result<Option<PathBuf>> {
    let read = || -> io::Result<Option<(SystemTime, PathBuf)>> {
        let mut newest: Option<(SystemTime, PathBuf)> = None;
        for order in fs::read_dir(out)? {
            let current = order?.path().join("current");
            let page = current.join("index.html");
            if !page.is_file() {
                continue;
            }
            // Of the link itself, not of the release it leads to.
            let switched = fs::symlink_metadata(&current)?.modified()?;
            if newest.as_ref().is_none_or(|(last, _)| switched >= *last) {
                newest = Some((switched, page));
            }
        }
        Ok(newest)
    };
    Ok(read().with_context(|| format!("cannot read {}", out.display()))?.map(|(_, page)| page))
}

/// A path as an address that terminals make clickable and browsers open.
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
    fn addresses_survive_spaces_and_accents() {
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
    fn the_site_switched_last_is_found_and_failed_orders_are_passed_over() {
        let out = tempfile::tempdir().unwrap();
        let site = |order: &str| {
            let current = out.path().join(order).join("current");
            fs::create_dir_all(&current).unwrap();
            fs::write(current.join("index.html"), "<!doctype html>").unwrap();
            current
        };
        fs::create_dir_all(out.path().join("100/failures")).unwrap();
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
    fn an_empty_demo_folder_is_fine_and_a_full_one_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("demo");
        remove(&demo).unwrap();
        fs::create_dir_all(demo.join("101")).unwrap();
        remove(&demo).unwrap();
        assert!(!demo.exists());
    }
}
