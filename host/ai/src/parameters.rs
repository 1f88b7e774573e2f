//! Parameters that a model refuses: which one an error names, and what is sent instead.
//!
//! Each model takes other parameters, and what it takes changes with its version: reasoning models
//! refuse a temperature, some endpoints refuse seeds or stream options. So nothing is known in
//! advance. A refused request is sent again at once without what its error names, and what the
//! model took is remembered for it.

use strum::{EnumCount, VariantArray};

use super::failure::AttemptFailure;
use sitewright_model::ai::AiErrorKind;

/// A parameter of a request that the reply can do without, or that can be said in another way.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::EnumCount,
    strum::VariantArray,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Parameter {
    Temperature,
    /// Texts that end the reply. Without it, the reply is cut here.
    Stop,
    Seed,
    /// The maximum number of tokens of a reply. First under its other name.
    MaxTokens,
    /// The mode for JSON. First a weaker one; last an instruction in the prompt alone.
    ResponseFormat,
    StreamOptions,
    /// Without it, the reply comes as a whole.
    Stream,
    /// Messages with the role `system`. Without them, their text begins the first user message.
    System,
    /// How much the model thinks. First in the other notation.
    Reasoning,
    ServiceTier,
    /// Marks for the provider's prompt cache.
    CacheControl,
}

impl Parameter {
    /// The name in configuration and messages.
    pub(super) fn as_str(self) -> &'static str {
        self.into()
    }

    /// How many other ways there are to send it, the omission included.
    fn steps(self) -> u8 {
        match self {
            Parameter::MaxTokens | Parameter::ResponseFormat | Parameter::Reasoning => 2,
            _ => 1,
        }
    }

    /// The parameter that a field of a request belongs to: the last known name in the path, as
    /// `response_format.json_schema` or `generationConfig.stopSequences`.
    pub(super) fn of_field(path: &str) -> Option<Parameter> {
        let names = path.split(['.', '[', ']', '/', ' ']).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(squash).collect();
        let of = |name: &String| {
            NAMES
                .iter()
                .find_map(|(parameter, names)| names.contains(&name.as_str()).then_some(*parameter))
        };
        if names.iter().any(|name| name == "messages") {
            return names.iter().any(|name| name == "role").then_some(Parameter::System);
        }
        names.iter().rev().find_map(of)
    }
}

/// The names of each parameter in the fields of all providers; see [`squash`].
const NAMES: &[(Parameter, &[&str])] = &[
    (Parameter::Temperature, &["temperature"]),
    (Parameter::Stop, &["stop", "stopsequences", "stopwords"]),
    (Parameter::Seed, &["seed", "randomseed"]),
    (
        Parameter::MaxTokens,
        &[
            "maxtokens",
            "maxcompletiontokens",
            "maxoutputtokens",
            "maxnewtokens",
            "maxtokenstosample",
            "numpredict",
        ],
    ),
    (
        Parameter::ResponseFormat,
        &[
            "responseformat",
            "jsonschema",
            "jsonobject",
            "responseschema",
            "responsejsonschema",
            "responsemimetype",
            "outputconfig",
            "outputformat",
            "toolchoice",
            "tools",
            "inputschema",
            "structuredoutputs",
            "guidedjson",
            "strict",
            "text",
            "format",
        ],
    ),
    (Parameter::StreamOptions, &["streamoptions", "includeusage"]),
    (Parameter::Stream, &["stream"]),
    (Parameter::System, &["systeminstruction", "system", "developer", "instructions"]),
    (
        Parameter::Reasoning,
        &[
            "reasoningeffort",
            "reasoning",
            "thinking",
            "thinkingconfig",
            "thinkingbudget",
            "thinkinglevel",
            "budgettokens",
            "effort",
            "think",
            "enablethinking",
            "chattemplatekwargs",
        ],
    ),
    (Parameter::ServiceTier, &["servicetier"]),
    (Parameter::CacheControl, &["cachecontrol", "promptcachekey", "promptcacheretention"]),
];

/// Names that are words of plain English too. In running text they count only where the text says
/// that they are names, or after all others.
const WORDS: &[&str] = &[
    "stop",
    "seed",
    "stream",
    "system",
    "developer",
    "instructions",
    "tools",
    "strict",
    "text",
    "format",
    "reasoning",
    "thinking",
    "think",
    "effort",
];

/// How messages name a parameter without its field. In lower case.
const PHRASES: &[(Parameter, &[&str])] = &[
    (
        Parameter::Stream,
        &["does not support streaming", "streaming is not", "with streaming", "stream mode"],
    ),
    (
        Parameter::ResponseFormat,
        &[
            "response format",
            "json mode",
            "json schema",
            "json_mode",
            "structured output",
            "function calling",
            "tool choice",
            "tool use",
            "support tools",
            "invalid schema",
            "schema is invalid",
            "grammar",
        ],
    ),
    (Parameter::Stop, &["stop sequence", "stop word", "stop token"]),
    (
        Parameter::System,
        &[
            "system role",
            "system message",
            "system prompt",
            "system instruction",
            "developer instruction",
            "role 'system'",
            "role \"system\"",
            "role `system`",
            "roles must alternate",
            "only user and assistant roles",
        ],
    ),
    (Parameter::MaxTokens, &["max tokens", "output tokens"]),
    (Parameter::Reasoning, &["reasoning effort", "thinking budget", "thinking level"]),
    (Parameter::ServiceTier, &["service tier"]),
    (Parameter::CacheControl, &["prompt caching", "prompt cache"]),
];

/// What messages say of a parameter that they refuse. In lower case.
const REFUSALS: &[&str] = &[
    "not support",
    "unsupport",
    "n't support",
    "not permitted",
    "not allowed",
    "not enabled",
    "not available",
    "unavailable",
    "not compatible",
    "not recognized",
    "unknown",
    "unrecognized",
    "unexpected",
    "extra input",
    "extraneous",
    "invalid",
    "deprecated",
    "may only be",
    "must be",
    "cannot",
    "not be ",
    "forbid",
    "too large",
    "exceed",
    "not implemented",
    "should not exist",
];

/// `max_tokens`, `maxTokens` and `max-tokens` are one name.
fn squash(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .take(64)
        .flat_map(char::to_lowercase)
        .collect()
}

/// What a refused request's error names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The parameters, the most certain one first.
    pub(super) parameters: Vec<Parameter>,
    /// Numbers in the message, for limits that it names.
    numbers: Vec<u32>,
    /// Whether it refuses this schema, not schemas as such.
    of_schema: bool,
    /// Whether prompt and limit of the reply together do not fit into the context window.
    context: bool,
}

/// What messages say of one schema. In lower case.
const OF_SCHEMA: &[&str] = &[
    "invalid schema",
    "invalid_json_schema",
    "schema is invalid",
    "schema is not",
    "valid schema",
    "unsupported schema",
    "schema for response_format",
    "additionalproperties",
    "schema.properties",
    "input_schema",
    "response_schema",
    "responseschema",
    "schema produces",
    "too complex",
    "too many",
    "keyword",
    "nesting",
    "$ref",
    "$defs",
];

impl Refusal {
    /// What a failed attempt refuses; `None` if it is no refusal of a parameter.
    pub(super) fn of(failure: &AttemptFailure) -> Option<Refusal> {
        let message = failure.detail.to_lowercase();
        if failure.kind == AiErrorKind::ContextTooLong {
            let (numbers, parameters) = (numbers(&failure.detail), vec![Parameter::MaxTokens]);
            return Some(Refusal { parameters, numbers, context: true, ..Refusal::default() });
        }
        let says_no = REFUSALS.iter().any(|words| message.contains(words));
        let status = failure.http.as_ref().map_or(0, |http| http.status);
        let in_stream = (200..300).contains(&status);
        let possible = match failure.kind {
            AiErrorKind::InvalidRequest => true,
            // Servers that report every error as their own, and errors inside a success.
            AiErrorKind::Overloaded => says_no && (in_stream || matches!(status, 500 | 501)),
            AiErrorKind::Other => says_no,
            _ => false,
        };
        if !possible {
            return None;
        }
        let mut parameters = Vec::new();
        let mut add = |parameter: Parameter| {
            if !parameters.contains(&parameter) {
                parameters.push(parameter);
            }
        };
        failure.fields.iter().filter_map(|field| Parameter::of_field(field)).for_each(&mut add);
        let names = identifiers(&failure.detail);
        let of = |certain: bool| {
            names
                .iter()
                .filter(move |name| name.certain == certain)
                .filter_map(|name| Parameter::of_field(name.text))
        };
        of(true).for_each(&mut add);
        for (parameter, phrases) in PHRASES {
            if phrases.iter().any(|phrase| message.contains(phrase)) {
                add(*parameter);
            }
        }
        // A stream that breaks off says words like "stream" and "unexpected".
        if says_no && !(in_stream && failure.kind == AiErrorKind::Overloaded) {
            of(false).for_each(&mut add);
        }
        // A mode for JSON that cannot be streamed is kept, and the stream is not.
        let place = |wanted| parameters.iter().position(|parameter| *parameter == wanted);
        if let (Some(format), Some(stream)) =
            (place(Parameter::ResponseFormat), place(Parameter::Stream))
            && format < stream
        {
            parameters.swap(format, stream);
        }
        let limits = ["at most", "maximum", "less than", "range", "between", "exceed", "too large"];
        let numbers = if limits.iter().any(|words| message.contains(words)) {
            numbers(&failure.detail)
        } else {
            Vec::new()
        };
        let of_schema = OF_SCHEMA.iter().any(|words| message.contains(words));
        (!parameters.is_empty()).then_some(Refusal {
            parameters,
            numbers,
            of_schema,
            context: false,
        })
    }

    /// The limit that the message names for a number of tokens above it.
    fn limit_below(&self, sent: u32) -> Option<u32> {
        if self.context {
            return self.left_of_context(sent);
        }
        self.numbers.iter().copied().filter(|number| (1..sent).contains(number)).max()
    }
}

impl Refusal {
    /// What the context window has left for a reply: the message names the size of the window, the
    /// tokens of the prompt and the limit that was sent, and perhaps the sum of the last two.
    fn left_of_context(&self, sent: u32) -> Option<u32> {
        const LEAST: u32 = 16;
        let has = |number: u32| self.numbers.contains(&number);
        let prompts = self.numbers.iter().copied().filter(|number| has(sent) && *number != sent);
        let left = |prompt: u32| {
            let all = prompt.checked_add(sent)?;
            let windows = self.numbers.iter().copied();
            let window = windows.filter(|number| (prompt + 1..all).contains(number)).max()?;
            Some(window - prompt).filter(|left| (LEAST..sent).contains(left))
        };
        // The sum shows which number is the prompt.
        let sum = prompts.clone().find(|prompt| prompt.checked_add(sent).is_some_and(has));
        match sum {
            Some(prompt) => left(prompt),
            None => prompts.filter_map(left).min(),
        }
    }
}

/// A word of a message that may be the name of a field.
struct Identifier<'a> {
    text: &'a str,
    /// Whether the message says that it is a name, or it cannot be another word.
    certain: bool,
}

fn identifiers(message: &str) -> Vec<Identifier<'_>> {
    let part = |letter: char| letter.is_alphanumeric() || "_.[]-".contains(letter);
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = "";
    while let Some(start) = message[at..].find(part).map(|start| at + start) {
        let end = message[start..].find(|c| !part(c)).map_or(message.len(), |end| start + end);
        let text = message[start..end].trim_matches(['.', '-']);
        let quoted = message[..start].ends_with(['\'', '"', '`', '[', '‘', '“', '<']);
        let named = matches!(
            squash(before).as_str(),
            "parameter"
                | "parameters"
                | "argument"
                | "field"
                | "fields"
                | "property"
                | "key"
                | "name"
                | "model"
                | "supplied"
                | "param"
        );
        let assigned = message[end..].starts_with([':', '=']);
        let plain = WORDS.contains(&squash(text).as_str());
        found.push(Identifier { text, certain: !plain || quoted || named || assigned });
        before = text;
        at = end;
    }
    found
}

/// The whole numbers of a message, without those of names and versions. An exclusive bound is one
/// less.
fn numbers(message: &str) -> Vec<u32> {
    let part = |letter: char| letter.is_alphanumeric() || "_.-,".contains(letter);
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(start) = rest.find(part) {
        let end = rest[start..].find(|c| !part(c)).map_or(rest.len(), |end| start + end);
        let word = rest[start..end].trim_matches([',', '.', '-']);
        let digits: String = word.chars().filter(|c| !matches!(c, ',' | '_')).collect();
        if let Ok(number) = digits.parse::<u32>() {
            let exclusive = rest[end..].trim_start().starts_with("(exclusive");
            found.push(number - u32::from(exclusive && number > 0));
        }
        rest = &rest[end..];
    }
    found
}

/// How the parameters of a request are sent to a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// For each parameter the number of ways that the model has refused.
    steps: [u8; Parameter::COUNT],
    /// The maximum number of tokens that the model accepts for a reply, if it has named one.
    pub(super) most_tokens: Option<u32>,
}

impl Shape {
    /// All parameters in the first way.
    pub(super) const PLAIN: Shape = Shape { steps: [0; Parameter::COUNT], most_tokens: None };

    /// The number of ways to send this parameter that are refused.
    pub(super) fn step(&self, parameter: Parameter) -> u8 {
        self.steps[parameter as usize]
    }

    /// Whether the parameter is sent as it is at first.
    pub(super) fn sends(&self, parameter: Parameter) -> bool {
        self.step(parameter) == 0
    }

    /// Leaves this parameter out.
    pub(super) fn omit(&mut self, parameter: Parameter) {
        self.steps[parameter as usize] = parameter.steps();
    }

    /// Goes on to the next way to send this parameter. `false` if there is none.
    fn step_on(&mut self, parameter: Parameter) -> bool {
        let step = &mut self.steps[parameter as usize];
        let more = *step < parameter.steps();
        *step += u8::from(more);
        more
    }

    /// Everything that one of the two leaves out.
    pub(super) fn and(mut self, other: &Shape) -> Shape {
        for (step, other) in self.steps.iter_mut().zip(other.steps) {
            *step = (*step).max(other);
        }
        self.most_tokens = self.most_tokens.into_iter().chain(other.most_tokens).min();
        self
    }

    /// The parameters that are not sent in the first way.
    pub(super) fn refused(&self) -> Vec<&'static str> {
        let refused = Parameter::VARIANTS.iter().filter(|one| !self.sends(**one));
        let mut names: Vec<&str> = refused.map(|one| one.as_str()).collect();
        if self.most_tokens.is_some() && self.sends(Parameter::MaxTokens) {
            names.push(Parameter::MaxTokens.as_str());
        }
        names
    }
}

/// Maximum number of refusals of one call: a server may name a lower limit each time.
const MAX_REFUSALS: usize = 16;

/// The shape of the requests of one call, and what changed in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Adjusted {
    pub(super) shape: Shape,
    /// What the model has refused during this call.
    pub(super) refused: Vec<Parameter>,
    /// Whether it refused the schema of this call, which says nothing about other schemas.
    pub(super) of_schema: bool,
    /// Whether the limit of the reply is lowered because of the prompt of this call.
    pub(super) of_prompt: bool,
}

impl Adjusted {
    /// The next shape after this refusal. `same` says whether a shape makes the same request as
    /// before; `max_tokens` is the limit that was sent. `None` if nothing else can be sent.
    pub(super) fn after(
        &self,
        refusal: &Refusal,
        max_tokens: Option<u32>,
        same: impl Fn(&Shape) -> bool,
    ) -> Option<Adjusted> {
        if self.refused.len() >= MAX_REFUSALS {
            return None;
        }
        for parameter in &refusal.parameters {
            let changed = |shape: Shape, of_schema: bool| {
                let mut refused = self.refused.clone();
                refused.push(*parameter);
                Some(Adjusted {
                    shape,
                    refused,
                    of_schema: self.of_schema || of_schema,
                    of_prompt: self.of_prompt || refusal.context,
                })
            };
            if *parameter == Parameter::MaxTokens
                && let Some(limit) = max_tokens.and_then(|sent| refusal.limit_below(sent))
            {
                let shape = Shape { most_tokens: Some(limit), ..self.shape.clone() };
                if !same(&shape) {
                    return changed(shape, false);
                }
            }
            if refusal.context {
                continue;
            }
            let mut shape = self.shape.clone();
            while shape.step_on(*parameter) {
                if !same(&shape) {
                    let of_schema = *parameter == Parameter::ResponseFormat && refusal.of_schema;
                    return changed(shape, of_schema);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HttpHead;

    fn refusal(status: u16, body: &str) -> Option<Refusal> {
        let head = HttpHead {
            status,
            headers: Default::default(),
            received: std::time::SystemTime::UNIX_EPOCH,
        };
        let http = crate::wire::HttpReply { head, body: body.as_bytes().to_vec() };
        Refusal::of(&crate::error_body::failure(&http))
    }

    #[test]
    fn the_parameter_that_an_error_names_is_found() {
        use Parameter::*;
        let rows = [
            (
                400,
                r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
                Temperature,
            ),
            (
                400,
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}}"#,
                MaxTokens,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` is deprecated for this model."}}"#,
                Temperature,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"temperature: Extra inputs are not permitted"}}"#,
                Temperature,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Thinking may not be enabled when tool_choice forces tool use."}}"#,
                ResponseFormat,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\""}}"#,
                Reasoning,
            ),
            (
                400,
                r#"{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error","param":null,"code":null}}"#,
                StreamOptions,
            ),
            (
                400,
                r#"{"error":{"message":"property 'seed' is unsupported, did you mean 'user'?","type":"invalid_request_error"}}"#,
                Seed,
            ),
            (
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{}}]}"#,
                StreamOptions,
            ),
            (
                422,
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":7}]},"type":"invalid_request_error"}"#,
                Seed,
            ),
            (
                400,
                r#"{"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stop'), 'msg': 'Extra inputs are not permitted'}]","type":"BadRequestError","code":400}"#,
                Stop,
            ),
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"Argument not supported on this model: stop"}"#,
                Stop,
            ),
            (400, r#"{"error":"Model grok-4 does not support parameter stop."}"#, Stop),
            (
                400,
                r#"{"error":{"message":"This model does not support response format `json_schema`. See supported models"}}"#,
                ResponseFormat,
            ),
            (
                400,
                r#"{"error":{"message":"This response_format type is unavailable now","type":"invalid_request_error"}}"#,
                ResponseFormat,
            ),
            (400, r#"{"error":{"message":"response_format` does not support streaming"}}"#, Stream),
            (
                400,
                r#"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#,
                ResponseFormat,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': Cannot find field.","status":"INVALID_ARGUMENT"}}"#,
                Seed,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"JSON mode is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}"#,
                ResponseFormat,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"Developer instruction is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}"#,
                System,
            ),
            (
                400,
                r#"{"error":{"message":"Unsupported value: 'messages[0].role' does not support 'system' with this model.","param":"messages[0].role","code":"unsupported_value"}}"#,
                System,
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"Conversation roles must alternate user/assistant: unsupported"}}"#,
                System,
            ),
            (
                400,
                r#"{"error":{"message":"litellm.UnsupportedParamsError: gpt-5 models (including gpt-5-codex) don't support temperature=0.7. Only temperature=1 is supported.","code":"400"}}"#,
                Temperature,
            ),
            (
                500,
                r#"{"error":{"message":"litellm.UnsupportedParamsError: openai does not support parameters: {'seed': 7}, for model=x","code":"500"}}"#,
                Seed,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"Unsupported parameter: 'temperature' is not supported with this model.\"}}"}}}"#,
                Temperature,
            ),
            (
                400,
                r#"{"error":{"message":"Unknown parameter: 'reasoning_effort'.","param":"reasoning_effort"}}"#,
                Reasoning,
            ),
            (
                400,
                r#"{"error":{"message":"Invalid service_tier argument: flex is not supported","param":"service_tier"}}"#,
                ServiceTier,
            ),
            (
                400,
                r#"{"message":"Malformed input request: extraneous key [temperature] is not permitted, please reformat your input and try again."}"#,
                Temperature,
            ),
            (
                400,
                r#"{"message":"body.seed: property 'seed' is unsupported","type":"invalid_request_error","param":"validation_error","code":"wrong_api_format"}"#,
                Seed,
            ),
        ];
        for (status, body, wanted) in rows {
            let found = refusal(status, body);
            let first = found.as_ref().and_then(|found| found.parameters.first().copied());
            assert_eq!(first, Some(wanted), "{body}: {found:?}");
        }
        for (status, body) in [
            (400, r#"{"error":{"message":"Invalid value for 'messages': too many"}}"#),
            (429, r#"{"error":{"message":"max_tokens per minute reached"}}"#),
            (401, r#"{"error":{"message":"bad key: 'temperature'"}}"#),
            (500, r#"{"error":{"message":"temperature of the machine"}}"#),
            (400, r#"{"error":{"message":"bad request"}}"#),
        ] {
            assert_eq!(refusal(status, body), None, "{body}");
        }
        // An error in a stream: what names a parameter counts, what says that it broke does not.
        let in_stream = |body: &str| {
            let head = HttpHead {
                status: 200,
                headers: Default::default(),
                received: std::time::SystemTime::UNIX_EPOCH,
            };
            let error: serde_json::Value = serde_json::from_str(body).unwrap();
            Refusal::of(&head.error_frame(&error, body.as_bytes()))
        };
        let named = in_stream(r#"{"message":"Unsupported parameter: 'temperature'"}"#).unwrap();
        assert_eq!(named.parameters, [Temperature]);
        assert_eq!(in_stream(r#"{"message":"unexpected end of stream, system halted"}"#), None);
    }

    #[test]
    fn a_limit_of_tokens_is_read_from_the_message() {
        for message in [
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
            "max_tokens: 100000 > 16384, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022",
            "Invalid max_tokens value, the valid range of max_tokens is [1, 16384]",
            "`max_tokens` must be less than or equal to `16,384`, the maximum value",
            "maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 16385 (exclusive).",
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            let found = refusal(400, &body).unwrap();
            assert_eq!(found.parameters.first(), Some(&Parameter::MaxTokens), "{message}");
            let next = Adjusted::default().after(&found, Some(100_000), |_| false).unwrap();
            assert_eq!(next.shape.most_tokens, Some(16_384), "{message}");
            assert_eq!(next.shape.step(Parameter::MaxTokens), 0, "{message}");
        }
        let body =
            r#"{"error":{"message":"'max_tokens' is not supported with this model gpt-4.1-2025"}}"#;
        let next = Adjusted::default().after(&refusal(400, body).unwrap(), Some(9000), |_| false);
        let shape = next.unwrap().shape;
        assert_eq!((shape.most_tokens, shape.step(Parameter::MaxTokens)), (None, 1));
    }

    #[test]
    fn a_limit_that_the_context_does_not_hold_is_lowered_to_what_is_left() {
        for message in [
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (1000 in the messages, 8000 in the completion). Please reduce the length.",
            "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 8192 tokens and your request has 1000 input tokens (8000 > 8192 - 1000).",
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            let found = refusal(400, &body).unwrap();
            let next = Adjusted::default().after(&found, Some(8000), |_| false).unwrap();
            assert_eq!(next.shape.most_tokens, Some(7192), "{message}");
            assert_eq!(Adjusted::default().after(&found, None, |_| false), None, "{message}");
        }
        let body = r#"{"error":{"message":"maximum context length is 8192 tokens, you requested 20000 tokens"}}"#;
        let found = refusal(400, body).unwrap();
        assert_eq!(Adjusted::default().after(&found, Some(8000), |_| false), None);
    }

    #[test]
    fn negotiation_ends() {
        let all = Refusal { parameters: Parameter::VARIANTS.to_vec(), ..Refusal::default() };
        let mut now = Adjusted::default();
        let mut rounds = 0;
        while let Some(next) = now.after(&all, Some(10), |shape| *shape == now.shape) {
            now = next;
            rounds += 1;
        }
        let most: u8 = Parameter::VARIANTS.iter().map(|one| one.steps()).sum();
        assert_eq!(rounds, u32::from(most));
        assert_eq!(now.after(&all, None, |_| true), None);
        assert_eq!(now.shape.refused().len(), Parameter::COUNT);
    }
}
