//! Builds the test templates in Python, JavaScript and C, finds the examples in C and Go, and
//! provides `wasm-tools`.
//!
//! The build tools are packages, installed like the stand-ins. Tests that need one that cannot be
//! installed are reported as skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::standins::{Packages, node_modules, skipped};
use crate::{Workbench, guest, root, template};

/// Compiler from Python to components.
const PYTHON: Packages = Packages::of("python-guest");
/// C and C++ compiler with a WebAssembly target.
const C: Packages = Packages::of("c-guest");
/// `wasm-tools` of the Bytecode Alliance.
const WASM_TOOLS: Packages = Packages::of("wasm-tools");

/// Path of `wasm-tools`; `None` if it cannot be installed.
pub fn wasm_tools(test: &str) -> Option<PathBuf> {
    Some(WASM_TOOLS.ready(test)?.join("wasm-tools"))
}

/// A template of `plugins/` in a language whose tools may be missing, compiled. `None` if it is not
/// built.
pub fn plugin(name: &str, test: &str) -> Option<PathBuf> {
    let file = template("local-business").with_file_name(format!("{name}.wasm"));
    built(file, name, "cargo xtask build", test)
}

/// The example in `examples/c`, compiled. `None` if it is not built.
pub fn c_example(test: &str) -> Option<PathBuf> {
    built(guest("example-c"), "example-c", "cargo xtask build --all", test)
}

/// The example in `examples/go`, compiled. `None` if it is not built.
pub fn go_example(test: &str) -> Option<PathBuf> {
    built(guest("example-go"), "example-go", "cargo xtask build --all", test)
}

/// A component that `command` makes if it has the tools, compiled. `None` if it is not there.
fn built(file: PathBuf, name: &str, command: &str, test: &str) -> Option<PathBuf> {
    if !file.is_file() {
        skipped(test, &format!("{name} is not built: see what `{command}` says"));
        return None;
    }
    let _lock = locked(name);
    compile(name, &file);
    Some(file)
}

/// Puts the functions of an interpreter into the compile cache of the tests, with our own template
/// `name`: tests that build others in its language at the same time would each compile it. Nothing
/// happens if the template is not built.
pub fn warm(name: &str) {
    let file = template("local-business").with_file_name(format!("{name}.wasm"));
    if file.is_file() {
        let _lock = locked(name);
        compile(name, &file);
    }
}

/// Locks what only one test at a time may make, until the result is dropped.
fn locked(name: &str) -> fs::File {
    let folder = root().join("target/language-guests");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let lock = fs::File::create(folder.join(format!("{name}.lock"))).expect("a lock");
    lock.lock().expect("the lock can be taken");
    lock
}

/// Puts a template into the compile cache of the tests, under a lock: two processes that do not find
/// it there would both compile it, which takes a minute for one with an interpreter. Two that have
/// the same interpreter are compiled one after the other: the second takes its functions from the
/// first.
fn compile(name: &str, component: &Path) {
    let interpreter = match name {
        "landing-py" | "python" | "python-guide" => Some("interpreter-python"),
        "landing-js" | "js" => Some("interpreter-js"),
        _ => None,
    };
    let _lock = interpreter.map(locked);
    let done =
        Workbench::configured("").run(&["template", "inspect", &component.to_string_lossy()]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}

/// Folder of `componentize-py`; `None` if it cannot be installed.
pub fn python_tools(test: &str) -> Option<PathBuf> {
    PYTHON.ready(test)
}

/// Folder of an interpreter that runs native tests of Python templates, 3.12 or newer: on the PATH,
/// or a version of pyenv. `None` if there is none.
pub fn native_python(test: &str) -> Option<PathBuf> {
    let of_pyenv = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let versions = of_pyenv.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let versions = versions.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(versions).find(|folder| {
        let newest = |minor: &u8| folder.join(format!("python3.{minor}"));
        // A shim of a version that is not installed fails.
        (12..=14).rev().any(|minor| {
            let mut python = Command::new(newest(&minor));
            python.arg("--version").stdin(Stdio::null());
            python.output().is_ok_and(|ended| ended.status.success())
        })
    });
    if found.is_none() {
        skipped(test, "there is no Python 3.12 or newer");
    }
    found
}

/// The template in `tests/languages/python`, rebuilt after a change. `None` if a tool is missing.
pub fn python_guest(test: &str) -> Option<PathBuf> {
    let programs = PYTHON.ready(test)?;
    build_folder(test, "python", |sources, out| {
        run(Command::new(programs.join("componentize-py"))
            .arg("-d")
            .arg(root().join("wit/0.2.0"))
            .args(["-w", "template", "componentize", "-p"])
            .arg(sources)
            .arg("-p")
            .arg(root().join("guest-sdk/python"))
            .arg("-o")
            .arg(out)
            .arg("app"))
    })
}

/// The template in `tests/languages/js`, rebuilt after a change. `None` if a tool is missing.
pub fn javascript_guest(test: &str) -> Option<PathBuf> {
    let programs = node_modules("xtask/javascript", test)?.join("node_modules/.bin");
    build_folder(test, "js", |sources, out| {
        let bundle = out.with_extension("js");
        run(Command::new(programs.join("esbuild"))
            .current_dir(sources)
            .args(["template.js", "--bundle", "--format=esm", "--external:sitewright:*"])
            .args(["--supported:async-await=false", "--supported:async-generator=false"])
            .arg("--supported:for-await=false")
            .arg(format!("--alias:sitewright={}", root().join("guest-sdk/js/index.js").display()))
            .arg(format!("--outfile={}", bundle.display())))?;
        run(Command::new(programs.join("componentize-js"))
            .arg(&bundle)
            .arg("--wit")
            .arg(root().join("wit/0.2.0"))
            .args(["--world-name", "template-sync", "--disable", "http", "fetch-event", "--out"])
            .arg(out))
    })
}

/// The template in `tests/languages/c`, rebuilt after a change. `None` if a tool is missing.
pub fn c_guest(test: &str) -> Option<PathBuf> {
    let (programs, tools) = (C.ready(test)?, wasm_tools(test)?);
    build_folder(test, "c", |sources, out| {
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
            let flags = [
                "cc",
                "--target=wasm32-freestanding",
                "-g",
                "-gdwarf-5",
                "-gembed-source",
                "-O1",
                "-c",
            ];
            run(zig(&flags).arg(source).arg("-o").arg(&object))?;
            objects.push(object);
        }
        run(zig(&["wasm-ld", "--no-entry", "--build-id"]).args(&objects).arg("-o").arg(&core))?;
        let embedded = folder.join("embedded.wasm");
        run(Command::new(&tools)
            .args(["component", "embed"])
            .arg(root().join("wit/0.1.0"))
            .arg(&core)
            .args(["--world", "template", "-o"])
            .arg(&embedded))?;
        run(Command::new(&tools).args(["component", "new"]).arg(&embedded).arg("-o").arg(out))
    })
}

/// The examples of the Python guide in one component, rebuilt after a change. The field `fault` of
/// an order selects an example by the name of its template. `None` if a tool is missing.
pub fn python_guide(test: &str) -> Option<PathBuf> {
    let programs = PYTHON.ready(test)?;
    let package = root().join("guest-sdk/python");
    let text = package.join("GUIDE.md");
    let mut inputs = files_in(&[&package.join("sitewright"), &root().join("wit/0.2.0")]);
    inputs.push(text.clone());
    build_cached(test, "python-guide", &inputs, |folder, out| {
        let text = fs::read_to_string(&text).map_err(|error| error.to_string())?;
        for (name, code) in guide_modules(&text) {
            fs::write(folder.join(name), code).map_err(|error| error.to_string())?;
        }
        run(Command::new(programs.join("componentize-py"))
            .arg("-d")
            .arg(root().join("wit/0.2.0"))
            .args(["-w", "template", "componentize", "-p"])
            .arg(folder)
            .arg("-p")
            .arg(&package)
            .arg("-o")
            .arg(out)
            .arg("app"))
    })
}

/// The guide's Python blocks as modules (name and code): a block that begins with a file name is
/// that file, every other block is an example. Adds `app.py`, which runs the example that an order
/// selects.
fn guide_modules(guide: &str) -> Vec<(String, String)> {
    let blocks = guide
        .split("```python\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(code, _)| code));
    let mut modules = Vec::new();
    let mut app = "from sitewright import Order, Template\n".to_owned();
    let mut examples = Vec::new();
    for (number, code) in blocks.enumerate() {
        let named = code
            .strip_prefix("# ")
            .and_then(|rest| rest.lines().next())
            .filter(|name| name.ends_with(".py"));
        let name = named.map_or_else(|| format!("example_{number}.py"), str::to_owned);
        if named.is_none() {
            app += &format!("import example_{number}\n");
            examples.push(format!("example_{number}.Generator()"));
        }
        modules.push((name, code.to_owned()));
    }
    app += &format!(
        "EXAMPLES = {{each.name: each for each in [{}]}}\n\n\nclass Generator(Template):\n    \
         name = 'guide'\n    version = '0.1.0'\n    summary = 'The examples of the guide.'\n    \
         locales = ['en']\n    purposes = {{name: said for each in EXAMPLES.values() for name, \
         said in each.purposes.items()}}\n\n    async def make(self, order: Order):\n        \
         await EXAMPLES[order.extra['fault']].make(order)\n",
        examples.join(", ")
    );
    modules.push(("app.py".to_owned(), app));
    modules
}

/// Builds the component from a folder of `tests/languages`, unless its sources and the contract are
/// unchanged.
fn build_folder(
    test: &str,
    language: &str,
    build: impl Fn(&Path, &Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let sources = files_in(&[&root().join("tests/languages").join(language)]);
    // Not every language uses all of these, but they rarely change.
    let sdks = ["wit/0.1.0", "wit/0.2.0", "guest-sdk/js", "guest-sdk/python/sitewright"]
        .map(|path| root().join(path));
    let inputs = [sources.clone(), files_in(&sdks.each_ref().map(PathBuf::as_path))].concat();
    build_cached(test, language, &inputs, |folder, out| {
        for file in &sources {
            fs::copy(file, folder.join(file.file_name().expect("a name")))
                .map_err(|error| error.to_string())?;
        }
        build(folder, out)
    })
}

/// The files in these folders, sorted, without subfolders.
fn files_in(folders: &[&Path]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("sources"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Calls `build` with a source folder and an output path unless its inputs are unchanged, and
/// returns the component, compiled. Reports the test as skipped if the build fails.
fn build_cached(
    test: &str,
    name: &str,
    inputs: &[PathBuf],
    build: impl Fn(&Path, &Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let _lock = locked(name);
    let mut digest = Sha256::new();
    for file in inputs {
        digest.update(fs::read(file).expect("a source"));
    }
    let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    // In the folder's name, because records contain the file name of the template.
    let folder = root().join("target/language-guests").join(digest);
    let component = folder.join(format!("{name}-guest.wasm"));
    if !component.is_file() {
        // A copy, because tools write files beside the sources.
        let (unfinished, copy) = (component.with_extension("new"), folder.join("sources"));
        fs::create_dir_all(&copy).expect("the folder can be made");
        if let Err(why) = build(&copy, &unfinished) {
            skipped(test, &why);
            return None;
        }
        fs::rename(&unfinished, &component).expect("the component is in place");
    }
    compile(name, &component);
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
