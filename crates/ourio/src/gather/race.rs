//! Several futures in one task: whichever is first, or all of them.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Awaits two futures in one task until one of them is done, and drops the other.
///
/// The first is asked first. asyncio has [`wait`](crate::wait()) with `FIRST_COMPLETED` for it, which needs tasks.
pub async fn race<A: StdFuture, B: StdFuture>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// Which of two was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Awaits three futures of one task together.
pub(crate) async fn join3<A, B, C>(
    a: impl StdFuture<Output = A>,
    b: impl StdFuture<Output = B>,
    c: impl StdFuture<Output = C>,
) -> (A, B, C) {
    let (mut a, mut b, mut c) = (std::pin::pin!(a), std::pin::pin!(b), std::pin::pin!(c));
    let (mut va, mut vb, mut vc) = (None, None, None);
    std::future::poll_fn(move |context| {
        fn ask<T>(
            future: Pin<&mut impl StdFuture<Output = T>>,
            value: &mut Option<T>,
            context: &mut Context<'_>,
        ) {
            if value.is_none()
                && let Poll::Ready(output) = future.poll(context)
            {
                *value = Some(output);
            }
        }
        ask(a.as_mut(), &mut va, context);
        ask(b.as_mut(), &mut vb, context);
        ask(c.as_mut(), &mut vc, context);
        match (va.take(), vb.take(), vc.take()) {
            (Some(a), Some(b), Some(c)) => Poll::Ready((a, b, c)),
            taken => {
                (va, vb, vc) = taken;
                Poll::Pending
            }
        }
    })
    .await
}
