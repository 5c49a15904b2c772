//! The board: what the monitor knows. Loops hang their pages on it, the host its stalls and the answers to what only it
//! can tell; the server reads.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::metrics::{Connections, Figures, LoopView, Reading, connections};

/// Between two samples.
pub(crate) const SAMPLE: Duration = Duration::from_secs(1);
/// Samples that are kept: ten minutes.
const SAMPLES_MAX: usize = 600;
/// Stalls and other notes that are kept.
const NOTES_MAX: usize = 200;
/// Questions that wait for the host.
const QUESTIONS_MAX: usize = 64;

/// What the monitor knows. Clones are the same board.
///
/// # Threads
///
/// All of it from any thread. Nothing is held for longer than a copy takes.
#[derive(Clone)]
pub struct Board {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    bell: PipeReader,
    bell_writer: PipeWriter,
}

#[derive(Default)]
struct State {
    loops: Vec<LoopEntry>,
    notes: VecDeque<Note>,
    /// How many notes there have been.
    noted: u64,
    questions: Vec<Question>,
    asked: u64,
    answers: Vec<(u64, String)>,
    is_closed: bool,
}

/// A loop on the board.
struct LoopEntry {
    view: LoopView,
    last: Reading,
    /// When the beat that goes on was first seen.
    beat_since: Instant,
    samples: VecDeque<Figures>,
    is_gone: bool,
}

/// Something that happened, such as a stall.
#[derive(Debug, Clone, Serialize)]
pub struct Note {
    /// Counts up, so that a reader knows what it has seen.
    pub number: u64,
    /// What kind of thing, such as `stall`.
    pub kind: String,
    /// What happened, as JSON.
    #[serde(serialize_with = "raw")]
    pub content: String,
}

/// What only the host can answer.
#[derive(Debug, Clone)]
pub struct Question {
    /// Names it in the answer.
    pub number: u64,
    /// What is asked, such as `tasks`.
    pub name: String,
    /// About what; may be empty.
    pub argument: String,
}

/// A loop as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct LoopState {
    /// Its name.
    pub name: String,
    /// The kernel's number of its thread.
    pub thread: Option<i32>,
    /// Seconds for which its turn has gone on without an end; `None` if it turns or rests.
    pub blocked: Option<f64>,
    /// Whether it sleeps.
    pub resting: bool,
    /// The last sample.
    pub now: Figures,
    /// All samples, the oldest first, one per second.
    pub samples: Vec<Figures>,
    /// What its connections have moved.
    pub connections: Vec<Connections>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("loops", &self.lock().loops.len()).finish_non_exhaustive()
    }
}

impl Board {
    /// An empty board.
    ///
    /// # Errors
    ///
    /// The system's, if the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let (bell, bell_writer) = io::pipe()?;
        Ok(Self { shared: Arc::new(Shared { state: Mutex::default(), bell, bell_writer }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs a loop's pages on the board.
    pub fn add(&self, view: LoopView) {
        let last = view.read();
        let entry =
            LoopEntry { view, last, beat_since: Instant::now(), samples: VecDeque::new(), is_gone: false };
        let mut state = self.lock();
        state.loops.retain(|entry| !entry.is_gone);
        state.loops.push(entry);
    }

    /// A loop is closed; it is shown until another comes.
    pub fn remove(&self, name: &str) {
        for entry in self.lock().loops.iter_mut().filter(|entry| entry.view.name == name) {
            entry.is_gone = true;
        }
    }

    /// Writes down that something has happened. `content` is JSON.
    pub fn note(&self, kind: &str, content: String) {
        let mut state = self.lock();
        state.noted += 1;
        let note = Note { number: state.noted, kind: kind.to_owned(), content };
        state.notes.push_back(note);
        while state.notes.len() > NOTES_MAX {
            state.notes.pop_front();
        }
    }

    /// What has happened, the oldest first.
    pub fn notes(&self) -> Vec<Note> {
        self.lock().notes.iter().cloned().collect()
    }

    /// Becomes readable when there are questions, and ends with the board: for the host's thread that answers.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// The questions that wait, for the host to answer.
    pub fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.lock().questions)
    }

    /// Whether the board is closed, so that the host's thread may end.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Answers a question, with JSON.
    pub fn answer(&self, question: u64, answer: String) {
        let mut state = self.lock();
        state.answers.push((question, answer));
        let excess = state.answers.len().saturating_sub(QUESTIONS_MAX);
        // Whoever asked has gone.
        state.answers.drain(..excess);
    }

    /// Nothing will be asked any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.ring();
    }

    /// Asks the host; `None` if too much waits for it already.
    pub(crate) fn ask(&self, name: &str, argument: &str) -> Option<u64> {
        let mut state = self.lock();
        if state.questions.len() >= QUESTIONS_MAX {
            return None;
        }
        state.asked += 1;
        let number = state.asked;
        state.questions.push(Question { number, name: name.to_owned(), argument: argument.to_owned() });
        let is_first = state.questions.len() == 1;
        drop(state);
        if is_first {
            self.ring();
        }
        Some(number)
    }

    /// The answer to a question, once it is there.
    pub(crate) fn take_answer(&self, question: u64) -> Option<String> {
        let mut state = self.lock();
        let place = state.answers.iter().position(|(number, _)| *number == question)?;
        Some(state.answers.swap_remove(place).1)
    }

    fn ring(&self) {
        // At most one byte per reading lies there. A reader that is gone is nobody's loss.
        drop((&self.shared.bell_writer).write(&[1]));
    }

    /// Takes a sample of every loop, if a second has passed, and sees which are stuck.
    pub(crate) fn look(&self, is_sample: bool) {
        let mut state = self.lock();
        for entry in state.loops.iter_mut().filter(|entry| !entry.is_gone) {
            let beat = entry.view.pulse.beat();
            if is_sample {
                let reading = entry.view.read();
                let blocked = entry.blocked();
                let figures = Figures::between(&entry.last, &reading, blocked);
                entry.samples.push_back(figures);
                if entry.samples.len() > SAMPLES_MAX {
                    entry.samples.pop_front();
                }
                if beat != entry.last.beat || beat.is_resting() {
                    entry.beat_since = Instant::now();
                }
                entry.last = reading;
            } else if beat != entry.last.beat || beat.is_resting() {
                entry.beat_since = Instant::now();
                entry.last.beat = beat;
            }
        }
    }

    /// All loops, with their pages' readers and whether they are stuck.
    pub(crate) fn views(&self) -> Vec<(LoopView, Option<Duration>)> {
        let state = self.lock();
        let living = state.loops.iter().filter(|entry| !entry.is_gone);
        living.map(|entry| (entry.view.clone(), entry.blocked())).collect()
    }

    /// All loops as they are shown.
    pub(crate) fn states(&self) -> Vec<LoopState> {
        let state = self.lock();
        let shown = |entry: &LoopEntry| LoopState {
            name: entry.view.name.clone(),
            thread: entry.view.pulse.thread(),
            blocked: entry.blocked().map(|blocked| blocked.as_secs_f64()),
            resting: entry.view.pulse.beat().is_resting(),
            now: entry.samples.back().cloned().unwrap_or_default(),
            samples: entry.samples.iter().cloned().collect(),
            connections: connections(&entry.view.traffic),
        };
        state.loops.iter().map(shown).collect()
    }
}

/// From then on a turn that goes on is called blocked.
const BLOCKED: Duration = Duration::from_millis(100);

impl LoopEntry {
    fn blocked(&self) -> Option<Duration> {
        let beat = self.view.pulse.beat();
        let goes_on = !self.is_gone && !beat.is_resting() && beat == self.last.beat;
        Some(self.beat_since.elapsed()).filter(|since| goes_on && *since >= BLOCKED)
    }
}

fn raw<S: serde::Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or(serde_json::Value::Null);
    value.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str) -> LoopView {
        LoopView { name: name.to_owned(), ..LoopView::default() }
    }

    #[test]
    fn a_question_waits_for_its_answer_and_no_other() -> io::Result<()> {
        let board = Board::new()?;
        let (first, second) = (board.ask("tasks", ""), board.ask("why", "a task"));
        let questions = board.questions();
        assert_eq!(questions.len(), 2);
        assert_eq!((questions[1].name.as_str(), questions[1].argument.as_str()), ("why", "a task"));
        board.answer(questions[1].number, "{}".to_owned());
        assert_eq!(first.and_then(|number| board.take_answer(number)), None);
        assert_eq!(second.and_then(|number| board.take_answer(number)), Some("{}".to_owned()));
        assert!(board.questions().is_empty());
        Ok(())
    }

    #[test]
    fn nothing_grows_without_an_end() -> io::Result<()> {
        let board = Board::new()?;
        board.add(view("main"));
        for number in 0..1000 {
            board.note("stall", format!("{number}"));
            board.look(true);
            board.answer(number, String::new());
            board.ask("tasks", "");
        }
        assert_eq!(board.notes().len(), NOTES_MAX);
        assert_eq!(board.notes()[0].number, 1000 - NOTES_MAX as u64 + 1);
        assert_eq!(board.states()[0].samples.len(), SAMPLES_MAX);
        assert_eq!(board.questions().len(), QUESTIONS_MAX);
        Ok(())
    }

    #[test]
    fn a_loop_that_is_gone_stays_until_the_next_one_comes() -> io::Result<()> {
        let board = Board::new()?;
        board.add(view("first"));
        board.remove("first");
        assert_eq!(board.states().len(), 1);
        assert!(board.views().is_empty());
        board.add(view("second"));
        assert_eq!(board.states()[0].name, "second");
        Ok(())
    }
}
