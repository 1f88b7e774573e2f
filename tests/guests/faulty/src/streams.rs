//! AI calls that are read along, and all that can be done with them instead.

use std::mem;

use sitewright_sdk::{
    __guest::bindings::sitewright::template::{ai as host, ai_types},
    ai::Streamed,
    prelude::*,
};

use crate::{calls, output, traps, wish::Wish};

fn begin(prompt: &str) -> Streamed {
    ai::ask("copywriting").user(prompt).stream()
}

/// A call beside the streams.
async fn another() -> Result<()> {
    let text = ai::ask("strategy").user("another").text().await?;
    log::info(text);
    Ok(())
}

/// One call as the order describes it, and a diagnostic with what was read of it.
pub(crate) async fn whole(site: &Site, wish: Wish) -> Result<()> {
    let format = calls::format(&wish)?;
    let prompt = wish.prompt.as_deref().unwrap_or("stream");
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

/// One call that is dropped in the middle, and another one that is not.
pub(crate) async fn dropped() -> Result<()> {
    let mut call = begin("dropped");
    call.next().await;
    drop(call);
    another().await
}

/// One call that nobody reads, and another one that goes on meanwhile.
pub(crate) async fn unread() -> Result<()> {
    let call = begin("unread");
    another().await?;
    drop(call);
    Ok(())
}

/// One call whose text is not wanted.
pub(crate) async fn outcome_only(site: &Site) -> Result<()> {
    site.write("outcome.txt", begin("outcome").finish().await?.content)?;
    Ok(())
}

/// One call whose outcome is awaited while its text is in the way. The SDK does not let that
/// happen.
pub(crate) async fn unread_outcome() -> Result<()> {
    let request = ai_types::Request {
        purpose: "copywriting".to_owned(),
        messages: vec![ai_types::Message {
            role: ai_types::Role::User,
            content: "unread".to_owned(),
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
    // The SDK must know that a call is in flight, or it takes the wait for one that never ends.
    let (outcome, _) = join!(outcome, another());
    drop(text);
    match outcome {
        Ok(reply) => log::info(reply.content),
        Err(error) => return Err(Error::new("told", error.message).blame(error.call_id)),
    }
    Ok(())
}

/// Traps while a call goes on.
pub(crate) async fn trap() {
    let mut call = begin("trap");
    call.next().await;
    traps::unreachable();
}

/// Calls that nobody ever drops.
pub(crate) async fn left(count: u32) {
    for _ in 0..count {
        let mut call = begin("left");
        call.next().await;
        mem::forget(call);
    }
}

/// Calls that are read side by side.
pub(crate) async fn at_once(site: &Site, count: u32) -> Result<()> {
    let calls = (0..count).map(|number| async move {
        let mut call = begin(&format!("call {number}"));
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

/// Calls that are all held before the first outcome is asked for.
pub(crate) async fn held(count: u32) {
    let calls: Vec<Streamed> = (0..count).map(|_| begin("held")).collect();
    for call in calls {
        if let Err(error) = call.finish().await {
            report(Diagnostic::warning(error.kind.name(), &error.message));
        }
    }
}
