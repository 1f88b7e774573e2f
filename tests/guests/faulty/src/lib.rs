//! A template that fails in every way a template can, see [`Fault`]: `extra.fault` selects the way.
//!
//! One component for all of them, because compiling one is what takes time.
#![cfg(target_family = "wasm")]
#![allow(
    unsafe_code,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "this template fails on purpose"
)]

mod calls;
mod errors;
mod memory;
mod misuse;
mod output;
mod params;
mod replayed;
mod sandbox;
mod streams;
mod traps;

use params::{Fault, FaultParams};
use sitewright_sdk::prelude::*;

struct Faulty;

impl Template for Faulty {
    fn manifest() -> Manifest {
        Manifest::new("faulty", env!("CARGO_PKG_VERSION"), "Fails in every way a template can.")
            .purpose("copywriting", "calls that succeed or fail, as the script says")
            .purpose("strategy", "as copywriting, to tell routes apart")
            .exempt_purpose("strategy")
            .site_bytes(1 << 20)
            .locale("en")
            .locale("pt-BR")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let params = FaultParams::of(order.extra.clone())?;
        output::introduce(&order);
        let then_fail = params.then_fail;
        progress("fault", 0, 1);
        log::info(format!("asked for {:?}", params.fault));
        if params.ai_first {
            calls::sequential(1, "").await?;
        }
        match params.fault {
            Fault::Ok => {}
            Fault::Error => return errors::three_deep(&site),
            Fault::PanicStr => panic!("a panic with a plain text"),
            Fault::PanicString => panic!("a panic that names the order {}", order.id),
            Fault::PanicAny => std::panic::panic_any(42),
            Fault::PanicEscape => errors::panic_escaping(),
            Fault::PanicEmpty => std::panic::panic_any(""),
            Fault::PanicNoHook => {
                drop(std::panic::take_hook());
                panic!("a panic that only stderr tells of\nin two lines");
            }
            Fault::Unreachable => traps::unreachable(),
            Fault::Oob => traps::read_out_of_bounds(),
            Fault::StackOverflow => traps::overflow_the_stack(),
            Fault::DivideByZero => traps::divide_by_zero(),
            Fault::IntegerOverflow => misuse::overflow(),
            Fault::BadIndirectCall => misuse::call_wrongly(),
            Fault::HostCall => misuse::call_badly(),
            Fault::PanicAsync => misuse::panic_after_a_call().await?,
            Fault::PanicTwice => misuse::panic_twice(),
            Fault::Abort => std::process::abort(),
            Fault::Exit => std::process::exit(3),
            Fault::Spin => traps::spin(),
            Fault::MemoryBomb => traps::use_memory(params.n),
            Fault::ManyFiles => output::many_files(&site, params.n.unwrap_or(3_000))?,
            Fault::BigFile => output::big_file(&site, params.n.unwrap_or(9 * 1024 * 1024))?,
            Fault::IgnoredRefusal => {
                drop(output::big_file(&site, params.n.unwrap_or(9 * 1024 * 1024)))
            }
            Fault::Paths => output::paths(&site, &params.paths),
            Fault::Files => return output::files(&site, &params.files),
            Fault::Chunks => output::chunks(&site, params.n.unwrap_or(3))?,
            Fault::LogFlood => output::log_flood(params.n.unwrap_or(10_000)),
            Fault::StderrFlood => output::stderr_flood(params.n.unwrap_or(10_000)),
            Fault::ReportFlood => output::report_flood(params.n.unwrap_or(1_000)),
            Fault::ProgressFlood => output::progress_flood(params.n.unwrap_or(1_000)),
            Fault::ChatterFlood => output::chatter_flood(params.n.unwrap_or(1_000)),
            Fault::ManyCalls => calls::concurrent(params.n.unwrap_or(65), params.bytes).await,
            Fault::CallsInTurn => {
                calls::sequential(
                    params.n.unwrap_or(65),
                    params.prompt.as_deref().unwrap_or_default(),
                )
                .await?;
            }
            Fault::AiError => calls::failing().await?,
            Fault::AiUnreadable => {
                let prompt = params.prompt.as_deref();
                calls::sequential(params.n.unwrap_or(0), prompt.unwrap_or_default()).await?;
                calls::unreadable(prompt).await?;
            }
            Fault::AiEcho => return calls::echo(&site, params).await,
            Fault::Stream => return streams::read_all(&site, params).await,
            Fault::StreamDropped => streams::dropped().await?,
            Fault::StreamUnread => streams::unread().await?,
            Fault::StreamOutcomeOnly => streams::outcome_only(&site).await?,
            Fault::StreamUnreadOutcome => streams::unread_outcome().await?,
            Fault::StreamTrap => streams::trap().await,
            Fault::StreamLeft => streams::abandoned(params.n.unwrap_or(1)).await,
            Fault::StreamsAtOnce => streams::concurrent(&site, params.n.unwrap_or(8)).await?,
            Fault::StreamsHeld => streams::kept_open(params.n.unwrap_or(65)).await,
            Fault::Never => std::future::pending().await,
            Fault::Sleep => sandbox::sleep(params.n.unwrap_or(60)),
            Fault::Document => output::document(&site, &order)?,
            Fault::Random => return sandbox::random(&site),
            Fault::Env => sandbox::probe(),
            Fault::Allocations => memory::allocations(params.n.unwrap_or(100_000))?,
            Fault::Churn => traps::churn(),
            Fault::RecurseCalls => traps::recurse_through_calls(),
            Fault::ReportLarge => output::report_large(params.n.unwrap_or(1_024)),
            Fault::CallsIgnored => calls::ignored(params.n.unwrap_or(100_000)).await,
            Fault::CallsLeft => calls::abandoned(params.n.unwrap_or(3)).await,
            Fault::TrapInFlight => calls::trap_in_flight(params.n.unwrap_or(3)).await,
            Fault::Race => replayed::concurrent_calls(params.n.unwrap_or(6)).await,
            Fault::Complain => replayed::report_error(),
            Fault::Quote => replayed::echo_order(&order, &site).await?,
        }
        if then_fail {
            return Err(Error::new("then-fail", "the order asked for an error in the end"));
        }
        site.write(
            "index.html",
            output::page("Faulty", "This page is whole: nothing went wrong after all."),
        )?;
        Ok(())
    }
}

sitewright_sdk::export!(Faulty);
