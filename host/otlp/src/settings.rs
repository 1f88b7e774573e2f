//! The standard variables of OpenTelemetry. The SDK reads most of them itself; here is what it does
//! not read or would ignore without a word.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
use percent_encoding::percent_decode_str;
use sitewright_model::build::host_build;
use url::Url;

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpSettings {
    pub(super) traces: Option<Signal>,
    pub(super) logs: Option<Signal>,
    service_name: Option<String>,
}

/// One signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    /// For a batch, with all repetitions.
    pub(super) timeout: Duration,
    pub(super) batches: Batches,
}

/// How items wait to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batches {
    /// Maximum number of items that wait; further ones are dropped.
    pub(super) queue: usize,
    /// Maximum number of items that are sent at once.
    pub(super) size: usize,
    /// Maximum time that an item waits for others.
    pub(super) delay: Duration,
}

/// A variable that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} {why}")]
pub struct SettingsError {
    /// Its name. Its value is not shown: it may have a key.
    pub variable: String,
    why: String,
}

/// The names of a signal's variables, and its defaults.
struct Names {
    /// `TRACES`, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    signal: &'static str,
    /// What is appended to `OTEL_EXPORTER_OTLP_ENDPOINT`.
    path: &'static str,
    /// `BSP`, as in `OTEL_BSP_SCHEDULE_DELAY`.
    processor: &'static str,
    delay_ms: u64,
}

const TRACES: Names =
    Names { signal: "TRACES", path: "v1/traces", processor: "BSP", delay_ms: 5_000 };
const LOGS: Names = Names { signal: "LOGS", path: "v1/logs", processor: "BLRP", delay_ms: 1_000 };

/// Where sampling is decided; all names that the SDK knows.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl OtlpSettings {
    /// What the environment of the process says; `None` if nothing is exported: no endpoint is
    /// named in `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
    /// `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`, or `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    /// A variable has a value that cannot be followed, such as the protocol `grpc`.
    pub fn from_env() -> Result<Option<Self>, SettingsError> {
        OtlpSettings::read(&|name| std::env::var(name).ok())
    }

    /// Whether spans are exported, and not only lines of the log.
    pub fn has_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// Whether lines of the log are exported, and not only spans.
    pub fn has_logs(&self) -> bool {
        self.logs.is_some()
    }

    fn read(env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let env: Env<'_> = &|name| env(name).filter(|value| !value.trim().is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let (traces, logs) = (Signal::read(&TRACES, env)?, Signal::read(&LOGS, env)?);
        if traces.is_none() && logs.is_none() {
            return Ok(None);
        }
        check_sampler(env)?;
        Ok(Some(OtlpSettings { traces, logs, service_name: env("OTEL_SERVICE_NAME") }))
    }

    /// What the spans and lines come from. The SDK adds `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) fn resource(&self) -> Resource {
        let named = EnvResourceDetector::new().detect().get(&Key::new("service.name"));
        let resource = Resource::builder();
        let resource = match (&self.service_name, named) {
            (Some(name), _) => resource.with_service_name(name.clone()),
            // It counts already.
            (None, Some(_)) => resource,
            (None, None) => resource.with_service_name("sitewright"),
        };
        resource.with_attribute(KeyValue::new("service.version", host_build())).build()
    }
}

impl Signal {
    fn read(names: &Names, env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let exporter = format!("OTEL_{}_EXPORTER", names.signal);
        match env(&exporter).as_deref().map(str::trim) {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(_) => return Err(wrong(exporter, "must be `otlp` or `none`")),
        }
        let of = |what: &str| format!("OTEL_EXPORTER_OTLP_{}_{what}", names.signal);
        let either = |what: &str| {
            let (own, all) = (of(what), format!("OTEL_EXPORTER_OTLP_{what}"));
            env(&own).map(|value| (own, value)).or_else(|| Some((all.clone(), env(&all)?)))
        };
        let Some((variable, endpoint)) = either("ENDPOINT") else { return Ok(None) };
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        // Both: the SDK shows what it cannot read, and there may be a key in it.
        let is_whole = variable == of("ENDPOINT");
        let whole = match is_whole {
            true => endpoint.clone(),
            false => format!("{}/{}", endpoint.trim_end_matches('/'), names.path),
        };
        if !is_whole && endpoint.contains(['?', '#']) {
            let why = "has a `?` or `#`, behind which the path of a signal would be lost; name the \
                       whole URLs in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and \
                       OTEL_EXPORTER_OTLP_LOGS_ENDPOINT instead";
            return Err(wrong(variable, why));
        }
        if !Url::parse(&endpoint).is_ok_and(|url| is_http(&url)) || whole.parse::<Uri>().is_err() {
            return Err(wrong(variable, "is no URL; write it like http://localhost:4318"));
        }
        if let Some((variable, protocol)) = either("PROTOCOL")
            && protocol.trim() != "http/protobuf"
        {
            let why = "names a protocol that is not supported; set http/protobuf, which collectors \
                       receive at port 4318 (grpc is at 4317)";
            return Err(wrong(variable, why));
        }
        if let Some((variable, compression)) = either("COMPRESSION")
            && !compression.trim().eq_ignore_ascii_case("none")
        {
            let why = "names a compression, but bodies are not compressed; set none";
            return Err(wrong(variable, why));
        }
        // The SDK sends those of both, and leaves out what it cannot read.
        for variable in [of("HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS".to_owned()] {
            if env(&variable).is_some_and(|list| !are_headers(&list)) {
                return Err(wrong(variable, "is no list of headers; write it like api-key=…,b=…"));
            }
        }
        let timeout = match either("TIMEOUT") {
            Some((variable, value)) => positive(variable, &value)?,
            None => 10_000,
        };
        let processor = |what: &str, default: u64| {
            let variable = format!("OTEL_{}_{what}", names.processor);
            match env(&variable) {
                Some(value) => positive(variable, &value),
                None => Ok(default),
            }
        };
        let queue = processor("MAX_QUEUE_SIZE", 2_048)?.min(MAX_QUEUE);
        let size = processor("MAX_EXPORT_BATCH_SIZE", 512)?.min(queue);
        let delay = processor("SCHEDULE_DELAY", names.delay_ms)?;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let delay = Duration::from_millis(delay);
        let batches = Batches { queue: count(queue), size: count(size), delay };
        Ok(Some(Signal { timeout: Duration::from_millis(timeout), batches }))
    }
}

/// Maximum number of items that wait, whatever the environment says: an item takes a kilobyte.
const MAX_QUEUE: u64 = 1_000_000;

fn wrong(variable: impl Into<String>, why: &str) -> SettingsError {
    SettingsError { variable: variable.into(), why: why.to_owned() }
}

fn positive(variable: String, value: &str) -> Result<u64, SettingsError> {
    match value.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(wrong(variable, "must be a whole number above 0")),
    }
}

/// Whether it is a list of headers, `name=value` with commas between them; values may have `%2C`.
fn are_headers(list: &str) -> bool {
    list.split_terminator(',').all(|header| {
        let Some((name, value)) = header.split_once('=') else { return false };
        let value = percent_decode_str(value.trim()).decode_utf8();
        HeaderName::try_from(name.trim()).is_ok()
            && value.is_ok_and(|value| !value.is_empty() && HeaderValue::from_str(&value).is_ok())
    })
}

fn check_sampler(env: Env<'_>) -> Result<(), SettingsError> {
    let Some(sampler) = env("OTEL_TRACES_SAMPLER") else { return Ok(()) };
    if !SAMPLERS.contains(&sampler.as_str()) {
        let why = format!("names no sampler that is supported: {}", SAMPLERS.join(", "));
        return Err(wrong("OTEL_TRACES_SAMPLER", &why));
    }
    let ratio = env("OTEL_TRACES_SAMPLER_ARG").and_then(|value| value.parse::<f64>().ok());
    if sampler.ends_with("traceidratio") && !ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio))
    {
        let why = "must be the share of traces that is kept, between 0 and 1, such as 0.1";
        return Err(wrong("OTEL_TRACES_SAMPLER_ARG", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::OtlpSettings;

    const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpSettings>, String> {
        let env = |name: &str| {
            let found = variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        OtlpSettings::read(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        for variables in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_EXPORTER", "otlp")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[ALL, ("OTEL_SDK_DISABLED", "True")],
            &[ALL, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")],
        ] {
            assert_eq!(read(variables), Ok(None), "{variables:?}");
        }
    }

    #[test]
    fn each_signal_has_variables_of_its_own() {
        let both = read(&[ALL, ("OTEL_BSP_MAX_QUEUE_SIZE", "7")]).unwrap().unwrap();
        let (traces, logs) = (both.traces.unwrap(), both.logs.unwrap());
        assert_eq!((traces.batches.queue, traces.batches.size), (7, 7));
        assert_eq!((logs.batches.queue, logs.batches.size), (2_048, 512));
        assert_eq!(logs.batches.delay, Duration::from_secs(1));
        assert_eq!(traces.timeout, Duration::from_secs(10));

        let logs_only = read(&[
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/v1/logs"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "20000"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "30000"),
        ]);
        let logs_only = logs_only.unwrap().unwrap();
        assert_eq!(logs_only.traces, None);
        assert_eq!(logs_only.logs.unwrap().timeout, Duration::from_secs(30));
        let traces_only = read(&[ALL, ("OTEL_LOGS_EXPORTER", "none")]).unwrap().unwrap();
        assert!(traces_only.traces.is_some() && traces_only.logs.is_none());
    }

    #[test]
    fn what_cannot_be_followed_is_named_without_its_value() {
        for (variable, value, says) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "4318"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "is no URL"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://secret@x:4317", "is no URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret key@x:4318", "is no URL"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", " http://secret.example:4318", "is no URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://x.example/otlp?key=secret", "TRACES_ENDPOINT"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://x.example/#secret", "LOGS_ENDPOINT"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "not compressed"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key secret", "is no list of headers"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,api key=secret", "is no list of headers"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=secret%0A", "is no list of headers"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "whole number"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0", "above 0"),
            ("OTEL_TRACES_EXPORTER", "console", "`otlp` or `none`"),
            ("OTEL_TRACES_SAMPLER", "xray", "always_on"),
        ] {
            let error = read(&[ALL, (variable, value)]).unwrap_err();
            assert!(error.contains(variable) && error.contains(says), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb==, b=c,"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://key@x.example/otlp/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://key@x.example/otlp/?a=b"),
        ] {
            assert!(read(&[ALL, (variable, value)]).is_ok(), "{variable}={value}");
        }
        let ratio = [ALL, ("OTEL_TRACES_SAMPLER", "traceidratio")];
        assert!(read(&ratio).unwrap_err().contains("OTEL_TRACES_SAMPLER_ARG"));
        assert!(read(&[&ratio[..], &[("OTEL_TRACES_SAMPLER_ARG", "0.5")]].concat()).is_ok());
    }
}
