//! How each provider says a thing.

use serde_json::{Value, json};

use super::REQUEST_ID;

/// Whose words an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Chat completions.
    Openai,
    /// Messages.
    Anthropic,
    /// generateContent.
    Gemini,
    /// `/api/chat`.
    Ollama,
    /// Workers AI.
    Cloudflare,
}

/// In which form an answer comes. Every client asks for a stream; whole answers come from endpoints
/// that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In parts.
    Streamed,
    /// At once.
    Whole,
}

impl Form {
    /// Both.
    pub const ALL: [Form; 2] = [Form::Streamed, Form::Whole];
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 5] =
        [Shape::Openai, Shape::Anthropic, Shape::Gemini, Shape::Ollama, Shape::Cloudflare];

    /// The `kind` in the configuration.
    pub fn kind(self) -> &'static str {
        match self {
            Shape::Openai => "openai",
            Shape::Anthropic => "anthropic",
            Shape::Gemini => "gemini",
            Shape::Ollama => "ollama",
            Shape::Cloudflare => "cloudflare",
        }
    }

    /// The table of a provider at this address, with further lines.
    pub fn provider(self, name: &str, origin: &str, more: &str) -> String {
        let (path, account) = match self {
            Shape::Openai | Shape::Anthropic => ("/v1", ""),
            Shape::Gemini => ("/v1beta", ""),
            Shape::Ollama => ("", ""),
            Shape::Cloudflare => ("/client/v4", "account_id = \"0a1b\"\n"),
        };
        let kind = self.kind();
        format!(
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \
             \"{origin}{path}\"\n{account}api_key_env = \"FAULT_KEY\"\n{more}\n"
        )
    }

    /// The head of an answer, down to the blank line.
    pub fn head(self, status: &str, headers: &str) -> String {
        let id = match self {
            Shape::Openai | Shape::Gemini | Shape::Ollama => "x-request-id",
            Shape::Anthropic => "request-id",
            Shape::Cloudflare => "cf-ray",
        };
        format!("HTTP/1.1 {status}\r\n{id}: {REQUEST_ID}\r\n{headers}connection: close\r\n\r\n")
    }

    /// What its answers in this form call themselves.
    pub fn content_type(self, form: Form) -> &'static str {
        match (form, self) {
            (Form::Whole, _) => "application/json",
            (Form::Streamed, Shape::Ollama) => "application/x-ndjson",
            (Form::Streamed, _) => "text/event-stream",
        }
    }

    /// A good answer.
    pub fn answer(self, form: Form, text: &str) -> String {
        match form {
            Form::Whole => self.whole(text),
            Form::Streamed => format!("{}{}", self.begin(text), self.end()),
        }
    }

    fn whole(self, text: &str) -> String {
        let answer = match self {
            Shape::Openai => json!({
                "id": "c", "object": "chat.completion", "model": "m-1",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7},
            }),
            Shape::Anthropic => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 11, "output_tokens": 7},
            }),
            Shape::Gemini => {
                let mut part = candidate(text, Some("STOP"));
                part["usageMetadata"] = json!({"promptTokenCount": 11, "candidatesTokenCount": 7});
                part
            }
            Shape::Ollama => json!({
                "model": "m-1", "message": {"role": "assistant", "content": text}, "done": true,
                "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7,
            }),
            Shape::Cloudflare => json!({
                "result": {"response": text, "usage": {"prompt_tokens": 11, "completion_tokens": 7}},
                "success": true, "errors": [], "messages": [],
            }),
        };
        answer.to_string()
    }

    /// The beginning of a stream, with this text in two parts.
    pub fn begin(self, text: &str) -> String {
        let middle = text.floor_char_boundary(text.len() / 2);
        let first = match self {
            Shape::Anthropic => [
                event(
                    "message_start",
                    &json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "model": "m-1", "content": [], "usage": {"input_tokens": 11, "output_tokens": 1}}}),
                ),
                event(
                    "content_block_start",
                    &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
            ]
            .concat(),
            _ => String::new(),
        };
        format!("{first}{}{}", self.part(&text[..middle]), self.part(&text[middle..]))
    }

    /// One more part of a stream.
    pub fn part(self, text: &str) -> String {
        match self {
            Shape::Openai => data(&json!({
                "id": "c", "object": "chat.completion.chunk", "model": "m-1",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
            })),
            Shape::Anthropic => event(
                "content_block_delta",
                &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            ),
            Shape::Gemini => data(&candidate(text, None)),
            Shape::Ollama => line(
                &json!({"model": "m-1", "message": {"role": "assistant", "content": text}, "done": false}),
            ),
            Shape::Cloudflare => data(&json!({"response": text, "p": "abcdef"})),
        }
    }

    /// The end of a stream, final marker included.
    pub fn end(self) -> String {
        match self {
            Shape::Openai => [
                data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
                data(&json!({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}})),
                "data: [DONE]\n\n".to_owned(),
            ]
            .concat(),
            Shape::Anthropic => [
                event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
                event(
                    "message_delta",
                    &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}),
                ),
                event("message_stop", &json!({"type": "message_stop"})),
            ]
            .concat(),
            Shape::Gemini => {
                let mut part = candidate("", Some("STOP"));
                part["usageMetadata"] = json!({"promptTokenCount": 11, "candidatesTokenCount": 7});
                data(&part)
            }
            Shape::Ollama => line(&json!({
                "model": "m-1", "message": {"role": "assistant", "content": ""}, "done": true,
                "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7,
            })),
            Shape::Cloudflare => {
                let usage = json!({"response": "", "usage": {"prompt_tokens": 11, "completion_tokens": 7}});
                format!("{}data: [DONE]\n\n", data(&usage))
            }
        }
    }

    /// What keeps a stream open and says nothing.
    pub fn ping(self) -> &'static str {
        match self {
            Shape::Openai | Shape::Cloudflare => ": keep-alive\n\n",
            Shape::Anthropic => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Shape::Gemini => "\r\n\r\n",
            Shape::Ollama => "\n",
        }
    }

    /// What a newer server may send, and no client of today knows.
    pub fn newer(self) -> String {
        match self {
            Shape::Ollama => line(
                &json!({"model": "m-1", "message": {"role": "assistant", "newer": 1}, "done": false, "also_newer": []}),
            ),
            _ => [
                event("newer", &json!({"type": "newer", "newer": {"error": null}})),
                event("newest", &json!("a text")),
                "id: 7\nretry: 10\nnewer: x\n\n".to_owned(),
            ]
            .concat(),
        }
    }

    /// Its word for being overloaded, inside an answer that calls itself a success.
    pub fn error(self, form: Form) -> String {
        let error = match self {
            Shape::Openai => {
                json!({"error": {"message": "The server had an error", "type": "server_error", "param": null, "code": null}})
            }
            Shape::Anthropic => {
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
            }
            Shape::Gemini => {
                json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
            }
            Shape::Ollama => json!({"error": "an error was encountered while running the model"}),
            Shape::Cloudflare => {
                json!({"result": null, "success": false, "errors": [{"code": 3040, "message": "Capacity temporarily exceeded"}]})
            }
        };
        match (form, self) {
            (Form::Whole, _) => error.to_string(),
            (Form::Streamed, Shape::Ollama) => line(&error),
            (Form::Streamed, Shape::Anthropic) => event("error", &error),
            (Form::Streamed, _) => data(&error),
        }
    }

    /// A part of a stream with JSON that is cut, and its framing whole.
    pub fn cut_part(self) -> &'static str {
        match self {
            Shape::Ollama => "{\"model\": \"m-1\", \"mess\n",
            Shape::Anthropic => {
                "event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"ind\n\n"
            }
            _ => "data: {\"choices\": [{\"ind\n\n",
        }
    }
}

fn candidate(text: &str, finish: Option<&str>) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish, "index": 0}],
        "modelVersion": "m-1",
    })
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn event(name: &str, value: &Value) -> String {
    format!("event: {name}\ndata: {value}\n\n")
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}
