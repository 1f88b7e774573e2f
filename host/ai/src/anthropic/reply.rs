//! A Messages response, whole or streamed.

use serde::Deserialize;
use serde_json::Value;

use super::super::adapter::StreamEvent;
use super::super::answer::{Answer, Finish};
use super::super::failure::AttemptFailure;
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::wire::{HttpHead, HttpReply};
use super::errors;
use sitewright_model::ai::Usage;

/// Unknown fields are ignored: providers add them without notice.
#[derive(Deserialize)]
struct Whole {
    #[serde(rename = "type")]
    kind: Option<String>,
    content: Option<Vec<Block>>,
    model: Option<String>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

/// A content block. Thinking and blocks of unknown types are ignored.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        #[serde(default)]
        input: Value,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize, Clone, Copy)]
struct Tokens {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Tokens {
    /// The API counts the tokens of the prompt separately by how its cache served them.
    fn add_to(self, usage: &mut Usage) {
        let parts =
            [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens];
        if self.input_tokens.is_some() {
            usage.input_tokens = parts.into_iter().flatten().reduce(u64::saturating_add);
        }
        usage.output_tokens = self.output_tokens.or(usage.output_tokens);
    }
}

/// Decodes the whole body of a success.
pub(super) fn whole(http: &HttpReply) -> Result<Answer, AttemptFailure> {
    let whole: Whole = stream_deltas::parse_whole(http)?;
    if whole.kind.as_deref() == Some("error") || whole.error.is_some() {
        return Err(errors::failure(&http.head, &http.body));
    }
    let Some(content) = whole.content else { return Err(stream_deltas::without("content")) };
    let mut answer = Answer { model: whole.model, ..Answer::default() };
    if let Some(tokens) = whole.usage {
        tokens.add_to(&mut answer.usage);
    }
    let mut tool = None;
    for block in content {
        match block {
            Block::Text { text } => answer.content.push_str(&text),
            Block::ToolUse { input } => tool = tool.or(Some(input.to_string())),
            Block::Unknown => {}
        }
    }
    let finish = whole
        .stop_reason
        .map(|reason| finish(&reason, tool.is_some(), whole.stop_details.as_ref()));
    Ok(Answer { finish, content: tool.unwrap_or(answer.content), ..answer })
}

fn finish(stop_reason: &str, tool: bool, details: Option<&Value>) -> Finish {
    match stop_reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        // The only tool is the one that carries the reply.
        "tool_use" if tool => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => {
            let why = ["/explanation", "/category"]
                .iter()
                .find_map(|pointer| details?.pointer(pointer)?.as_str())
                .map_or_else(String::new, |why| format!(": {why}"));
            Finish::Filtered(format!("the model refused{why}"))
        }
        other => Finish::Other(other.to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: BlockDelta,
    },
    MessageDelta {
        delta: Stop,
        usage: Option<Tokens>,
    },
    MessageStop,
    Error,
    /// `ping`, `content_block_stop`, and events of newer versions.
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Start {
    model: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum BlockDelta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Stop {
    stop_reason: Option<String>,
    stop_details: Option<Value>,
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

impl StreamDeltas for Deltas {
    fn read(
        &mut self,
        head: &HttpHead,
        delta: &Delta<'_>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), AttemptFailure> {
        let (answer, data) = (&mut self.answer, delta.data);
        let event = match stream_deltas::parse(head, data) {
            Ok(event) => event,
            // Proxies insert errors of their own, without a type.
            Err(_) if stream_deltas::has(data, "error") => Event::Error,
            Err(failure) => return Err(failure.with_usage(answer.usage)),
        };
        match event {
            Event::MessageStart { message } => {
                answer.model = message.model;
                if let Some(tokens) = message.usage {
                    tokens.add_to(&mut answer.usage);
                }
            }
            Event::ContentBlockStart { content_block: Block::Text { text }, .. }
            | Event::ContentBlockDelta { delta: BlockDelta::Text { text }, .. } => {
                add_text(answer, text, events);
            }
            Event::ContentBlockStart { index, content_block: Block::ToolUse { input } } => {
                let start = || Tool { index, start: input.to_string(), input: String::new() };
                self.tool.get_or_insert_with(start);
            }
            Event::ContentBlockDelta { index, delta: BlockDelta::InputJson { partial_json } } => {
                if let Some(tool) = self.tool.as_mut().filter(|tool| tool.index == index) {
                    tool.input.push_str(&partial_json);
                    events.push(StreamEvent::Text(partial_json));
                }
            }
            Event::MessageDelta { delta, usage } => {
                if let Some(tokens) = usage {
                    tokens.add_to(&mut answer.usage);
                    events.push(StreamEvent::Usage(answer.usage));
                }
                if let Some(reason) = delta.stop_reason {
                    let finish = finish(&reason, self.tool.is_some(), delta.stop_details.as_ref());
                    answer.finish = Some(finish.clone());
                    events.push(StreamEvent::Finish(finish));
                }
            }
            Event::MessageStop => self.stopped = true,
            Event::Error => return Err(errors::failure(head, data).with_usage(answer.usage)),
            Event::ContentBlockStart { .. } | Event::ContentBlockDelta { .. } | Event::Unknown => {}
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

    fn end(self: Box<Self>) -> (Answer, bool) {
        let Deltas { mut answer, tool, stopped } = *self;
        if let Some(tool) = tool {
            answer.content = if tool.input.is_empty() { tool.start } else { tool.input };
        }
        (answer, stopped)
    }
}
