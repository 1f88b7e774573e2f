//! The hostile corpus through a worker: each sample is contained, its record names a cause, healthy
//! orders beside it end, the worker's memory stays small, and SIGTERM ends it while samples run.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sitewright_jobs::{NewOrder, OrderState};
use sitewright_tests::chat_server::Answer;
use sitewright_tests::factory::{Base, Factory, Model, Process, calls_in_turn, good, named, until};
use sitewright_tests::hostile::{self, Sample};

/// Limits of the worker.
const CPU_MS: u64 = 1_000;
const DEADLINE_MS: u64 = 15_000;
const CHECK_MS: u64 = 3_000;
const GRACE_MS: u64 = 2_000;

/// Peak memory of the worker, children excluded, in MiB.
const MEMORY_MIB: u64 = 400;

/// Time for one sample beside its healthy orders, on a busy machine: what its limits allow for
/// running, checking, compiling and waiting, several times.
const SAMPLE_TIME: Duration = Duration::from_secs(90);

/// Healthy orders beside each sample.
const HEALTHY: usize = 8;
/// Orders of each sample.
const HOSTILE: usize = 2;

/// A worker with the templates of some samples.
struct Bench<'a> {
    factory: Factory,
    samples: &'a [Sample],
}

impl<'a> Bench<'a> {
    async fn new(model: &Model, samples: &'a [Sample]) -> Self {
        let factory = Factory::new(Base::Sqlite, model)
            .await
            .with("limits.cpu_ms", CPU_MS)
            .with("limits.deadline_ms", DEADLINE_MS)
            .with("limits.check_ms", CHECK_MS)
            .with("limits.compile_ms", 10_000)
            .with("worker.grace_ms", GRACE_MS)
            // No other worker will have these templates, and their guests write no copy.
            .with("worker.template_grace_ms", 500)
            .with("checks.copy", false)
            // A worker that is busy must not count as dead.
            .with("worker.silent_ms", 60_000);
        for (number, sample) in samples.iter().enumerate() {
            if let Some(component) = &sample.component {
                let file = format!("templates/{}.wasm", template(number));
                factory.bench.write(&file, component);
            }
        }
        Bench { factory, samples }
    }

    fn hostile(&self, number: usize, round: &str) -> Vec<NewOrder> {
        let sample = &self.samples[number];
        let name =
            sample.component.as_ref().map_or_else(|| "faulty".to_owned(), |_| template(number));
        (0..HOSTILE)
            .map(|nth| {
                let id = format!("{round}-{number}-{nth}");
                let order = named(&id, sample.order.clone());
                NewOrder::new(id, &name, order.to_string())
            })
            .collect()
    }

    /// Runs a sample beside healthy orders, and returns what is wrong.
    async fn run(&self, number: usize) -> Vec<String> {
        let begin = Instant::now();
        let healthy: Vec<String> =
            (0..HEALTHY).map(|nth| format!("healthy-{number}-{nth}")).collect();
        let hostile = self.hostile(number, "hostile");
        let ids: Vec<String> = hostile.iter().map(|order| order.id.clone()).collect();
        self.factory.database.enqueue_all(hostile).await.unwrap();
        self.factory.enqueue_all(healthy.iter().map(|id| calls_in_turn(id, 1))).await;
        let mut wrong = Vec::new();
        for id in healthy.iter().chain(&ids) {
            while !self.has_ended(id).await && begin.elapsed() < SAMPLE_TIME {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for id in &healthy {
            let state = self.factory.order(id).await.state;
            if state != OrderState::Succeeded {
                wrong.push(format!("the healthy order {id} is {state}"));
            }
        }
        for id in &ids {
            wrong.extend(self.check(id, &self.samples[number]).await);
        }
        eprintln!("{:<55} {:>6} ms", self.samples[number].name, begin.elapsed().as_millis());
        wrong
    }

    async fn has_ended(&self, id: &str) -> bool {
        let order = self.factory.order(id).await;
        // An order whose attempt failed and that is tried again later has shown what it does. One
        // without a failure waits for a worker that has its template.
        let failed = async || !self.factory.database.failures(id).await.unwrap().is_empty();
        order.state.has_ended() || (order.state == OrderState::Waiting && failed().await)
    }

    /// What is wrong with the end of a hostile order.
    async fn check(&self, id: &str, sample: &Sample) -> Option<String> {
        let order = self.factory.order(id).await;
        let failures = self.factory.database.failures(id).await.unwrap();
        match (order.state, failures.last()) {
            (OrderState::Succeeded, None) => {
                (!sample.may_succeed).then(|| format!("{id} has a site"))
            }
            // An attempt that failed is judged, also if the next one has begun meanwhile.
            (
                OrderState::Failed
                | OrderState::Dead
                | OrderState::Waiting
                | OrderState::Queued
                | OrderState::Running,
                Some(failure),
            ) => {
                let record = &failure.record;
                if !sample.ends.contains(&failure.kind.as_str()) {
                    return Some(format!("{id} ended as {}: {}", failure.kind, failure.message));
                }
                if failure.message.trim().is_empty() {
                    return Some(format!("{id}: the record has no message"));
                }
                limit_of(&failure.kind).and_then(|limit| {
                    let measure = &record["limits"][limit];
                    (measure["used"].as_u64() < measure["max"].as_u64())
                        .then(|| format!("{id}: `{limit}` is not used up: {measure}"))
                })
            }
            (state, _) => Some(format!("{id} is {state} with {} records", failures.len())),
        }
    }
}

fn template(number: usize) -> String {
    format!("hostile-{number}")
}

/// The limit that a kind of failure is always about.
fn limit_of(kind: &str) -> Option<&'static str> {
    match kind {
        "cpu_limit" => Some("cpu_ms"),
        "deadline" => Some("deadline_ms"),
        _ => None,
    }
}

/// Peak memory of a process in MiB.
fn peak_mib(worker: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// A model whose replies are what the hostile schemas describe, or texts for healthy orders.
fn model() -> Model {
    Model::start(|asked| match hostile::error_body(&asked.order) {
        Some(body) => Answer::Http { status: 400, headers: &[], body },
        None if asked.order == "json" => {
            Answer::Reply { content: document().to_string(), finish: "stop" }
        }
        None => good(asked),
    })
}

/// A reply with some depth and some keys.
fn document() -> Value {
    (0..20).fold(json!({ "a": "a" }), |inner, _| json!({ "a": inner, "b": "b" }))
}

async fn all(samples: Vec<Sample>) {
    let model = model();
    let bench = Bench::new(&model, &samples).await;
    let mut worker = bench.factory.worker(&["--max-orders", "16"]);
    bench.factory.enqueue_all([calls_in_turn("first", 1)]).await;
    bench.factory.until_state("first", OrderState::Succeeded).await;
    let mut wrong = Vec::new();
    for (number, sample) in samples.iter().enumerate() {
        for problem in bench.run(number).await {
            wrong.push(format!("{} ({}): {problem}", sample.name, sample.kind));
        }
        assert!(worker.runs(), "{}: the worker has ended:\n{}", sample.name, worker.log());
    }
    let peak = peak_mib(&worker);
    if peak >= MEMORY_MIB {
        wrong.push(format!("the worker needed {peak} MiB"));
    }
    wrong.extend(stops(&bench, &mut worker).await);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Sends SIGTERM while orders of all samples run, and returns what is wrong.
async fn stops(bench: &Bench<'_>, worker: &mut Process) -> Option<String> {
    let orders: Vec<NewOrder> =
        (0..bench.samples.len()).flat_map(|number| bench.hostile(number, "last")).collect();
    let ids: Vec<String> = orders.iter().map(|order| order.id.clone()).collect();
    bench.factory.database.enqueue_all(orders).await.unwrap();
    until("an order of a sample has begun", || async {
        for id in &ids {
            if bench.factory.order(id).await.state != OrderState::Queued {
                return true;
            }
        }
        false
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = Instant::now();
    worker.signal(Signal::TERM);
    worker.exit().await;
    let took = begin.elapsed();
    // The promise is grace + 5 s; the rest is for a busy machine.
    let most = Duration::from_millis(GRACE_MS) + Duration::from_secs(5 + 3);
    (took > most).then(|| format!("the worker ended {took:?} after SIGTERM:\n{}", worker.log()))
}

/// A sample costs its author nothing: neither the template nor the order is large.
#[test]
fn the_samples_of_the_corpus_are_small() {
    let samples = hostile::corpus();
    let kinds: std::collections::BTreeSet<&str> = samples.iter().map(|one| one.kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["C1", "C2", "C3", "C4", "H1", "M4"]);
    for Sample { name, component, order, .. } in &samples {
        let bytes = component.as_ref().map_or(0, Vec::len);
        assert!(bytes <= 8 << 20 && order.to_string().len() < 1 << 20, "{name}: {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_straight_lines_of_host_calls_end_at_their_limits() {
    all(hostile::straight_lines()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_sites_that_are_expensive_to_check_are_rejected_by_name() {
    all([hostile::large_sites(), hostile::slow_sites()].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_error_bodies_that_are_expensive_to_read_fail_their_order_only() {
    all(hostile::error_bodies()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_schemas_that_multiply_are_refused_or_stopped() {
    all(hostile::schemas()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_templates_that_grow_when_compiled_are_refused() {
    all(hostile::amplifiers()).await;
}
