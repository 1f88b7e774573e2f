//! An OpenID Connect provider that can do what a conforming one never does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode as Status};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Map, Value, json};
use sitewright_model::time::now_ms;
use tokio::net::TcpListener;

/// What the provider calls the console, and what they share.
pub(crate) const CLIENT: (&str, &str) = ("sitewright", "s3cret:+/");

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    /// Without end.
    Huge,
    Never,
    /// With this status and body.
    With(u16, &'static str),
    /// Leads elsewhere.
    Redirect,
}

/// What the next tokens and documents are like.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Added to the claims of a token; null removes one.
    pub(crate) claims: Value,
    /// The same for its header.
    pub(crate) header: Value,
    /// The number of the key that signs.
    pub(crate) key: usize,
    /// The number of the key that is published.
    pub(crate) published: usize,
    /// Added to the answer of the token endpoint.
    pub(crate) token: Value,
    /// Added to the discovery document.
    pub(crate) discovery: Value,
    /// How the token endpoint answers.
    pub(crate) tokens: Manner,
    /// How the discovery document is answered.
    pub(crate) documents: Manner,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            claims: json!({}),
            header: json!({}),
            key: 0,
            published: 0,
            token: json!({}),
            discovery: json!({}),
            tokens: Manner::Well,
            documents: Manner::Well,
        }
    }
}

/// What somebody was asked for at the authorization endpoint.
struct Asked {
    nonce: String,
    challenge: String,
    redirect: String,
}

struct Shared {
    issuer: String,
    keys: [EcdsaKeyPair; 2],
    script: Mutex<Script>,
    /// By code.
    asked: Mutex<HashMap<String, Asked>>,
    codes: AtomicU32,
    key_requests: AtomicU32,
}

/// A running provider; it stops with the runtime of its test.
pub(crate) struct IdentityProvider {
    shared: Arc<Shared>,
}

impl IdentityProvider {
    /// A provider on a free port of the loopback interface.
    pub(crate) async fn start() -> Self {
        IdentityProvider::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A provider that answers there.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            issuer,
            keys: [key(), key()],
            script: Mutex::default(),
            asked: Mutex::default(),
            codes: AtomicU32::new(0),
            key_requests: AtomicU32::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        IdentityProvider { shared }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// From now on it does this, and otherwise what a conforming provider does.
    pub(crate) fn does(&self, change: impl FnOnce(&mut Script)) {
        let mut script = Script::default();
        change(&mut script);
        *self.shared.script.lock() = script;
    }

    /// How often its keys were asked for.
    pub(crate) fn key_requests(&self) -> u32 {
        self.shared.key_requests.load(Ordering::Relaxed)
    }

    /// Somebody logs in on the page that a browser was led to: the address that leads back.
    pub(crate) fn log_in(&self, location: &str) -> String {
        let (endpoint, query) = location.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{}/authorize", self.issuer()));
        let query: HashMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT.0);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["scope"], "openid profile email");
        let code = self.shared.codes.fetch_add(1, Ordering::Relaxed).to_string();
        let asked = Asked {
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
            redirect: query["redirect_uri"].clone(),
        };
        let back = format!("{}?code={code}&state={}", asked.redirect, query["state"]);
        self.shared.asked.lock().insert(code, asked);
        back
    }
}

fn key() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
}

/// Adds members to an object; null removes one.
fn merge(into: &mut Value, changes: &Value) {
    let members: &mut Map<String, Value> = into.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
}

fn json_answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The answer of this manner; `None` if it is a good one.
async fn bad(manner: Manner) -> Option<Response> {
    let kind = [(CONTENT_TYPE, "application/json")];
    match manner {
        Manner::Well => None,
        Manner::Never => std::future::pending().await,
        Manner::With(status, body) => {
            Some((Status::from_u16(status).unwrap(), kind, body).into_response())
        }
        Manner::Redirect => Some((Status::FOUND, [(LOCATION, "/elsewhere")]).into_response()),
        Manner::Huge => {
            let part = || Ok::<_, std::convert::Infallible>(vec![b' '; 16 << 10]);
            let parts = futures::stream::iter(std::iter::repeat_with(part));
            Some((kind, Body::from_stream(parts)).into_response())
        }
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    let script = shared.script.lock().clone();
    if let Some(bad) = bad(script.documents).await {
        return bad;
    }
    let issuer = &shared.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    merge(&mut document, &script.discovery);
    json_answer(&document)
}

async fn keys(State(shared): State<Arc<Shared>>) -> Response {
    shared.key_requests.fetch_add(1, Ordering::Relaxed);
    let number = shared.script.lock().published;
    // 4, x and y.
    let point = shared.keys[number].public_key().as_ref();
    json_answer(&json!({ "keys": [{
        "kty": "EC",
        "crv": "P-256",
        "use": "sig",
        "alg": "ES256",
        "kid": number.to_string(),
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&point[33..]),
    }] }))
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let script = shared.script.lock().clone();
    if let Some(bad) = bad(script.tokens).await {
        return bad;
    }
    let refused = |error: &str| {
        let body = json!({ "error": error, "error_description": "as the test wants it" });
        (Status::BAD_REQUEST, json_answer(&body)).into_response()
    };
    let form: HashMap<String, String> =
        form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let basic = STANDARD.encode(format!("{}:{}", encoded(CLIENT.0), encoded(CLIENT.1)));
    let given = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap());
    if given != Some(format!("Basic {basic}").as_str()) {
        return refused("invalid_client");
    }
    // A code is good once.
    let Some(asked) = shared.asked.lock().remove(&form["code"]) else {
        return refused("invalid_grant");
    };
    let verifier = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(verifier) != asked.challenge
        || form["redirect_uri"] != asked.redirect
        || form["grant_type"] != "authorization_code"
    {
        return refused("invalid_grant");
    }
    let now = now_ms() / 1_000;
    let mut claims = json!({
        "iss": shared.issuer,
        "sub": "248289761001",
        "aud": CLIENT.0,
        "exp": now + 300,
        "iat": now,
        "nonce": asked.nonce,
        "preferred_username": "ann",
        "groups": ["ops", "others"],
    });
    merge(&mut claims, &script.claims);
    let mut header = json!({ "alg": "ES256", "typ": "JWT", "kid": script.key.to_string() });
    merge(&mut header, &script.header);
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = match header["alg"].as_str().unwrap() {
        "none" => Vec::new(),
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT.1.as_bytes());
            hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
        }
        _ => {
            let key = &shared.keys[script.key];
            key.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec()
        }
    };
    let mut answer = json!({
        "access_token": "opaque",
        "token_type": "Bearer",
        "expires_in": 300,
        "id_token": format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
    });
    merge(&mut answer, &script.token);
    json_answer(&answer)
}
