//! AI calls: failing ones, and more than the limits allow.

use std::{future::poll_fn, mem, pin::Pin, task::Poll};

use sitewright_sdk::{prelude::*, serde_json::Value};

use crate::{output, params::FaultParams, traps};

/// Makes `count` concurrent calls, whose messages have `bytes` beside their numbers; each failure
/// becomes a diagnostic.
pub(crate) async fn concurrent(count: u32, bytes: usize) {
    let filler = "x".repeat(bytes);
    let calls = (0..count)
        .map(|number| ai::ask("copywriting").user(format!("{filler}call {number}")).text());
    for (number, reply) in join_all(calls).await.into_iter().enumerate() {
        if let Err(error) = reply {
            report(
                Diagnostic::warning(error.kind.as_str(), &error.message).attribute("call", number),
            );
        }
    }
}

/// Makes `count` sequential calls whose messages begin with `prompt`. The first failure ends the
/// run.
pub(crate) async fn sequential(count: u32, prompt: &str) -> Result<()> {
    for number in 0..count {
        let call = ai::ask("copywriting").user(format!("{prompt}call {number}")).text();
        call.await.with_context(|| format!("while writing text {number}"))?;
    }
    Ok(())
}

/// Makes one call whose error ends the run.
pub(crate) async fn failing() -> Result<()> {
    let text =
        ai::ask("copywriting").user("fail").text().await.context("while writing the headline")?;
    log::info(text);
    Ok(())
}

/// Makes one call and blames it if its reply contains `unusable`, or always if there is no prompt.
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

/// The reply format that the order selects. Default: text.
pub(crate) fn format(params: &FaultParams) -> Result<ai::Format> {
    match params.format.as_deref() {
        None | Some("text") => Ok(ai::Format::Text),
        Some("json") => Ok(ai::Format::Json),
        Some("json-schema") => {
            Ok(ai::Format::JsonSchema(params.schema.clone().unwrap_or(Value::Bool(true))))
        }
        Some(other) => Err(Error::new(
            "unknown-format",
            format!("`format` is `{other}`: use text, json or json-schema"),
        )),
    }
}

/// Makes one call as the order describes and writes its reply into the page.
pub(crate) async fn echo(site: &Site, params: FaultParams) -> Result<()> {
    let format = format(&params)?;
    let mut ask = ai::ask(params.purpose.unwrap_or_else(|| "copywriting".to_owned()))
        .user(params.prompt.unwrap_or_else(|| "echo".to_owned()))
        .format(format);
    for _ in 0..params.data {
        ask = ask.data("", "");
    }
    let reply = ask.send().await?;
    site.write("index.html", output::page("Echo", &format!("The model wrote: {}", reply.content)))?;
    Ok(())
}

/// Makes `count` sequential calls and ignores their outcome.
pub(crate) async fn ignored(count: u32) {
    for number in 0..count {
        drop(ai::ask("copywriting").user(format!("call {number}")).text().await);
    }
}

type InFlight = Vec<Pin<Box<dyn Future<Output = Result<String>>>>>;

/// Starts `count` calls and polls each once.
async fn started(count: u32) -> InFlight {
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

/// Returns with `count` calls in flight.
pub(crate) async fn abandoned(count: u32) {
    mem::forget(started(count).await);
}

/// Traps with `count` calls in flight.
pub(crate) async fn trap_in_flight(count: u32) {
    let calls = started(count).await;
    traps::unreachable();
    drop(calls);
}
