//! Real workers on a real database: processes that can be killed, stopped and told to go, and what
//! an observer sees of their orders.

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

use crate::chat_server::{Answer, Call, ChatServer, PATIENCE};
use crate::{Workbench, faulty, guest, postgres, standins};

// ---------------------------------------------------------------------------------------------------------------------------------
// The AI.

/// One call, of which order it is and which of its calls: what `[[order]] call 3` says.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The order.
    pub order: String,
    /// What it asks: `call 3`.
    pub what: String,
    /// The how manieth time, from 1.
    pub times: usize,
    /// When it came, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// A real AI server that knows the orders its calls are for.
pub struct Model {
    /// The server.
    pub server: ChatServer,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Model {
    /// Calls of orders are answered as `choose` says, on a thread of their own; others, as probes
    /// are, at once.
    pub fn start(choose: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let heard = asked.clone();
        let server = ChatServer::start(crate::ANY_ANSWER, move |call| {
            let Some((order, what)) = whose(call) else { return Answer::Good };
            let one = {
                let mut heard = heard.lock().expect("no thread panicked");
                let before =
                    heard.iter().filter(|one| one.order == order && one.what == what).count();
                let one = Asked { order, what, times: before + 1, at: now_ms() };
                heard.push(one.clone());
                one
            };
            choose(&one)
        });
        Model { server, asked }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the thread of one connection, as slow as the model it stands for"
    )]
    /// A model that answers everything after so many milliseconds, more or less.
    pub fn slow(milliseconds: u64) -> Self {
        Model::start(move |asked| {
            let spread =
                asked.what.bytes().chain(asked.order.bytes()).map(u64::from).sum::<u64>() % 7;
            std::thread::sleep(Duration::from_millis(milliseconds * (4 + spread) / 7));
            good(asked)
        })
    }

    /// A model that answers well, but the calls of this name only once the gate is open.
    pub fn held(what: &'static str) -> (Self, Gate) {
        let gate = Gate::default();
        let held = gate.clone();
        let model = Model::start(move |asked| {
            if asked.what == what {
                held.pass();
            }
            good(asked)
        });
        (model, gate)
    }

    /// All calls of orders so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no thread panicked").clone()
    }

    /// How often each call of an order was made.
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

/// A reply that says to which question it is the answer.
pub fn good(asked: &Asked) -> Answer {
    let content = format!("a reply to [[{}]] {}", asked.order, asked.what);
    Answer::Reply { content, finish: "stop" }
}

fn whose(call: &Call) -> Option<(String, String)> {
    call.messages().into_iter().find_map(|message| {
        let (order, what) = message.split_once("[[")?.1.split_once("]] ")?;
        Some((order.to_owned(), what.lines().next()?.trim_end_matches(['<', '/']).to_owned()))
    })
}

/// Holds threads until it is opened.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Waits until it is open; a test that forgets to open it does not wait for ever.
    pub fn pass(&self) {
        let (open, opened) = &*self.0;
        let held = open.lock().expect("no thread panicked");
        drop(opened.wait_timeout_while(held, PATIENCE * 3, |open| !*open));
    }

    /// Lets all through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().expect("no thread panicked") = true;
        self.0.1.notify_all();
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Where workers work.

/// The database of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A file in the workbench.
    Sqlite,
    /// A file elsewhere.
    SqliteAt(PathBuf),
    /// A database of its own at this address.
    Postgres(String),
}

impl Base {
    /// A database in the cluster that all tests share. Nothing where PostgreSQL is not installed;
    /// that has been told then.
    pub fn postgres(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(cluster) = postgres::shared() else {
            standins::skipped(test, "PostgreSQL is not installed");
            return None;
        };
        Some(Base::Postgres(cluster.create(&format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed)))))
    }
}

/// A folder with a configuration and templates, a database, and what is needed to look on.
pub struct Factory {
    /// The folder.
    pub bench: Workbench,
    /// The address of the database.
    pub url: String,
    /// Another process's view of it.
    pub database: Database,
    settings: HashMap<String, String>,
    started: AtomicU32,
}

impl Factory {
    /// A factory whose AI calls go to `model`. Times are short; AI calls are made once, so that
    /// what is repeated is the worker's doing.
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
            .expect("it is built");
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

    /// The same with another value for a key of the configuration, in all workers started from now
    /// on.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    /// Sets a key of the configuration for all workers started from now on.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(
            format!("SITEWRIGHT_{}", key.replace('.', "__").to_uppercase()),
            value.to_string(),
        );
    }

    /// Sets a variable in the environment of all workers started from now on.
    pub fn set_env(&mut self, name: &str, value: impl ToString) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// Puts orders in line that the template `faulty` makes.
    pub async fn order_all(&self, documents: impl IntoIterator<Item = Value>) {
        let orders = documents.into_iter().map(|document| {
            let id = document["order"]["id"].as_str().expect("an id that is a text").to_owned();
            NewOrder::new(id, "faulty", document.to_string())
        });
        self.database.enqueue_all(orders.collect()).await.expect("the orders are put in line");
    }

    /// Stops a worker with SIGSTOP at a moment when it does not write: one that is stopped with
    /// SQLite's lock keeps it, and then nobody can go on before it does.
    pub async fn pause(&self, worker: &Process) {
        loop {
            worker.signal(Signal::STOP);
            until("it has stopped", || async { worker.is_stopped() }).await;
            if self.can_be_written().await {
                return;
            }
            eprintln!("the worker was in the middle of a write");
            worker.signal(Signal::CONT);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    }

    async fn can_be_written(&self) -> bool {
        if !self.url.starts_with("sqlite:") {
            // PostgreSQL ends what a stopped process was in the middle of.
            return true;
        }
        let options = SqliteConnectOptions::from_str(&self.url).expect("the address is right");
        let options = options.busy_timeout(Duration::from_millis(100));
        let mut connection = options.connect().await.expect("the file opens");
        let locked = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await;
        connection.close().await.expect("the file closes");
        locked.is_ok()
    }

    /// An order as it stands.
    pub async fn order(&self, id: &str) -> Order {
        self.database.order(id).await.expect("the order is there")
    }

    /// Waits until an order is in this state; one that ends otherwise fails the test at once.
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

    /// Starts `sitewright worker`; its log goes to a file.
    pub fn worker(&self, arguments: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.bench.path().join(format!("worker-{number}.log"));
        let mut command = self.worker_command(arguments);
        command
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the workbench can be written"));
        Process { child: command.spawn().expect("the worker starts"), log }
    }

    /// `sitewright worker`, to be started otherwise.
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

    /// Works until every order has ended, and says what the worker logged.
    pub async fn drain(&self) -> String {
        let mut worker = self.worker(&["--drain"]);
        let code = worker.exit().await;
        assert_eq!(code, 0, "{}", worker.log());
        worker.log()
    }

    /// Another command than a worker, with the same configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(arguments);
        command.envs(&self.settings);
        command
    }

    /// The release of an order that visitors see, whole: every file is as its manifest says.
    pub fn visible(&self, order: &str) -> Option<String> {
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

    /// All releases of an order that are on the disk.
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

    /// The order succeeded exactly once, its release is the one that visitors see, and each of its
    /// AI calls is on the books once.
    ///
    /// Waits for the release to be visible: the pointer to it is written last, after the database
    /// says that the order has succeeded.
    pub async fn assert_done_once(&self, id: &str, calls: usize) {
        let export = self.database.export(id).await.expect("the order is there");
        let order = &export.order;
        assert_eq!((order.state, order.attempts), (OrderState::Succeeded, 1), "{order:?}");
        assert!(order.owner_attempt.is_none() && order.owner_worker.is_none(), "{order:?}");
        let ended =
            |end| export.attempts.iter().filter(|attempt| attempt.outcome == Some(end)).count();
        assert_eq!(ended(AttemptEnd::Succeeded), 1, "{:?}", export.attempts);
        let crashes = i64::try_from(ended(AttemptEnd::Crashed)).expect("a small number");
        assert_eq!(crashes, order.crashes, "crashes are counted apart: {:?}", export.attempts);
        assert!(
            export.attempts.iter().all(|attempt| attempt.outcome.is_some()),
            "{:?}",
            export.attempts
        );
        assert!(order.current_release.is_some());
        until("its release is visible", || async { self.visible(id) == order.current_release })
            .await;
        assert_eq!(export.ai_calls.iter().filter(|call| call.current).count(), calls, "{id}");
    }
}

/// An order for `count` AI calls one after the other.
pub fn calls_in_turn(id: &str, count: u32) -> Value {
    named(id, faulty("calls-in-turn", json!({ "n": count, "prompt": format!("[[{id}]] ") })))
}

/// An order with this id that does something else.
pub fn named(id: &str, mut order: Value) -> Value {
    order["order"]["id"] = json!(id);
    order
}

/// A worker's process; it is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Whether a signal has stopped it.
    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let state = stat
            .expect("the process is there")
            .rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('T'));
        state.unwrap_or_default()
    }

    /// `kill -9`. When that was, in milliseconds since the Unix epoch.
    pub fn kill(&mut self) -> i64 {
        drop(self.child.kill());
        let at = now_ms();
        drop(self.child.wait());
        at
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Waits for its end: its exit code.
    pub async fn exit(&mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code().unwrap_or(-1);
            }
            assert!(begin.elapsed() < PATIENCE * 4, "the worker does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until its log holds this text.
    pub async fn until_says(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.log().contains(text) {
            assert!(begin.elapsed() < PATIENCE, "it does not say {text:?}:\n{}", self.log());
            assert!(
                self.runs() || self.log().contains(text),
                "it ended before it said {text:?}:\n{}",
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

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begin = Instant::now();
    while !so().await {
        assert!(begin.elapsed() < PATIENCE * 3, "waited three minutes for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
