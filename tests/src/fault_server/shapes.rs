//! Answers and errors in the format of each provider.

use serde_json::{Value, json};

use super::REQUEST_ID;

/// Format of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// OpenAI: chat completions.
    Openai,
    /// Anthropic: messages.
    Anthropic,
    /// Gemini: `generateContent`.
    Gemini,
    /// Ollama: `/api/chat`.
    Ollama,
    /// Cloudflare: Workers AI.
    Cloudflare,
}

/// Form of an answer. Clients request a stream; an endpoint without streaming returns one whole
/// response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A stream of deltas.
    Streamed,
    /// One response.
    Whole,
}

impl Form {
    /// Both forms.
    pub const ALL: [Form; 2] = [Form::Streamed, Form::Whole];
}

impl Shape {
    /// All formats.
    pub const ALL: [Shape; 5] =
        [Shape::Openai, Shape::Anthropic, Shape::Gemini, Shape::Ollama, Shape::Cloudflare];

    /// `kind` of the provider in the configuration.
    pub fn kind(self) -> &'static str {
        match self {
            Shape::Openai => "openai",
            Shape::Anthropic => "anthropic",
            Shape::Gemini => "gemini",
            Shape::Ollama => "ollama",
            Shape::Cloudflare => "cloudflare",
        }
    }

    /// Configuration of a provider at this origin; `more` contains further settings.
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

    /// Head of a response, including the empty line.
    pub fn head(self, status: &str, headers: &str) -> String {
        let id = match self {
            Shape::Openai | Shape::Gemini | Shape::Ollama => "x-request-id",
            Shape::Anthropic => "request-id",
            Shape::Cloudflare => "cf-ray",
        };
        format!("HTTP/1.1 {status}\r\n{id}: {REQUEST_ID}\r\n{headers}connection: close\r\n\r\n")
    }

    /// `content-type` of answers in this form.
    pub fn content_type(self, form: Form) -> &'static str {
        match (form, self) {
            (Form::Whole, _) => "application/json",
            (Form::Streamed, Shape::Ollama) => "application/x-ndjson",
            (Form::Streamed, _) => "text/event-stream",
        }
    }

    /// A successful answer.
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
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }],
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
                "result": {
                    "response": text,
                    "usage": {"prompt_tokens": 11, "completion_tokens": 7},
                },
                "success": true, "errors": [], "messages": [],
            }),
        };
        answer.to_string()
    }

    /// Beginning of a stream with this text in two deltas.
    pub fn begin(self, text: &str) -> String {
        let middle = text.floor_char_boundary(text.len() / 2);
        let first = match self {
            Shape::Anthropic => [
                event(
                    "message_start",
                    &json!({
                        "type": "message_start",
                        "message": {
                            "id": "msg_1", "role": "assistant", "model": "m-1", "content": [],
                            "usage": {"input_tokens": 11, "output_tokens": 1},
                        },
                    }),
                ),
                event(
                    "content_block_start",
                    &json!({
                        "type": "content_block_start",
                        "index": 0,
                        "content_block": {"type": "text", "text": ""},
                    }),
                ),
            ]
            .concat(),
            _ => String::new(),
        };
        format!("{first}{}{}", self.delta(&text[..middle]), self.delta(&text[middle..]))
    }

    /// One delta of a stream.
    pub fn delta(self, text: &str) -> String {
        match self {
            Shape::Openai => data(&json!({
                "id": "c", "object": "chat.completion.chunk", "model": "m-1",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
            })),
            Shape::Anthropic => event(
                "content_block_delta",
                &json!({
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": text},
                }),
            ),
            Shape::Gemini => data(&candidate(text, None)),
            Shape::Ollama => line(&json!({
                "model": "m-1",
                "message": {"role": "assistant", "content": text},
                "done": false,
            })),
            Shape::Cloudflare => data(&json!({"response": text, "p": "abcdef"})),
        }
    }

    /// End of a stream, including the final marker.
    pub fn end(self) -> String {
        match self {
            Shape::Openai => [
                data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
                data(&json!({
                    "choices": [],
                    "usage": {"prompt_tokens": 11, "completion_tokens": 7},
                })),
                "data: [DONE]\n\n".to_owned(),
            ]
            .concat(),
            Shape::Anthropic => [
                event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
                event(
                    "message_delta",
                    &json!({
                        "type": "message_delta",
                        "delta": {"stop_reason": "end_turn"},
                        "usage": {"output_tokens": 7},
                    }),
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
                let tokens = json!({"prompt_tokens": 11, "completion_tokens": 7});
                let usage = json!({"response": "", "usage": tokens});
                format!("{}data: [DONE]\n\n", data(&usage))
            }
        }
    }

    /// A keep-alive without content.
    pub fn ping(self) -> &'static str {
        match self {
            Shape::Openai | Shape::Cloudflare => ": keep-alive\n\n",
            Shape::Anthropic => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Shape::Gemini => "\r\n\r\n",
            Shape::Ollama => "\n",
        }
    }

    /// Events and fields that a future version of the API might add.
    pub fn unknown(self) -> String {
        match self {
            Shape::Ollama => line(&json!({
                "model": "m-1",
                "message": {"role": "assistant", "newer": 1},
                "done": false,
                "also_newer": [],
            })),
            _ => [
                event("newer", &json!({"type": "newer", "newer": {"error": null}})),
                event("newest", &json!("a text")),
                "id: 7\nretry: 10\nnewer: x\n\n".to_owned(),
            ]
            .concat(),
        }
    }

    /// An "overloaded" error in a response with status 200.
    pub fn error(self, form: Form) -> String {
        let error = match self {
            Shape::Openai => {
                json!({"error": {
                    "message": "The server had an error",
                    "type": "server_error",
                    "param": null,
                    "code": null,
                }})
            }
            Shape::Anthropic => {
                json!({
                    "type": "error",
                    "error": {"type": "overloaded_error", "message": "Overloaded"},
                })
            }
            Shape::Gemini => {
                json!({"error": {
                    "code": 503,
                    "message": "The model is overloaded.",
                    "status": "UNAVAILABLE",
                }})
            }
            Shape::Ollama => json!({"error": "an error was encountered while running the model"}),
            Shape::Cloudflare => {
                json!({
                    "result": null,
                    "success": false,
                    "errors": [{"code": 3040, "message": "Capacity temporarily exceeded"}],
                })
            }
        };
        match (form, self) {
            (Form::Whole, _) => error.to_string(),
            (Form::Streamed, Shape::Ollama) => line(&error),
            (Form::Streamed, Shape::Anthropic) => event("error", &error),
            (Form::Streamed, _) => data(&error),
        }
    }

    /// A correctly framed delta whose JSON is truncated.
    pub fn truncated_delta(self) -> &'static str {
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
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": finish,
            "index": 0,
        }],
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
