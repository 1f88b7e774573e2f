//! Time from saving a file to the new page in `sitewright template dev`, for a new project in each
//! language.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sitewright_tests::author::{Desk, DevServer};
use sitewright_tests::{languages, root};

use crate::setup::median;

/// Name of the project.
const NAME: &str = "green-gate";
/// Text of the sample page before which the benchmark inserts.
const END: &str = "</footer>";

/// Options of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of saves of each file; the median is reported
    #[arg(long, default_value_t = 7)]
    saves: usize,
    /// Measure only these languages: `rust`, `python`, `js`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Runs the benchmark and prints the result.
pub(crate) async fn measure(args: Args) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || measure_all(&args)).await?
}

fn measure_all(args: &Args) -> anyhow::Result<()> {
    println!("From saving a file to the page, median of {}.\n", args.saves.max(1));
    println!(
        "| project | source saved | of it building | loading | making the site | order saved |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (language, title, source) in [
        ("rust", "Rust", "templates/index.html"),
        ("python", "Python", "src/app.py"),
        ("js", "JavaScript", "src/template.js"),
    ] {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == language) {
            continue;
        }
        match times(args, language, source)? {
            Some(times) => println!("| {title} | {} |", times.join(" | ")),
            None => println!("| {title} | build tools not installed | | | | |"),
        }
    }
    Ok(())
}

/// Table cells of one language; `None` if its build tools are missing.
fn times(args: &Args, language: &str, source: &str) -> anyhow::Result<Option<Vec<String>>> {
    let desk = Desk::clean(&format!("bench-{language}"));
    let sdk = root().display().to_string();
    let made = desk.run("", &["template", "new", NAME, "--lang", language, "--sdk", &sdk]);
    ensure!(made.code == 0, "{}{}", made.stdout, made.stderr);
    let mut command = desk.command(NAME, &["--json", "template", "dev", "--order", "order.json"]);
    match language {
        "python" => match languages::python_tools("bench dev") {
            Some(programs) => drop(command.env("PATH", programs)),
            None => return Ok(None),
        },
        "js" => {
            let mut npm = Command::new("npm");
            npm.args(["install", "--prefer-offline", "--no-audit", "--no-fund", "--no-progress"])
                .current_dir(desk.path().join(NAME));
            if !npm.output().is_ok_and(|installed| installed.status.success()) {
                return Ok(None);
            }
        }
        _ => {}
    }
    let server = DevServer::start(command);
    server.until("shown");
    let saved = |file: &str, find: &str| -> anyhow::Result<Vec<Value>> {
        (0..args.saves.max(1))
            .map(|round| {
                desk.edit(&format!("{NAME}/{file}"), |text| {
                    text.replacen(find, &format!("{round}{find}"), 1)
                });
                Ok(server.until("shown"))
            })
            .collect()
    };
    let (source, order) = (saved(source, END)?, saved("order.json", "Lawn care")?);
    let middle = |events: &[Value], field: &str| -> anyhow::Result<String> {
        let times: Option<Vec<f64>> = events.iter().map(|event| event[field].as_f64()).collect();
        let milliseconds = median(times.with_context(|| format!("a save without {field}"))?);
        Ok(if milliseconds < 1_000.0 {
            format!("{milliseconds:.0} ms")
        } else {
            format!("{:.1} s", milliseconds / 1e3)
        })
    };
    let cells = [
        middle(&source, "save_to_page_ms")?,
        middle(&source, "build_ms")?,
        middle(&source, "load_ms")?,
        middle(&source, "run_ms")?,
        middle(&order, "save_to_page_ms")?,
    ];
    ensure!(server.interrupt() == 0, "the server exited with an error");
    Ok(Some(cells.into()))
}
