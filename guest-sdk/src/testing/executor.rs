//! Runs a future on the thread of the test.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use crate::Result;

/// Polls the future until it is ready. It must fail when it stalls (see `stall::watched`).
pub(super) fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

/// Is pending once, so that other futures make progress, as during a real AI call.
pub(super) async fn yield_once() {
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
