//! The callbacks that a loop has been asked for and has not called, by number: an entry of another thread's or a timer's
//! can name one, though it need not be `Send`.

use std::cell::RefCell;

use slab::Slab;

use crate::context;
use crate::table::CallId;

pub(super) type Callback = Box<dyn FnOnce()>;

/// The callbacks of one loop.
#[derive(Default)]
pub(crate) struct Callbacks {
    calls: RefCell<Slab<Call>>,
}

/// A callback, and the context of whoever asked for it.
pub(super) struct Call {
    serial: u32,
    context: context::Context,
    callback: Callback,
}

impl Callbacks {
    /// Keeps a callback, with a copy of the context of whoever asks.
    pub(super) fn keep(&self, serial: u32, callback: Callback) -> CallId {
        let call = Call { serial, context: context::current(), callback };
        let place = self.calls.borrow_mut().insert(call);
        CallId { place: u32::try_from(place).unwrap_or(u32::MAX), serial }
    }

    /// Gives a callback back, if it has neither been called nor taken back.
    pub(super) fn take(&self, id: CallId) -> Option<Call> {
        let mut calls = self.calls.borrow_mut();
        calls.get(id.place as usize).filter(|call| call.serial == id.serial)?;
        calls.try_remove(id.place as usize)
    }

    /// Calls a callback, in its context.
    pub(crate) fn call(&self, id: CallId) {
        if let Some(call) = self.take(id) {
            context::contain_in(call.context, call.callback);
        }
    }

    /// Takes everything out, to be dropped.
    pub(crate) fn take_all(&self) -> impl Sized + use<> {
        self.calls.take()
    }
}
