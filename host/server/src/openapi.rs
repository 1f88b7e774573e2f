//! `/v1/openapi.json`: the API as OpenAPI 3.1, made from the table of routes and from the types
//! that handlers read. `/v1/openapi.html` is the same for people.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use sitewright_console::{Frame, Section};
use sitewright_control::{OrderDetail, SubmissionReport};
use sitewright_jobs::{BulkRun, Stats};
use sitewright_model::failure::FailureRecord;
use sitewright_model::replay::{NoReplay, ReplayReport};
use strum::VariantArray as _;

use super::access::Access;
use super::answers::{
    AuditPage, BreakerChange, BulkAnswer, CallList, CallbackChange, CancelledOrder, Checked,
    CostList, DeliveryDetail, DeliveryPage, ErasedOrder, HoldChange, HoldList, HookDeliveryDetail,
    HookDeliveryPage, HookReplay, OrderPage, QueueChange, ReceivedHook, Redelivery, ReleaseList,
    RetriedOrder, RevisedOrder, TemplateList, WebhookChange, WebhookList, WorkerChange,
};
use super::app::Surface;
use super::console::headers::secure;
use super::problem::{Problem, ProblemKind};
use super::routes::{Route, routes};
use super::templates::TemplateDetail;
use super::{bulk, callbacks, cost, failures, hooks, orders, queue, webhooks};

/// Made once: it is answered without a token, and takes longer than any other answer.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(description(Surface::Api).to_string()));

/// `GET /v1/openapi.json`.
pub(crate) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// Made once, as it is the same for everybody.
static PAGE: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
    let frame = Frame {
        section: Section::Outside,
        title: "The HTTP API".to_owned(),
        viewer: None,
        csrf: String::new(),
        note: None,
        events: None,
        now: 0,
    };
    let page = sitewright_console::api(&frame, &description(Surface::Api));
    page.map(Bytes::from).map_err(|error| error.to_string())
});

/// `GET /v1/openapi.html`.
pub(crate) async fn page() -> Result<Response, Problem> {
    let html = PAGE.as_ref().map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("the page cannot be made: {error}"))
    })?;
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    let mut response = (kind, html.clone()).into_response();
    secure(response.headers_mut());
    Ok(response)
}

/// The description of the API.
pub fn description(surface: Surface) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes(surface) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            let method = route.method.as_str().to_ascii_lowercase();
            path.insert(method, operation(route, &mut schemas));
        }
    }
    let mut components = schemas.take_definitions(true);
    components.insert("Problem".to_owned(), problem());
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sitewright",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Orders of websites: add them, follow them, find out why they failed.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `sitewright token create`. A server on the loopback \
                                    interface without tokens needs none.",
                },
            },
        },
    });
    simplify(&mut description);
    description
}

/// Says the same so that generators of clients read it: openapi-python-client refuses a document
/// with the schema `true`, and its clients accept only the first one of several constants.
fn simplify(value: &mut Value) {
    /// Members that are a schema each, and members whose members are schemas.
    const SCHEMAS: [&str; 3] = ["items", "contains", "not"];
    const MANY: [&str; 5] = ["properties", "$defs", "prefixItems", "anyOf", "oneOf"];
    let open = |schema: &mut Value| {
        if *schema == Value::Bool(true) {
            *schema = json!({});
        }
    };
    match value {
        Value::Object(members) => {
            if let Some((names, meanings)) = members.get("oneOf").and_then(texts) {
                members.remove("oneOf");
                members.insert("type".to_owned(), json!("string"));
                members.insert("enum".to_owned(), json!(names));
                members.insert("x-enum-descriptions".to_owned(), json!(meanings));
            }
            for (name, member) in members.iter_mut() {
                match &mut *member {
                    Value::Object(all) if MANY.contains(&name.as_str()) => {
                        all.values_mut().for_each(open);
                    }
                    Value::Array(all) if MANY.contains(&name.as_str()) => {
                        all.iter_mut().for_each(open);
                    }
                    schema if SCHEMAS.contains(&name.as_str()) => open(schema),
                    _ => {}
                }
                simplify(member);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The texts that these schemas permit, and what each means, if they permit nothing but texts.
fn texts(schemas: &Value) -> Option<(Vec<String>, Vec<String>)> {
    let (mut names, mut meanings) = (Vec::new(), Vec::new());
    for schema in schemas.as_array()? {
        let meaning = schema["description"].as_str().unwrap_or_default();
        let several = schema["enum"].as_array();
        let all = schema.get("const").into_iter().chain(several.into_iter().flatten());
        let before = names.len();
        for name in all {
            names.push(name.as_str()?.to_owned());
            meanings.push(meaning.to_owned());
        }
        if names.len() == before {
            return None;
        }
    }
    (!names.is_empty()).then_some((names, meanings))
}

fn problem() -> Value {
    let kinds: Vec<String> = ProblemKind::VARIANTS.iter().map(ToString::to_string).collect();
    json!({
        "type": "object",
        "description": "An error (RFC 9457). Other members say more, as `problems` and `warnings` \
                        of an order.",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string", "description": "The same for every problem of a kind." },
            "status": { "type": "integer" },
            "kind": { "type": "string", "enum": kinds },
            "detail": { "type": "string", "description": "What happened to which order or field." },
            "hint": { "type": "string", "description": "What to do." },
        },
        "required": ["type", "title", "status", "kind", "detail", "hint"],
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route.path)],
    });
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    let key = (route.method.as_str(), route.path);
    parameters.extend(query(key));
    if key == ("POST", "/v1/orders") {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A second key under which the same order may be sent twice.",
            "schema": { "type": "string", "maxLength": 200 },
        }));
        parameters.push(json!({
            "name": "traceparent",
            "in": "header",
            "description": "The trace that the order's attempts become a part of (W3C Trace \
                            Context). One that cannot be read is ignored.",
            "schema": { "type": "string" },
        }));
    }
    if route.path.ends_with("/events") {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "Continue behind this event.",
            "schema": { "type": "string" },
        }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = body(key) {
        operation["requestBody"] = body;
    }
    if let Access::Scope(scope) = route.access {
        operation["security"] = json!([{ "token": [scope] }]);
        operation["description"] = json!(format!("Needs the scope `{scope}`."));
    } else {
        operation["security"] = json!([]);
        if route.access == Access::Signed {
            let says = "Needs what the table `[hooks.NAME]` of the configuration says: a signature \
                        over the body, or a bearer token. Answered before it becomes an order.";
            operation["description"] = json!(says);
        }
    }
    operation["responses"] = responses(key, schemas);
    operation
}

/// `post_orders_id_cancel`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches('/').trim_start_matches("v1/");
    let words: Vec<&str> =
        path.split(['/', '.']).map(|word| word.trim_matches(['{', '}'])).collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}

fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/") {
        Some("openapi.json" | "openapi.html") => "description",
        Some(path) => path.split('/').next().unwrap_or_default(),
        None if path.starts_with("/hooks/") => "hooks",
        None => "status",
    }
}

/// Whether a request may have parameters in its query; one that has none refuses all.
pub(crate) fn takes_parameters(route: &Route) -> bool {
    !query((route.method.as_str(), route.path)).is_empty()
}

fn query(key: (&str, &str)) -> Vec<Value> {
    match key {
        ("POST", "/v1/orders") => parameters::<orders::Add>(),
        ("GET", "/v1/orders") => parameters::<orders::List>(),
        ("PUT", "/v1/orders/{id}/document") => parameters::<orders::Revise>(),
        ("GET", "/v1/failures") => parameters::<failures::List>(),
        ("GET", "/v1/audit") => parameters::<queue::Audit>(),
        ("GET", "/v1/cost") => parameters::<cost::List>(),
        ("GET", "/v1/webhooks/deliveries") => parameters::<webhooks::List>(),
        ("GET", "/v1/hooks/deliveries") => parameters::<hooks::List>(),
        _ => Vec::new(),
    }
}

/// The fields of a type as parameters of a query.
fn parameters<T: JsonSchema>() -> Vec<Value> {
    let schema = inline::<T>();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    let parameter = |(name, mut field): (String, Value)| {
        let description = field.as_object_mut().and_then(|field| field.remove("description"));
        json!({
            "name": name,
            "in": "query",
            "required": required.contains(&json!(name)),
            "description": description,
            "schema": field,
        })
    };
    fields.into_iter().map(parameter).collect()
}

/// The schema of what is read, all types written out where they are used.
fn inline<T: JsonSchema>() -> Value {
    let inline = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    inline.into_generator().into_root_schema_for::<T>().to_value()
}

fn body(key: (&str, &str)) -> Option<Value> {
    let (required, schema) = match key {
        ("POST", "/v1/orders") | ("PUT", "/v1/orders/{id}/document") => {
            let schema = json!({
                "type": "object",
                "description": "An order document, as the CRM sends it or flat.",
            });
            let example = json!({
                "id": "102",
                "business_name": "Flora",
                "business_email": "hello@flora.example",
                "business_description": "Flowers for weddings, in the old town since 1987.",
            });
            let content = json!({ "schema": schema, "example": example });
            return Some(json!({ "required": true, "content": { "application/json": content } }));
        }
        ("PUT", "/v1/holds/{id}")
        | ("POST", "/v1/templates/{id}/pause" | "/v1/routes/{id}/hold") => {
            (false, inline::<queue::HoldBody>())
        }
        ("PUT", "/v1/orders/{id}/callback") => (true, inline::<callbacks::Body>()),
        ("POST", "/v1/bulk") => (true, inline::<bulk::Body>()),
        ("POST", "/hooks/{source}") => {
            let schema = json!({ "type": "object", "description": "What the sender sends." });
            (true, schema)
        }
        _ => return None,
    };
    Some(json!({ "required": required, "content": { "application/json": { "schema": schema } } }))
}

/// The answer if all is well, and the problem otherwise.
fn responses(key: (&str, &str), schemas: &mut SchemaGenerator) -> Value {
    let of = |description: &str, schema: Value| {
        let content = json!({ "application/json": { "schema": schema } });
        json!({ "description": description, "content": content })
    };
    let text = |description: &str, kind: &str| {
        let schema = json!({ "type": "string" });
        let content = Map::from_iter([(kind.to_owned(), json!({ "schema": schema }))]);
        json!({ "description": description, "content": content })
    };
    let mut schema = Schemas(schemas);
    let object = || json!({ "type": "object" });
    let mut responses = match key {
        ("POST", "/v1/orders") => json!({
            "200": of(
                "The queue has the order already, or the dry run found it valid.",
                json!({ "anyOf": [schema.of::<SubmissionReport>(), schema.of::<Checked>()] }),
            ),
            "202": of(
                "The order is queued; `Location` leads to it.",
                schema.of::<SubmissionReport>(),
            ),
        }),
        ("GET", "/v1/orders") => json!({ "200": of("A page.", schema.of::<OrderPage>()) }),
        ("GET", "/v1/orders/{id}") => {
            json!({ "200": of("The order.", schema.of::<OrderDetail>()) })
        }
        ("DELETE", "/v1/orders/{id}") => {
            json!({ "200": of("Nothing of it is left.", schema.of::<ErasedOrder>()) })
        }
        ("GET", "/v1/orders/{id}/calls") => {
            json!({ "200": of("The calls.", schema.of::<CallList>()) })
        }
        ("GET", "/v1/orders/{id}/releases") => {
            json!({ "200": of("The releases.", schema.of::<ReleaseList>()) })
        }
        ("GET", "/v1/orders/{id}/document") => json!({ "200": of("The document.", object()) }),
        ("PUT", "/v1/orders/{id}/document") => json!({
            "200": of("The order has this document already.", schema.of::<RevisedOrder>()),
            "202": of("The new document is queued.", schema.of::<RevisedOrder>()),
        }),
        ("POST", "/v1/orders/{id}/cancel") => json!({
            "200": of("The order is cancelled, or had ended.", schema.of::<CancelledOrder>()),
            "202": of(
                "Its worker stops it within about a second.",
                schema.of::<CancelledOrder>(),
            ),
        }),
        ("POST", "/v1/orders/{id}/retry") => {
            json!({ "202": of("The order is queued again.", schema.of::<RetriedOrder>()) })
        }
        ("PUT" | "DELETE", "/v1/orders/{id}/callback")
        | ("POST", "/v1/orders/{id}/callback/enable") => {
            json!({ "200": of("What the order has now.", schema.of::<CallbackChange>()) })
        }
        ("GET", "/v1/stats") => json!({ "200": of("The queue.", schema.of::<Stats>()) }),
        ("POST", "/v1/bulk") => json!({
            "200": of("What a dry run selects.", schema.of::<BulkAnswer>()),
            "202": of("It has begun.", schema.of::<BulkAnswer>()),
        }),
        ("GET", "/v1/bulk/{id}") => json!({ "200": of("The run.", schema.of::<BulkRun>()) }),
        ("DELETE", "/v1/bulk/{id}") => json!({
            "200": of("It had ended.", schema.of::<BulkAnswer>()),
            "202": of("It stops after the orders that it has begun.", schema.of::<BulkAnswer>()),
        }),
        ("GET", "/v1/cost") => json!({ "200": of("The costs.", schema.of::<CostList>()) }),
        ("GET", "/v1/templates") => {
            json!({ "200": of("The templates.", schema.of::<TemplateList>()) })
        }
        ("GET", "/v1/templates/{id}") => {
            json!({ "200": of("The template.", schema.of::<TemplateDetail>()) })
        }
        ("GET", "/v1/holds") => json!({ "200": of("The holds.", schema.of::<HoldList>()) }),
        ("PUT" | "DELETE", "/v1/holds/{id}")
        | (
            "POST",
            "/v1/templates/{id}/pause"
            | "/v1/templates/{id}/resume"
            | "/v1/routes/{id}/hold"
            | "/v1/routes/{id}/release",
        ) => {
            json!({ "200": of("The hold.", schema.of::<HoldChange>()) })
        }
        ("POST", "/v1/breakers/{id}/release") => json!({
            "200": of("None was open.", schema.of::<BreakerChange>()),
            "202": of(
                "Workers let the next call through within seconds.",
                schema.of::<BreakerChange>(),
            ),
        }),
        ("POST", "/v1/queue/pause" | "/v1/queue/resume") => {
            json!({ "200": of("The queue.", schema.of::<QueueChange>()) })
        }
        ("POST", "/v1/workers/{id}/drain") => json!({
            "200": of("It had been asked before.", schema.of::<WorkerChange>()),
            "202": of("It gets to know it with its next heartbeat.", schema.of::<WorkerChange>()),
        }),
        ("DELETE", "/v1/workers/{id}/drain") => json!({
            "200": of("It was not asked to drain.", schema.of::<WorkerChange>()),
            "202": of("It gets to know it with its next heartbeat.", schema.of::<WorkerChange>()),
        }),
        ("GET", "/v1/audit") => json!({ "200": of("A page.", schema.of::<AuditPage>()) }),
        ("GET", "/v1/webhooks") => {
            json!({ "200": of("The webhooks.", schema.of::<WebhookList>()) })
        }
        ("POST", "/v1/webhooks/{id}/enable") => {
            json!({ "200": of("The webhook.", schema.of::<WebhookChange>()) })
        }
        ("GET", "/v1/webhooks/deliveries") => {
            json!({ "200": of("A page.", schema.of::<DeliveryPage>()) })
        }
        ("GET", "/v1/webhooks/deliveries/{id}") => {
            json!({ "200": of("The delivery.", schema.of::<DeliveryDetail>()) })
        }
        ("POST", "/v1/webhooks/deliveries/{id}/redeliver") => {
            json!({ "202": of("It is due again.", schema.of::<Redelivery>()) })
        }
        ("POST", "/hooks/{source}") => json!({
            "200": of("The same event was stored before.", schema.of::<ReceivedHook>()),
            "202": of("It is stored, and becomes an order.", schema.of::<ReceivedHook>()),
        }),
        ("GET", "/v1/hooks/deliveries") => {
            json!({ "200": of("A page.", schema.of::<HookDeliveryPage>()) })
        }
        ("GET", "/v1/hooks/deliveries/{id}") => {
            json!({ "200": of("The delivery.", schema.of::<HookDeliveryDetail>()) })
        }
        ("POST", "/v1/hooks/deliveries/{id}/replay") => {
            json!({ "200": of("What it came to.", schema.of::<HookReplay>()) })
        }
        ("POST", "/v1/failures/records/{id}/replay") => json!({
            "200": of(
                "What the replay came to, or what is missing for one.",
                json!({ "anyOf": [schema.of::<ReplayReport>(), schema.of::<NoReplay>()] }),
            ),
        }),
        ("GET", "/v1/failures/records/{id}/bundle") => {
            let file = json!({ "type": "string", "format": "binary" });
            let content = json!({ "application/x-tar": { "schema": file } });
            let description = "A bundle, as `sitewright replay` reads it.";
            json!({ "200": { "description": description, "content": content } })
        }
        ("GET", "/v1/failures/records/{id}") => {
            json!({ "200": of("The record.", schema.of::<FailureRecord>()) })
        }
        (_, "/v1/events") => json!({ "200": text("Events.", "text/event-stream") }),
        (_, "/v1/orders/{id}/events") => json!({
            "200": text("Events, until the order has ended.", "text/event-stream"),
            "204": { "description": "The order has ended, and all its events were sent." },
        }),
        (_, "/v1/openapi.html") => json!({ "200": text("The page.", "text/html") }),
        (_, "/metrics") => {
            let media = json!({ "schema": { "type": "string" } });
            let content = json!({ "application/openmetrics-text": media, "text/plain": media });
            json!({ "200": { "description": "Metrics.", "content": content } })
        }
        _ => json!({ "200": of("The answer.", object()) }),
    };
    responses["default"] = json!({
        "description": "A problem.",
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    });
    responses
}

/// Makes references to schemas.
struct Schemas<'a>(&'a mut SchemaGenerator);

impl Schemas<'_> {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }
}
