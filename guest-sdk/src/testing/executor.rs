//! Runs one future on the test's own thread.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use crate::Result;

/// Polls until the future is done. It must be one that fails when it waits for nothing
/// (`stall::watched`).
pub(super) fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
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
