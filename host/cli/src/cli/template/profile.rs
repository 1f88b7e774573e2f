//! `sitewright template profile`: where a template's processor time and memory go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Exit;
use crate::cli::generate::read_document;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_author::flame::{self, Stack};
use sitewright_failure::render;
use sitewright_model::failure::{FailureRecord, Frame};
use sitewright_model::message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::plugin::{Catalogue, Profile, Template, Weight};
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, attempt,
};

/// Folder of the profile, if `--out` names none.
const FOLDER: &str = ".sitewright/profile";
/// Maximum stacks whose functions get files and lines. Others have names only, and weigh little.
const MAX_SYMBOLIZED: usize = 200;
/// Own functions that are listed.
const LISTED: usize = 10;

/// Show where the processor time and the memory of a template go.
///
/// Makes the site of one order several times, and takes a sample of the template's stack for each 5
/// ms that it computes. Writes flame graphs, which a browser opens, and the same as text for other
/// tools into the folder `--out` [default: `.sitewright/profile`]. AI calls are made once; the
/// other runs use their replies.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0 the graphs are written
  4 the template fails; the graphs have what it did until then

Example:
  sitewright template profile --template dist/my-template.wasm --order order.json")]
pub(in crate::cli) struct Args {
    /// Name of the template, or path to a `.wasm` file.
    #[arg(long, value_name = "NAME|FILE.wasm")]
    template: String,
    /// Order document (JSON); `-` reads stdin.
    #[arg(long, value_name = "FILE|-")]
    order: PathBuf,
    /// Number of runs. More runs give more samples.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
}

/// What the runs came to.
#[derive(Default)]
struct Runs {
    count: u32,
    /// Processor time of all in milliseconds.
    cpu_ms: u64,
    /// Why the last one made no site.
    failure: Option<Box<FailureRecord>>,
}

/// What of a sample is drawn.
#[derive(Clone, Copy)]
enum Drawn {
    Cpu,
    Memory,
}

impl Drawn {
    fn name(self) -> &'static str {
        match self {
            Drawn::Cpu => "cpu",
            Drawn::Memory => "memory",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Drawn::Cpu => "processor time",
            Drawn::Memory => "memory that was added",
        }
    }

    /// Microseconds, or bytes.
    fn of(self, weight: Weight) -> u64 {
        match self {
            Drawn::Cpu => u64::try_from(weight.cpu.as_micros()).unwrap_or(u64::MAX),
            Drawn::Memory => weight.grown,
        }
    }

    fn shown(self, amount: u64) -> String {
        match self {
            Drawn::Cpu => render::duration(amount),
            Drawn::Memory => render::bytes(amount),
        }
    }
}

pub(super) async fn run(setup: &Setup, args: Args, json: bool) -> Result<Exit, SetupError> {
    let out = setup.out.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
    let scratch = tempfile::tempdir().map_err(|error| {
        SetupError::Host(message!("a folder for the sites cannot be made: {error}"))
    })?;
    let mut config = setup.author_config()?;
    let document =
        read_document(&args.order, config.limits.order_bytes).await.map_err(|error| {
            SetupError::Usage(message!(
                "the order {} cannot be read (--order): {error}",
                args.order.display()
            ))
        })?;
    config.sites = scratch.path().join("sites");
    let profile = Arc::new(Profile::default());
    let loader = Setup::loader(&config, 1)?.with_profile(profile.clone());
    let mut host = Setup::host(&config, 1)?;
    host.catalogue = Catalogue::new(config.templates.clone(), loader);
    Setup::check_template(&host, &args.template).await?;
    let mut runs = Runs::default();
    let mut first = None;
    while runs.count < args.runs && runs.failure.is_none() {
        let id = AttemptId::new();
        let request = AttemptRequest {
            document: document.clone(),
            template: args.template.clone(),
            id,
            job: None,
            revision: None,
            journal: first.map_or(JournalUse::Keep, JournalUse::Resume),
            publication: Publication::Publish,
            cancel: CancellationToken::new(),
            progress: watch::Sender::new(RunProgress::default()),
        };
        first = first.or(Some(id));
        let totals = match attempt(&host, request).await {
            Outcome::Released(released) => released.totals,
            Outcome::Failed { record, totals, .. } => {
                runs.failure = Some(record);
                totals
            }
        };
        runs.count += 1;
        runs.cpu_ms += totals.limits.get("cpu_ms").map_or(0, |cpu| cpu.used);
    }
    let template = host.catalogue.load(&args.template).await?;
    let samples = symbolized(&template, &profile).await;
    let files = write(&out, &samples).await?;
    Ok(told(&runs, &samples, &files, json))
}

/// A stack, outermost first, and what was used in it.
type Sample = (Vec<Frame>, Weight);

/// The samples with functions, files and lines, those with the most processor time first.
async fn symbolized(template: &Template, profile: &Profile) -> Vec<Sample> {
    let mut stacks = profile.stacks();
    stacks.sort_by_key(|(_, weight)| std::cmp::Reverse(weight.cpu));
    let mut samples = Vec::with_capacity(stacks.len());
    for (number, (raw, weight)) in stacks.into_iter().enumerate() {
        let mut frames: Vec<Frame> = if number < MAX_SYMBOLIZED {
            template.symbolize(raw).await.frames
        } else {
            raw.into_iter()
                .map(|raw| Frame {
                    function: raw.function.unwrap_or_else(|| format!("function {}", raw.index)),
                    file: None,
                    line: None,
                    column: None,
                    own: false,
                    inlined: false,
                    offset: raw.offset,
                })
                .collect()
        };
        frames.reverse();
        samples.push((frames, weight));
    }
    samples
}

fn stacks(samples: &[Sample], drawn: Drawn) -> Vec<Stack> {
    let stack =
        |(frames, weight): &Sample| Stack { frames: frames.clone(), weight: drawn.of(*weight) };
    samples.iter().map(stack).collect()
}

/// Writes the graphs, and returns their paths.
async fn write(out: &Path, samples: &[Sample]) -> Result<Vec<PathBuf>, SetupError> {
    let failed = |path: &Path, error: std::io::Error| {
        SetupError::Usage(message!("the profile {} cannot be written: {error}", path.display()))
    };
    tokio::fs::create_dir_all(out).await.map_err(|error| failed(out, error))?;
    let mut files = Vec::new();
    for drawn in [Drawn::Cpu, Drawn::Memory] {
        let stacks = stacks(samples, drawn);
        let graph = flame::svg(drawn.title(), &stacks, &|amount| drawn.shown(amount));
        for (end, text) in [("svg", graph), ("folded", flame::folded(&stacks))] {
            let file = out.join(format!("{}.{end}", drawn.name()));
            tokio::fs::write(&file, text).await.map_err(|error| failed(&file, error))?;
            files.push(file);
        }
    }
    Ok(files)
}

fn told(runs: &Runs, samples: &[Sample], files: &[PathBuf], json: bool) -> Exit {
    let exit = runs.failure.as_ref().map_or(Exit::Done, |record| record.kind.into());
    let count: u64 = samples.iter().map(|(_, weight)| weight.samples).sum();
    let own = flame::own(&stacks(samples, Drawn::Cpu));
    let own = &own[..own.len().min(LISTED)];
    if json {
        let own: Vec<_> =
            own.iter().map(|(name, cpu)| json!({ "function": name, "cpu_us": cpu })).collect();
        output::print_json(&json!({
            "outcome": if runs.failure.is_some() { "failed" } else { "profiled" },
            "runs": runs.count,
            "samples": count,
            "cpu_ms": runs.cpu_ms,
            "own": own,
            "files": files,
            "failure": runs.failure,
        }));
        return exit;
    }
    if let Some(record) = &runs.failure {
        output::print(&render::terminal(record, output::width()));
    }
    let mut text = format!(
        "{count} samples of {} ms of processor time in {}\n",
        runs.cpu_ms,
        output::count(i64::from(runs.count), "run")
    );
    for (name, cpu) in own {
        text.push_str(&format!("  {:>10}  {}\n", Drawn::Cpu.shown(*cpu), render::clean(name)));
    }
    if own.is_empty() {
        text.push_str(
            "  no function of the template's own: it took less than 5 ms (--runs), has no debug \
             information, or is in Python or JavaScript, whose functions are not in the stack of \
             the engine: profile its native tests\n",
        );
    }
    for file in files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    output::print(&text);
    exit
}
