//! The life of a stream transport: made, failed, closed, lost, released.
//!
//! Which callback comes when is `ourio_transport::Stream`'s to say; what it asks for is performed here.

use ourio_transport::{Effects, FlowChange, Loss};
use pyo3::exceptions::{PyConnectionError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::boundary::context;
use crate::boundary::errors;
use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::transports;
use crate::queue::callback::{Arguments, Callback};
use crate::queue::entry::{Entry, Step};
use crate::queue::handle::Handle;
use crate::queue::report::{call_exception_handler, report, report_transport};
use crate::queue::scheduler::Scheduler;
use crate::server::clients;
use crate::stream::transport::StreamTransport;

/// A step in the life of a transport that the loop runs, when it is its turn.
trait LifeStep {
    fn take(
        transport: &Bound<'_, StreamTransport>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
    ) -> PyResult<()>;
}

/// Call `connection_made`, start reading, and wake who waits for that.
struct Made;

/// Call `connection_lost` and release the socket.
struct Lost;

impl LifeStep for Made {
    fn take(
        transport: &Bound<'_, StreamTransport>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
    ) -> PyResult<()> {
        transport.get().made(transport, event_loop, context)
    }
}

impl LifeStep for Lost {
    fn take(
        transport: &Bound<'_, StreamTransport>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
    ) -> PyResult<()> {
        transport.get().lost(transport, event_loop, context)
    }
}

/// What the queue runs.
fn step<S: LifeStep>(
    scheduler: &Bound<'_, Scheduler>,
    transport: &Bound<'_, PyAny>,
    context: &Object,
) -> PyResult<()> {
    let (event_loop, this) = (scheduler.cast::<Loop>()?, transport.cast::<StreamTransport>()?);
    S::take(this, event_loop, context).or_else(|error| report_transport(scheduler, transport, error))
}

impl StreamTransport {
    /// Has the loop call `connection_made`.
    pub(super) fn schedule_made(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::schedule(slf, step::<Made>)
    }

    /// Schedules a step in a copy of the current context, or in the one that the creator gave.
    fn schedule(slf: &Bound<'_, Self>, step: Step) -> PyResult<()> {
        let py = slf.py();
        let given = slf.get().state.given_context.as_ref().map(|context| context.clone_ref(py));
        let context = context::given_or_copy(py, given)?;
        slf.get().with_loop(py, |event_loop| {
            let scheduler = event_loop.as_super().get();
            scheduler.check_closed()?;
            scheduler.schedule(Entry::Step { object: slf.clone().into(), context, run: step });
            Ok(())
        })
    }

    /// Performs what an input asked for, then watches what is wanted.
    pub(super) fn perform(slf: &Bound<'_, Self>, effects: Effects) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        this.register(slf)?;
        if effects.shut_down_write {
            this.shut_down_write(py);
        }
        if effects.lost.is_some() {
            Self::schedule(slf, step::<Lost>)?;
        }
        match effects.flow {
            None => Ok(()),
            Some(change) => this.tell_flow(slf, change),
        }
    }

    pub(super) fn tell_flow(&self, slf: &Bound<'_, Self>, change: FlowChange) -> PyResult<()> {
        let py = slf.py();
        let method = match change {
            FlowChange::Pause => intern!(py, "pause_writing"),
            FlowChange::Resume => intern!(py, "resume_writing"),
        };
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        let Err(error) = protocol.call_method0(method) else { return Ok(()) };
        if errors::ends_the_loop(py, &error) {
            return Err(error);
        }
        let context = PyDict::new(py);
        context.set_item("message", format!("protocol.{method}() failed"))?;
        context.set_item("exception", error.into_value(py))?;
        context.set_item("transport", slf)?;
        context.set_item("protocol", protocol)?;
        self.with_loop(py, |event_loop| call_exception_handler(event_loop.as_super(), &context))
    }

    /// asyncio: `_fatal_error`. The kernel's refusals are for the log in debug mode, all else is reported.
    pub(super) fn fail(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if errors::ends_the_loop(py, &error) {
            return Err(error);
        }
        let is_os_error = error.is_instance_of::<PyOSError>(py);
        let exception = error.into_value(py).into_bound(py).into_any();
        this.with_loop(py, |event_loop| {
            if !is_os_error {
                let context = PyDict::new(py);
                context.set_item("message", message)?;
                context.set_item("exception", &exception)?;
                context.set_item("transport", slf)?;
                context.set_item("protocol", this.protocol(py))?;
                return call_exception_handler(event_loop.as_super(), &context);
            }
            if event_loop.as_super().get().is_debug() {
                let keywords = PyDict::new(py);
                keywords.set_item("exc_info", &exception)?;
                names()?.logger.bind(py).call_method("debug", ("%r: %s", slf, message), Some(&keywords))?;
            }
            Ok(())
        })?;
        Self::force_close(slf, Some(exception))
    }

    pub(super) fn force_close(slf: &Bound<'_, Self>, exception: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let (effects, discarded) = slf.get().state.stream.borrow_mut().abort();
        if effects.lost == Some(Loss::Aborted) {
            let before = slf.get().state.loss.replace(exception.map(Object::from));
            drop(before);
        }
        discarded.for_each(drop);
        Self::perform(slf, effects)
    }

    fn made(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>, context: &Object) -> PyResult<()> {
        let py = slf.py();
        let reported =
            self.call_protocol(slf, event_loop, context, intern!(py, "connection_made"), slf.as_any());
        let given = self.state.given_context.as_ref().map(|context| context.clone_ref(py));
        let read_context = match given {
            Some(context) => context,
            // asyncio: the reader's context is a copy of the one in which it is added.
            None => context::run_in(py, context, || context::copy_current(py))?,
        };
        self.state.read_context.replace(Some(read_context));
        self.state.stream.borrow_mut().start_reading();
        self.register(slf)?;
        let waiter = self.state.waiter.take();
        if let Some(waiter) = waiter {
            let waiter = waiter.bind(py);
            if !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        reported
    }

    /// Calls a method of the protocol in a context, and reports what it raises.
    fn call_protocol(
        &self,
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
        method: &Bound<'_, PyString>,
        argument: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        match context::run_in(py, context, || protocol.call_method1(method, (argument,))) {
            Ok(_) => Ok(()),
            Err(error) => Self::report_callback(&protocol, event_loop, context, (method, argument), error),
        }
    }

    /// Reports an exception of a protocol's method as asyncio does for the callback that it is there.
    fn report_callback(
        protocol: &Bound<'_, PyAny>,
        event_loop: &Bound<'_, Loop>,
        context: &Object,
        (method, argument): (&Bound<'_, PyString>, &Bound<'_, PyAny>),
        error: PyErr,
    ) -> PyResult<()> {
        let py = protocol.py();
        let function = protocol.getattr(method)?;
        let arguments = Arguments::One(argument.clone().into());
        let callback =
            Callback { function: function.into(), arguments, context: Some(context.clone_ref(py)) };
        let handle = Bound::new(py, Handle::new(event_loop.as_super(), callback, None))?;
        report(event_loop.as_super(), handle.as_any(), error)
    }

    fn lost(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>, context: &Object) -> PyResult<()> {
        let py = slf.py();
        let loss = self.state.loss.borrow().as_ref().map(|loss| loss.bind(py).clone());
        let loss = loss.unwrap_or_else(|| py.None().into_bound(py));
        let reported = self.call_protocol(slf, event_loop, context, intern!(py, "connection_lost"), &loss);
        let released = self.release(slf, event_loop);
        let waiter = self.state.empty_waiter.borrow().as_ref().map(|waiter| waiter.bind(py).clone());
        if let Some(waiter) = waiter
            && !waiter.call_method0("done")?.is_truthy()?
        {
            let error = PyConnectionError::new_err("Connection is closed by peer");
            waiter.call_method1("set_exception", (error.into_value(py),))?;
        }
        reported.and(released)
    }

    /// Unregisters, then closes: in this order, once.
    fn release(&self, slf: &Bound<'_, Self>, event_loop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let socket = self.state.descriptor.release(event_loop);
        let left = transports::leave(event_loop, self.state.descriptor.number_at_start(), slf.as_any());
        drop(self.state.connection.take());
        let protocol = self.state.protocol.take();
        let session = self.state.tls.take();
        let server = self.state.server.take();
        let waiter = self.state.waiter.take();
        let closed = match &socket {
            Some(socket) => socket.object().bind(py).call_method0(intern!(py, "close")).map(drop),
            None => Ok(()),
        };
        if let Some(server) = server {
            clients::detach(server.bind(py), slf.as_any())?;
        }
        // asyncio: a lost transport keeps neither its protocol nor its loop alive.
        let kept = self.state.event_loop.take();
        drop((socket, protocol, session, waiter, kept));
        closed.and(left)
    }
}
