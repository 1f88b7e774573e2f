//! OpenAI's Responses API, which some models have only.
//! <https://platform.openai.com/docs/api-reference/responses>

use serde_json::{Map, Value, json};

use super::super::adapter::{Adapter, Endpoint, StreamEvent};
use super::super::answer::{Answer, Finish, WithoutEnd};
use super::super::config::Reasoning;
use super::super::error_body;
use super::super::failure::AttemptFailure;
use super::super::finish_reason::{self, worse};
use super::super::instructions;
use super::super::parameters::{Parameter, Shape};
use super::super::reading::{self, Fields};
use super::super::request::{ChatMessage, Format, Role};
use super::super::stream_deltas::{self, Delta, StreamDeltas, add_text};
use super::super::usage;
use super::super::wire::{HttpHead, HttpReply, Prompt};
use super::plain_event;
use super::strict_schema::Converted;
use sitewright_model::ai::Usage;

#[derive(Debug)]
pub(in super::super) struct Responses {
    pub(super) endpoint: Endpoint,
}

impl Adapter for Responses {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// This API has neither stop texts nor seeds.
    fn shape(&self) -> Shape {
        let mut shape = Shape::PLAIN;
        shape.omit(Parameter::Stop);
        shape.omit(Parameter::Seed);
        shape
    }

    fn body(&self, prompt: &Prompt<'_>) -> Vec<u8> {
        body(prompt)
    }

    fn deltas(&self) -> Box<dyn StreamDeltas> {
        Box::new(Deltas::default())
    }

    fn whole(&self, http: &HttpReply) -> Result<Answer, AttemptFailure> {
        let value = stream_deltas::parse_whole(http)?;
        let mut answer = Answer::default();
        read(&http.head, Fields(&value), &http.body, &mut answer)?;
        Ok(answer)
    }
}

fn body(prompt: &Prompt<'_>) -> Vec<u8> {
    let format = &prompt.request.format;
    let (mode, instruction) = mode(format, prompt.step(Parameter::ResponseFormat));
    let (system, messages) = prompt.conversation(instruction);
    let system = system.map(|content| ChatMessage { role: Role::System, content });
    let of_user = |message: &ChatMessage| message.role != Role::System;
    let input: Vec<Value> = system
        .iter()
        .chain(messages.iter().filter(|message| of_user(message)))
        .map(|message| json!({"role": message.role, "content": message.content}))
        .collect();
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", prompt.model.into());
    set("input", input.into());
    set("stream", prompt.streams().into());
    // The customer's data is not to be kept at the provider.
    set("store", false.into());
    if let Some(most) = prompt.max_tokens().filter(|_| prompt.sends(Parameter::MaxTokens)) {
        set("max_output_tokens", most.into());
    }
    if let Some(temperature) = prompt.temperature() {
        set("temperature", json!(temperature));
    }
    if let Some(tier) = prompt.service_tier() {
        set("service_tier", tier.into());
    }
    if let Some((reasoning, step)) = prompt.reasoning() {
        let effort = match (reasoning, step) {
            (Reasoning::None, 1) => Reasoning::Minimal,
            (Reasoning::Minimal, 1) => Reasoning::Low,
            (level, _) => level,
        };
        set("reasoning", json!({"effort": effort.as_str()}));
    }
    if let Some(mode) = mode {
        set("text", json!({"format": mode}));
    }
    // Cannot fail: strings, numbers and maps with text keys.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The mode for JSON, and the instruction for the model.
fn mode(format: &Format, refused: u8) -> (Option<Value>, Option<String>) {
    let instruction = || instructions::of(format);
    let object = || Some(json!({"type": "json_object"}));
    match (format, refused) {
        (Format::Text, _) => (None, None),
        (Format::Json, 0) => (object(), instruction()),
        (Format::JsonSchema(requested), 0 | 1) => {
            let schema = requested.value();
            let converted = requested.strict().filter(|_| refused == 0);
            match converted {
                Some(Converted { schema, whole }) => (
                    Some(json!({
                        "type": "json_schema", "name": "reply", "strict": true, "schema": schema,
                    })),
                    (!whole).then(instruction).flatten(),
                ),
                None if schema.get("type").is_none_or(|kind| kind == "object") => {
                    (object(), instruction())
                }
                None => (None, instruction()),
            }
        }
        (Format::Json | Format::JsonSchema(_), _) => (None, instruction()),
    }
}

/// Whether this item of the output calls a tool of ours. None is offered; the provider's own tools
/// are named in another way (`web_search_call`).
fn calls_tool(item: Fields<'_>) -> bool {
    matches!(item.text("type"), Some("function_call" | "custom_tool_call"))
}

/// Whether this item of the output is the reply, and not what the model says while it works.
fn is_reply(item: &Fields<'_>) -> bool {
    item.text("type").is_none_or(|kind| kind == "message")
        && item.text("phase") != Some("commentary")
}

/// The text of an item of the output.
fn text_of(item: Fields<'_>) -> String {
    let is_text = |part: &Fields<'_>| {
        part.text("type").is_none_or(|kind| matches!(kind, "output_text" | "text"))
    };
    item.list("content").filter(is_text).filter_map(|part| part.get("text")?.as_str()).collect()
}

/// Reads a response object: its text unless there is some already, its end, its tokens.
fn read(
    head: &HttpHead,
    response: Fields<'_>,
    frame: &[u8],
    answer: &mut Answer,
) -> Result<(), AttemptFailure> {
    if let Some(error) = response.get("error").filter(|error| reading::is_error(error)) {
        return Err(error_body::in_stream(head, error)
            .of_answer(head, frame)
            .with_usage(answer.usage));
    }
    if response.get("output").is_none() && response.text("status").is_none() {
        return Err(stream_deltas::without("output").of_answer(head, frame));
    }
    if let Some(model) = response.text("model") {
        answer.model = Some(model.to_owned());
    }
    if let Some(tokens) = response.object("usage") {
        usage::add(tokens, &mut answer.usage);
    }
    answer.calls_tool |= response.list("output").any(calls_tool);
    let parts = response.list("output").filter(is_reply).flat_map(|item| item.list("content"));
    let mut text = String::new();
    for part in parts {
        match part.text("type") {
            Some("refusal") => {
                let refusal = part.text("refusal").unwrap_or_default();
                answer.refusal.get_or_insert_with(|| refusal.to_owned());
            }
            Some("output_text" | "text") | None => {
                text.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default());
            }
            Some(_) => {}
        }
    }
    if answer.content.is_empty() {
        answer.content = text;
    }
    let why = response.object("incomplete_details").and_then(|details| details.word("reason"));
    let word = why.or_else(|| response.word("status"));
    if let Some(finish) = word.and_then(|word| finish_reason::of(word, finish_reason::filtered)) {
        answer.finish = Some(worse(answer.finish.take(), finish));
    }
    answer.without_end = WithoutEnd::Unknown;
    Ok(())
}

/// The answer of one stream.
#[derive(Default)]
struct Deltas {
    answer: Answer,
    ended: bool,
    /// Whether text of the item of the output that is being read was received.
    item_has_text: bool,
    /// Whether that item is not the reply.
    skips_item: bool,
}

impl Deltas {
    /// Reads a piece of text of the item of the output that is being read.
    fn text(&mut self, text: String, events: &mut Vec<StreamEvent>) {
        if self.skips_item {
            events.push(StreamEvent::Thinking);
        } else {
            self.item_has_text = true;
            add_text(&mut self.answer, text, events);
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
        if self.ended || data == b"[DONE]" {
            return Ok(());
        }
        if let Some(text) = plain_event::text(data) {
            self.text(text, events);
            return Ok(());
        }
        let value = stream_deltas::parse(head, data)?;
        let event = Fields(&value);
        let kind = event.text("type").unwrap_or(delta.event);
        let more = || event.get("delta").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind {
            "response.output_text.delta" => self.text(more(), events),
            "response.output_text.done" if self.skips_item => events.push(StreamEvent::Thinking),
            // Some relays send the whole text alone.
            "response.output_text.done" if !self.item_has_text => {
                let text = event.get("text").and_then(Value::as_str).unwrap_or_default();
                self.item_has_text = true;
                add_text(&mut self.answer, text.to_owned(), events);
            }
            "response.refusal.delta" => {
                self.answer.refusal.get_or_insert_default().push_str(&more());
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                let Some(response) = event.object("response") else {
                    return Err(stream_deltas::without("response").of_answer(head, data));
                };
                read(head, response, data, &mut self.answer)?;
                match kind {
                    "response.failed" => self.answer.finish = Some(Finish::Failed),
                    "response.completed" => {
                        self.answer.finish.get_or_insert(Finish::Stop);
                    }
                    _ => {}
                }
                self.ended = true;
                events.push(StreamEvent::Usage(self.answer.usage));
                events.extend(self.answer.finish.clone().map(StreamEvent::Finish));
            }
            "response.output_item.added" | "response.output_item.done" => {
                let item = event.object("item");
                self.answer.calls_tool |= item.is_some_and(calls_tool);
                let reply = item.filter(is_reply);
                self.skips_item = item.is_some() && reply.is_none();
                if kind == "response.output_item.added" {
                    self.item_has_text = false;
                } else {
                    let had_text = std::mem::replace(&mut self.item_has_text, false);
                    if let Some(item) = reply.filter(|_| !had_text) {
                        add_text(&mut self.answer, text_of(item), events);
                    }
                    self.skips_item = false;
                }
            }
            "error" => {
                let error = event.get("error").unwrap_or(&value);
                return Err(head.error_frame(error, data).with_usage(self.answer.usage));
            }
            kind if kind.contains("reasoning") => events.push(StreamEvent::Thinking),
            _ if event.get("error").is_some_and(reading::is_error) => {
                let error = event.get("error").unwrap_or(&value);
                return Err(head.error_frame(error, data).with_usage(self.answer.usage));
            }
            _ => {}
        }
        Ok(())
    }

    fn knows(&self, event: &str) -> bool {
        ["", "error"].contains(&event) || event.starts_with("response.")
    }

    fn is_done(&self) -> bool {
        self.ended
    }

    fn so_far(&self) -> (&str, Usage) {
        (self.answer.content.as_str(), self.answer.usage)
    }

    fn end(self: Box<Self>) -> Answer {
        self.answer
    }
}
