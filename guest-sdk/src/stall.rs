//! Detects a template that waits for something that cannot happen.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{Error, Result};

/// Records that it was woken, and wakes the outer task.
struct Woken {
    flag: AtomicBool,
    outer: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::Release);
        self.outer.wake_by_ref();
    }
}

/// Runs `work`, and fails if it is pending while no call is in flight and nothing has woken it: the
/// instance has no other tasks or threads, so that nothing ever will.
pub(crate) async fn watched(
    in_flight: impl Fn() -> bool,
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mut work = pin!(work);
    // Reused while the same task polls: `work` may keep the waker of an earlier poll.
    let mut watch: Option<Arc<Woken>> = None;
    std::future::poll_fn(|context| {
        let woken = match watch.take().filter(|woken| woken.outer.will_wake(context.waker())) {
            Some(woken) => woken,
            None => {
                Arc::new(Woken { flag: AtomicBool::new(false), outer: context.waker().clone() })
            }
        };
        woken.flag.store(false, Ordering::Release);
        watch = Some(woken.clone());
        let waker = Waker::from(woken.clone());
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending if !in_flight() && !woken.flag.load(Ordering::Acquire) => {
                Poll::Ready(Err(Error::new(
                    "never-ends",
                    "the template waits for something that nothing will ever complete: only AI \
                     calls can be waited for",
                )))
            }
            outcome => outcome,
        }
    })
    .await
}
