//! Streamed AI calls: read, dropped, left unread and abandoned.

use std::mem;

use sitewright_sdk::{
    __guest::bindings::sitewright::template::{ai as host, ai_types},
    ai::Streamed,
    prelude::*,
};

use crate::{calls, output, params::FaultParams, traps};

fn start(prompt: &str) -> Streamed {
    ai::ask("copywriting").user(prompt).stream()
}

/// Makes a call that is not streamed.
async fn plain_call() -> Result<()> {
    let text = ai::ask("strategy").user("another").text().await?;
    log::info(text);
    Ok(())
}

/// Reads the stream of one call as the order describes; a diagnostic contains the text that was
/// read.
pub(crate) async fn read_all(site: &Site, params: FaultParams) -> Result<()> {
    let format = calls::format(&params)?;
    let prompt = params.prompt.as_deref().unwrap_or("stream");
    let mut call = ai::ask("copywriting").user(prompt).format(format).stream();
    let (mut chunks, mut text) = (0_u32, String::new());
    while let Some(chunk) = call.next().await {
        chunks += 1;
        text += &chunk;
        progress("chunks", chunks, 0);
    }
    report(
        Diagnostic::info("read", "what was read")
            .attribute("chunks", chunks)
            .attribute("text", &text),
    );
    let reply = call.finish().await?;
    site.write("streamed.txt", text)?;
    site.write(
        "index.html",
        output::page("Stream", &format!("The model wrote: {}", reply.content)),
    )?;
    Ok(())
}

/// Drops a call after its first chunk, then makes another one.
pub(crate) async fn dropped() -> Result<()> {
    let mut call = start("dropped");
    call.next().await;
    drop(call);
    plain_call().await
}

/// Keeps a call without reading it while another one completes.
pub(crate) async fn unread() -> Result<()> {
    let call = start("unread");
    plain_call().await?;
    drop(call);
    Ok(())
}

/// Waits for the outcome of a call and discards its chunks.
pub(crate) async fn outcome_only(site: &Site) -> Result<()> {
    site.write("outcome.txt", start("outcome").finish().await?.content)?;
    Ok(())
}

/// Waits for the outcome of a call while its chunks are unread. Uses the bindings, because the SDK
/// always drops the chunks first.
pub(crate) async fn unread_outcome() -> Result<()> {
    let request = ai_types::Request {
        purpose: "copywriting".to_owned(),
        messages: vec![ai_types::Message {
            role: ai_types::Role::User,
            content: vec![ai_types::Part::Text("unread".to_owned())],
        }],
        format: ai_types::Format::Text,
        max_output_tokens: None,
        temperature: None,
        seed: None,
        stop: Vec::new(),
    };
    let (text, outcome) = host::complete_stream(&request);
    let outcome = async {
        let outcome = outcome.await;
        progress("outcome", 0, 0);
        outcome
    };
    // `plain_call` is in flight meanwhile: otherwise the SDK reports a deadlock.
    let (outcome, _) = join!(outcome, plain_call());
    drop(text);
    match outcome {
        Ok(reply) => log::info(reply.content),
        Err(error) => return Err(Error::new("told", error.message).blame(error.call_id)),
    }
    Ok(())
}

/// Traps while a call is in flight.
pub(crate) async fn trap() {
    let mut call = start("trap");
    call.next().await;
    traps::unreachable();
}

/// Leaks `count` calls after their first chunk.
pub(crate) async fn abandoned(count: u32) {
    for _ in 0..count {
        let mut call = start("left");
        call.next().await;
        mem::forget(call);
    }
}

/// Reads `count` calls concurrently; each reply becomes a file.
pub(crate) async fn concurrent(site: &Site, count: u32) -> Result<()> {
    let calls = (0..count).map(|number| async move {
        let mut call = start(&format!("call {number}"));
        let mut text = String::new();
        while let Some(chunk) = call.next().await {
            text += &chunk;
        }
        let reply = call.finish().await?;
        if reply.content == text {
            Ok(text)
        } else {
            Err(Error::new(
                "mixed",
                format!("{text:?} was read and the reply is {:?}", reply.content),
            ))
        }
    });
    for (number, text) in try_join_all(calls).await?.into_iter().enumerate() {
        site.write(format!("{number}.txt"), text)?;
    }
    Ok(())
}

/// Starts `count` calls before it waits for the first outcome.
pub(crate) async fn kept_open(count: u32) {
    let calls: Vec<Streamed> = (0..count).map(|_| start("held")).collect();
    for call in calls {
        if let Err(error) = call.finish().await {
            report(Diagnostic::warning(error.kind.as_str(), &error.message));
        }
    }
}
