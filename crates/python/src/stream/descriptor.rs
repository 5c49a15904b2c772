//! A transport's descriptor: the socket that owns it, and its registration with the loop.
//!
//! Both stand here, so that the order is kept: the registration ends before the socket is closed, and neither comes back.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;

use ourio_engine::{Interest, Token};
use pyo3::prelude::*;

use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::registering;
use crate::event_loop::registrations::Ready;
use crate::socket::descriptor::{Number, Socket};

/// The descriptor of one transport.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// `None` once it was released.
    socket: RefCell<Option<Socket>>,
    /// While the loop is to tell of something.
    registration: Cell<Option<Token>>,
    /// For texts and asyncio's table: the number may be another's by now.
    number_at_start: RawFd,
}

impl Descriptor {
    pub(super) fn new(socket: Socket, number_at_start: RawFd) -> Self {
        Self { socket: RefCell::new(Some(socket)), registration: Cell::new(None), number_at_start }
    }

    pub(super) fn is_released(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// Asks the socket for the number, for the one system call that follows.
    #[inline]
    pub(super) fn number(&self, py: Python<'_>) -> Number {
        Number::of(&self.socket, py)
    }

    pub(super) fn number_at_start(&self) -> RawFd {
        self.number_at_start
    }

    /// The socket object.
    pub(super) fn socket<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.socket.borrow().as_ref().map(|socket| socket.object().bind(py).clone())
    }

    /// Whether the loop need not be asked for what is wanted: nothing is registered, and nothing wanted.
    #[inline]
    pub(super) fn is_idle(&self, wanted: Interest) -> bool {
        self.registration.get().is_none() && wanted.is_none()
    }

    /// Registers for what is wanted, or ends the registration if that is nothing.
    #[inline]
    pub(super) fn register(
        &self,
        event_loop: &Bound<'_, Loop>,
        wanted: Interest,
        transport: impl FnOnce() -> Object,
        ready: Ready<Loop>,
    ) -> PyResult<()> {
        match self.registration.get() {
            Some(token) if wanted.is_none() => {
                self.registration.set(None);
                registering::end(event_loop, token);
                Ok(())
            }
            Some(token) => registering::change(event_loop, token, wanted),
            None if self.is_released() => Ok(()),
            None => {
                let number = self.number(event_loop.py()).get();
                let token = registering::register(event_loop, number, wanted, transport(), ready)?;
                self.registration.set(Some(token));
                Ok(())
            }
        }
    }

    /// Ends the registration, and gives the socket away, which is to be closed; `None` if that was done before.
    pub(super) fn release(&self, event_loop: &Bound<'_, Loop>) -> Option<Socket> {
        if let Some(token) = self.registration.take() {
            registering::end(event_loop, token);
        }
        self.socket.take()
    }

    /// Gives the socket away of a transport that dies unclosed: its registration, which would keep it alive, is gone.
    pub(super) fn abandon(&self) -> Option<Socket> {
        self.socket.take()
    }
}
