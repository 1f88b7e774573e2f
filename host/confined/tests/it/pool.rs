use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sitewright_confined::{Budget, Confined, ConfinedError, MAX_ANSWER_BYTES, Task, process};

use crate::tasks;

fn children(count: usize) -> Confined {
    Confined::program(&program(), count)
}

/// The program in `tests/program`, which cargo builds beside this one.
fn program() -> PathBuf {
    option_env!("CARGO_BIN_EXE_confined-child").map_or_else(
        || {
            let tests = std::env::current_exe().unwrap();
            tests.ancestors().nth(2).unwrap().join("confined-child")
        },
        PathBuf::from,
    )
}

/// More than a good task takes, on a slow machine too.
const BUDGET: Budget =
    Budget { cpu: Duration::from_secs(20), memory_bytes: 256 << 20, deadline: None };

async fn run(
    confined: &Confined,
    task: &'static Task,
    input: &[u8],
) -> Result<Vec<u8>, ConfinedError> {
    confined.run(task, "lane", input.to_vec(), BUDGET).await
}

async fn pid(confined: &Confined) -> u32 {
    let pid = run(confined, &tasks::PID, b"").await.unwrap();
    String::from_utf8(pid).unwrap().parse().unwrap()
}

/// Whether the process is there, and no zombie.
fn lives(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn inputs_and_answers_of_all_sizes_pass_unchanged() {
    for confined in [children(1), Confined::here()] {
        for bytes in [0, 1, 4_095, 65_536, 65_537, 300_000, 10 << 20] {
            let input: Vec<u8> = (0..bytes).map(|at: usize| (at % 251) as u8).collect();
            let answer = run(&confined, &tasks::ECHO, &input).await.unwrap();
            assert!(answer == input, "{bytes}");
        }
    }
}

#[tokio::test]
async fn one_child_does_many_jobs() {
    let confined = children(4);
    let first = pid(&confined).await;
    for _ in 0..20 {
        assert_eq!(pid(&confined).await, first);
    }
    drop(confined);
    until("it ends with its pool", || !lives(first)).await;
}

/// Every way in which a task can go wrong has its error, and the next job finds a good child.
#[tokio::test]
async fn every_end_of_a_job_has_its_error() {
    let confined = children(1);
    // Processor time only for the task that never ends: the others are to end otherwise on a slow
    // machine, too.
    let small = Budget { memory_bytes: 64 << 20, ..BUDGET };
    let short = Budget { cpu: Duration::from_millis(300), ..small };
    let rows: [(&'static Task, &[u8], &str); 10] = [
        (&tasks::SPIN, b"", "it took more than 300 ms of CPU time"),
        (&tasks::ALLOCATE, b"1000000000", "it took more than 67108864 bytes of memory"),
        (&tasks::ANSWER, b"1000000000", "it took more than 67108864 bytes of memory"),
        (&tasks::ANSWER, b"1000000000000000000", "it took more than 67108864 bytes of memory"),
        (&tasks::PANIC, b"", "no such rule"),
        (&tasks::ABORT, b"", "it crashed: signal: 6 (SIGABRT)"),
        (&tasks::EXIT, b"", "it crashed: exit status: 3"),
        (&tasks::OVERFLOW, b"", "stack"),
        (&tasks::NOISE, b"", "it wrote something else than an answer"),
        (&UNKNOWN, b"", "the child has no task `UNKNOWN`"),
    ];
    for (task, input, words) in rows {
        let budget = if task.name == tasks::SPIN.name { short } else { small };
        let error = confined.run(task, "lane", input.to_vec(), budget).await.unwrap_err();
        assert!(error.to_string().contains(words), "{}: {error}", task.name);
        assert!(error.to_string().len() < 10_000, "{}", task.name);
        assert_eq!(run(&confined, &tasks::ECHO, b"next").await.unwrap(), b"next", "{}", task.name);
    }
}

/// Who ignores the signal for it, and hands that down to this process, gets an error instead.
#[tokio::test]
async fn what_a_child_writes_to_stderr_is_bounded() {
    let confined = children(1);
    for _ in 0..3 {
        match run(&confined, &tasks::STDERR, b"").await {
            Ok(answer) => assert_eq!(answer, b""),
            Err(ConfinedError::Crashed(why)) => assert!(why.contains("SIGXFSZ"), "{why}"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(run(&confined, &tasks::ECHO, b"next").await.unwrap(), b"next");
}

static UNKNOWN: Task = Task { name: "UNKNOWN", run: |_| Vec::new() };

#[tokio::test]
async fn an_answer_may_have_its_maximum_and_no_more() {
    for confined in [children(1), Confined::here()] {
        let large = Budget { memory_bytes: 1 << 30, ..BUDGET };
        let answer = confined.run(&tasks::MOST, "lane", Vec::new(), large).await.unwrap();
        assert_eq!(answer.len(), MAX_ANSWER_BYTES);
        let input = (MAX_ANSWER_BYTES + 1).to_string().into_bytes();
        let error = confined.run(&tasks::ANSWER, "lane", input, large).await.unwrap_err();
        let words = "its answer has 67108865 bytes; at most 67108864 are allowed";
        assert!(error.to_string().contains(words), "{error}");
        assert!(matches!(error, ConfinedError::Crashed(_)));
    }
}

#[tokio::test]
async fn limits_hold_just_below_and_just_above() {
    let confined = children(1);
    let run = |task, input: &str, cpu_ms, memory_bytes| {
        let budget = Budget { cpu: Duration::from_millis(cpu_ms), memory_bytes, deadline: None };
        confined.run(task, "lane", input.as_bytes().to_vec(), budget)
    };
    assert!(run(&tasks::BUSY, "200", 1_000, 64 << 20).await.is_ok());
    // What earlier jobs have used does not count.
    for _ in 0..3 {
        assert!(run(&tasks::BUSY, "500", 1_000, 64 << 20).await.is_ok());
    }
    assert_eq!(
        run(&tasks::SPIN, "", 400, 64 << 20).await,
        Err(ConfinedError::Cpu { limit_ms: 400 })
    );
    let mib = |mib: u64| (mib << 20).to_string();
    for _ in 0..3 {
        assert!(run(&tasks::ALLOCATE, &mib(100), 20_000, 128 << 20).await.is_ok());
    }
    assert_eq!(
        run(&tasks::ALLOCATE, &mib(140), 20_000, 128 << 20).await,
        Err(ConfinedError::Memory { limit_bytes: 128 << 20 })
    );
}

/// Whether [`HELD`] ends.
static RELEASED: AtomicBool = AtomicBool::new(false);

/// Waits in this process until it is released, for a minute at most.
static HELD: Task = Task {
    name: "HELD",
    run: |_| {
        let begin = Instant::now();
        while !RELEASED.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Vec::new()
    },
};

#[tokio::test]
async fn the_deadline_ends_a_job_that_runs_or_waits() {
    for confined in [children(1), Confined::here()] {
        let soon =
            || Budget { deadline: Some(Instant::now() + Duration::from_millis(300)), ..BUDGET };
        let begin = Instant::now();
        if format!("{confined:?}") == "Confined::here" {
            // A thread cannot be killed: this one is released.
            let late = confined.run(&HELD, "lane", Vec::new(), soon()).await;
            RELEASED.store(true, Ordering::Relaxed);
            assert_eq!(late, Err(ConfinedError::Deadline));
        } else {
            let busy = tokio::spawn({
                let confined = confined.clone();
                async move { confined.run(&tasks::SLEEP, "lane", Vec::new(), BUDGET).await }
            });
            // A task that was spawned before has asked for the child before.
            tokio::task::yield_now().await;
            let waits = confined.run(&tasks::ECHO, "other", Vec::new(), soon()).await;
            assert_eq!(waits, Err(ConfinedError::Deadline));
            busy.abort();
            let runs = confined.run(&tasks::SLEEP, "lane", Vec::new(), soon()).await;
            assert_eq!(runs, Err(ConfinedError::Deadline));
        }
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn dropping_the_future_kills_the_child() {
    let confined = children(1);
    let child = pid(&confined).await;
    let job = tokio::spawn({
        let confined = confined.clone();
        async move { confined.run(&tasks::SPIN, "lane", Vec::new(), BUDGET).await }
    });
    until("the job is in the child", || {
        process::cpu_time(child).is_ok_and(|used| used > Duration::from_millis(50))
    })
    .await;
    assert!(lives(child));
    job.abort();
    until("the child is gone", || !lives(child)).await;
    assert_ne!(pid(&confined).await, child);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_children_than_allowed() {
    let confined = children(3);
    let jobs: Vec<_> = (0..60)
        .map(|number| {
            let confined = confined.clone();
            tokio::spawn(async move {
                let lane = format!("lane-{}", number % 4);
                let task = if number % 7 == 0 { &tasks::PANIC } else { &tasks::PID };
                let budget = BUDGET;
                confined.run(task, &lane, Vec::new(), budget).await
            })
        })
        .collect();
    let mut pids = std::collections::BTreeSet::new();
    let mut panics = 0;
    for job in jobs {
        match job.await.unwrap() {
            Ok(pid) => drop(pids.insert(pid)),
            Err(error) => {
                assert!(error.to_string().contains("no such rule"), "{error}");
                panics += 1;
            }
        }
    }
    assert_eq!(panics, 9);
    assert!(pids.len() <= 3 + panics, "{pids:?}");
    let alive = pids.iter().filter(|pid| lives(std::str::from_utf8(pid).unwrap().parse().unwrap()));
    assert!(alive.count() <= 3);
}

/// The rule: the slow sites of one template do not hold up those of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_lane_does_not_hold_up_another() {
    let confined = children(2);
    // The first job of a lane is not known to be slow.
    let short = Budget { cpu: Duration::from_millis(400), ..BUDGET };
    let first = confined.run(&tasks::SPIN, "slow", Vec::new(), short).await;
    assert_eq!(first, Err(ConfinedError::Cpu { limit_ms: 400 }));
    // The next ones do not end while this test runs.
    let long = Budget { cpu: Duration::from_hours(1), ..BUDGET };
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let confined = confined.clone();
            tokio::spawn(async move { confined.run(&tasks::SPIN, "slow", Vec::new(), long).await })
        })
        .collect();
    let spins = |pid: &u32| {
        lives(*pid) && process::cpu_time(*pid).is_ok_and(|used| used > Duration::from_millis(100))
    };
    until("one of them runs", || children_of(std::process::id()).iter().any(spins)).await;
    for _ in 0..20 {
        let healthy = confined.run(&tasks::ECHO, "healthy", Vec::new(), BUDGET);
        let healthy = tokio::time::timeout(Duration::from_secs(60), healthy).await;
        assert!(healthy.expect("it waits for the slow lane").is_ok());
    }
    assert!(slow.iter().all(|job| !job.is_finished()), "no slow job had to end for that");
    for job in slow {
        job.abort();
    }
}

#[tokio::test]
async fn a_child_has_no_environment_files_network_or_programs() {
    let confined = children(1);
    assert!(std::env::vars_os().count() > 2);
    assert_eq!(run(&confined, &tasks::ENVIRONMENT, b"").await.unwrap(), b"[]");
    assert_eq!(run(&confined, &tasks::THREAD, b"").await.unwrap(), b"thread");
    for how in [
        "read a file",
        "read its own status",
        "list a folder",
        "write a file",
        "delete a file",
        "connect",
        "listen",
        "datagram",
        "unix socket",
        "start a program",
    ] {
        let answer = run(&confined, &tasks::ESCAPE, how.as_bytes()).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer, "PermissionDenied", "{how}");
    }
}

/// Niceness of a process.
fn niceness(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(16)?.parse().ok()
}

/// A spinning job must not take a core from the host and from healthy jobs.
#[tokio::test]
async fn a_long_job_goes_on_at_a_low_priority_and_its_child_is_replaced() {
    let confined = children(1);
    let first = pid(&confined).await;
    let normal = niceness(first).unwrap();
    let job = tokio::spawn({
        let confined = confined.clone();
        async move { confined.run(&tasks::BUSY, "lane", b"3000".to_vec(), BUDGET).await }
    });
    until("the priority is low", || niceness(first) > Some(normal)).await;
    assert!(job.await.unwrap().is_ok());
    let second = pid(&confined).await;
    assert_ne!(second, first);
    assert_eq!(niceness(second), Some(normal));
}

/// Child processes of a process.
fn children_of(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
        })
        .collect()
}

#[tokio::test]
async fn a_child_ends_with_the_host_whatever_it_does() {
    let mut host = std::process::Command::new(program()).arg("host").spawn().unwrap();
    let spins =
        |pid: &u32| process::cpu_time(*pid).is_ok_and(|used| used > Duration::from_millis(200));
    until("the child spins", || children_of(host.id()).iter().any(spins)).await;
    let child = children_of(host.id())[0];
    // SIGKILL, so the host cannot clean up.
    host.kill().unwrap();
    host.wait().unwrap();
    until("the child is gone", || !lives(child)).await;
}

#[tokio::test]
async fn idle_children_end() {
    let confined = children(2).with_idle_time(Duration::from_millis(400));
    let first = pid(&confined).await;
    until("it ends", || !lives(first)).await;
    let second = pid(&confined).await;
    assert_ne!(second, first, "another one starts when there is a job");
    until("that one ends too", || !lives(second)).await;
}

#[tokio::test]
async fn a_child_that_was_killed_while_idle_is_replaced() {
    let confined = children(1);
    let first = pid(&confined).await;
    let killed = rustix_kill(first);
    assert!(killed);
    until("it is gone", || !lives(first)).await;
    assert_ne!(pid(&confined).await, first);
}

fn rustix_kill(pid: u32) -> bool {
    std::process::Command::new("/bin/kill")
        .args(["-9", &pid.to_string()])
        .status()
        .is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_program_that_is_no_child_is_an_error_of_the_host() {
    let rows = [
        ("/no/such/program", "/no/such/program does not start"),
        ("/bin/true", "/bin/true ended before it was ready"),
        ("/bin/false", "/bin/false ended before it was ready: exit status: 1"),
    ];
    for (program, words) in rows {
        let confined = Confined::program(Path::new(program), 1);
        for _ in 0..3 {
            let error = run(&confined, &tasks::ECHO, b"").await.unwrap_err();
            // The system's own error has its number.
            let refused = matches!(error, ConfinedError::Refused { code: 2, .. });
            assert!(error.is_of_host() && refused == (program == "/no/such/program"), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn the_subcommand_works_for_its_parent_only() {
    let rows: [(&[&str], &str); 2] = [
        (&["confined", "--parent", "1"], "the parent process has ended"),
        (&["confined"], "this subcommand is for `sitewright` itself"),
    ];
    for (arguments, words) in rows {
        let done = std::process::Command::new(program()).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(11), 0), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
