//! What a task is made of: a future, in whose place its result stands once there is one.

use std::any::Any;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

/// What the loop drives: a future, which its result replaces.
pub(crate) trait Body {
    fn drive(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()>;
    /// Moves the result into an `Option` of its type.
    fn take_output(self: Pin<&mut Self>, into: &mut dyn Any);
}

pin_project! {
    #[project = StageOf]
    pub(crate) enum Stage<F: StdFuture> {
        Running { #[pin] future: F },
        Returned { output: Option<F::Output> },
    }
}

impl<F: StdFuture> Body for Stage<F>
where
    F::Output: 'static,
{
    fn drive(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let StageOf::Running { future } = self.as_mut().project() {
            let output = ready!(future.poll(context));
            self.set(Stage::Returned { output: Some(output) });
        }
        Poll::Ready(())
    }

    fn take_output(self: Pin<&mut Self>, into: &mut dyn Any) {
        if let (StageOf::Returned { output }, Some(into)) = (self.project(), into.downcast_mut()) {
            *into = output.take();
        }
    }
}
