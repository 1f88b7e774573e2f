//! Somebody at the console: a browser without a screen.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::*;

/// A browser: keeps cookies, follows no redirect.
pub(crate) struct Browser<'a> {
    pub(crate) api: &'a Api,
    pub(crate) cookies: RefCell<BTreeMap<String, String>>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(api: &'a Api) -> Self {
        Browser { api, cookies: RefCell::default() }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        let answer = send(request).await;
        for header in answer.headers.get_all("set-cookie") {
            let text = header.to_str().unwrap();
            // Only the cookie of a login comes along from the page of an identity provider.
            let is_of_login = text.contains("sitewright_oidc=");
            let same_site = if is_of_login { "Lax" } else { "Strict" };
            assert!(text.contains(&format!("; HttpOnly; SameSite={same_site};")), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.api.address);
        self.send(self.api.client.get(url)).await
    }

    /// A page that is shown, with its headers and length.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        is_secure(path, &answer);
        assert!(answer.text.len() <= 60 << 10, "{path} has {} bytes", answer.text.len());
        answer.text
    }

    /// Sends a form with these fields and no other.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = format!("http://{}{path}", self.api.address);
        let request = self.api.client.post(url).body(body);
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header("content-type", kind).header("sec-fetch-site", "same-origin"))
            .await
    }

    /// Sends a form of the console, with the secret of a page; leads to another page, whose address
    /// is returned.
    pub(crate) async fn act(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let csrf = secret(&self.page("/console/settings").await).or(self.any_secret().await);
        let csrf = csrf.unwrap();
        let fields: Vec<(&str, &str)> =
            fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        let answer = self.form(path, &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {answer:?}");
        answer.header("location").to_owned()
    }

    pub(crate) async fn any_secret(&self) -> Option<String> {
        secret(&self.page("/console").await)
    }

    pub(crate) async fn log_in(&self, token: &str) -> Answer {
        let csrf = secret(&self.page("/console/login").await).unwrap();
        self.form("/console/login", &[("csrf", &csrf), ("token", token), ("next", "")]).await
    }
}

/// The secret in the first form of a page.
pub(crate) fn secret(html: &str) -> Option<String> {
    let (_, rest) = html.split_once("name=\"csrf\" value=\"")?;
    Some(rest.split('"').next()?.to_owned()).filter(|secret| secret.len() == 64)
}

/// The value of a hidden field.
pub(crate) fn field(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Every answer of the console has these headers.
#[track_caller]
pub(crate) fn is_secure(path: &str, answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{path}");
    }
}
