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

use crate::boundary::names::names;
use crate::boundary::object::Object;
use crate::boundary::seconds::nanos;
use crate::insight::stamps::StampSource;
use crate::queue::entry::Entry;
use crate::queue::observer::{IsBusy, Observer, Occasion};
use crate::queue::scheduler::Scheduler;

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
    ticks: StampSource,
    /// By address. A task that takes over another's address is noted when it is made.
    tasks: FxHashMap<usize, RecordedTask>,
    /// Names by the address of a code object, or of a coroutine's name, which are kept alive so that it stays theirs.
    functions: FxHashMap<usize, (Name, Object)>,
    threads: FxHashMap<String, u32>,
    /// The type of what asyncio schedules for a task's first step, once one was seen.
    step_type: Option<NonNull<ffi::PyTypeObject>>,
    /// Set while a task is made: an address that is met then is a new task's.
    creating: bool,
    /// What runs, the innermost last: a callback may run the loop.
    running: Vec<Running>,
    io: Name,
    step: Name,
    wake: Name,
    /// How often the kernel had been asked when the last record ended, and when that was: what follows without it begins
    /// then.
    last: (u64, Stamp),
}

/// An entry that runs.
#[derive(Debug)]
struct Running {
    name: Name,
    subject: u32,
    start: Stamp,
    polls: u64,
}

/// What is known of a task.
#[derive(Debug, Clone, Copy)]
struct RecordedTask {
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
        let ticks = StampSource::new();
        Self {
            recorder,
            ticks,
            tasks: FxHashMap::default(),
            functions: FxHashMap::default(),
            threads: FxHashMap::default(),
            step_type: None,
            creating: false,
            running: Vec::new(),
            io,
            step,
            wake,
            last: (u64::MAX, ticks.now()),
        }
    }

    /// Writes down what began at a time of `time.monotonic()`, and ends now.
    fn write_since(&mut self, start: f64, name: Name, subject: u32) {
        let start = Time::from_nanos(nanos(start));
        let (start, now) = (self.ticks.scale().stamp(start), self.ticks.now());
        // The scale of a recording that has just begun is a rough one.
        self.recorder.write(name, subject, start.min(now), now);
    }

    /// Writes down what a thread of an executor has done, and has just ended.
    fn write_job(&mut self, name: &str, thread: &str, start: f64) {
        let next = u32::try_from(self.threads.len() + 1).unwrap_or(u32::MAX);
        let thread = *self.threads.entry(thread.to_owned()).or_insert(next);
        let name = self.recorder.name(RecordedActivity::Job, name);
        self.write_since(start, name, thread);
    }

    fn task(&mut self, task: &Bound<'_, PyAny>) -> RecordedTask {
        if !self.creating
            && let Some(recorded) = self.tasks.get(&(task.as_ptr() as usize))
        {
            return *recorded;
        }
        self.creating = false;
        if self.tasks.len() >= TASKS_MAX {
            self.tasks.clear();
        }
        let name = self.coroutine(task);
        let recorded = RecordedTask { subject: self.recorder.subject(), name };
        self.tasks.insert(task.as_ptr() as usize, recorded);
        recorded
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
        let task = names().ok()?.task.bind(py);
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

    fn subject(&mut self, py: Python<'_>, occasion: Occasion<'_>) -> (Name, u32) {
        match occasion.entry {
            Entry::Callback(callback) if callback.is_elided() => {
                let function = callback.function().bind(py);
                match self.stepped(function) {
                    Some(task) => {
                        let recorded = self.task(&task);
                        (recorded.name, recorded.subject)
                    }
                    None => (self.function(function), 0),
                }
            }
            Entry::Callback(callback) => (self.function(callback.function().bind(py)), 0),
            Entry::Handle(handle) => (self.handle(handle.get().function(py)), 0),
            Entry::ThreadSafe(handle) => (self.handle(handle.bind(py).as_super().get().function(py)), 0),
            Entry::Foreign(handle) => {
                let callback = handle.bind(py).getattr(intern!(py, "_callback")).ok();
                (self.handle(callback.filter(|callback| !callback.is_none())), 0)
            }
            Entry::Event(Event::Io(_)) if occasion.is_for_listeners => {
                (self.recorder.name(RecordedActivity::Io, "reader or writer"), 0)
            }
            Entry::Event(Event::Io(_)) => (self.io, 0),
            Entry::Step { .. } | Entry::Cancelled | Entry::Event(_) => (self.step, 0),
        }
    }

    fn handle(&mut self, callback: Option<Bound<'_, PyAny>>) -> Name {
        callback.map_or(self.step, |callback| self.function(&callback))
    }
}

fn qualified_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    object.getattr(intern!(object.py(), "__qualname__"))?.extract()
}

impl Observer for Recording {
    /// What it is called is found out, and the clock is read, only where it must be.
    fn begins(&mut self, py: Python<'_>, occasion: Occasion<'_>, polls: u64) {
        let start = if self.last.0 == polls { self.last.1 } else { self.ticks.now() };
        let (name, subject) = self.subject(py, occasion);
        self.running.push(Running { name, subject, start, polls });
    }

    fn ended(&mut self) {
        let Some(ended) = self.running.pop() else { return };
        let now = self.ticks.now();
        self.recorder.write(ended.name, ended.subject, ended.start, now);
        self.last = (ended.polls, now);
    }

    /// If that wakes a task, the arrow begins here.
    fn scheduled(&mut self, py: Python<'_>, function: &Object) {
        // A task that schedules itself, as `sleep(0)` does, needs no arrow.
        if (self.creating || !self.is_step(function.bind(py)))
            && let Some(task) = self.stepped(function.bind(py))
        {
            let subject = self.task(&task).subject;
            let at = self.last.1;
            self.recorder.write(self.wake, subject, at, at);
        }
    }

    fn creates(&mut self, begins: bool) {
        self.creating = begins;
    }
}

/// For so many milliseconds the loop's thread is waited for.
const PATIENCE_MS: u32 = 1000;

/// Tries again and again, from any thread: the loop's own may be in the middle of a record, and have lost the interpreter's
/// lock there.
fn patiently<T>(py: Python<'_>, mut attempt: impl FnMut() -> Result<T, IsBusy>) -> PyResult<T> {
    for _ in 0..PATIENCE_MS {
        if let Ok(outcome) = attempt() {
            return Ok(outcome);
        }
        py.detach(|| std::thread::sleep(Duration::from_millis(1)));
    }
    Err(PyRuntimeError::new_err("the recorder is busy"))
}

#[pymethods]
impl Scheduler {
    /// Begins to record; what was recorded before is forgotten.
    fn _record(&self, py: Python<'_>, capacity: usize) -> PyResult<()> {
        if capacity == 0 {
            return Err(PyValueError::new_err("capacity must be positive"));
        }
        self.replace_recording(py, Some(Recording::new(capacity)))
    }

    /// Ends recording, and forgets what was recorded.
    fn _stop_recording(&self, py: Python<'_>) -> PyResult<()> {
        self.replace_recording(py, None)
    }

    #[getter]
    fn _is_recording(&self) -> bool {
        self.instruments().with(|_: &mut Recording| ()).is_ok_and(|found| found.is_some())
    }

    /// Writes down a job of another thread: what it was, its thread, and when it began, by `time.monotonic()`.
    fn _record_job(&self, name: &str, thread: &str, start: f64) {
        // Not while the loop's thread writes something down.
        let _ = self.instruments().with(|recording: &mut Recording| recording.write_job(name, thread, start));
    }

    /// Writes down a collection of garbage that ends now.
    fn _record_collection(&self, start: f64) {
        // As above.
        let _ = self.instruments().with(|recording: &mut Recording| {
            let name = recording.recorder.name(RecordedActivity::Collection, "gc.collect");
            recording.write_since(start, name, 0);
        });
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
        let traced = patiently(py, || {
            self.instruments().with(|recording: &mut Recording| {
                let scale = recording.ticks.scale();
                (trace(&recording.recorder, scale, &origin), recording.recorder.lost())
            })
        })?;
        Ok(traced.map(|(trace, lost)| (PyBytes::new(py, &trace), lost)))
    }
}

impl Scheduler {
    /// Begins another recording in the place of the one before, or ends that.
    fn replace_recording(&self, py: Python<'_>, recording: Option<Recording>) -> PyResult<()> {
        let mut observer = recording.map(|recording| Box::new(recording) as Box<dyn Observer>);
        let before = patiently(py, || self.instruments().replace(&mut observer))?;
        drop(before);
        Ok(())
    }
}
