//! Answers the calls of a template that runs natively in a test: in an interpreter of the author's
//! machine, without WebAssembly.
//!
//! The SDKs for Python and JavaScript start `sitewright template harness` and ask it, one JSON
//! value a line each way. So their harnesses have no rules of their own: manifests, orders,
//! scripts, AI errors, paths and limits are those of the host. What it does not do: limits of
//! memory and time, and the checks of the finished site, which the conformance suite does.
//!
//! The author of the test is at the other end of the pipe, and lines are not limited in size.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sitewright_ai::{
    AiConfig, CallContext, Format, Gateway, Mark, Part, PartedMessage, Purpose, Request, Role,
    delimited,
};
use sitewright_confined::Confined;
use sitewright_http::Client;
use sitewright_intake::{Locale, Reading, load_as};
use sitewright_model::ai::{AiError, AiErrorKind, CallId, Completion};
use sitewright_model::message;
use sitewright_model::message::{Message, causes_of};
use sitewright_runtime::plugin::bindings::types;
use sitewright_runtime::plugin::{Limits, Manifest};
use sitewright_site::names::TakenNames;
use sitewright_site::{SitePath, SiteUsage};
use tokio::time::Instant;

/// Timeout of a scripted reply, in milliseconds: what a rule that hangs costs a test. Delays of
/// rules are left out.
const CALL_MS: u64 = 50;

/// What a test asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Asked {
    /// A run begins.
    Begin {
        manifest: Box<RawManifest>,
        /// The order document, in any shape that the host reads.
        order: String,
        /// The script, in TOML. Without one, every AI call fails.
        script: Option<String>,
    },
    /// AI calls that are sent at the same time.
    Ask { requests: Vec<RawRequest> },
    /// A file of the site. The content stays with the test.
    Write { path: String, bytes: u64 },
    /// Whether a file would be accepted: one that is written in chunks.
    Check { path: String, bytes: u64 },
}

/// The manifest, as `describe` returns it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    name: String,
    version: String,
    summary: String,
    order_schema: String,
    ai_purposes: Vec<RawPurpose>,
    locales: Vec<String>,
    #[serde(default)]
    order_fields: Option<Vec<String>>,
    #[serde(default)]
    copy_marks: Vec<String>,
    #[serde(default)]
    fallback_locale: Option<String>,
    #[serde(default)]
    site_bytes: Option<u64>,
    #[serde(default)]
    external_hosts: Vec<String>,
    #[serde(default)]
    exempt_purposes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPurpose {
    name: String,
    description: String,
}

/// A request of the template.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    purpose: String,
    messages: Vec<RawMessage>,
    format: RawFormat,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
    seed: Option<u64>,
    #[serde(default)]
    stop: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMessage {
    role: Role,
    content: RawContent,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawContent {
    Parts(Vec<Part>),
    /// As SDKs of contract 0.1 send it.
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawFormat {
    Text,
    Json,
    JsonSchema(String),
}

/// The reply to a test.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The run may begin. The order document as the template gets it.
    Order(String),
    /// One reply for each request, in their order.
    Replies(Vec<Reply>),
    /// The file is accepted, or would be.
    Written(String),
    /// The run does not begin, or the file is not accepted.
    Refused(Refused),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Completion(Completion),
    Error(ReplyError),
}

/// The error as the template gets it.
#[derive(Debug, Serialize)]
struct ReplyError {
    /// The contract's name: `rate-limited`.
    kind: &'static str,
    message: Message,
    attempts: usize,
    call_id: String,
    retryable: bool,
    /// The HTTP status of the response, if there was one.
    status: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// `bad-manifest`, `invalid-order`, `bad-script`, or a kind of the contract's `write-error`.
    code: &'static str,
    message: Message,
    causes: Vec<Message>,
}

/// One run of a test.
#[derive(Debug)]
struct Run {
    name: String,
    purposes: Vec<String>,
    /// `None` without a script.
    gateway: Option<Gateway>,
    names: TakenNames,
    usage: SiteUsage,
    /// Number of AI calls.
    calls: u32,
    /// The mark of the order.
    mark: Mark,
}

/// Answers the calls of one test process, whose runs follow each other.
#[derive(Debug)]
pub struct Harness {
    client: Client,
    confined: Confined,
    limits: Limits,
    default_locale: Locale,
    /// The version of the SDK, if it said one.
    sdk: Option<String>,
    run: Option<Run>,
}

impl Harness {
    /// Costly schemas are checked in `confined`. Orders that name no language are in
    /// `default_locale`.
    pub fn new(client: Client, confined: Confined, limits: Limits, default_locale: Locale) -> Self {
        Harness { client, confined, limits, default_locale, sdk: None, run: None }
    }

    /// Answers one line with one line, without line ends.
    ///
    /// # Errors
    /// If the line is not a question of this version's SDKs, or the host fails.
    pub async fn answer(&mut self, line: &str) -> Result<String, Message> {
        let mut question: Value = serde_json::from_str(line).map_err(|error| {
            message!(
                "the test's question is not JSON: {error}; it may have a number such as NaN, which \
                 JSON does not have"
            )
        })?;
        let sdk = question.as_object_mut().and_then(|fields| fields.remove("sdk"));
        if let Some(Value::String(sdk)) = sdk {
            self.sdk = Some(sdk);
        }
        let asked: Asked = serde_json::from_value(question)
            .map_err(|error| unreadable(&error, self.sdk.as_deref()))?;
        let answer = match asked {
            Asked::Begin { manifest, order, script } => {
                match self.begin(*manifest, &order, script.as_deref()).await {
                    Ok(document) => Answer::Order(document),
                    Err(refused) => Answer::Refused(refused),
                }
            }
            Asked::Ask { requests } => {
                let (confined, deadline) = (self.confined.clone(), self.limits.deadline());
                let (max, deadline) = (self.limits.ai_calls, Instant::now() + deadline);
                let run = self.run()?;
                let mut replies = Vec::with_capacity(requests.len());
                // One after the other: which rule answers which request must not depend on chance.
                for request in requests {
                    replies.push(run.reply(request, max, deadline, &confined).await);
                }
                Answer::Replies(replies)
            }
            Asked::Write { path, bytes } => match self.run()?.write(&path, bytes) {
                Ok(()) => Answer::Written(path),
                Err(refused) => Answer::Refused(refused),
            },
            Asked::Check { path, bytes } => match self.run()?.checked(&path, bytes) {
                Ok(_) => Answer::Written(path),
                Err(refused) => Answer::Refused(refused),
            },
        };
        serde_json::to_string(&answer)
            .map_err(|error| message!("the answer to a test cannot be written: {error}"))
    }

    fn run(&mut self) -> Result<&mut Run, Message> {
        self.run.as_mut().ok_or_else(|| {
            message!("a test made a call before its run began, which is a bug of the SDK")
        })
    }

    /// Begins a run, as a host does before it calls a template.
    async fn begin(
        &mut self,
        raw: RawManifest,
        order: &str,
        script: Option<&str>,
    ) -> Result<String, Refused> {
        self.run = None;
        let gateway = script.map(|script| self.gateway(script)).transpose()?;
        let manifest = self.manifest(raw).await?;
        let document = self.document(&manifest, order).await?;
        self.run = Some(Run {
            name: manifest.name,
            purposes: manifest.ai_purposes.into_iter().map(|purpose| purpose.name).collect(),
            gateway,
            names: TakenNames::new(),
            usage: SiteUsage::none(&self.limits.site()),
            calls: 0,
            mark: Mark::of(&document),
        });
        Ok(document)
    }

    /// A gateway in which the script answers every purpose, in one attempt and without delays.
    fn gateway(&self, script: &str) -> Result<Gateway, Refused> {
        let refuse = |message, causes| Refused { code: "bad-script", message, causes };
        let config: AiConfig = serde_json::from_value(json!({
            "providers": { "script": {
                "kind": "scripted", "rules_inline": without_delays(script), "call_ms": CALL_MS,
            } },
            "routes": { "default": { "try": [{ "provider": "script" }] } },
        }))
        .map_err(|error| refuse(message!("the script cannot be used: {error}"), Vec::new()))?;
        // Keys of the environment are none of a script's.
        Gateway::new(&config, Path::new(""), self.client.clone(), &|_| None).map_err(|error| {
            refuse(message!("the script cannot be used: {error}"), causes_of(&error))
        })
    }

    async fn manifest(&self, raw: RawManifest) -> Result<Manifest, Refused> {
        let shown = raw.name.clone();
        let purpose = |RawPurpose { name, description }| types::AiPurpose { name, description };
        let raw = types::Manifest {
            name: raw.name,
            version: raw.version,
            summary: raw.summary,
            order_schema: raw.order_schema,
            ai_purposes: raw.ai_purposes.into_iter().map(purpose).collect(),
            locales: raw.locales,
            order_fields: raw.order_fields,
            copy_marks: raw.copy_marks,
            fallback_locale: raw.fallback_locale,
            site_bytes: raw.site_bytes,
            external_hosts: raw.external_hosts,
            exempt_purposes: raw.exempt_purposes,
        };
        Manifest::check(raw, &self.confined, "template").await.map_err(|error| Refused {
            code: "bad-manifest",
            message: message!("the host would not load the template `{shown}`: {error}"),
            causes: causes_of(&error),
        })
    }

    /// The document that the template gets.
    async fn document(&self, manifest: &Manifest, order: &str) -> Result<String, Refused> {
        let refuse = |message, causes| Refused { code: "invalid-order", message, causes };
        let reading = Reading {
            max_bytes: usize::try_from(self.limits.order_bytes).unwrap_or(usize::MAX),
            default_locale: &self.default_locale,
            strict: false,
        };
        let snapshot = load_as(order.as_bytes(), reading).map_err(|error| {
            let causes =
                error.problems().filter_map(|problem| Message::new(problem.to_string())).collect();
            refuse(message!("the order is not valid{}", error.reason()), causes)
        })?;
        let document = manifest.document_of(&snapshot).map_err(|error| {
            refuse(message!("the order cannot be written as JSON: {error}"), Vec::new())
        })?;
        let problems = manifest.order_schema.check(&document, None).await.map_err(|error| {
            refuse(message!("the order was not checked: {error}"), causes_of(&error))
        })?;
        if problems.is_empty() {
            return Ok(document.to_string());
        }
        let causes =
            problems.iter().filter_map(|problem| Message::new(problem.to_string())).collect();
        Err(refuse(message!("the template `{}` does not accept this order", manifest.name), causes))
    }
}

impl Run {
    async fn reply(
        &mut self,
        raw: RawRequest,
        max: u64,
        deadline: Instant,
        confined: &Confined,
    ) -> Reply {
        self.calls = self.calls.saturating_add(1);
        let call_id = CallId::nth(self.calls);
        match self.completed(call_id, raw, max, deadline, confined).await {
            Ok(completion) => Reply::Completion(completion),
            Err(error) => Reply::Error(ReplyError {
                kind: error.kind.as_str(),
                attempts: error.attempts.len(),
                call_id: call_id.to_string(),
                retryable: error.retryable,
                status: error.http.as_ref().map(|http| http.status),
                message: error.message,
            }),
        }
    }

    async fn completed(
        &self,
        call_id: CallId,
        raw: RawRequest,
        max: u64,
        deadline: Instant,
        confined: &Confined,
    ) -> Result<Completion, AiError> {
        let purpose = raw.purpose.clone();
        let refused =
            |kind, message| AiError::before_any_attempt(Some(call_id), &purpose, kind, message);
        if u64::from(self.calls) > max {
            let message =
                message!("the run has made its {max} AI calls; `limits.ai_calls` allows no more");
            return Err(refused(AiErrorKind::BudgetExceeded, message));
        }
        if !self.purposes.contains(&raw.purpose) {
            let message = message!(
                "the purpose {purpose:?} is not declared in the template's manifest; add it to \
                 `purposes`"
            );
            return Err(refused(AiErrorKind::InvalidRequest, message));
        }
        let Some(gateway) = &self.gateway else {
            let message =
                message!("the test has no script that answers; give one to `Harness.scripted`");
            return Err(refused(AiErrorKind::NoRoute, message));
        };
        let request = self
            .request(raw, gateway, confined)
            .await
            .map_err(|message| refused(AiErrorKind::InvalidRequest, message))?;
        let call = CallContext::new(call_id, deadline);
        gateway.complete(call, request).await.map(|completed| completed.completion)
    }

    async fn request(
        &self,
        raw: RawRequest,
        gateway: &Gateway,
        confined: &Confined,
    ) -> Result<Request, Message> {
        let refused = |error: &dyn std::fmt::Display| message!("the request is refused: {error}");
        let purpose = Purpose::new(raw.purpose).map_err(|error| refused(&error))?;
        let format = match raw.format {
            RawFormat::Text => Format::Text,
            RawFormat::Json => Format::Json,
            RawFormat::JsonSchema(schema) => {
                let compiled = gateway.schemas().compiled(schema, confined, &self.name).await;
                Format::JsonSchema(compiled.map_err(|error| refused(&error))?)
            }
        };
        let parted = |RawMessage { role, content }| PartedMessage {
            role,
            content: match content {
                RawContent::Parts(parts) => parts,
                RawContent::Text(text) => vec![Part::Text(text)],
            },
        };
        let messages = raw.messages.into_iter().map(parted).collect();
        let (messages, identity) = delimited(messages, || self.mark);
        Ok(Request {
            purpose,
            messages,
            format,
            max_output_tokens: raw.max_output_tokens,
            temperature: raw.temperature,
            seed: raw.seed,
            stop: raw.stop,
            identity,
        })
    }

    /// Takes a path and counts the bytes of its file. After an error, nothing is taken or counted.
    fn write(&mut self, path: &str, bytes: u64) -> Result<(), Refused> {
        let (path, usage) = self.checked(path, bytes)?;
        self.usage = usage;
        self.names.insert(&path);
        Ok(())
    }

    /// The path of a file, and the usage with it.
    fn checked(&self, path: &str, bytes: u64) -> Result<(SitePath, SiteUsage), Refused> {
        let refuse = |code, error: &dyn std::fmt::Display| Refused {
            code,
            message: message!("the file is refused: {error}"),
            causes: Vec::new(),
        };
        let max = usize::try_from(self.usage.path_bytes.max).unwrap_or(usize::MAX);
        let path = SitePath::parse(path, max).map_err(|error| refuse("invalid-path", &error))?;
        self.names.check(&path).map_err(|error| refuse("conflict", &error))?;
        let usage = self.usage.with(&path, bytes).map_err(|error| refuse("limit", &error))?;
        Ok((path, usage))
    }
}

/// Why a question cannot be read: a value of the author's, or an SDK of another version.
fn unreadable(error: &serde_json::Error, sdk: Option<&str>) -> Message {
    const OWN: &str = env!("CARGO_PKG_VERSION");
    match sdk {
        Some(OWN) => message!(
            "the test's question cannot be read: {error}; correct that value in the template or in \
             its test"
        ),
        sdk => message!(
            "the test's question cannot be read: {error}; the SDK in the project's `vendor` is of \
             version {} and this program of {OWN}: they have to be the same",
            sdk.unwrap_or("unknown")
        ),
    }
}

/// The script without the delays of its rules: a test waits for nothing. A text that is not TOML
/// stays as it is; the gateway says what is wrong with it.
fn without_delays(script: &str) -> String {
    let Ok(mut table) = script.parse::<toml::Table>() else { return script.to_owned() };
    let rules = table.get_mut("rule").and_then(toml::Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
        rule.remove("delay_ms");
    }
    toml::to_string(&table).unwrap_or_else(|_| script.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn harness() -> Harness {
        let client = sitewright_http::client().unwrap();
        Harness::new(client, Confined::here(), Limits::default(), "en".parse().unwrap())
    }

    fn begin(script: Option<&str>) -> Value {
        json!({
            "op": "begin",
            "manifest": {
                "name": "tiny", "version": "0.1.0", "summary": "One page.",
                "order_schema": json!({ "type": "object", "required": ["services"] }).to_string(),
                "ai_purposes": [{ "name": "copywriting", "description": "the headline" }],
                "locales": ["en"],
            },
            "order": json!({
                "id": "1", "locale": "en", "business_name": "Ana", "niche": "other",
                "business_email": "ana@example.com", "services": ["Bread"],
            }).to_string(),
            "script": script,
        })
    }

    async fn ask(harness: &mut Harness, question: &Value) -> Value {
        let answer = harness.answer(&question.to_string()).await.unwrap();
        assert!(!answer.contains('\n'), "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn request(purpose: &str, text: &str) -> Value {
        json!({
            "purpose": purpose,
            "messages": [{ "role": "user", "content": [{ "text": text }] }],
            "format": "text", "stop": [],
        })
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_run_begins_only_with_what_a_host_accepts() {
        let mut harness = harness();
        let ready = ask(&mut harness, &begin(None)).await;
        let order: Value = serde_json::from_str(ready["order"].as_str().unwrap()).unwrap();
        assert_eq!(order["business_name"], "Ana", "{ready}");
        // What is changed, the code, and a part of the message and its causes.
        let rows: [(&str, Value, &str, &str); 5] = [
            ("/manifest/name", "Tiny!".into(), "bad-manifest", "lower-case letters"),
            ("/manifest/order_schema", "{\"type\": 1}".into(), "bad-manifest", "order-schema"),
            ("/order", "{".into(), "invalid-order", "is not JSON"),
            ("/order", "{\"id\": \"1\"}".into(), "invalid-order", "business_name"),
            ("/script", "[[rule]]\nanswr = 1\n".into(), "bad-script", "field `answer`"),
        ];
        for (at, value, code, says) in rows {
            let mut question = begin(None);
            *question.pointer_mut(at).unwrap() = value;
            let refused = ask(&mut harness, &question).await["refused"].take();
            assert_eq!(refused["code"], code, "{at}: {refused}");
            assert!(refused.to_string().contains(says), "{at}: {says:?} is missing in {refused}");
            // Nothing runs after a refusal.
            assert!(harness.answer("{\"op\":\"write\",\"path\":\"a\",\"bytes\":1}").await.is_err());
        }
        assert!(harness.answer("{}").await.is_err());
        // A value of the author's, and an SDK of another version.
        let own = env!("CARGO_PKG_VERSION");
        for (sdk, says) in [(own, "correct that value"), ("0.0.1", "is of version 0.0.1")] {
            let mut question = begin(None);
            question["sdk"] = sdk.into();
            question["manifest"]["locales"] = "en".into();
            let error = harness.answer(&question.to_string()).await.unwrap_err().to_string();
            assert!(error.contains("string \"en\"") && error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn calls_are_answered_by_the_script_as_the_hosts_gateway_does() {
        let mut harness = harness();
        let fault = |text: &str, fault: &str| {
            format!("[[rule]]\ncontains = [{text:?}]\nanswer = {{ fault = {fault} }}\n")
        };
        let script = [
            fault("limited", "{ status = 429 }"),
            fault("key", "{ status = 401 }"),
            fault("hang", "{ hang = true }"),
            fault("reset", "{ connection = \"reset\" }"),
            "[[rule]]\ncontains = [\"once\"]\ntimes = 1\ndelay_ms = 3600000\nanswer = { text = \
             \"first\" }\n[[rule]]\ncontains = [\"once\"]\nanswer = { text = \"then\" }\n"
                .to_owned(),
        ]
        .concat();
        ask(&mut harness, &begin(Some(&script))).await;
        let texts = ["limited", "key", "hang", "reset", "once", "once", "nothing fits"];
        let mut requests: Vec<Value> =
            texts.iter().map(|text| request("copywriting", text)).collect();
        requests.push(request("code", "undeclared"));
        let replies = ask(&mut harness, &json!({ "op": "ask", "requests": requests })).await;
        let ended: Vec<&str> = replies["replies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reply| {
                let content = reply["completion"]["content"].as_str();
                content.or(reply["error"]["kind"].as_str()).unwrap()
            })
            .collect();
        assert_eq!(
            ended,
            [
                "rate-limited",
                "auth",
                "timeout",
                "connection",
                "first",
                "then",
                "not-found",
                "invalid-request"
            ],
            "{replies}"
        );
        assert_eq!(replies["replies"][7]["error"]["call_id"], "call-8");
        // A run has at most 64 calls.
        let many: Vec<Value> = (0..57).map(|_| request("copywriting", "once")).collect();
        let replies = ask(&mut harness, &json!({ "op": "ask", "requests": many })).await;
        assert_eq!(replies["replies"][55]["completion"]["content"], "then");
        assert_eq!(replies["replies"][56]["error"]["kind"], "budget-exceeded");
        // Without a script no call is answered; a new run counts from the beginning.
        ask(&mut harness, &begin(None)).await;
        let one = json!({ "op": "ask", "requests": [request("copywriting", "x")] });
        let reply = ask(&mut harness, &one).await["replies"][0].take();
        let error = &reply["error"];
        assert_eq!(
            (error["kind"].as_str(), error["call_id"].as_str()),
            (Some("no-route"), Some("call-1"))
        );
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_file_is_accepted_as_the_host_would() {
        let mut harness = harness();
        ask(&mut harness, &begin(None)).await;
        let rows: [(&str, u64, &str); 6] = [
            ("About/index.html", 1, ""),
            ("../a", 1, "invalid-path"),
            ("about/INDEX.html", 1, "conflict"),
            ("About", 1, "conflict"),
            ("large", (8 << 20) + 1, "limit"),
            ("large", 8 << 20, ""),
        ];
        for (path, bytes, code) in rows {
            // What is only asked for is not taken.
            for op in ["check", "write"] {
                let question = json!({ "op": op, "path": path, "bytes": bytes });
                let answer = ask(&mut harness, &question).await;
                let refused = answer["refused"]["code"].as_str().unwrap_or_default();
                assert_eq!(refused, code, "{op}: {answer}");
            }
        }
    }
}
