//! Whose code it is, and paths and names as people want to read them.

use std::fmt::Write as _;

use super::budget::MAX_NAME_BYTES;

/// Where the registry and the standard library stand in paths of compiled code.
const FOREIGN_PATHS: [&str; 11] = [
    "wasisdk://",
    "/rustc/",
    "/registry/src/",
    "/git/checkouts/",
    "/library/std/",
    "/library/core/",
    "/library/alloc/",
    "guest-sdk/src/",
    "wit_bindgen",
    "/wasi-libc/",
    "/lib/libc/wasi/",
];

/// Beginnings of paths in compiled code that is no author's.
const FOREIGN_FOLDERS: [&str; 3] = ["library/", "registry/", "rust/"];

/// Beginnings of functions that no author writes, for frames without a file.
const FOREIGN_FUNCTIONS: [&str; 28] = [
    // What `export!` puts into the author's own file.
    "export_",
    "core::",
    "std::",
    "alloc::",
    "<core::",
    "<std::",
    "<alloc::",
    "rust_",
    "__rust",
    "_ZN",
    "__rdl",
    "dlmalloc",
    "talc::",
    "<talc::",
    "wit_bindgen",
    "<wit_bindgen",
    "sitewright_sdk::",
    "<sitewright_sdk::",
    "wasi",
    "cabi_",
    "[async-lift]",
    "[callback]",
    "sitewright:template/",
    "__wasm",
    "_start",
    "_initialize",
    // What tools put between a module and its imports.
    "indirect-",
    "abort",
];

/// Functions of the C library that a failing program is likely to be in.
const C_LIBRARY: [&str; 27] = [
    "malloc",
    "calloc",
    "realloc",
    "free",
    "sbrk",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "strlen",
    "strcmp",
    "strcpy",
    "strncpy",
    "strdup",
    "exit",
    "_Exit",
    "_exit",
    "raise",
    "printf",
    "fprintf",
    "vfprintf",
    "snprintf",
    "vsnprintf",
    "puts",
    "fwrite",
    "qsort",
    "dispose_chunk",
];

/// What the frames of one backtrace tell of the language: names without `::` are an author's in C
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    C,
}

impl Language {
    /// Of a backtrace, by the names of its functions.
    pub(super) fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        let mut language = Language::C;
        names.any(|name| {
            if name.starts_with("_PyEval") || name.contains("componentize_py") {
                language = Language::Python;
            } else if rustc_demangle::try_demangle(name).is_ok() {
                language = Language::Rust;
            }
            language == Language::Python
        });
        language
    }
}

/// Whether a function is the template author's own, by its demangled name and its whole path.
pub(super) fn is_own(function: &str, file: Option<&str>, language: Language) -> bool {
    if FOREIGN_FUNCTIONS.iter().any(|start| function.starts_with(start)) {
        return false;
    }
    match file {
        Some(file) => {
            let file = file.strip_prefix("./").unwrap_or(file);
            !FOREIGN_PATHS.iter().any(|part| file.contains(part))
                && !FOREIGN_FOLDERS.iter().any(|start| file.starts_with(start))
        }
        None if function.starts_with("function ") => false,
        None => match language {
            Language::Rust => function.contains("::"),
            Language::Python => false,
            Language::C => !function.starts_with("__") && !C_LIBRARY.contains(&function),
        },
    }
}

/// A name without what compilers do to it: Rust's without their hash, C++'s with their parameters.
/// Quick and short whatever the name: what a mangled one stands for can be exponentially longer.
pub(super) fn demangle(name: &str) -> String {
    let mut shown = Shown::default();
    if name.len() <= MAX_NAME_BYTES
        && let Ok(rust) = rustc_demangle::try_demangle(name)
    {
        // A refusal means that it was long enough.
        #[allow(clippy::let_underscore_must_use, reason = "what fits is kept")]
        let _ = write!(shown, "{rust:#}");
        return shown.text();
    }
    if name.starts_with("_Z") && name.len() <= MAX_NAME_BYTES {
        let options = cpp_demangle::ParseOptions::default().recursion_limit(RECURSION);
        if let Ok(symbol) = cpp_demangle::Symbol::new_with_options(name, &options) {
            let options = cpp_demangle::DemangleOptions::default().recursion_limit(RECURSION);
            let whole = symbol.structured_demangle(&mut shown, &options).is_ok();
            if whole || shown.full {
                return shown.text();
            }
        }
        shown = Shown::default();
    }
    #[allow(clippy::let_underscore_must_use, reason = "what fits is kept")]
    let _ = shown.write_str(name);
    shown.text()
}

/// How deep a C++ name may be nested.
const RECURSION: u32 = 64;
/// Longest name shown, in bytes.
const MAX_SHOWN: usize = 1_024;

/// A text that takes no more than [`MAX_SHOWN`].
#[derive(Debug, Default)]
struct Shown {
    text: String,
    full: bool,
}

impl Shown {
    fn text(mut self) -> String {
        if self.full {
            self.text.push('…');
        }
        self.text
    }
}

impl std::fmt::Write for Shown {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let left = MAX_SHOWN - self.text.len();
        self.full |= part.len() > left;
        self.text.push_str(&part[..part.floor_char_boundary(left)]);
        if self.full { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// `part` in `folder`, or `part` alone when it starts from the top.
pub(super) fn join(folder: &str, part: &str) -> String {
    let absolute =
        part.starts_with('/') || part.contains("://") || part.as_bytes().get(1) == Some(&b':');
    if folder.is_empty() || absolute {
        return part.to_owned();
    }
    format!("{}/{part}", folder.trim_end_matches('/'))
}

/// A path without the parts that only say where somebody's sources, package registry or toolchain
/// lie. `folder` is what the compiler ran in: the source's root.
pub(super) fn shorten(file: &str, folder: Option<&str>) -> String {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
        return format!("registry/{rest}");
    }
    if let Some(rest) = file.strip_prefix("/rustc/") {
        let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
        return format!("rust/{rest}");
    }
    let within = folder
        .filter(|folder| !folder.is_empty())
        .and_then(|folder| file.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/'));
    let file = within.unwrap_or(file);
    file.strip_prefix("./").unwrap_or(file).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled() {
        for (name, shown) in [
            ("_ZN4core9panicking9panic_fmt17h0123456789abcdefE", "core::panicking::panic_fmt"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_ZN7kitchen4Oven4bakeEib", "kitchen::Oven::bake(int, bool)"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backEOi",
                "std::vector<int, std::allocator<int> >::push_back(int&&)",
            ),
            ("bake", "bake"),
            ("_Znot_a_name", "_Znot_a_name"),
        ] {
            assert_eq!(demangle(name), shown);
        }
        // Each type is a pair of the one before it: whole, the name has more letters than any
        // memory.
        let mut doubling = "_Z1f1PIiiE".to_owned();
        for number in ('0'..='9').chain('A'..='Z') {
            doubling.push_str(&format!("S_IS{number}_S{number}_E"));
        }
        assert!(demangle(&doubling).starts_with("f(P<int, int>, P<P<int, int>, P<int, int> >, "));
        for long in [
            "x".repeat(5_000),
            format!("_ZN{}E", "9abcdefghi".repeat(300)),
            doubling,
            "é".repeat(900),
        ] {
            assert!(demangle(&long).len() <= MAX_SHOWN + '…'.len_utf8(), "{long}");
        }
    }

    #[test]
    fn paths_begin_at_the_sources_root() {
        let rows = [
            ("/home/a/site/src/lib.rs", Some("/home/a/site"), "src/lib.rs"),
            ("/home/a/site/src/lib.rs", Some("/home/a/site/"), "src/lib.rs"),
            // A folder whose name merely begins like it is another one.
            ("/home/a/site2/src/lib.rs", Some("/home/a/site"), "/home/a/site2/src/lib.rs"),
            ("./src/lib.rs", Some("."), "src/lib.rs"),
            (
                "/h/.cargo/registry/src/x-1/dep-1.0.0/src/a.rs",
                Some("/h/site"),
                "registry/dep-1.0.0/src/a.rs",
            ),
            ("/rustc/abc/library/core/src/a.rs", None, "rust/library/core/src/a.rs"),
        ];
        for (file, folder, shown) in rows {
            assert_eq!(shorten(file, folder), shown);
        }
    }
}
