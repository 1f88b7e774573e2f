//! Which build of the host this process runs.

use std::sync::OnceLock;

static HOST_BUILD: OnceLock<String> = OnceLock::new();

/// Version and commit of the running host, such as `0.1.0+1a2b3c4d5e6f`: part of every record,
/// manifest and `--version` (catalogue G1). Until [`set_host_build`] is called the commit is
/// `unknown`, as it is in programs that use the library without the binary.
pub fn host_build() -> &'static str {
    HOST_BUILD.get().map_or(concat!(env!("CARGO_PKG_VERSION"), "+unknown"), String::as_str)
}

/// Sets the build once, at the start of the process. The binary knows its commit; a constant here
/// would recompile every crate of the host after each commit. Later calls change nothing.
pub fn set_host_build(build: &str) {
    HOST_BUILD.get_or_init(|| build.to_owned());
}
