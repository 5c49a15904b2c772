//! `SharedTask`: a task that any number may await.

use std::fmt;
use std::future::Future as StdFuture;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::task::Task;
use crate::future::Future;
use crate::outcome::TaskError;
use crate::scheduling::running;
use crate::table::Waits;

/// A task that can be awaited any number of times. Clones are the same task.
pub struct SharedTask<T> {
    task: Rc<Task<T>>,
    outcome: Future<Result<T, TaskError>>,
}

impl<T> Clone for SharedTask<T> {
    fn clone(&self) -> Self {
        Self { task: Rc::clone(&self.task), outcome: self.outcome.clone() }
    }
}

impl<T> fmt::Debug for SharedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}

impl<T> std::ops::Deref for SharedTask<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        &self.task
    }
}

impl<T: Clone + 'static> SharedTask<T> {
    /// What it has given, if it is done.
    pub fn result(&self) -> Option<Result<T, TaskError>> {
        self.outcome.result().map(|outcome| outcome.unwrap_or_else(|never| Err(TaskError::Cancelled(never))))
    }
}

impl<T: Clone + 'static> StdFuture for SharedTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waiting = Pin::new(&mut this.outcome).poll(context);
        if waiting.is_pending() {
            let id = this.task.id();
            running::with(|running| running.current.note(Waits::Task(id)));
        }
        waiting.map(|outcome| outcome.unwrap_or_else(|never| Err(TaskError::Cancelled(never))))
    }
}

impl<T: 'static> Task<T> {
    /// A handle that can be cloned, and awaited any number of times.
    pub fn shared(self) -> SharedTask<T>
    where
        T: Clone,
    {
        let outcome = Future::new();
        let task = Rc::new(self);
        let (weak, set) = (Rc::downgrade(&task), outcome.clone());
        task.add_done_callback(move |_| {
            if let Some(task) = weak.upgrade() {
                set.set_result(task.take_outcome());
            }
        });
        SharedTask { task, outcome }
    }
}
