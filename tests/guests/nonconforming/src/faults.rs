//! What a wish makes of each step.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;

use sitewright_sdk::{order::Tone, prelude::*, serde_json::json};

use crate::{Copy, Wish};

/// A number that is another one in each attempt.
pub(crate) fn lucky() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn spin() {
    loop {
        black_box(());
    }
}

/// What `describe` does.
pub(crate) fn described(wish: &Wish, mut manifest: Manifest) -> Manifest {
    match wish.fault.as_str() {
        "describe" => panic!("it does not say what it is"),
        "quick" => spin(),
        "manifest" => manifest.version = "one".to_owned(),
        "schema" => manifest.order_schema = json!({ "type": "orders" }),
        "pure" => manifest.summary = format!("Number {}.", lucky()),
        _ => {}
    }
    manifest
}

/// Orders that it does not like.
pub(crate) fn of_order(wish: &Wish, order: &Order) -> Result<()> {
    let disliked = match wish.fault.as_str() {
        "minimal" => order.business_address.is_none() && order.social_facebook.is_none(),
        "full" => order.business_address.is_some(),
        "optional" => order.business_address.is_none() && order.social_facebook.is_some(),
        "values" => order.tone == Tone::Premium,
        "colours" => order.primary_color.is_some_and(|colour| colour.to_string() == "#000000"),
        "empty-lists" => order.services.is_empty() && order.business_address.is_some(),
        "long-lists" => order.services.len() > 50,
        _ => false,
    };
    if disliked {
        Err(Error::new("disliked", "the template does not like this order"))
    } else {
        Ok(())
    }
}

/// What it makes of a call that failed.
pub(crate) fn of_call(wish: &Wish, error: ai::Error) -> Result<Option<String>> {
    match (wish.fault.as_str(), error.kind) {
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

/// Several calls at once.
pub(crate) async fn asked<const N: usize>(wish: &Wish, asks: [ai::Ask; N]) -> Result<Vec<Copy>> {
    if wish.fault != "slow" {
        let calls = asks.into_iter().map(|ask| ask.json::<Copy>());
        return Ok(try_join_all(calls).await?);
    }
    let came = RefCell::new(Vec::new());
    let calls = asks.into_iter().map(|ask| async {
        let copy = ask.json::<Copy>().await;
        came.borrow_mut().push(copy);
    });
    join_all(calls).await;
    // As they came, not as they were asked for.
    Ok(came.into_inner().into_iter().collect::<Result<_, _>>()?)
}

/// What it makes of answers.
pub(crate) fn of_answers(wish: &Wish, copies: &[Copy]) {
    if wish.fault == "smallest" {
        black_box(copies.iter().map(|copy| copy.points[0].len()).sum::<usize>());
    }
}

/// What it uses of what it may use, for an order with much in it.
pub(crate) async fn used(wish: &Wish, order: &Order, site: &Site) -> Result<()> {
    let much = order.services.len() > 50;
    let text = |bytes: usize| "x".repeat(bytes);
    match wish.fault.as_str() {
        "purposes" => drop(ai::ask("horoscopes").user("What do the stars say?").text().await),
        "memory" if much => drop(black_box(Vec::<u8>::with_capacity(wish.n))),
        "cpu" if much => spin(),
        "ai-calls" if much => {
            for number in 0..wish.n {
                ai::ask("copywriting").user(format!("line {number}")).text().await?;
            }
        }
        "files" if much => {
            for number in 0..wish.n {
                site.write(format!("notes/{number}.txt"), "A note.")?;
            }
        }
        "file-bytes" if much => site.write("large.txt", text(wish.n))?,
        "total-bytes" if much => {
            for number in 0..9 {
                site.write(format!("large-{number}.txt"), text(wish.n / 9))?;
            }
        }
        "path-bytes" if much => {
            site.write(format!("{}/{}.txt", text(100), text(wish.n - 105)), "A note.")?
        }
        "diagnostics" if much => {
            for number in 0..wish.n {
                report(Diagnostic::info("note", format!("note {number}")));
            }
        }
        "log" if much => (0..wish.n / 1_000).for_each(|_| log::info(text(990))),
        "stderr" if much => (0..wish.n / 1_000).for_each(|_| eprintln!("{}", text(999))),
        // What the pages load, see `pages`.
        "weight" => site.write("heavy.css", format!("/*{}*/", text(4 << 20)))?,
        "bytes" => site.write("text.txt", [b'a', 0xff, b'b'])?,
        _ => {}
    }
    Ok(())
}

/// What it leaves undone.
pub(crate) async fn after(wish: &Wish) -> Result<()> {
    if wish.fault == "dropped" {
        // Begun, and then forgotten.
        let mut call = Box::pin(ai::ask("copywriting").user("one more thing").text());
        begin(&mut call).await;
        std::mem::forget(call);
    }
    Ok(())
}

/// Until the call has gone out: the host begins it when the guest gives it a turn or two.
async fn begin<F: Future + Unpin>(future: &mut F) {
    use std::{pin::Pin, task::Poll};
    let mut turns = 0;
    std::future::poll_fn(|context| {
        let ended = Pin::new(&mut *future).poll(context).is_ready();
        turns += 1;
        if ended || turns > 16 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
