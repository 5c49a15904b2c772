//! `Scheduler`: the part of the event loop that knows what waits to run, and nothing of descriptors or connections.
//!
//! It is the base of [`Loop`](crate::event_loop::class::Loop). Handles know their loop as one: they need no more of it.
//!
//! asyncio's `BaseEventLoop` stands behind both in the method order and keeps its state in attributes such as `_closed`
//! and `_debug`. They are properties here, so that its code and ours share one state.

use std::cell::{Cell, RefCell};

use ourio_engine::{Engine, Place, Remote};
use ourio_monitor::{LoopView, Traffic};
use pyo3::PyTraverseError;
use pyo3::prelude::*;
use pyo3::pyclass::PyVisit;
use pyo3::types::PyList;

use crate::boundary::errors;
use crate::boundary::lock::LockBound;
use crate::boundary::object::Object;
use crate::queue::entry::Entry;
use crate::queue::handle::{Guard, GuardedCallback};
use crate::queue::observer::Instruments;
use crate::queue::snapshot;

/// What waits to run, and the clock.
#[pyclass(module = "ourio._ourio", frozen, subclass)]
#[derive(Debug)]
pub(crate) struct Scheduler {
    state: LockBound<State>,
}

#[derive(Debug)]
struct State {
    engine: RefCell<Engine<Entry>>,
    remote: Remote<Entry>,
    instruments: Instruments,
    closed: Cell<bool>,
    /// asyncio: the identifier of the thread that runs the loop, else `None`.
    thread_id: Cell<Option<u64>>,
    task_factory: RefCell<Option<Object>>,
    guarded: GuardedCallback,
    /// The pages on which other threads read what the loop does, without its name.
    view: LoopView,
}

impl Scheduler {
    pub(crate) fn make() -> PyResult<Self> {
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
            instruments: Instruments::default(),
            closed: Cell::new(false),
            thread_id: Cell::new(None),
            task_factory: RefCell::new(None),
            guarded: GuardedCallback::default(),
            view,
        };
        Ok(Self { state: LockBound::new(state) })
    }

    #[inline]
    pub(crate) fn engine(&self) -> &RefCell<Engine<Entry>> {
        &self.state.engine
    }

    pub(crate) fn remote(&self) -> &Remote<Entry> {
        &self.state.remote
    }

    /// Debug mode, and who else looks at the callbacks.
    #[inline]
    pub(crate) fn instruments(&self) -> &Instruments {
        &self.state.instruments
    }

    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.state.instruments.is_debug()
    }

    #[inline]
    pub(crate) fn check_closed(&self) -> PyResult<()> {
        if self.state.closed.get() { Err(errors::loop_closed()) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn thread_id(&self) -> Option<u64> {
        self.state.thread_id.get()
    }

    pub(crate) fn has_task_factory(&self) -> bool {
        self.state.task_factory.borrow().is_some()
    }

    /// The callback at a place begins to run, and several threads may ask about it.
    #[inline]
    pub(crate) fn guard(&self, place: Place) -> Guard {
        self.state.guarded.enter(place, self.thread_id())
    }

    /// The callback that runs, if several threads may ask about it.
    pub(crate) fn guarded(&self) -> &GuardedCallback {
        &self.state.guarded
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
    pub(crate) fn schedule(&self, entry: Entry) {
        self.state.engine.borrow_mut().schedule(entry);
    }

    /// Drops every entry, and ends every registration with the engine; nothing runs after that. Who was told of a registration is the
    /// loop's to drop, just after.
    pub(crate) fn drop_entries(&self, py: Python<'_>) {
        let entries = self.state.engine.borrow_mut().close();
        for entry in &entries {
            entry.leave(py);
        }
        // When nothing is borrowed: their destructors may call the loop.
        drop(entries);
    }
}

#[pymethods]
impl Scheduler {
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
        self.is_debug()
    }

    #[setter(_debug)]
    fn set_debug(&self, enabled: &Bound<'_, PyAny>) -> PyResult<()> {
        self.state.instruments.set_debug(enabled.is_truthy()?);
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
        self.state.instruments.tracks_tasks()
    }

    #[setter(_tracks_tasks)]
    fn set_tracks_tasks(&self, tracks: bool) {
        self.state.instruments.set_tracks_tasks(tracks);
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
        PyList::new(slf.py(), snapshot::ready_handles(slf)?)
    }

    /// `BaseEventLoop.__init__` assigns an empty queue, for which there is no use here.
    #[setter(_ready)]
    fn set_ready(&self, _queue: &Bound<'_, PyAny>) {}

    /// A snapshot of the timers that wait, soonest first; changing it changes nothing.
    #[getter]
    fn _scheduled<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let scheduled = PyList::new(slf.py(), snapshot::waiting_handles(slf))?;
        scheduled.sort()?;
        Ok(scheduled)
    }

    /// As `_ready`'s.
    #[setter(_scheduled)]
    fn set_scheduled(&self, _heap: &Bound<'_, PyAny>) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(engine) = self.state.engine.try_borrow() {
            for entry in engine.entries() {
                entry.traverse(&visit)?;
            }
        }
        if let Ok(factory) = self.state.task_factory.try_borrow() {
            visit.call(factory.as_ref().map(Object::as_py))?;
        }
        Ok(())
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        slf.get().drop_entries(slf.py());
        let factory = slf.get().state.task_factory.take();
        drop(factory);
    }
}
