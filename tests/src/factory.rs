//! Real workers on a real database: processes that tests start, pause, stop and kill, and an
//! observer's view of their orders.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sitewright_jobs::{AttemptEnd, Database, NewOrder, Order, OrderState};
use sitewright_site::{OrderDir, SitesRoot, list_releases, read_current};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::chat_server::{Answer, Call, ChatServer, WAIT_TIMEOUT};
use crate::{Workbench, faulty, guest, postgres, standins};

// -------------------------------------------------------------------------------------------------
// AI server.

/// A call that names its order and its number in the order: `[[order]] call 3`.
#[derive(Debug, Clone)]
pub struct RecordedCall {
    /// Id of the order.
    pub order: String,
    /// Text after the order's id: `call 3`.
    pub what: String,
    /// Number of requests for this call so far, including this one.
    pub times: usize,
    /// Time of arrival in milliseconds since the Unix epoch.
    pub at: i64,
}

/// An AI server that records which order each call belongs to.
pub struct Model {
    /// The underlying server.
    pub server: ChatServer,
    asked: Arc<Mutex<Vec<RecordedCall>>>,
}

impl Model {
    /// Starts a server. `choose` answers the calls of orders on the thread of their connection;
    /// other calls, such as probes, are answered immediately.
    pub fn start(choose: impl Fn(&RecordedCall) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<RecordedCall>>> = Arc::default();
        let recorded = asked.clone();
        let server = ChatServer::start(crate::ANY_ANSWER, move |call| {
            let Some((order, what)) = order_and_call(call) else { return Answer::Good };
            let one = {
                let mut recorded = recorded.lock().expect("no thread panicked");
                let before =
                    recorded.iter().filter(|one| one.order == order && one.what == what).count();
                let one = RecordedCall { order, what, times: before + 1, at: now_ms() };
                recorded.push(one.clone());
                one
            };
            choose(&one)
        });
        Model { server, asked }
    }

    /// A model that answers every call after about this number of milliseconds.
    #[allow(clippy::disallowed_methods, reason = "blocks only the thread of one connection")]
    pub fn slow(milliseconds: u64) -> Self {
        Model::start(move |asked| {
            let spread =
                asked.what.bytes().chain(asked.order.bytes()).map(u64::from).sum::<u64>() % 7;
            std::thread::sleep(Duration::from_millis(milliseconds * (4 + spread) / 7));
            good(asked)
        })
    }

    /// A model that answers successfully, calls of this name only after the gate is open.
    pub fn gated(what: &'static str) -> (Self, Gate) {
        let gate = Gate::default();
        let waiting = gate.clone();
        let model = Model::start(move |asked| {
            if asked.what == what {
                waiting.pass();
            }
            good(asked)
        });
        (model, gate)
    }

    /// All calls of orders so far.
    pub fn asked(&self) -> Vec<RecordedCall> {
        self.asked.lock().expect("no thread panicked").clone()
    }

    /// Number of requests for each call of an order.
    pub fn asked_of(&self, order: &str) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for one in self.asked().into_iter().filter(|one| one.order == order) {
            match counts.iter_mut().find(|(what, _)| *what == one.what) {
                Some((_, count)) => *count += 1,
                None => counts.push((one.what, 1)),
            }
        }
        counts
    }
}

/// A successful reply that names the call it answers.
pub fn good(asked: &RecordedCall) -> Answer {
    let content = format!("a reply to [[{}]] {}", asked.order, asked.what);
    Answer::Reply { content, finish: "stop" }
}

fn order_and_call(call: &Call) -> Option<(String, String)> {
    call.messages().into_iter().find_map(|message| {
        let (order, what) = message.split_once("[[")?.1.split_once("]] ")?;
        Some((order.to_owned(), what.lines().next()?.trim_end_matches(['<', '/']).to_owned()))
    })
}

/// Blocks threads until it is opened.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Waits until the gate is open, for at most three times [`WAIT_TIMEOUT`].
    pub fn pass(&self) {
        let (open, opened) = &*self.0;
        let guard = open.lock().expect("no thread panicked");
        drop(opened.wait_timeout_while(guard, WAIT_TIMEOUT * 3, |open| !*open));
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        *self.0.0.lock().expect("no thread panicked") = true;
        self.0.1.notify_all();
    }
}

// -------------------------------------------------------------------------------------------------
// Workers and their environment.

/// The database of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// SQLite, in the workbench.
    Sqlite,
    /// SQLite, in this file.
    SqliteAt(PathBuf),
    /// PostgreSQL, with this URL.
    Postgres(String),
}

impl Base {
    /// A new database in the cluster that all tests share. Reports the test as skipped and returns
    /// `None` if PostgreSQL is not installed.
    pub fn postgres(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(cluster) = postgres::shared() else {
            standins::skipped(test, "PostgreSQL is not installed: apt-get install postgresql");
            return None;
        };
        Some(Base::Postgres(cluster.create(&format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed)))))
    }
}

/// Environment of workers: configuration, templates, database, and access to all of them.
pub struct Factory {
    /// Folder with configuration, templates and sites.
    pub bench: Workbench,
    /// URL of the database.
    pub url: String,
    /// The test's own connection to the database.
    pub database: Database,
    settings: HashMap<String, String>,
    started: AtomicU32,
}

impl Factory {
    /// A factory whose AI calls go to `model`. Intervals are short; the gateway does not retry, so
    /// that every repeated call is due to the worker.
    pub async fn new(base: Base, model: &Model) -> Self {
        let bench = Workbench::configured(&format!(
            "templates = \"templates\"\n[worker]\nbeat_ms = 100\nsilent_ms = 1500\nreload_ms = \
             3600000\nretry_base_ms = 100\nretry_max_ms = 400\n[ai.retry]\nattempts = \
             1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \"{}\"\nbreaker = {{ failures \
             = 0 }}\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n",
            model.server.base_url()
        ));
        std::fs::create_dir(bench.path().join("templates")).expect("the workbench can be written");
        std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm"))
            .expect("the template is built");
        let url = match base {
            Base::Sqlite => format!("sqlite://{}/orders.db", bench.path().display()),
            Base::SqliteAt(file) => format!("sqlite://{}", file.display()),
            Base::Postgres(url) => url,
        };
        let database = Database::open(&url).await.expect("the database opens");
        database.migrate().await.expect("the tables are made");
        let factory = Factory {
            bench,
            url: url.clone(),
            database,
            settings: HashMap::new(),
            started: AtomicU32::new(0),
        };
        factory.with("database.url", &url)
    }

    /// [`Factory::set`], for chaining.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    /// Sets a configuration key for all workers that are started afterwards.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(
            format!("SITEWRIGHT_{}", key.replace('.', "__").to_uppercase()),
            value.to_string(),
        );
    }

    /// Sets an environment variable for all workers that are started afterwards.
    pub fn set_env(&mut self, name: &str, value: impl ToString) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// Enqueues orders for the template `faulty`.
    pub async fn enqueue_all(&self, documents: impl IntoIterator<Item = Value>) {
        let orders = documents.into_iter().map(|document| {
            let id = document["order"]["id"].as_str().expect("the id is a string").to_owned();
            NewOrder::new(id, "faulty", document.to_string())
        });
        self.database.enqueue_all(orders.collect()).await.expect("the orders are enqueued");
    }

    /// Stops a worker with SIGSTOP while it does not hold SQLite's write lock: a stopped process
    /// keeps the lock and would block everybody else.
    pub async fn pause(&self, worker: &Process) {
        loop {
            worker.signal(Signal::STOP);
            until("the worker is stopped", || async { worker.is_stopped() }).await;
            if self.can_be_written().await {
                return;
            }
            eprintln!("the worker was stopped during a write; trying again");
            worker.signal(Signal::CONT);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    }

    async fn can_be_written(&self) -> bool {
        if !self.url.starts_with("sqlite:") {
            // PostgreSQL aborts the transaction of a stopped client.
            return true;
        }
        let options = SqliteConnectOptions::from_str(&self.url).expect("the URL is valid");
        let options = options.busy_timeout(Duration::from_millis(100));
        let mut connection = options.connect().await.expect("the file opens");
        let locked = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await;
        connection.close().await.expect("the file closes");
        locked.is_ok()
    }

    /// Current row of an order.
    pub async fn order(&self, id: &str) -> Order {
        self.database.order(id).await.expect("the order is there")
    }

    /// Waits until an order is in this state. Panics immediately if it ends in another one.
    pub async fn until_state(&self, id: &str, state: OrderState) {
        let what = format!("{id} is {state}");
        until(&what, || async {
            let Ok(order) = self.database.order(id).await else { return false };
            if order.state.has_ended() && order.state != state {
                let failures = self.database.failures(id).await.expect("they can be read");
                let why = failures.last().map(|failure| failure.message.clone());
                panic!("{id} is {} and not {state}: {why:?}", order.state);
            }
            order.state == state
        })
        .await;
    }

    /// Waits until this many orders are in this state.
    pub async fn until_count(&self, state: OrderState, count: usize) {
        let wanted = i64::try_from(count).expect("a small number");
        let what = format!("{count} orders are {state}");
        until(&what, || async {
            self.database.stats().await.is_ok_and(|stats| stats.count(state) >= wanted)
        })
        .await;
    }

    /// Starts `sitewright worker` with its log in a file.
    pub fn worker(&self, arguments: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.bench.path().join(format!("worker-{number}.log"));
        let mut command = self.worker_command(arguments);
        command
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the workbench can be written"));
        Process { child: command.spawn().expect("the worker starts"), log }
    }

    /// A command of `sitewright worker` for tests that start it themselves.
    pub fn worker_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(&[]);
        command
            .envs(&self.settings)
            .args(arguments.iter().filter(|argument| argument.starts_with("--log")));
        command
            .arg("worker")
            .args(arguments.iter().filter(|argument| !argument.starts_with("--log")));
        command
    }

    /// Runs a worker until every order has ended, and returns its log.
    pub async fn drain(&self) -> String {
        let mut worker = self.worker(&["--drain"]);
        let code = worker.exit().await;
        assert_eq!(code, 0, "{}", worker.log());
        worker.log()
    }

    /// Any other command of the binary with the same configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(arguments);
        command.envs(&self.settings);
        command
    }

    /// Id of the active release of an order, after a check of every file against its manifest.
    /// `None` without an active release.
    pub fn active_release(&self, order: &str) -> Option<String> {
        use sha2::Digest as _;
        let (root, folder) = self.folder(order);
        let release = read_current(&root, &folder).expect("the current release can be read")?;
        assert!(!release.manifest.files.is_empty());
        for file in &release.manifest.files {
            let bytes =
                std::fs::read(release.path.join(file.path.as_str())).expect("the file is there");
            let digest: String =
                sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, file.sha256, "{order}: {}", file.path);
        }
        Some(release.manifest.id.to_string())
    }

    /// Ids of all releases of an order on disk.
    pub fn releases(&self, order: &str) -> Vec<String> {
        let (root, folder) = self.folder(order);
        let listed = list_releases(&root, &folder).expect("the releases can be read");
        listed.into_iter().map(|release| release.id.to_string()).collect()
    }

    fn folder(&self, order: &str) -> (SitesRoot, OrderDir) {
        (
            SitesRoot::open(&self.bench.sites()).expect("the sites' folder"),
            OrderDir::new(order).expect("a name"),
        )
    }

    /// Asserts that the order succeeded exactly once, that its release is active, and that its
    /// reply journal has `calls` current entries.
    ///
    /// Waits for the release, because it is activated after the order is marked as succeeded.
    pub async fn assert_done_once(&self, id: &str, calls: usize) {
        let export = self.database.export(id).await.expect("the order is there");
        let order = &export.order;
        assert_eq!((order.state, order.attempts), (OrderState::Succeeded, 1), "{order:?}");
        assert!(order.owner_attempt.is_none() && order.owner_worker.is_none(), "{order:?}");
        let ended =
            |end| export.attempts.iter().filter(|attempt| attempt.outcome == Some(end)).count();
        assert_eq!(ended(AttemptEnd::Succeeded), 1, "{:?}", export.attempts);
        // The end of a process is no crash of the orders in it, and leaves no record. A crash does.
        let crashes = export.failures.iter().filter(|failure| failure.kind == "crashed").count();
        assert_eq!(Ok(order.crashes), i64::try_from(crashes), "{:?}", export.failures);
        assert!(crashes <= ended(AttemptEnd::Crashed), "{:?}", export.attempts);
        assert!(
            export.attempts.iter().all(|attempt| attempt.outcome.is_some()),
            "{:?}",
            export.attempts
        );
        assert!(order.current_release.is_some());
        until("the release is active", || async {
            self.active_release(id) == order.current_release
        })
        .await;
        assert_eq!(export.ai_calls.iter().filter(|call| call.current).count(), calls, "{id}");
    }
}

/// An order that makes `count` sequential AI calls.
pub fn calls_in_turn(id: &str, count: u32) -> Value {
    named(id, faulty("calls-in-turn", json!({ "n": count, "prompt": format!("[[{id}]] ") })))
}

/// The order with this id.
pub fn named(id: &str, mut order: Value) -> Value {
    order["order"]["id"] = json!(id);
    order
}

/// A worker process; it is killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Whether SIGSTOP has stopped the process.
    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let state = stat
            .expect("the process is there")
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('T'));
        state.unwrap_or_default()
    }

    /// Sends SIGKILL and returns the time in milliseconds since the Unix epoch.
    pub fn kill(&mut self) -> i64 {
        drop(self.child.kill());
        let at = now_ms();
        drop(self.child.wait());
        at
    }

    /// Whether the process has not exited.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Waits for the exit code; -1 after a signal. Panics after four times [`WAIT_TIMEOUT`].
    pub async fn exit(&mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status.code().unwrap_or(-1);
            }
            assert!(begin.elapsed() < WAIT_TIMEOUT * 4, "the worker does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until the log contains this text. Panics after [`WAIT_TIMEOUT`], or if the process
    /// exits without it.
    pub async fn until_log_contains(&mut self, text: &str) {
        self.until_log_contains_after(0, text).await;
    }

    /// The same for what is logged after the first `from` bytes.
    pub async fn until_log_contains_after(&mut self, from: usize, text: &str) {
        let begin = Instant::now();
        let has = |log: &str| log.get(from..).is_some_and(|new| new.contains(text));
        while !has(&self.log()) {
            assert!(
                begin.elapsed() < WAIT_TIMEOUT,
                "the log does not contain {text:?}:\n{}",
                self.log()
            );
            assert!(
                self.runs() || has(&self.log()),
                "the worker exited before its log contained {text:?}:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            self.kill();
        }
    }
}

/// Polls the condition until it is true: every 20 ms, after two seconds every 50 ms, because most
/// conditions ask a database, and others compute meanwhile. Panics with `what` after three times
/// [`WAIT_TIMEOUT`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begin = Instant::now();
    while !condition().await {
        let waited = begin.elapsed();
        assert!(waited < WAIT_TIMEOUT * 3, "waited three minutes for: {what}");
        let pause = if waited < Duration::from_secs(2) { 20 } else { 50 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
