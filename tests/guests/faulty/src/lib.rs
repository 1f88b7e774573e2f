//! A template that fails in every way a template can, as its order asks: `extra.fault` names the
//! way, see [`Fault`].
//!
//! One component covers all of them, so that tests compile one.
#![cfg(target_family = "wasm")]
#![allow(
    unsafe_code,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "doing what must not be done is this template's purpose"
)]

mod calls;
mod errors;
mod memory;
mod misuse;
mod output;
mod replayed;
mod sandbox;
mod streams;
mod traps;
mod wish;

use sitewright_sdk::prelude::*;
use wish::{Fault, Wish};

struct Faulty;

impl Template for Faulty {
    fn manifest() -> Manifest {
        Manifest::new("faulty", env!("CARGO_PKG_VERSION"), "Fails in every way a template can.")
            .purpose("copywriting", "calls that succeed or fail, as the script says")
            .purpose("strategy", "as copywriting, to tell routes apart")
            .locale("en")
            .locale("pt-BR")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let wish = Wish::of(order.extra.clone())?;
        let then_fail = wish.then_fail;
        progress("fault", 0, 1);
        log::info(format!("asked for {:?}", wish.fault));
        if wish.ai_first {
            calls::in_turn(1, "").await?;
        }
        match wish.fault {
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
            Fault::MemoryBomb => traps::use_memory(wish.n),
            Fault::ManyFiles => output::many_files(&site, wish.n.unwrap_or(3_000))?,
            Fault::BigFile => output::big_file(&site, wish.n.unwrap_or(9 * 1024 * 1024))?,
            Fault::IgnoredRefusal => {
                drop(output::big_file(&site, wish.n.unwrap_or(9 * 1024 * 1024)))
            }
            Fault::Paths => output::paths(&site, &wish.paths),
            Fault::Files => return output::files(&site, &wish.files),
            Fault::LogFlood => output::log_flood(wish.n.unwrap_or(10_000)),
            Fault::StderrFlood => output::stderr_flood(wish.n.unwrap_or(10_000)),
            Fault::ReportFlood => output::report_flood(wish.n.unwrap_or(1_000)),
            Fault::ProgressFlood => output::progress_flood(wish.n.unwrap_or(1_000)),
            Fault::ChatterFlood => output::chatter_flood(wish.n.unwrap_or(1_000)),
            Fault::ManyCalls => calls::many(wish.n.unwrap_or(65)).await,
            Fault::CallsInTurn => {
                calls::in_turn(wish.n.unwrap_or(65), wish.prompt.as_deref().unwrap_or_default())
                    .await?;
            }
            Fault::AiError => calls::failing().await?,
            Fault::AiUnreadable => {
                let prompt = wish.prompt.as_deref();
                calls::in_turn(wish.n.unwrap_or(0), prompt.unwrap_or_default()).await?;
                calls::unreadable(prompt).await?;
            }
            Fault::AiEcho => return calls::echo(&site, wish).await,
            Fault::Stream => return streams::whole(&site, wish).await,
            Fault::StreamDropped => streams::dropped().await?,
            Fault::StreamUnread => streams::unread().await?,
            Fault::StreamOutcomeOnly => streams::outcome_only(&site).await?,
            Fault::StreamUnreadOutcome => streams::unread_outcome().await?,
            Fault::StreamTrap => streams::trap().await,
            Fault::StreamLeft => streams::left(wish.n.unwrap_or(1)).await,
            Fault::StreamsAtOnce => streams::at_once(&site, wish.n.unwrap_or(8)).await?,
            Fault::StreamsHeld => streams::held(wish.n.unwrap_or(65)).await,
            Fault::Never => std::future::pending().await,
            Fault::Sleep => sandbox::sleep(wish.n.unwrap_or(60)),
            Fault::Document => output::document(&site, &order)?,
            Fault::Random => return sandbox::random(&site),
            Fault::Env => sandbox::look_around(),
            Fault::Allocations => memory::allocations(wish.n.unwrap_or(100_000))?,
            Fault::Churn => traps::churn(),
            Fault::RecurseCalls => traps::recurse_through_calls(),
            Fault::ReportLarge => output::report_large(wish.n.unwrap_or(1_024)),
            Fault::CallsIgnored => calls::ignored(wish.n.unwrap_or(100_000)).await,
            Fault::CallsLeft => calls::left(wish.n.unwrap_or(3)).await,
            Fault::TrapInFlight => calls::trap_in_flight(wish.n.unwrap_or(3)).await,
            Fault::Race => replayed::race(wish.n.unwrap_or(6)).await,
            Fault::Complain => replayed::complain(),
            Fault::Quote => replayed::quote(&order, &site).await?,
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
