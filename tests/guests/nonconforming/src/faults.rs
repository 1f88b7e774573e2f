//! The deviations in each step of the template.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;

use sitewright_sdk::{order::Tone, prelude::*, serde_json::json};

use crate::{Copy, Deviation};

/// A random number, different in each attempt.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn spin() {
    loop {
        black_box(());
    }
}

/// Deviations of `describe`.
pub(crate) fn described(deviation: &Deviation, mut manifest: Manifest) -> Manifest {
    match deviation.fault.as_str() {
        "describe" => panic!("it does not say what it is"),
        "quick" => spin(),
        "manifest" => manifest.version = "one".to_owned(),
        "schema" => manifest.order_schema = json!({ "type": "orders" }),
        "pure" => manifest.summary = format!("Number {}.", random_number()),
        _ => {}
    }
    manifest
}

/// Rejects the orders that the deviation names.
pub(crate) fn of_order(deviation: &Deviation, order: &Order) -> Result<()> {
    let rejected = match deviation.fault.as_str() {
        "minimal" => order.business_address.is_none() && order.social_facebook.is_none(),
        "full" => order.business_address.is_some(),
        "optional" => order.business_address.is_none() && order.social_facebook.is_some(),
        "values" => order.tone == Tone::Premium,
        "colours" => order.primary_color.is_some_and(|colour| colour.to_string() == "#000000"),
        "empty-lists" => {
            order.services.is_empty()
                && order.selected_pages.is_empty()
                && order.testimonials.is_empty()
                && order.business_address.is_some()
        }
        "long-lists" => is_large(order),
        _ => false,
    };
    if rejected {
        Err(Error::new("disliked", "the template does not like this order"))
    } else {
        Ok(())
    }
}

/// Deviations in the handling of a failed call.
pub(crate) fn of_call(deviation: &Deviation, error: ai::Error) -> Result<Option<String>> {
    match (deviation.fault.as_str(), error.kind) {
        ("no-trap", ai::ErrorKind::RateLimited) => panic!("nobody said that a call can fail"),
        ("whole", ai::ErrorKind::RateLimited) => Ok(None),
        ("blame", ai::ErrorKind::RateLimited) => {
            Err(Error::new("no-text", "there is no text for a page"))
        }
        ("off-schema", ai::ErrorKind::SchemaMismatch) => {
            panic!("nobody said that an answer can be of no use")
        }
        _ => Err(error.into()),
    }
}

/// Makes concurrent calls. With the fault `slow` the replies are in the sequence of their arrival.
pub(crate) async fn asked<const N: usize>(
    deviation: &Deviation,
    asks: [ai::Ask; N],
) -> Result<Vec<Copy>> {
    if deviation.fault != "slow" {
        let calls = asks.into_iter().map(|ask| ask.json::<Copy>());
        return Ok(try_join_all(calls).await?);
    }
    let arrived = RefCell::new(Vec::new());
    let calls = asks.into_iter().map(|ask| async {
        let copy = ask.json::<Copy>().await;
        arrived.borrow_mut().push(copy);
    });
    join_all(calls).await;
    Ok(arrived.into_inner().into_iter().collect::<Result<_, _>>()?)
}

/// Deviations in the use of replies.
pub(crate) fn of_answers(deviation: &Deviation, copies: &[Copy]) {
    if deviation.fault == "smallest" {
        black_box(copies.iter().map(|copy| copy.points[0].len()).sum::<usize>());
    }
}

/// Whether an order has many services: only one of the suite's orders has.
pub(crate) fn is_large(order: &Order) -> bool {
    order.services.len() > 50
}

/// Deviations in the use of resources; most only for a large order.
pub(crate) async fn used(deviation: &Deviation, order: &Order, site: &Site) -> Result<()> {
    let large = is_large(order);
    let text = |bytes: usize| "x".repeat(bytes);
    match deviation.fault.as_str() {
        "purposes" => drop(ai::ask("horoscopes").user("What do the stars say?").text().await),
        "memory" if large => drop(black_box(Vec::<u8>::with_capacity(deviation.n))),
        "cpu" if large => spin(),
        "ai-calls" if large => {
            for number in 0..deviation.n {
                ai::ask("copywriting").user(format!("line {number}")).text().await?;
            }
        }
        "files" if large => {
            for number in 0..deviation.n {
                site.write(format!("notes/{number}.txt"), "A note.")?;
            }
        }
        "file-bytes" if large => site.write("large.txt", text(deviation.n))?,
        "total-bytes" if large => {
            for number in 0..9 {
                site.write(format!("large-{number}.txt"), text(deviation.n / 9))?;
            }
        }
        "path-bytes" if large => {
            site.write(format!("{}/{}.txt", text(100), text(deviation.n - 105)), "A note.")?
        }
        "diagnostics" if large => {
            for number in 0..deviation.n {
                report(Diagnostic::info("note", format!("note {number}")));
            }
        }
        "log" if large => (0..deviation.n / 1_000).for_each(|_| log::info(text(990))),
        "stderr" if large => (0..deviation.n / 1_000).for_each(|_| eprintln!("{}", text(999))),
        // `pages` links this file.
        "weight" if large => site.write("heavy.css", format!("/*{}*/", text(4 << 20)))?,
        "bytes" => site.write("text.txt", [b'a', 0xff, b'b'])?,
        _ => {}
    }
    Ok(())
}

/// Deviations at the end of `generate`.
pub(crate) async fn after(deviation: &Deviation) -> Result<()> {
    if deviation.fault == "dropped" {
        let mut call = Box::pin(ai::ask("copywriting").user("one more thing").text());
        start(&mut call).await;
        std::mem::forget(call);
    }
    Ok(())
}

/// Polls the call until the host has started it, which takes a few turns of the guest's executor.
async fn start<F: Future + Unpin>(future: &mut F) {
    use std::{pin::Pin, task::Poll};
    let mut turns = 0;
    std::future::poll_fn(|context| {
        let completed = Pin::new(&mut *future).poll(context).is_ready();
        turns += 1;
        if completed || turns > 16 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
