//! End-to-end tests: the `sitewright` binary and its crates together, with built templates. They
//! are one binary, because each binary links the whole host. Support code is in `tests/src`.
//!
//! | Modules | Proves |
//! |---|---|
//! | `crates` | the dependencies between the crates of the workspace |
//! | `cli`, `config`, `doctor`, `deploy` | the command line, the configuration, the systemd unit |
//! | `deploy_tools` | `deploy/` by the schemas and linters of its formats |
//! | `dist` | release archives, and the workflows of `docs/ci` that install them |
//! | `databases`, `journal` | opening and migrating databases, the log in systemd's journal |
//! | `author`, `author_rust` | the commands for template authors, those that call cargo apart |
//! | `gallery` | the pictures of starters and templates in the book |
//! | `conformance`, `conformance_rules` | the conformance suite |
//! | `browser` | sites are looked at in a browser, with `--browser` |
//! | `contract`, `contract_versions` | old templates load in newer hosts |
//! | `engine`, `compiling`, `plugin` | compiled templates, the compiler, unusable files |
//! | `orders`, `pages`, `output`, `template_languages` | orders become correct sites |
//! | `delimiter` | order data in prompts is delimited alike in all languages |
//! | `sandbox`, `limits`, `hostile`, `mutated`, `blocking` | guests stay in sandbox and limits |
//! | `hostile_host` | what guests can make the host do is limited too |
//! | `runtime`, `storm` | many attempts in one process leave nothing behind |
//! | `ai_http`, `ai_wire`, `ai_stream`, `ai_connections`, `ai_standins` | AI calls over sockets |
//! | `failures`, `failures_cli`, `failures_faces` | every failure leaves one complete record |
//! | `redaction`, `spans`, `coredumps` | keys in no output; log spans; core dumps |
//! | `symbols`, `trap_matrix`, `trap_languages` | frames have functions, files and lines |
//! | `replay`, `replay_export`, `replay_worker` | a recorded attempt runs again with the same end |
//! | `untrusted_files` | bundles and conformance folders of strangers stay in their limits |
//! | `orders_cli` | `order`, `queue` and `migrate` on both databases |
//! | `monitoring` | alert rules, dashboard and scraping, with a real Prometheus |
//! | `otlp` | traces, logs and metrics for an OpenTelemetry collector, and what it is not told |
//! | `serve` | the HTTP API, tokens, and the status of a worker, as processes |
//! | `worker_catalogue`, `worker_retry` | failures of orders in a worker, and their retries |
//! | `batches` | orders nobody waits for, by the batches of providers |
//! | `holds` | faults that are not the order's cost no order; what is held resumes |
//! | `worker_crash`, `worker_life` | killed, paused, draining and stopped workers |
//! | `storm_processes` | processes that end charge no order that did not end them |
//! | `worker_outage`, `worker_machine`, `worker_store` | outages of database, disk, clock, store |
//!
//! `alone`, `inside` and `lab` contain no tests: they run a test in its own process, and use the
//! host as a library. Names such as `f4_…` begin with the row of `docs/src/failure-catalogue.md`
//! that the test proves. Tests that cannot run on a machine report themselves as SKIPPED.

#![allow(clippy::disallowed_methods, reason = "each test has a runtime of its own")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::type_complexity,
    reason = "tests"
)]

mod ai_connections;
mod ai_http;
mod ai_standins;
mod ai_stream;
mod ai_wire;
mod alone;
mod author;
mod author_rust;
mod batches;
mod blocking;
mod browser;
mod checks;
mod cli;
mod compiling;
mod config;
mod conformance;
mod conformance_rules;
mod contract;
mod contract_news;
mod contract_versions;
mod coredumps;
mod crates;
mod databases;
mod delimiter;
mod deploy;
mod deploy_tools;
mod dist;
mod doctor;
mod engine;
mod failures;
mod failures_cli;
mod failures_faces;
mod gallery;
mod holds;
mod hostile;
mod hostile_host;
mod inside;
mod intake;
mod journal;
mod lab;
mod limits;
mod monitoring;
mod mutated;
mod operate_years;
mod orders;
mod orders_cli;
mod otlp;
mod output;
mod pages;
mod plugin;
mod redaction;
mod replay;
mod replay_export;
mod replay_worker;
mod runtime;
mod sandbox;
mod serve;
mod spans;
mod storm;
mod storm_processes;
mod symbols;
mod template_languages;
mod trap_languages;
mod trap_matrix;
mod untrusted_files;
mod worker_catalogue;
mod worker_crash;
mod worker_life;
mod worker_machine;
mod worker_outage;
mod worker_retry;
mod worker_store;
