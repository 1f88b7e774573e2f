//! Tasks that do what strangers' input may make a parser do. Shared by the tests and the program
//! whose children run them.

use std::hint::black_box;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use sitewright_confined::{MAX_ANSWER_BYTES, Task};

macro_rules! tasks {
    ($($name:ident $run:expr;)*) => {
        $(pub(crate) static $name: Task = Task { name: stringify!($name), run: $run };)*
        #[allow(dead_code, reason = "the program has all of them")]
        pub(crate) static ALL: [&Task; [$(stringify!($name)),*].len()] = [$(&$name),*];
    };
}

tasks! {
    ECHO |input| input.to_vec();
    PID |_| std::process::id().to_string().into_bytes();
    SPIN |_| spin();
    SLEEP |_| { std::thread::sleep(Duration::from_secs(1_000)); Vec::new() };
    BUSY |input| busy(number(input));
    ALLOCATE |input| allocate(number(input));
    PANIC |_| panic!("no such rule");
    ABORT |_| std::process::abort();
    EXIT |_| std::process::exit(3);
    OVERFLOW |_| deep(0).to_string().into_bytes();
    ANSWER |input| vec![b'a'; number(input) as usize];
    MOST |_| vec![b'm'; MAX_ANSWER_BYTES];
    NOISE |_| noise();
    STDERR |_| loud();
    ENVIRONMENT |_| format!("{:?}", std::env::vars_os().collect::<Vec<_>>()).into_bytes();
    ESCAPE |input| escape(std::str::from_utf8(input).unwrap_or_default()).into_bytes();
    THREAD |_| std::thread::spawn(|| b"thread".to_vec()).join().unwrap_or_default();
}

fn number(input: &[u8]) -> u64 {
    std::str::from_utf8(input).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

/// Uses `ms` milliseconds of processor time, however long that takes.
fn busy(ms: u64) -> Vec<u8> {
    let until = cpu_time() + Duration::from_millis(ms);
    while cpu_time() < until {
        black_box(0);
    }
    Vec::new()
}

/// Processor time of this process since it started.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Holds `bytes`, all touched.
fn allocate(bytes: u64) -> Vec<u8> {
    let mut blocks = Vec::new();
    for _ in 0..bytes >> 20 {
        blocks.push(black_box(vec![1_u8; 1 << 20]));
    }
    blocks.len().to_string().into_bytes()
}

fn deep(level: u64) -> u64 {
    let block = black_box([level; 64]);
    match level {
        u64::MAX => 0,
        level => deep(level + 1).wrapping_add(block[7]),
    }
}

/// Writes between the frames.
fn noise() -> Vec<u8> {
    let mut output = std::io::stdout().lock();
    drop(output.write_all(&[0xff; 100]).and_then(|()| output.flush()));
    Vec::new()
}

/// Writes more to stderr than anybody wants to read.
fn loud() -> Vec<u8> {
    let line = [b'x'; 1_024];
    for _ in 0..1_024 {
        if std::io::stderr().lock().write_all(&line).is_err() {
            break;
        }
    }
    Vec::new()
}

/// Tries to leave the sandbox; `ok` if that works.
fn escape(how: &str) -> String {
    let tried = match how {
        "read a file" => std::fs::read("/etc/passwd").map(drop),
        "read its own status" => std::fs::read("/proc/self/status").map(drop),
        "list a folder" => std::fs::read_dir("/").map(drop),
        "write a file" => std::fs::write("/tmp/sitewright-confined-escape", "x"),
        "delete a file" => std::fs::remove_file("/tmp/sitewright-confined-no-such-file"),
        "connect" => TcpStream::connect("127.0.0.1:9").map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "datagram" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "unix socket" => std::os::unix::net::UnixDatagram::unbound().map(drop),
        "start a program" => std::process::Command::new("/bin/true").status().map(drop),
        other => return format!("there is no way `{other}`"),
    };
    match tried {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}
