//! Recording: what the entries of a loop are called, for its flight recorder.
#![expect(
    unsafe_code,
    reason = "what a C function belongs to is asked for with one call that has no safe wrapper"
)]

use std::ptr::NonNull;
use std::time::Duration;

use ourio_engine::{Event, Time};
use ourio_monitor::{Name, RecordedActivity, Recorder, Stamp, TraceOrigin, trace};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{ffi, intern};
use rustc_hash::FxHashMap;

use crate::boundary::names::known;
use crate::boundary::object::Object;
use crate::event_loop::class::Loop;
use crate::event_loop::registrations::Watcher;
use crate::insight::stamps::Ticks;
use crate::queue::entry::Entry;

unsafe extern "C" {
    /// The type of bound methods.
    static mut PyMethod_Type: ffi::PyTypeObject;
    /// What a method is bound to an object of: borrowed.
    fn PyMethod_Function(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// A loop's recorder, and what it has seen.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Recorder,
    ticks: Ticks,
    /// By address. A task that takes over another's address is noted when it is made.
    tasks: FxHashMap<usize, Known>,
    /// Names by the address of a code object, or of a coroutine's name, which are kept alive so that it stays theirs.
    functions: FxHashMap<usize, (Name, Object)>,
    threads: FxHashMap<String, u32>,
    /// The type of what asyncio schedules for a task's first step, once one was seen.
    step_type: Option<NonNull<ffi::PyTypeObject>>,
    /// Set while a task is made: an address that is met then is a new task's.
    creating: bool,
    io: Name,
    step: Name,
    wake: Name,
    /// How often the kernel had been asked when the last record ended, and when that was: what follows without it begins
    /// then.
    last: (u64, Stamp),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    subject: u32,
    name: Name,
}

/// Functions beyond so many are called by their type.
const FUNCTIONS_MAX: usize = 8192;
/// Beyond so many addresses of tasks, all are forgotten: those that live are seen again.
const TASKS_MAX: usize = 1 << 20;

impl Recording {
    fn new(capacity: usize) -> Self {
        let mut recorder = Recorder::new(capacity);
        let io = recorder.name(RecordedActivity::Io, "I/O");
        let step = recorder.name(RecordedActivity::Callback, "transport");
        let wake = recorder.name(RecordedActivity::Wake, "wake");
        let ticks = Ticks::new();
        Self {
            recorder,
            ticks,
            tasks: FxHashMap::default(),
            functions: FxHashMap::default(),
            threads: FxHashMap::default(),
            step_type: None,
            creating: false,
            io,
            step,
            wake,
            last: (u64::MAX, ticks.now()),
        }
    }

    /// Writes down what began at a time of `time.monotonic()`, and ends now.
    fn write_since(&mut self, start: f64, name: Name, subject: u32) {
        let start = Time::from_nanos(crate::queue::call_soon::nanos(start));
        let (start, now) = (self.ticks.scale().stamp(start), self.ticks.now());
        // The scale of a recording that has just begun is a rough one.
        self.recorder.write(name, subject, start.min(now), now);
    }

    fn task(&mut self, task: &Bound<'_, PyAny>) -> Known {
        if !self.creating
            && let Some(known) = self.tasks.get(&(task.as_ptr() as usize))
        {
            return *known;
        }
        self.creating = false;
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.clear();
        }
        let name = self.coroutine(task);
        let known = Known { subject: self.recorder.subject(), name };
        self.tasks.insert(task.as_ptr() as usize, known);
        known
    }

    /// What a task's coroutine is called. The text is the code's own object, which is found by its address.
    fn coroutine(&mut self, task: &Bound<'_, PyAny>) -> Name {
        let py = task.py();
        let coroutine = task.call_method0(intern!(py, "get_coro"));
        let text = coroutine.and_then(|coroutine| coroutine.getattr(intern!(py, "__qualname__")));
        let Ok(text) = text else { return self.recorder.name(RecordedActivity::Step, "a task") };
        let address = text.as_ptr() as usize;
        if let Some((name, _)) = self.functions.get(&address) {
            return *name;
        }
        let name = text.extract::<String>().unwrap_or_default();
        let name = self.recorder.name(RecordedActivity::Step, &name);
        if self.functions.len() < FUNCTIONS_MAX {
            self.functions.insert(address, (name, text.into()));
        }
        name
    }

    /// The task that a function steps or wakes, if it is asyncio's own for that.
    fn stepped<'py>(&mut self, function: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let py = function.py();
        // SAFETY: the object is alive; the type check makes it a C function, whose `__self__` is borrowed from it.
        let own = unsafe {
            if ffi::PyCFunction_Check(function.as_ptr()) == 0 {
                None
            } else {
                Bound::from_borrowed_ptr_or_opt(py, ffi::PyCFunction_GetSelf(function.as_ptr()))
            }
        };
        let own = match own {
            Some(own) => own,
            None if self.is_step(function) => function.getattr(intern!(py, "__self__")).ok()?,
            None => return None,
        };
        let task = known().ok()?.task.bind(py);
        (own.get_type().is(task) || own.is_instance(task).ok()?).then_some(own)
    }

    fn is_step(&mut self, function: &Bound<'_, PyAny>) -> bool {
        let class = function.get_type_ptr();
        if let Some(step_type) = self.step_type {
            return step_type.as_ptr() == class;
        }
        let is_step = function.get_type().name().is_ok_and(|name| name == "TaskStepMethWrapper");
        if is_step {
            // A static type of the interpreter's: it stays where it is.
            self.step_type = NonNull::new(class);
        }
        is_step
    }

    /// What a function is called.
    fn function(&mut self, function: &Bound<'_, PyAny>) -> Name {
        let py = function.py();
        // SAFETY: the type checks allow what follows each; what is borrowed is so from an object that is alive.
        let code = unsafe {
            let mut inner = function.as_ptr();
            if ffi::Py_TYPE(inner) == &raw mut PyMethod_Type {
                inner = PyMethod_Function(inner);
            }
            if ffi::PyFunction_Check(inner) == 0 {
                None
            } else {
                Bound::from_borrowed_ptr_or_opt(py, ffi::PyFunction_GetCode(inner))
            }
        };
        let Some(code) = code else {
            let inner = function.getattr(intern!(py, "func")).unwrap_or_else(|_| function.clone());
            let text = qualified_name(&inner).or_else(|_| qualified_name(inner.get_type().as_any()));
            return self.recorder.name(RecordedActivity::Callback, &text.unwrap_or_default());
        };
        let address = code.as_ptr() as usize;
        if let Some((name, _)) = self.functions.get(&address) {
            return *name;
        }
        let text = qualified_name(function).unwrap_or_default();
        let name = self.recorder.name(RecordedActivity::Callback, &text);
        if self.functions.len() < FUNCTIONS_MAX {
            self.functions.insert(address, (name, code.into()));
        }
        name
    }

    fn subject(&mut self, event_loop: &Loop, py: Python<'_>, entry: &Entry) -> (Name, u32) {
        match entry {
            Entry::Posted(posted) if posted.is_elided() => {
                let function = posted.function().bind(py);
                match self.stepped(function) {
                    Some(task) => {
                        let known = self.task(&task);
                        (known.name, known.subject)
                    }
                    None => (self.function(function), 0),
                }
            }
            Entry::Posted(posted) => (self.function(posted.function().bind(py)), 0),
            Entry::Handle(handle) => (self.handle(handle.get().function(py)), 0),
            Entry::ThreadSafe(handle) => (self.handle(handle.get_base().function(py)), 0),
            Entry::Foreign(handle) => {
                let callback = handle.bind(py).getattr(intern!(py, "_callback")).ok();
                (self.handle(callback.filter(|callback| !callback.is_none())), 0)
            }
            Entry::Event(Event::Io(event)) => {
                let name = match event_loop.watchers().borrow().get(event.token) {
                    Some(Watcher::Transport(_)) | None => None,
                    Some(Watcher::Sides { .. }) => Some("reader or writer"),
                };
                (name.map_or(self.io, |name| self.recorder.name(RecordedActivity::Io, name)), 0)
            }
            Entry::Transport { .. } | Entry::Cancelled | Entry::Event(_) => (self.step, 0),
        }
    }

    fn handle(&mut self, callback: Option<Bound<'_, PyAny>>) -> Name {
        callback.map_or(self.step, |callback| self.function(&callback))
    }
}

fn qualified_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    object.getattr(intern!(object.py(), "__qualname__"))?.extract()
}

/// None of this is inlined: where nothing is recorded, a turn must not even make room for it.
impl Loop {
    /// An entry is about to run. What it is called is found out, and the clock is read, only where it must be.
    #[cold]
    #[inline(never)]
    pub(crate) fn record(&self, py: Python<'_>, entry: &Entry) -> Option<Begun> {
        let mut recording = self.recording().try_borrow_mut().ok()?;
        let recording = recording.as_mut()?;
        let polls = self.engine().borrow().polls();
        let start = if recording.last.0 == polls { recording.last.1 } else { recording.ticks.now() };
        let (name, subject) = recording.subject(self, py, entry);
        Some(Begun { name, subject, start, polls })
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn recorded(&self, begun: Option<Begun>) {
        let Some(begun) = begun else { return };
        if let Ok(mut recording) = self.recording().try_borrow_mut()
            && let Some(recording) = recording.as_mut()
        {
            let now = recording.ticks.now();
            recording.recorder.write(begun.name, begun.subject, begun.start, now);
            recording.last = (begun.polls, now);
        }
    }

    /// A function of asyncio's is scheduled: if that wakes a task, the arrow begins here.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_wake(&self, py: Python<'_>, function: &Object) {
        if let Ok(mut recording) = self.recording().try_borrow_mut()
            && let Some(recording) = recording.as_mut()
            // A task that schedules itself, as `sleep(0)` does, needs no arrow.
            && (recording.creating || !recording.is_step(function.bind(py)))
            && let Some(task) = recording.stepped(function.bind(py))
        {
            let subject = recording.task(&task).subject;
            let at = recording.last.1;
            recording.recorder.write(recording.wake, subject, at, at);
        }
    }

    /// A task is about to be made, or was: what is scheduled for it first tells which it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_creation(&self, begins: bool) {
        if let Ok(mut recording) = self.recording().try_borrow_mut()
            && let Some(recording) = recording.as_mut()
        {
            recording.creating = begins;
        }
    }
}

/// For so many milliseconds the loop's thread is waited for.
const PATIENCE_MS: u32 = 1000;

impl Loop {
    /// Does something with the recording, from any thread: the loop's own may be in the middle of a record, and have lost
    /// the interpreter's lock there.
    fn with_recording<T>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut Option<Recording>) -> T,
    ) -> PyResult<T> {
        for _ in 0..PATIENCE_MS {
            if let Ok(mut recording) = self.recording().try_borrow_mut() {
                return Ok(body(&mut recording));
            }
            py.detach(|| std::thread::sleep(Duration::from_millis(1)));
        }
        Err(PyRuntimeError::new_err("the recorder is busy"))
    }
}

/// An entry that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    name: Name,
    subject: u32,
    start: Stamp,
    polls: u64,
}

#[pymethods]
impl Loop {
    /// Begins to record; what was recorded before is forgotten.
    fn _record(&self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        if capacity == 0 {
            return Err(PyValueError::new_err("capacity must be positive"));
        }
        let before = self.with_recording(py, |recording| recording.replace(Recording::new(capacity)))?;
        self.update_instrumented();
        drop(before);
        Ok(())
    }

    /// Ends recording, and forgets what was recorded.
    fn _stop_recording(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.with_recording(py, Option::take)?;
        self.update_instrumented();
        drop(before);
        Ok(())
    }

    #[getter]
    fn _is_recording(&self) -> bool {
        self.recording().try_borrow().is_ok_and(|recording| recording.is_some())
    }

    /// Writes down a job of another thread: what it was, its thread, and when it began, by `time.monotonic()`.
    fn _record_job(&self, name: &str, thread: &str, start: f64) {
        if let Ok(mut recording) = self.recording().try_borrow_mut()
            && let Some(recording) = recording.as_mut()
        {
            let next = u32::try_from(recording.threads.len() + 1).unwrap_or(u32::MAX);
            let thread = *recording.threads.entry(thread.to_owned()).or_insert(next);
            let name = recording.recorder.name(RecordedActivity::Job, name);
            recording.write_since(start, name, thread);
        }
    }

    /// Writes down a collection of garbage that ends now.
    fn _record_collection(&self, start: f64) {
        if let Ok(mut recording) = self.recording().try_borrow_mut()
            && let Some(recording) = recording.as_mut()
        {
            let name = recording.recorder.name(RecordedActivity::Collection, "gc.collect");
            recording.write_since(start, name, 0);
        }
    }

    /// What was recorded, as a Perfetto trace, and how many records were overwritten; `None` if nothing records.
    fn _trace<'py>(
        &self,
        py: Python<'py>,
        program: String,
        name: String,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, u64)>> {
        let thread = self.view(String::new()).pulse.thread();
        let thread = thread.and_then(|thread| u32::try_from(thread).ok()).unwrap_or(0);
        let origin = TraceOrigin { program, process: std::process::id(), name, thread };
        let traced = self.with_recording(py, |recording| {
            recording.as_ref().map(|recording| {
                let scale = recording.ticks.scale();
                (trace(&recording.recorder, scale, &origin), recording.recorder.lost())
            })
        })?;
        Ok(traced.map(|(trace, lost)| (PyBytes::new(py, &trace), lost)))
    }
}
