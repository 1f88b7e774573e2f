//! A Messages response, whole or streamed.

use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish, WithoutEnd};
use super::super::error_body;
use super::super::failure::AttemptFailure;
use super::super::finish_reason::{self, worse};
use super::super::reading::{self, Fields, newest};
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::usage::positive;
use super::super::wire::{HttpHead, HttpReply};
use super::errors;
use super::plain_delta::PlainDelta;
use super::request::TOOL;
use sitewright_model::ai::Usage;

/// Adds the token counts. The API counts the tokens of the prompt separately by how its cache
/// served them.
fn add_usage(tokens: Fields<'_>, usage: &mut Usage) -> bool {
    let input = tokens.count("input_tokens").map(|plain| {
        ["cache_creation_input_tokens", "cache_read_input_tokens"]
            .into_iter()
            .filter_map(|name| tokens.count(name))
            .fold(plain, u64::saturating_add)
    });
    let output = tokens.count("output_tokens");
    usage.input_tokens = newest(input, usage.input_tokens);
    usage.output_tokens = newest(output, usage.output_tokens);
    let cached = |name: &str| positive(tokens.count(name));
    let read = cached("cache_read_input_tokens");
    usage.cache_read_tokens = newest(read, usage.cache_read_tokens);
    let written = cached("cache_creation_input_tokens");
    usage.cache_write_tokens = newest(written, usage.cache_write_tokens);
    input.is_some() || output.is_some()
}

/// The text of a content block of this type, and of a delta of it. Thinking and blocks of unknown
/// types have none.
fn text(block: Fields<'_>) -> Option<&str> {
    let kind = block.text("type").unwrap_or("text");
    block.get("text")?.as_str().filter(|_| matches!(kind, "text" | "text_delta"))
}

/// The input of a block that calls the tool.
fn tool_input(block: Fields<'_>) -> Option<String> {
    (block.text("type") == Some("tool_use") && block.text("name").is_none_or(|name| name == TOOL))
        .then(|| block.get("input").map_or_else(String::new, Value::to_string))
}

/// Whether a block calls a tool that nobody offered.
fn calls_other_tool(block: Fields<'_>) -> bool {
    block.text("type") == Some("tool_use") && block.text("name").is_some_and(|name| name != TOOL)
}

/// The field that says why the model stopped. It is null while the model writes.
const END: &str = "stop_reason";

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let value = stream_deltas::parse_whole(http)?;
    let whole = Fields(&value);
    let failed = whole.get("error").is_some_and(reading::is_error);
    if whole.text("type") == Some("error") || (failed && whole.get("content").is_none()) {
        return Err(errors::failure(&http.head, &http.body));
    }
    let mut answer = Answer {
        model: whole.text("model").map(str::to_owned),
        without_end: WithoutEnd::Cut(END),
        ..Answer::default()
    };
    if let Some(tokens) = whole.object("usage") {
        add_usage(tokens, &mut answer.usage);
    }
    let mut tool = None;
    match whole.get("content") {
        None => return Err(stream_deltas::without("content")),
        Some(Value::String(content)) => answer.content.push_str(content),
        Some(_) => {
            for block in whole.list("content") {
                answer.content.push_str(text(block).unwrap_or_default());
                answer.calls_tool |= calls_other_tool(block);
                tool = tool.or_else(|| tool_input(block));
            }
        }
    }
    answer.finish = finish(whole, tool.is_some());
    Ok(Answer { content: tool.unwrap_or(answer.content), ..answer })
}

fn finish(stop: Fields<'_>, tool: bool) -> Option<Finish> {
    let reason = stop.word(END)?;
    // The only tool is the one that carries the reply.
    if reason == "tool_use" && tool {
        return Some(Finish::Stop);
    }
    finish_reason::of(reason, |word| match word {
        "refusal" => {
            let details = stop.object("stop_details");
            let why = ["explanation", "category"]
                .into_iter()
                .find_map(|name| details?.text(name))
                .map_or_else(String::new, |why| format!(": {why}"));
            format!("the model refused{why}")
        }
        _ => finish_reason::filtered(word),
    })
}

/// The answer of one stream. The type of each event is also in its data.
#[derive(Default)]
pub(super) struct Deltas {
    answer: Answer,
    tool: Option<Tool>,
    stopped: bool,
}

/// The tool-use block whose input is the reply.
struct Tool {
    index: u64,
    /// The input at the start of the block, used if no delta follows.
    start: String,
    input: String,
}

impl Deltas {
    fn end_with(&mut self, stop: Fields<'_>, events: &mut Vec<StreamEvent>) {
        if let Some(finish) = finish(stop, self.tool.is_some()) {
            let finish = worse(self.answer.finish.take(), finish);
            self.answer.finish = Some(finish.clone());
            events.push(StreamEvent::Finish(finish));
        }
    }

    /// Appends to the input of the tool whose block has this index.
    fn add_input(&mut self, index: u64, json: String, events: &mut Vec<StreamEvent>) {
        if let Some(tool) = self.tool.as_mut().filter(|tool| tool.index == index) {
            tool.input.push_str(&json);
            events.push(StreamEvent::Text(json));
        }
    }
}

impl StreamDeltas for Deltas {
    fn read(
        &mut self,
        head: &HttpHead,
        delta: &Delta<'_>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let data = delta.data;
        // Some relays end their streams like chat completions.
        if data == b"[DONE]" {
            self.stopped |= self.answer.finish.is_some();
            return Ok(());
        }
        if let Some(plain) = PlainDelta::parse(data) {
            match plain {
                PlainDelta::Text(text) => add_text(&mut self.answer, text, events),
                PlainDelta::ToolInput { index, json } => self.add_input(index, json, events),
            }
            return Ok(());
        }
        let value = stream_deltas::parse(head, data)
            .map_err(|failure| failure.with_usage(self.answer.usage))?;
        let event = Fields(&value);
        // Proxies insert errors of their own, without a type or with one of their own.
        let is_of_protocol =
            event.text("type").is_some_and(|kind| kind == "ping" || self.knows(kind));
        let failed = event.get("error").is_some_and(reading::is_error)
            || (delta.event == "error" && !is_of_protocol)
            || (event.text("type").is_none() && error_body::is_failure(&value));
        if event.text("type") == Some("error") || failed {
            return Err(errors::failure(head, data).with_usage(self.answer.usage));
        }
        let Some(kind) = event.text("type").or(Some(delta.event).filter(|name| !name.is_empty()))
        else {
            return Err(head
                .not_protocol("is JSON without `type`", data)
                .with_usage(self.answer.usage));
        };
        let index = event.count("index").unwrap_or(0);
        let usage = match kind {
            "message_start" => event.object("message").and_then(|message| {
                if let Some(model) = message.text("model") {
                    self.answer.model = Some(model.to_owned());
                }
                message.object("usage")
            }),
            "content_block_start" => {
                if let Some(block) = event.object("content_block") {
                    add_text(&mut self.answer, text(block).unwrap_or_default().into(), events);
                    self.answer.calls_tool |= calls_other_tool(block);
                    if let (None, Some(start)) = (&self.tool, tool_input(block)) {
                        self.tool = Some(Tool { index, start, input: String::new() });
                    }
                }
                None
            }
            "content_block_delta" => {
                if let Some(delta) = event.object("delta") {
                    if delta.text("thinking").is_some() {
                        events.push(StreamEvent::Thinking);
                    }
                    add_text(&mut self.answer, text(delta).unwrap_or_default().into(), events);
                    if let Some(json) = delta.get("partial_json").and_then(Value::as_str) {
                        self.add_input(index, json.to_owned(), events);
                    }
                }
                None
            }
            "message_delta" => {
                if let Some(delta) = event.object("delta") {
                    self.end_with(delta, events);
                }
                event.object("usage")
            }
            "message_stop" => {
                self.stopped = true;
                None
            }
            // `ping`, `content_block_stop`, and events of newer versions.
            _ => None,
        };
        if usage.is_some_and(|tokens| add_usage(tokens, &mut self.answer.usage)) {
            events.push(StreamEvent::Usage(self.answer.usage));
        }
        Ok(())
    }

    fn knows(&self, event: &str) -> bool {
        ["", "error"].contains(&event)
            || event.starts_with("message_")
            || event.starts_with("content_block_")
    }

    fn is_done(&self) -> bool {
        self.stopped
    }

    /// The reason why the model stopped comes after the last content block.
    fn is_whole(&self) -> bool {
        self.stopped || self.answer.finish.is_some()
    }

    fn so_far(&self) -> (&str, Usage) {
        let text = self.tool.as_ref().map_or(&self.answer.content, |tool| &tool.input);
        (text.as_str(), self.answer.usage)
    }

    fn end(self: Box<Self>) -> Answer {
        let Deltas { mut answer, tool, .. } = *self;
        answer.without_end = WithoutEnd::Cut(END);
        if let Some(tool) = tool {
            answer.content = if tool.input.is_empty() { tool.start } else { tool.input };
        }
        answer
    }
}
