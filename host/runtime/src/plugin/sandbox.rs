//! The WASI sandbox of a guest: a virtual clock, seeded random numbers, captured output, and
//! nothing else of an operating system.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, Resource, WasmStr};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Network};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::clock::VirtualClock;
use super::meter::LimitHit;
use crate::host_functions::{GuestState, MAX_TEXT_BYTES};

/// Makes a run repeatable: the same seed and start give the same clock readings and random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Determinism {
    /// Seed of the guest's random numbers.
    pub seed: u64,
    /// First reading of the guest's wall clock, in milliseconds since 1970.
    pub start_unix_ms: u64,
}

/// Maximum random bytes in one call of the guest.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// What a guest sees of an operating system.
pub struct Sandbox {
    pub(crate) wasi: WasiCtx,
    pub(crate) clock: VirtualClock,
}

/// A sandbox without file system, network, environment, arguments and input. Its output is
/// captured. Its timers always come; see [`sandbox_until`].
pub fn sandbox(determinism: Determinism, stdout: &Capture, stderr: &Capture) -> Sandbox {
    sandbox_until(Duration::MAX, determinism, stdout, stderr)
}

/// The same for a guest that must have ended after `deadline`: a timer that is due later by the
/// guest's own clock never comes.
pub fn sandbox_until(
    deadline: Duration,
    determinism: Determinism,
    stdout: &Capture,
    stderr: &Capture,
) -> Sandbox {
    let start = Duration::from_millis(determinism.start_unix_ms);
    let clock = VirtualClock::new(start, deadline, Arc::default());
    let random = |stream: u64| {
        let mut random = ChaCha12Rng::seed_from_u64(determinism.seed);
        random.set_stream(stream);
        random
    };
    let wasi = WasiCtxBuilder::new()
        .wall_clock(clock.clone())
        .monotonic_clock(clock.clone())
        .secure_random(random(0))
        .insecure_random(random(1))
        .insecure_random_seed(u128::from(determinism.seed))
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stdout(stdout.clone())
        .stderr(stderr.clone())
        .build();
    Sandbox { wasi, clock }
}

/// Replaces the look-up of names, which would copy each name before it refuses it.
///
/// # Errors
/// If the linker allows no shadowing, which is a bug.
pub(crate) fn link_name_lookup(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    // The version that wasmtime-wasi links, which stands for all others.
    linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?.func_wrap(
        "resolve-addresses",
        |_: wasmtime::StoreContextMut<'_, GuestState>, _: (Resource<Network>, WasmStr)| {
            let refused: Result<Resource<ResolveAddressStream>, ErrorCode> =
                Err(ErrorCode::PermanentResolverFailure);
            Ok((refused,))
        },
    )
}

/// Captures a guest's output and keeps its last bytes.
#[derive(Clone)]
pub struct Capture(Arc<Mutex<Tail>>);

/// The newest bytes of a text, bounded.
#[derive(Debug)]
pub struct Tail {
    max: usize,
    bytes: Vec<u8>,
    total: u64,
}

impl Tail {
    /// Keeps the last `max` bytes.
    pub fn new(max: u64) -> Self {
        Tail { max: usize::try_from(max).unwrap_or(usize::MAX), bytes: Vec::new(), total: 0 }
    }

    /// Adds bytes; the oldest are dropped if there are more than `max`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        self.bytes.extend_from_slice(bytes);
        // Dropping from the front moves the rest, so it waits until there are twice as many.
        if self.bytes.len() > self.max.saturating_mul(2) {
            self.bytes.drain(..self.bytes.len() - self.max);
        }
    }

    /// The number of bytes ever pushed.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The kept text; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(self.max);
        String::from_utf8_lossy(&self.bytes[from..]).into_owned()
    }
}

impl Capture {
    /// Keeps the last `max` bytes.
    pub fn new(max: u64) -> Self {
        Capture(Arc::new(Mutex::new(Tail::new(max))))
    }

    /// The kept text, and the number of bytes printed in all.
    pub fn read(&self) -> (String, u64) {
        let tail = self.0.lock();
        (tail.text(), tail.total())
    }

    fn push(&self, bytes: &[u8]) {
        self.0.lock().push(bytes);
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Capture {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // The bindings have copied it: a guest may do that once. WASI lets a stream trap at more
        // than `check_write` permits, but a program that never asks should keep its output.
        if bytes.len() > MAX_TEXT_BYTES {
            let (max, wanted) = (MAX_TEXT_BYTES as u64, bytes.len() as u64);
            let hit = LimitHit::Text { max, wanted };
            return Err(StreamError::Trap(wasmtime::Error::new(hit)));
        }
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
