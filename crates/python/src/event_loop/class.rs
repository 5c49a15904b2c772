//! `Loop`: the native base of `ourio.EventLoop`, its fields and what is not per callback.
//!
//! asyncio's `BaseEventLoop` stands behind it in the method order and keeps its state in attributes such as
//! `_closed` and `_stopping`. They are properties here, so that its code and ours share one state.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::sync::Arc;

use ourio_engine::{Engine, Place, Remote, TimerId, Token};
use ourio_monitor::{LoopView, Traffic};
use ourio_transport::AcceptPace;
use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::boundary::errors;
use crate::boundary::heap;
use crate::boundary::lock::GilBound;
use crate::boundary::object::Object;
use crate::datagram::outgoing::{Datagram, Outgoing};
use crate::event_loop::registrations::Watchers;
use crate::executor::work_queue::Jobs;
use crate::insight::recording::Recording;
use crate::queue::entry::{Entry, Shared};
use crate::socket::address::Addresses;
use crate::socket::arrivals::Arrivals;
use crate::stream::transport::StreamTransport;

/// The native event loop.
#[pyclass(module = "ourio._ourio", frozen, subclass)]
#[derive(Debug)]
pub(crate) struct Loop {
    state: GilBound<State>,
}

#[derive(Debug)]
struct State {
    engine: RefCell<Engine<Entry>>,
    remote: Remote<Entry>,
    watchers: RefCell<Watchers>,
    /// Transports that wrote during the callback that is running.
    corked: RefCell<Vec<Shared<StreamTransport>>>,
    /// Datagrams that were sent during the turn that is running.
    outgoing: RefCell<Outgoing>,
    /// Whether anything of these two is left to be sent.
    holds: Cell<bool>,
    /// Where every read lands first. Taken out while in use.
    scratch: RefCell<Vec<u8>>,
    /// Whether the last `sock_recv` had much: then the next one may be without a copy.
    receives_much: Cell<bool>,
    arrivals: RefCell<Arrivals>,
    addresses: RefCell<Addresses>,
    /// The socket that was accepted from last, and how.
    accepting: Cell<(RawFd, AcceptPace)>,
    debug: Cell<bool>,
    /// Whether callbacks are timed or recorded, or tasks noted.
    instrumented: Cell<bool>,
    recording: RefCell<Option<Recording>>,
    closed: Cell<bool>,
    stopping: Cell<bool>,
    /// Set while a callback runs, so that writes may wait for its end.
    dispatching: Cell<bool>,
    /// How many callbacks have been run: names the one that is running.
    callbacks: Cell<u64>,
    /// asyncio: the identifier of the thread that runs the loop, else `None`.
    thread_id: Cell<Option<u64>>,
    /// Set in a forked process if the loop was running when it was forked.
    orphaned: Cell<bool>,
    task_factory: RefCell<Option<Object>>,
    /// The place of the callback that runs, if several threads may ask about it.
    guarded: Cell<Place>,
    /// The thread in which it runs; `None` if none does.
    guard_runner: Cell<Option<u64>>,
    /// A `threading.Event` for those who wait for its end, made by the first.
    guard_ended: RefCell<Option<Object>>,
    /// The pages on which other threads read what the loop does, without its name.
    view: LoopView,
    /// Whether each task is noted in the loop's book.
    tracks_tasks: Cell<bool>,
    /// Called before a sleep that nothing of the loop's own would end.
    before_endless_sleep: RefCell<Option<Object>>,
    /// What the default executor has to do, once the loop has one of ours.
    jobs: RefCell<Option<Arc<Jobs>>>,
}

/// asyncio: a transport reads at most this much at once (`max_size`).
pub(crate) const READ_MAX: usize = 256 * 1024;

impl Loop {
    #[inline]
    pub(crate) fn engine(&self) -> &RefCell<Engine<Entry>> {
        &self.state.engine
    }

    pub(crate) fn jobs(&self) -> &RefCell<Option<Arc<Jobs>>> {
        &self.state.jobs
    }

    pub(crate) fn remote(&self) -> &Remote<Entry> {
        &self.state.remote
    }

    pub(crate) fn watchers(&self) -> &RefCell<Watchers> {
        &self.state.watchers
    }

    pub(crate) fn corked(&self) -> &RefCell<Vec<Shared<StreamTransport>>> {
        &self.state.corked
    }

    pub(crate) fn outgoing(&self) -> &RefCell<Outgoing> {
        &self.state.outgoing
    }

    /// Whether something waits for the end of the turn to be sent.
    #[inline]
    pub(crate) fn holds(&self) -> &Cell<bool> {
        &self.state.holds
    }

    /// Keeps a datagram until the turn ends; `true` if no more should wait.
    pub(crate) fn hold(&self, datagram: Datagram) -> bool {
        self.state.holds.set(true);
        self.state.outgoing.borrow_mut().hold(datagram)
    }

    pub(crate) fn arrivals(&self) -> &RefCell<Arrivals> {
        &self.state.arrivals
    }

    pub(crate) fn receives_much(&self) -> &Cell<bool> {
        &self.state.receives_much
    }

    pub(crate) fn scratch(&self) -> &RefCell<Vec<u8>> {
        &self.state.scratch
    }

    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.state.debug.get()
    }

    #[inline]
    pub(crate) fn is_instrumented(&self) -> bool {
        self.state.instrumented.get()
    }

    pub(crate) fn update_instrumented(&self) {
        let records = self.state.recording.try_borrow().map_or(true, |recording| recording.is_some());
        self.state.instrumented.set(self.state.debug.get() || self.state.tracks_tasks.get() || records);
    }

    pub(crate) fn accepting(&self) -> &Cell<(RawFd, AcceptPace)> {
        &self.state.accepting
    }

    pub(crate) fn addresses(&self) -> &RefCell<Addresses> {
        &self.state.addresses
    }

    pub(crate) fn recording(&self) -> &RefCell<Option<Recording>> {
        &self.state.recording
    }

    #[inline]
    pub(crate) fn check_closed(&self) -> PyResult<()> {
        if self.state.closed.get() { Err(errors::loop_closed()) } else { Ok(()) }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.stopping.get()
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        self.state.orphaned.get()
    }

    #[inline]
    pub(crate) fn dispatching(&self) -> &Cell<bool> {
        &self.state.dispatching
    }

    #[inline]
    pub(crate) fn callbacks(&self) -> &Cell<u64> {
        &self.state.callbacks
    }

    #[inline]
    pub(crate) fn thread_id(&self) -> Option<u64> {
        self.state.thread_id.get()
    }

    pub(crate) fn task_factory(&self) -> &RefCell<Option<Object>> {
        &self.state.task_factory
    }

    /// The place of the callback that runs, if several threads may ask about it.
    pub(crate) fn guarded(&self) -> &Cell<Place> {
        &self.state.guarded
    }

    /// The thread in which it runs; `None` if none does.
    pub(crate) fn guard_runner(&self) -> &Cell<Option<u64>> {
        &self.state.guard_runner
    }

    /// The `threading.Event` of those who wait for its end.
    pub(crate) fn guard_ended(&self) -> &RefCell<Option<Object>> {
        &self.state.guard_ended
    }

    #[inline]
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.state.view.traffic
    }

    /// The pages on which other threads read what the loop does.
    pub(crate) fn view(&self, name: String) -> LoopView {
        LoopView { name, ..self.state.view.clone() }
    }

    #[inline]
    pub(crate) fn tracks_tasks(&self) -> bool {
        self.state.tracks_tasks.get()
    }

    /// Whom to ask before a sleep that nothing of the loop's own would end.
    pub(crate) fn before_endless_sleep(&self, py: Python<'_>) -> Option<Object> {
        self.state.before_endless_sleep.borrow().as_ref().map(|asked| asked.clone_ref(py))
    }

    #[inline]
    pub(crate) fn asks_before_endless_sleep(&self) -> bool {
        self.state.before_endless_sleep.borrow().is_some()
    }

    #[inline]
    pub(crate) fn schedule(&self, entry: Entry) {
        self.state.engine.borrow_mut().schedule(entry);
    }

    /// The entry comes back to be dropped by the caller, when no field is borrowed.
    pub(crate) fn cancel_timer(&self, id: TimerId) -> Option<Entry> {
        self.state.engine.borrow_mut().cancel(id)
    }

    pub(crate) fn unwatch(&self, token: Token) {
        self.state.engine.borrow_mut().unwatch(token);
        let watcher = self.state.watchers.borrow_mut().remove(token);
        drop(watcher);
    }
}

#[pymethods]
impl Loop {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        heap::keep_large_blocks();
        let engine: Engine<Entry> = Engine::new().map_err(|error| errors::engine(&error))?;
        let view = LoopView {
            name: String::new(),
            pulse: engine.pulse(),
            page: engine.counters_page(),
            meter: engine.meter(),
            traffic: Traffic::default(),
        };
        let state = State {
            remote: engine.remote(),
            engine: RefCell::new(engine),
            watchers: RefCell::default(),
            corked: RefCell::default(),
            outgoing: RefCell::default(),
            holds: Cell::new(false),
            scratch: RefCell::new(vec![0; READ_MAX]),
            receives_much: Cell::new(false),
            arrivals: RefCell::default(),
            addresses: RefCell::default(),
            accepting: Cell::new((-1, AcceptPace::default())),
            debug: Cell::new(false),
            instrumented: Cell::new(false),
            recording: RefCell::new(None),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            dispatching: Cell::new(false),
            callbacks: Cell::new(0),
            thread_id: Cell::new(None),
            orphaned: Cell::new(false),
            task_factory: RefCell::new(None),
            guarded: Cell::default(),
            guard_runner: Cell::new(None),
            guard_ended: RefCell::new(None),
            view,
            tracks_tasks: Cell::new(false),
            before_endless_sleep: RefCell::new(None),
            jobs: RefCell::new(None),
        };
        Ok(Self { state: GilBound::new(state) })
    }

    /// Whether the loop is running.
    fn is_running(&self) -> bool {
        self.state.thread_id.get().is_some()
    }

    /// Whether the loop was closed.
    fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    #[getter]
    fn _debug(&self) -> bool {
        self.state.debug.get()
    }

    #[setter(_debug)]
    fn set_debug(&self, enabled: &Bound<'_, PyAny>) -> PyResult<()> {
        self.state.debug.set(enabled.is_truthy()?);
        self.update_instrumented();
        Ok(())
    }

    #[getter]
    fn _closed(&self) -> bool {
        self.state.closed.get()
    }

    #[setter(_closed)]
    fn set_closed(&self, closed: bool) {
        self.state.closed.set(closed);
    }

    #[getter]
    fn _stopping(&self) -> bool {
        self.state.stopping.get()
    }

    #[setter(_stopping)]
    fn set_stopping(&self, stopping: bool) {
        self.state.stopping.set(stopping);
    }

    #[getter]
    fn _thread_id(&self) -> Option<u64> {
        self.state.thread_id.get()
    }

    #[setter(_thread_id)]
    fn set_thread_id(&self, thread_id: Option<u64>) {
        self.state.thread_id.set(thread_id);
    }

    #[getter]
    fn _task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let factory = self.state.task_factory.borrow();
        factory.as_ref().map(|factory| factory.bind(py).clone().unbind())
    }

    #[setter(_task_factory)]
    fn set_task_factory(&self, factory: Option<Bound<'_, PyAny>>) {
        let before = self.state.task_factory.replace(factory.map(Object::from));
        drop(before);
    }

    #[getter]
    fn _tracks_tasks(&self) -> bool {
        self.state.tracks_tasks.get()
    }

    #[setter(_tracks_tasks)]
    fn set_tracks_tasks(&self, tracks: bool) {
        self.state.tracks_tasks.set(tracks);
        self.update_instrumented();
    }

    #[getter]
    fn _before_endless_sleep(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.before_endless_sleep(py).map(|asked| asked.bind(py).clone().unbind())
    }

    #[setter(_before_endless_sleep)]
    fn set_before_endless_sleep(&self, asked: Option<Bound<'_, PyAny>>) {
        let before = self.state.before_endless_sleep.replace(asked.map(Object::from));
        drop(before);
    }

    /// The number of the loop's turn, with whether it sleeps in the lowest bit: the same for as long as that goes on.
    fn _beat(&self) -> u64 {
        self.state.view.pulse.beat().number()
    }

    /// Whether nothing is ready, has arrived or waits for its time, and no descriptor is watched.
    fn _is_out_of_work(&self) -> bool {
        self.state.engine.try_borrow().is_ok_and(|engine| engine.is_out_of_work())
    }

    /// Whether the loop sleeps, and nothing of its own would wake it.
    fn _sleeps_without_end(&self) -> bool {
        // Another thread asks: while the loop's own has the engine in its hands, it does not sleep.
        self._is_out_of_work()
            && self.state.view.pulse.beat().is_resting()
            && self.state.thread_id.get().is_some()
    }

    /// A snapshot of what is ready, as handles; changing it changes nothing.
    #[getter]
    fn _ready<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let ready = PyList::empty(slf.py());
        for handle in crate::event_loop::turn::ready_handles(slf)? {
            ready.append(handle)?;
        }
        Ok(ready)
    }

    /// `BaseEventLoop.__init__` assigns an empty queue, for which there is no use here.
    #[setter(_ready)]
    fn set_ready(&self, _queue: &Bound<'_, PyAny>) {}

    /// A snapshot of the timers that wait, soonest first; changing it changes nothing.
    #[getter]
    fn _scheduled<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let scheduled = PyList::new(slf.py(), crate::event_loop::turn::waiting_handles(slf))?;
        scheduled.sort()?;
        Ok(scheduled)
    }

    /// As `_ready`'s.
    #[setter(_scheduled)]
    fn set_scheduled(&self, _heap: &Bound<'_, PyAny>) {}

    /// The descriptor to which Python writes the numbers of signals.
    fn _signal_fd(&self) -> PyResult<i32> {
        self.check_closed()?;
        let opened = self.state.engine.borrow_mut().signals().map(|signals| signals.writer().as_raw_fd());
        opened.map_err(|error| errors::engine(&error))
    }

    /// Gives a loop that came into this process by `fork` a poller of its own. One that was running then ran in
    /// the other process, and runs no more in this one.
    fn _renew_after_fork(&self) -> PyResult<()> {
        if self.state.thread_id.get().is_some() {
            self.state.orphaned.set(true);
        }
        let renewed = self.state.engine.borrow_mut().renew_after_fork();
        renewed.map_err(|error| errors::engine(&error))
    }

    /// Drops every entry and every registration; the last step of `close()`.
    fn _release(&self) {
        let entries = self.state.engine.borrow_mut().close();
        let watchers = self.state.watchers.take();
        let (corked, outgoing) = (self.state.corked.take(), self.state.outgoing.take());
        self.state.scratch.take();
        self.state.arrivals.take();
        self.state.jobs.take();
        Python::attach(|py| entries.iter().for_each(|entry| entry.leave(py)));
        // Dropped last and outside of every borrow: their destructors may call the loop.
        drop((entries, watchers, corked, outgoing));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(engine) = self.state.engine.try_borrow() {
            for entry in engine.entries() {
                entry.traverse(&visit)?;
            }
        }
        if let Ok(watchers) = self.state.watchers.try_borrow() {
            for object in watchers.references() {
                visit.call(object.as_py())?;
            }
        }
        if let Ok(factory) = self.state.task_factory.try_borrow() {
            visit.call(factory.as_ref().map(Object::as_py))?;
        }
        if let Ok(asked) = self.state.before_endless_sleep.try_borrow() {
            visit.call(asked.as_ref().map(Object::as_py))?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self._release();
        let factory = self.state.task_factory.take();
        let asked = self.state.before_endless_sleep.take();
        drop((factory, asked));
    }
}
