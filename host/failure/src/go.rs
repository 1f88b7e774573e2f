//! Parses an uncaught panic of Go, as its runtime prints it on stderr before it stops. Go writes no
//! debug information for WebAssembly: what it prints is the only place with files and lines.

use sitewright_model::failure::Frame;

/// A panic, or an error of Go's runtime that no template can handle, that ended a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoPanic {
    /// The text of the panic or error: `assignment to entry in nil map`.
    pub message: String,
    /// The frames of the goroutine that stopped, innermost first, without those of deferred
    /// functions that only reported the panic.
    pub frames: Vec<Frame>,
}

/// What a line with the message begins with.
const BEGINS: [&str; 2] = ["panic: ", "fatal error: "];
/// What Go adds to the message of a panic that a deferred function has seen.
const RECOVERED: [&str; 2] = [" [recovered, repanicked]", " [recovered]"];
/// Maximum lines of a panic's text in a record.
const MAX_TEXT_LINES: usize = 20;
/// Maximum frames. Go prints 100 of a goroutine.
const MAX_FRAMES: usize = 128;

/// What the names of functions of Go's runtime and standard library begin with.
const STANDARD: [&str; 52] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "panic",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "simd",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "uuid",
    "vendor",
    "weak",
];
/// Parts of the names of functions of the bindings.
const BINDINGS: [&str; 3] = ["wit_bindgen", "go.bytecodealliance.org", "wasm_export_sitewright_"];
/// What the name of an export begins with, as Go writes it.
const EXPORT: &str = "sitewright_template_";
/// Parts of paths of modules that Go has downloaded.
const DOWNLOADED: [&str; 2] = ["/pkg/mod/", "@v"];
/// What the name of a package with the exports of a template begins with.
const EXPORTS: &str = "/export_sitewright_template_";

/// A function of Go's runtime that is in each module with exports and in no other program.
pub(crate) const LOOP: &str = "wasm_pc_f_loop";

/// Whether a function of Go is the template author's own. In names of WebAssembly functions, the
/// slashes of the package are underscores.
pub(crate) fn is_own(function: &str, file: Option<&str>) -> bool {
    let first = function.split(['.', '_', '/', '(']).next().unwrap_or_default();
    // Names with colons are those of the contract, and of the module that translates WASI.
    !STANDARD.contains(&first)
        && !function.contains(':')
        && !function.starts_with(LOOP)
        && !function.starts_with(EXPORT)
        && !BINDINGS.iter().any(|part| function.contains(part))
        && file.is_none_or(|file| !DOWNLOADED.iter().any(|part| file.contains(part)))
}

impl GoPanic {
    /// The last panic in a program's stderr; `None` if there is none.
    pub fn printed(stderr: &str) -> Option<Self> {
        let lines: Vec<&str> = stderr.lines().collect();
        let at = lines.iter().rposition(|line| begin(line).is_some())?;
        let first = begin(lines.get(at)?)?;
        let rest = lines.get(at + 1..)?;
        // Only Go prints the goroutine after the message.
        let goroutine =
            rest.iter().position(|line| line.starts_with("goroutine ") && line.ends_with(':'))?;
        // Go indents the further lines of a text by a tab.
        let text: Vec<&str> = std::iter::once(first)
            .chain(rest.iter().take(goroutine).copied())
            .take_while(|line| !line.is_empty() && !line.starts_with("[signal "))
            .take(MAX_TEXT_LINES)
            .map(|line| line.strip_prefix('\t').unwrap_or(line))
            .collect();
        let mut message = text.join("\n");
        let mut seen = false;
        for note in RECOVERED {
            if message.contains(note) {
                seen = true;
                message = message.replace(note, "");
            }
        }
        let mut frames = frames(rest.get(goroutine + 1..).unwrap_or_default());
        if seen {
            // The frames above the last `panic` are those of the functions that have seen it.
            let panic = frames.iter().rposition(|frame| frame.function == "panic");
            frames.drain(..panic.map_or(0, |at| at + 1));
        }
        shorten(&mut frames);
        let message = message.trim().to_owned();
        (!message.is_empty()).then_some(GoPanic { message, frames })
    }
}

/// The rest of the line that begins a message.
fn begin(line: &str) -> Option<&str> {
    BEGINS.iter().find_map(|start| line.strip_prefix(*start))
}

/// The frames of a goroutine: two lines each, with the function and with its place.
fn frames(lines: &[&str]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut function: Option<String> = None;
    for line in lines.iter().take_while(|line| !line.is_empty()) {
        match (line.strip_prefix('\t'), function.take()) {
            (Some(place), Some(function)) => {
                let place = place.rsplit_once(" +0x").map_or(place, |(place, _)| place);
                let (file, number) = match place.rsplit_once(':') {
                    Some((file, line)) => (file, line.parse().ok()),
                    None => (place, None),
                };
                // A function that the compiler made has no file.
                let file = Some(file).filter(|file| !file.starts_with('<')).map(str::to_owned);
                frames.push(Frame {
                    own: is_own(&function, file.as_deref()),
                    function,
                    line: number.filter(|_| file.is_some()),
                    file,
                    column: None,
                    inlined: false,
                    offset: None,
                });
            }
            (None, _) => function = Some(name(line)),
            (Some(_), None) => {}
        }
        if frames.len() == MAX_FRAMES {
            break;
        }
    }
    frames
}

/// The name of a function, without the values of its parameters.
fn name(line: &str) -> String {
    match line.strip_prefix("created by ") {
        Some(creator) => {
            creator.split_once(" in goroutine ").map_or(creator, |(name, _)| name).to_owned()
        }
        None => line.rsplit_once('(').map_or(line, |(name, _)| name).to_owned(),
    }
}

/// Makes the paths of the template's module relative to its folder. With `-trimpath` they begin
/// with the name of the module, which the package with the exports shows.
fn shorten(frames: &mut [Frame]) {
    let export = frames.iter().find_map(|frame| frame.function.split_once(EXPORTS));
    let Some(module) = export.map(|(module, _)| format!("{module}/")) else { return };
    for frame in frames {
        if let Some(file) = &mut frame.file
            && let Some(inner) = file.strip_prefix(&module)
        {
            *file = inner.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go 1.27 prints for a panic that a deferred function reports.
    const REPORTED: &str = "panic: runtime error: index out of range [5] with length 0 \
        [recovered, repanicked]\n[signal 0xb code=0x0 addr=0x0 pc=0x0]\n\ngoroutine 1 [running]:\n\
        example.com/one/onepage.ReportPanic()\n\texample.com/one/onepage/failure.go:50 +0xf\n\
        panic({0x347738, 0x380880})\n\truntime/panic.go:859 +0x1c\n\
        example.com/one/onepage.(*page).put({0x48e51a, 0x6})\n\
        \texample.com/one/onepage/page.go:17 +0x51\n\
        encoding/json.Unmarshal({0x1, 0x2, 0x3}, {0x4, 0x5})\n\tencoding/json/decode.go:96 +0x2\n\
        golang.org/x/text/language.Parse(...)\n\
        \tgolang.org/x/text@v0.30.0/language/parse.go:33 +0x2\n\
        example.com/one/export_sitewright_template_generator_sync.Generate({0x59, 0x1b6})\n\
        \texample.com/one/export_sitewright_template_generator_sync/exports.go:20 +0x2\n\
        example.com/one/wit_bindgen/wit_exports.wasm_export_generate(0x590000, 0x1b6)\n\
        \texample.com/one/wit_bindgen/wit_exports/wit_exports.go:194 +0x7\n\
        sitewright:template/generator-sync@0.2.0#generate()\n\t<autogenerated>:1 +0x1\n";

    fn shown(frames: &[Frame]) -> Vec<String> {
        let shown = frames.iter().map(|frame| {
            let own = if frame.own { " own" } else { "" };
            let place = match (&frame.file, frame.line) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                _ => "-".to_owned(),
            };
            format!("{} {place}{own}", frame.function)
        });
        shown.collect()
    }

    #[test]
    fn a_reported_panic_has_the_frames_from_where_it_happened() {
        let panic = GoPanic::printed(&format!("a line\n{REPORTED}")).unwrap();
        assert_eq!(panic.message, "runtime error: index out of range [5] with length 0");
        assert_eq!(
            shown(&panic.frames),
            [
                "example.com/one/onepage.(*page).put onepage/page.go:17 own",
                "encoding/json.Unmarshal encoding/json/decode.go:96",
                "golang.org/x/text/language.Parse golang.org/x/text@v0.30.0/language/parse.go:33",
                "example.com/one/export_sitewright_template_generator_sync.Generate \
                 export_sitewright_template_generator_sync/exports.go:20 own",
                "example.com/one/wit_bindgen/wit_exports.wasm_export_generate \
                 wit_bindgen/wit_exports/wit_exports.go:194",
                "sitewright:template/generator-sync@0.2.0#generate -",
            ]
        );
    }

    #[test]
    fn a_panic_has_its_message_and_the_frames_of_its_goroutine() {
        let rows: [(&str, &str, &[&str]); 5] = [
            // (stderr, message, frames)
            (
                "panic: in a goroutine\n\ngoroutine 8 [running]:\nmain.bake.func1()\n\
                 \tmain.go:24 +0x2\ncreated by main.bake in goroutine 1\n\tmain.go:23 +0x67\n",
                "in a goroutine",
                &["main.bake.func1 main.go:24 own", "main.bake main.go:23 own"],
            ),
            (
                "fatal error: all goroutines are asleep - deadlock!\n\n\
                 goroutine 1 [chan receive]:\nmain.bake({0x48e520, 0x8})\n\tmain.go:23 +0x61\n\n\
                 goroutine 2 [select]:\nmain.wait()\n\tmain.go:7 +0x1\n",
                "all goroutines are asleep - deadlock!",
                &["main.bake main.go:23 own"],
            ),
            // A deferred function that panics itself is where the failure happened.
            (
                "panic: first\n\tpanic: second\n\tline\n\ngoroutine 1 [running]:\n\
                 main.close.func1()\n\tmain.go:9 +0x2\npanic({0x1, 0x2})\n\
                 \truntime/panic.go:859 +0x1c\nmain.close()\n\tmain.go:12 +0x3\n",
                "first\npanic: second\nline",
                &[
                    "main.close.func1 main.go:9 own",
                    "panic runtime/panic.go:859",
                    "main.close main.go:12 own",
                ],
            ),
            // The stack is missing after the end of what the host keeps.
            ("panic: cut\n\ngoroutine 1 [running]:\n", "cut", &[]),
            ("panic: cut\n\ngoroutine 1 [running]:\nmain.bake({0x1", "cut", &[]),
        ];
        for (stderr, message, frames) in rows {
            let panic = GoPanic::printed(stderr).unwrap_or_else(|| panic!("none in {stderr:?}"));
            assert_eq!(panic.message, message, "{stderr:?}");
            assert_eq!(shown(&panic.frames), frames, "{stderr:?}");
        }
    }

    #[test]
    fn other_texts_are_no_panics_of_go() {
        for stderr in [
            "",
            "panic: no bread\n",
            "the panic: no bread\n\ngoroutine 1 [running]:\n",
            "goroutine 1 [running]:\nmain.bake()\n\tmain.go:1 +0x2\n",
            "panic: \n\ngoroutine 1 [running]:\n",
            "thread 'main' panicked at src/lib.rs:1:2:\nno bread\n",
        ] {
            assert_eq!(GoPanic::printed(stderr), None, "{stderr:?}");
        }
    }

    #[test]
    fn functions_of_the_runtime_and_the_bindings_are_not_the_authors() {
        for (function, own) in [
            ("runtime.gopanic", false),
            ("runtime.__mheap_.alloc", false),
            ("encoding_json.Unmarshal", false),
            ("wasm_pc_f_loop_export", false),
            ("wasi_snapshot_preview1::bindings::wasi::cli::exit::exit", false),
            ("sitewright_template_generator_sync_0.2.0_generate", false),
            ("example.com_one_wit_bindgen_wit_exports.wasm_export_generate", false),
            ("go.bytecodealliance.org_pkg_wit_runtime.Allocate", false),
            ("example.com_one_onepage.Generate", true),
            ("main.main", true),
        ] {
            assert_eq!(is_own(function, None), own, "{function}");
        }
    }
}
