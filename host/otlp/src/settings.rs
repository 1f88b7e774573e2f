//! The standard variables of OpenTelemetry. The SDK reads most of them itself; here is what it does
//! not read or would ignore without a word.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use percent_encoding::percent_decode_str;
use sitewright_model::build::host_build;
use url::Url;

/// What is exported, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpSettings {
    pub(super) traces: Option<Signal>,
    pub(super) logs: Option<Signal>,
    pub(super) metrics: Option<MetricSettings>,
    service_name: Option<String>,
}

/// Traces or logs.
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

/// Where metrics go to, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricSettings {
    pub(super) collector: Collector,
    /// Time between two exports.
    pub(super) interval: Duration,
    /// Maximum time to read metrics, and again to send them.
    pub(super) within: Duration,
}

/// Where a signal goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collector {
    /// The whole URL.
    pub(super) url: Uri,
    /// Such as the key of a hosted collector.
    pub(super) headers: HeaderMap,
    /// For a batch, with all repetitions.
    timeout: Duration,
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

/// As in `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`.
const METRICS: &str = "METRICS";
/// What is appended to `OTEL_EXPORTER_OTLP_ENDPOINT`.
const METRICS_PATH: &str = "v1/metrics";

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
    /// named in `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`,
    /// `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, or
    /// `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    /// A variable has a value that cannot be followed, such as the protocol `grpc`.
    pub fn from_env() -> Result<Option<Self>, SettingsError> {
        OtlpSettings::read(&|name| std::env::var(name).ok())
    }

    /// Whether spans are exported.
    pub fn has_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// What is exported, for people: `traces, logs, metrics` or some of these.
    pub fn signals(&self) -> String {
        let signals = [
            ("traces", self.traces.is_some()),
            ("logs", self.logs.is_some()),
            ("metrics", self.metrics.is_some()),
        ];
        let exported = signals.into_iter().filter_map(|(name, is_sent)| is_sent.then_some(name));
        exported.collect::<Vec<_>>().join(", ")
    }

    fn read(env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let env: Env<'_> = &|name| env(name).filter(|value| !value.trim().is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let (traces, logs) = (Signal::read(&TRACES, env)?, Signal::read(&LOGS, env)?);
        let metrics = MetricSettings::read(env)?;
        if traces.is_none() && logs.is_none() && metrics.is_none() {
            return Ok(None);
        }
        check_sampler(env)?;
        Ok(Some(OtlpSettings { traces, logs, metrics, service_name: env("OTEL_SERVICE_NAME") }))
    }

    /// What spans, lines and metrics come from. The SDK adds `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) fn resource(&self) -> Resource {
        let named = EnvResourceDetector::new().detect();
        let resource = Resource::builder();
        // Without it, the counters of two workers would be one time series.
        let resource = match named.get(&Key::new("service.instance.id")) {
            Some(_) => resource,
            None => resource.with_attribute(KeyValue::new("service.instance.id", random_uuid())),
        };
        let resource = match (&self.service_name, named.get(&Key::new("service.name"))) {
            (Some(name), _) => resource.with_service_name(name.clone()),
            // It counts already.
            (None, Some(_)) => resource,
            (None, None) => resource.with_service_name("sitewright"),
        };
        resource.with_attribute(KeyValue::new("service.version", host_build())).build()
    }
}

/// A random UUID (version 4).
fn random_uuid() -> String {
    let random = RandomIdGenerator::default().new_trace_id().to_bytes();
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

impl Collector {
    /// `None` if the signal is not exported.
    fn read(signal: &str, path: &str, env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        match env(&exporter).as_deref().map(str::trim) {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            // `/metrics` has them.
            Some("prometheus") if signal == METRICS => return Ok(None),
            Some(_) => return Err(wrong(exporter, "must be `otlp` or `none`")),
        }
        let of = |what: &str| format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
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
            false => format!("{}/{path}", endpoint.trim_end_matches('/')),
        };
        if !is_whole && endpoint.contains(['?', '#']) {
            let why = "has a `?` or `#`, behind which the path of a signal would be lost; name the \
                       whole URLs in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, \
                       OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT \
                       instead";
            return Err(wrong(variable, why));
        }
        let url = match (Url::parse(&endpoint), whole.parse::<Uri>()) {
            (Ok(parsed), Ok(url)) if is_http(&parsed) => url,
            _ => return Err(wrong(variable, "is no URL; write it like http://localhost:4318")),
        };
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
        // The SDK sends those of the signal, or else those of all, and leaves out what it cannot
        // read.
        let list = |variable: String| match env(&variable) {
            Some(list) => match headers(&list) {
                Some(headers) => Ok(Some(headers)),
                None => Err(wrong(variable, "is no list of headers; write it like api-key=…,b=…")),
            },
            None => Ok(None),
        };
        let (own, all) = (list(of("HEADERS"))?, list("OTEL_EXPORTER_OTLP_HEADERS".to_owned())?);
        let timeout = match either("TIMEOUT") {
            Some((variable, value)) => positive(variable, &value)?,
            None => 10_000,
        };
        let (headers, timeout) = (own.or(all).unwrap_or_default(), Duration::from_millis(timeout));
        Ok(Some(Collector { url, headers, timeout }))
    }
}

impl Signal {
    fn read(names: &Names, env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let Some(collector) = Collector::read(names.signal, names.path, env)? else {
            return Ok(None);
        };
        let processor = |what: &str, default: u64| {
            let variable = format!("OTEL_{}_{what}", names.processor);
            number(variable, default, env)
        };
        let queue = processor("MAX_QUEUE_SIZE", 2_048)?.min(MAX_QUEUE);
        let size = processor("MAX_EXPORT_BATCH_SIZE", 512)?.min(queue);
        let delay = processor("SCHEDULE_DELAY", names.delay_ms)?;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let delay = Duration::from_millis(delay);
        let batches = Batches { queue: count(queue), size: count(size), delay };
        Ok(Some(Signal { timeout: collector.timeout, batches }))
    }
}

impl MetricSettings {
    fn read(env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let Some(collector) = Collector::read(METRICS, METRICS_PATH, env)? else { return Ok(None) };
        for (what, supported) in [
            ("TEMPORALITY_PREFERENCE", "cumulative"),
            ("DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
        ] {
            let variable = format!("OTEL_EXPORTER_OTLP_METRICS_{what}");
            let wanted = env(&variable);
            if wanted.is_some_and(|wanted| !wanted.trim().eq_ignore_ascii_case(supported)) {
                let why = format!(
                    "names what is not supported; set {supported}, or OTEL_METRICS_EXPORTER=none"
                );
                return Err(wrong(variable, &why));
            }
        }
        let interval = number("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), 60_000, env)?;
        let within = number("OTEL_METRIC_EXPORT_TIMEOUT".to_owned(), 30_000, env)?;
        let within = Duration::from_millis(within).min(collector.timeout);
        Ok(Some(MetricSettings { collector, interval: Duration::from_millis(interval), within }))
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

/// The value of a variable, a whole number above 0, or this default.
fn number(variable: String, default: u64, env: Env<'_>) -> Result<u64, SettingsError> {
    match env(&variable) {
        Some(value) => positive(variable, &value),
        None => Ok(default),
    }
}

/// Reads a list of headers, `name=value` with commas between them; values may have `%2C`. `None` if
/// it is no such list.
fn headers(list: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for header in list.split_terminator(',') {
        let (name, value) = header.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok().filter(|value| !value.is_empty())?;
        // It may be a key.
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).ok()?, value);
    }
    Some(headers)
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

    use super::{OtlpSettings, random_uuid};

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
            &[
                ALL,
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_LOGS_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
            // Prometheus scrapes them.
            &[
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://localhost:4318/v1/metrics"),
                ("OTEL_METRICS_EXPORTER", "prometheus"),
            ],
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
        assert_eq!(traces_only.signals(), "traces, metrics");
    }

    #[test]
    fn metrics_go_where_the_variables_say() {
        let by_default = read(&[ALL]).unwrap().unwrap();
        assert_eq!(by_default.signals(), "traces, logs, metrics");
        let metrics = by_default.metrics.unwrap();
        assert_eq!(metrics.collector.url, "http://localhost:4318/v1/metrics");
        assert_eq!(metrics.interval, Duration::from_secs(60));
        assert_eq!(metrics.within, Duration::from_secs(10));

        let own = read(&[
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example/otlp?a=b"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=for-all"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "api-key=secret%2Cb==, c=d,"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Cumulative"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "400"),
        ]);
        let own = own.unwrap().unwrap();
        assert_eq!(own.signals(), "metrics");
        assert!(!format!("{own:?}").contains("secret"), "{own:?}");
        let metrics = own.metrics.unwrap();
        assert_eq!(metrics.collector.url, "https://metrics.example/otlp?a=b");
        assert_eq!(metrics.collector.headers["api-key"], "secret,b==");
        assert_eq!(metrics.collector.headers["c"], "d");
        assert_eq!(metrics.collector.headers.len(), 2);
        assert_eq!(metrics.interval, Duration::from_millis(1_500));
        assert_eq!(metrics.within, Duration::from_millis(400));
    }

    #[test]
    fn two_processes_have_two_instance_ids() {
        let (one, other) = (random_uuid(), random_uuid());
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{one}");
        assert!(one.split('-').nth(2).unwrap().starts_with('4'), "{one}");
        assert!(one.split('-').nth(3).unwrap().starts_with(['8', '9', 'a', 'b']), "{one}");
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
            ("OTEL_METRICS_EXPORTER", "console", "`otlp` or `none`"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "set cumulative"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "60s", "whole number"),
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
