//! Runs one future on the test's own thread.

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

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Polls until the future is done. A template is alone on its thread, in a component as here: once it waits and nothing it
/// waits for has woken it, nothing ever will.
pub(super) fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut work = pin!(work);
    while woken.0.swap(false, Ordering::AcqRel) {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
    }
    Err(Error::new("never-ends", "the template waits for something that nobody will ever complete"))
}

/// Gives the others their turn once, as a real AI call does.
pub(super) async fn once_later() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}
