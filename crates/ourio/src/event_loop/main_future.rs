//! The future that a loop is run for, and what becomes of it.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::driver::Main;
use crate::context;
use crate::error::{Error, Result};
use crate::outcome::TaskError;

pub(super) struct MainFuture<'a, F: StdFuture> {
    future: Pin<&'a mut Option<F>>,
    outcome: Option<Result<F::Output>>,
}

impl<'a, F: StdFuture> MainFuture<'a, F> {
    pub(super) fn new(future: Pin<&'a mut Option<F>>) -> Self {
        Self { future, outcome: None }
    }

    /// Drops the future in its context; its result, if it has one. A destructor's panic stays here.
    pub(super) fn end(mut self, context: context::Context) -> Option<Result<F::Output>> {
        context::contain_in(context, || self.future.set(None));
        self.outcome
    }
}

impl<F: StdFuture> Main for MainFuture<'_, F> {
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return true };
        match future.poll(context) {
            Poll::Pending => false,
            Poll::Ready(value) => {
                self.outcome = Some(Ok(value));
                true
            }
        }
    }

    fn fail(&mut self, error: TaskError) {
        self.outcome = Some(Err(match error {
            TaskError::Cancelled(cancelled) => Error::Cancelled(cancelled),
            TaskError::Panicked(panicked) => Error::Panicked(panicked),
        }));
    }
}
