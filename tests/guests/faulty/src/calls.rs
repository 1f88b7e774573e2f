//! AI calls that fail, and too many of them.

use std::{future::poll_fn, mem, pin::Pin, task::Poll};

use sitewright_sdk::{prelude::*, serde_json::Value};

use crate::{output, traps, wish::Wish};

/// `count` calls at once; each failure becomes a diagnostic.
pub(crate) async fn many(count: u32) {
    let calls =
        (0..count).map(|number| ai::ask("copywriting").user(format!("call {number}")).text());
    for (number, reply) in join_all(calls).await.into_iter().enumerate() {
        if let Err(error) = reply {
            report(
                Diagnostic::warning(error.kind.name(), &error.message).attribute("call", number),
            );
        }
    }
}

/// `count` calls one after the other, each beginning with `prompt`; the first that fails ends the
/// run.
pub(crate) async fn in_turn(count: u32, prompt: &str) -> Result<()> {
    for number in 0..count {
        let call = ai::ask("copywriting").user(format!("{prompt}call {number}")).text();
        call.await.with_context(|| format!("while writing text {number}"))?;
    }
    Ok(())
}

/// One call whose error ends the run.
pub(crate) async fn failing() -> Result<()> {
    let text =
        ai::ask("copywriting").user("fail").text().await.context("while writing the headline")?;
    log::info(text);
    Ok(())
}

/// One call whose reply arrives whole and is blamed by the template when it holds `unusable`;
/// always when the order has no prompt.
pub(crate) async fn unreadable(prompt: Option<&str>) -> Result<()> {
    let ask = ai::ask("copywriting")
        .user(prompt.map_or("any".to_owned(), |prompt| format!("{prompt}any")));
    let reply = ask.format(ai::Format::Json).send().await?;
    if prompt.is_some() && !reply.content.contains("unusable") {
        return Ok(());
    }
    Err(Error::new("unusable-reply", "the model's reply is of no use")
        .cause(&reply.content)
        .blame(reply.call_id))
}

/// The format that the order names.
pub(crate) fn format(wish: &Wish) -> Result<ai::Format> {
    match wish.format.as_deref() {
        None | Some("text") => Ok(ai::Format::Text),
        Some("json") => Ok(ai::Format::Json),
        Some("json-schema") => {
            Ok(ai::Format::JsonSchema(wish.schema.clone().unwrap_or(Value::Bool(true))))
        }
        Some(other) => Err(Error::new(
            "unknown-format",
            format!("`format` is `{other}`: use text, json or json-schema"),
        )),
    }
}

/// One call as the order describes it. Its reply becomes the page.
pub(crate) async fn echo(site: &Site, wish: Wish) -> Result<()> {
    let format = format(&wish)?;
    let reply = ai::ask(wish.purpose.unwrap_or_else(|| "copywriting".to_owned()))
        .user(wish.prompt.unwrap_or_else(|| "echo".to_owned()))
        .format(format)
        .send()
        .await?;
    site.write("index.html", output::page("Echo", &format!("The model wrote: {}", reply.content)))?;
    Ok(())
}

/// `count` calls one after the other, whatever becomes of them.
pub(crate) async fn ignored(count: u32) {
    for number in 0..count {
        drop(ai::ask("copywriting").user(format!("call {number}")).text().await);
    }
}

type InFlight = Vec<Pin<Box<dyn Future<Output = Result<String>>>>>;

/// `count` calls that have begun.
async fn begun(count: u32) -> InFlight {
    let mut calls: InFlight = (0..count)
        .map(|number| {
            Box::pin(async move {
                Ok(ai::ask("copywriting").user(format!("hang {number}")).text().await?)
            }) as Pin<Box<dyn Future<Output = Result<String>>>>
        })
        .collect();
    poll_fn(|context| {
        for call in &mut calls {
            let _: Poll<Result<String>> = call.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    calls
}

/// Returns with `count` calls under way.
pub(crate) async fn left(count: u32) {
    mem::forget(begun(count).await);
}

/// Traps with `count` calls under way.
pub(crate) async fn trap_in_flight(count: u32) {
    let calls = begun(count).await;
    traps::unreachable();
    drop(calls);
}
