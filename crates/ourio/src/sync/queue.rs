//! Queues between tasks: first in first out, smallest first, last in first out.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Poll;

use super::discipline::{Discipline, Fifo, Lifo, Lowest};
use super::event::Event;
use crate::table::{WaitPoint, Waits};
use crate::waiters::{Ticket, WaitList, Waiter};

/// The queue is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEmpty;

/// The queue is full; the item comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull<T>(pub T);

/// The queue was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueShutDown;

/// Why [`Queue::get_nowait`] gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is nothing.
    Empty,
    /// There is nothing, and there will not be.
    ShutDown,
}

/// Why [`Queue::put_nowait`] took nothing; the item comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room.
    Full(T),
    /// Nothing is taken any more.
    ShutDown(T),
}

impl fmt::Display for QueueEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is empty")
    }
}

impl<T> fmt::Display for QueueFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is full")
    }
}

impl fmt::Display for QueueShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => QueueEmpty.fmt(f),
            Self::ShutDown => QueueShutDown.fmt(f),
        }
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::ShutDown(_) => QueueShutDown.fmt(f),
        }
    }
}

impl std::error::Error for QueueEmpty {}
impl<T: fmt::Debug> std::error::Error for QueueFull<T> {}
impl std::error::Error for QueueShutDown {}
impl std::error::Error for TryGetError {}
impl<T: fmt::Debug> std::error::Error for TryPutError<T> {}

/// A queue between tasks. asyncio: `asyncio.Queue`.
///
/// Clones are the same queue. An item goes to whoever has waited longest, and nobody who comes later takes it away.
///
/// ```
/// use ourio::sync::Queue;
///
/// let queue = Queue::new(1);
/// let jobs = queue.clone();
/// let done = ourio::run(async move {
///     let worker = ourio::spawn(async move {
///         let mut done = Vec::new();
///         while let Ok(job) = jobs.get().await {
///             done.push(job);
///             jobs.task_done();
///         }
///         done
///     });
///     for job in 1..=3 {
///         queue.put(job).await.expect("open");
///     }
///     queue.join().await;
///     queue.shutdown(false);
///     worker.await
/// })?;
/// assert_eq!(done, Ok(vec![1, 2, 3]));
/// # Ok::<(), ourio::Error>(())
/// ```
pub struct Queue<T, D: Discipline<T> = Fifo<T>> {
    shared: Rc<Shared<T, D>>,
}

/// A queue that gives the smallest first. asyncio: `asyncio.PriorityQueue`.
#[derive(Debug)]
pub struct PriorityQueue<T: Ord> {
    queue: Queue<T, Lowest<T>>,
}

/// A queue that gives the latest first. asyncio: `asyncio.LifoQueue`.
#[derive(Debug)]
pub struct LifoQueue<T> {
    queue: Queue<T, Lifo<T>>,
}

macro_rules! ordered {
    ($type:ident, $discipline:ident $(, $bound:ident)?) => {
        impl<T $(: $bound)?> $type<T> {
            /// A queue that holds at most so many items; any number for zero.
            pub fn new(maxsize: usize) -> Self {
                Self { queue: Queue::with_discipline(maxsize) }
            }
        }

        impl<T $(: $bound)?> Clone for $type<T> {
            fn clone(&self) -> Self {
                Self { queue: self.queue.clone() }
            }
        }

        impl<T $(: $bound)?> std::ops::Deref for $type<T> {
            type Target = Queue<T, $discipline<T>>;

            fn deref(&self) -> &Self::Target {
                &self.queue
            }
        }
    };
}

ordered!(PriorityQueue, Lowest, Ord);
ordered!(LifoQueue, Lifo);

struct Shared<T, D> {
    state: RefCell<State<D>>,
    getters: RefCell<WaitList<()>>,
    putters: RefCell<WaitList<()>>,
    getting: Rc<WaitPoint>,
    putting: Rc<WaitPoint>,
    finished: Event,
    item: PhantomData<fn() -> T>,
}

struct State<D> {
    items: D,
    /// `usize::MAX`: no bound.
    room: usize,
    unfinished: usize,
    shut_down: bool,
    /// Items and room that belong to those whose turn has come.
    promised_items: usize,
    promised_room: usize,
}

impl<T, D: Discipline<T>> Clone for Queue<T, D> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<T, D: Discipline<T>> fmt::Debug for Queue<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("size", &self.qsize())
            .field("maxsize", &self.maxsize())
            .finish_non_exhaustive()
    }
}

/// Which side of a queue somebody waits at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Get,
    Put,
}

impl<T> Queue<T> {
    /// A queue that holds at most so many items; any number for zero, as in asyncio.
    pub fn new(maxsize: usize) -> Self {
        Self::with_discipline(maxsize)
    }
}

impl<T, D: Discipline<T>> Queue<T, D> {
    /// As [`Queue::new`], in an order of one's own.
    pub fn with_discipline(maxsize: usize) -> Self {
        let finished = Event::new();
        finished.set();
        let room = if maxsize == 0 { usize::MAX } else { maxsize };
        let state = State {
            items: D::default(),
            room,
            unfinished: 0,
            shut_down: false,
            promised_items: 0,
            promised_room: 0,
        };
        let shared = Shared {
            state: RefCell::new(state),
            getters: RefCell::default(),
            putters: RefCell::default(),
            getting: WaitPoint::new("an item in a queue"),
            putting: WaitPoint::new("room in a queue"),
            finished,
            item: PhantomData,
        };
        Self { shared: Rc::new(shared) }
    }

    /// How many items it holds.
    pub fn qsize(&self) -> usize {
        self.shared.state.borrow().items.len()
    }

    /// How many items it may hold; zero for any number.
    pub fn maxsize(&self) -> usize {
        let room = self.shared.state.borrow().room;
        if room == usize::MAX { 0 } else { room }
    }

    /// Whether it holds nothing.
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether it holds as much as it may.
    pub fn full(&self) -> bool {
        let state = self.shared.state.borrow();
        state.items.len() >= state.room
    }

    /// Puts an item in; waits for room.
    ///
    /// # Errors
    ///
    /// [`TryPutError::ShutDown`] with the item once the queue is shut down.
    pub async fn put(&self, item: T) -> Result<(), TryPutError<T>> {
        let item = match self.put_nowait(item) {
            Err(TryPutError::Full(item)) => item,
            done => return done,
        };
        let mut turn = Turn { queue: self, end: End::Put, ticket: None };
        turn.wait().await;
        if self.is_shut_down() {
            return Err(TryPutError::ShutDown(item));
        }
        turn.take();
        self.insert(item);
        Ok(())
    }

    /// Puts an item in, if there is room that nobody waits for.
    ///
    /// # Errors
    ///
    /// [`TryPutError`] with the item.
    pub fn put_nowait(&self, item: T) -> Result<(), TryPutError<T>> {
        let state = self.shared.state.borrow();
        if state.shut_down {
            return Err(TryPutError::ShutDown(item));
        }
        if state.items.len() + state.promised_room >= state.room {
            return Err(TryPutError::Full(item));
        }
        drop(state);
        self.insert(item);
        Ok(())
    }

    /// Takes the next item out; waits for one.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] once the queue is shut down and empty.
    pub async fn get(&self) -> Result<T, QueueShutDown> {
        match self.get_nowait() {
            Ok(item) => return Ok(item),
            Err(TryGetError::ShutDown) => return Err(QueueShutDown),
            Err(TryGetError::Empty) => {}
        }
        let mut turn = Turn { queue: self, end: End::Get, ticket: None };
        if !turn.wait().await {
            return Err(QueueShutDown);
        }
        turn.take();
        self.remove().ok_or(QueueShutDown)
    }

    /// Takes the next item out, if there is one that nobody waits for.
    ///
    /// # Errors
    ///
    /// [`TryGetError`].
    pub fn get_nowait(&self) -> Result<T, TryGetError> {
        let state = self.shared.state.borrow();
        if state.items.len() <= state.promised_items {
            return Err(if state.shut_down { TryGetError::ShutDown } else { TryGetError::Empty });
        }
        drop(state);
        self.remove().ok_or(TryGetError::Empty)
    }

    /// Says that an item that was taken has been dealt with, for [`Queue::join`]; false if it was said more often than
    /// there were items, where asyncio raises `ValueError`.
    pub fn task_done(&self) -> bool {
        let mut state = self.shared.state.borrow_mut();
        let Some(left) = state.unfinished.checked_sub(1) else { return false };
        state.unfinished = left;
        drop(state);
        if left == 0 {
            self.shared.finished.set();
        }
        true
    }

    /// Waits until every item that was put in has been dealt with.
    pub async fn join(&self) {
        if self.shared.state.borrow().unfinished > 0 {
            self.shared.finished.wait().await;
        }
    }

    /// Refuses what is put in from here on. What is in it can still be taken; at once, `immediate` takes it out and
    /// counts it as dealt with.
    pub fn shutdown(&self, immediate: bool) {
        let mut state = self.shared.state.borrow_mut();
        state.shut_down = true;
        let mut dropped = D::default();
        if immediate {
            let count = state.items.len();
            std::mem::swap(&mut dropped, &mut state.items);
            state.unfinished = state.unfinished.saturating_sub(count);
            state.promised_items = 0;
        }
        let finished = state.unfinished == 0;
        let left = state.items.len() - state.promised_items.min(state.items.len());
        drop(state);
        drop(dropped);
        if finished {
            self.shared.finished.set();
        }
        // Getters that an item is left for get it, the others learn that there is none.
        for _ in 0..left {
            self.promise(End::Get);
        }
        let getters = self.shared.getters.borrow().everybody();
        let putters = self.shared.putters.borrow().everybody();
        getters.into_iter().chain(putters).for_each(Waiter::wake);
    }

    /// Whether it was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.shared.state.borrow().shut_down
    }

    fn insert(&self, item: T) {
        let mut state = self.shared.state.borrow_mut();
        state.items.put(item);
        state.unfinished += 1;
        if state.unfinished == 1 {
            self.shared.finished.clear();
        }
        drop(state);
        self.promise(End::Get);
    }

    fn remove(&self) -> Option<T> {
        let item = self.shared.state.borrow_mut().items.get();
        if item.is_some() {
            self.promise(End::Put);
        }
        item
    }

    fn list(&self, end: End) -> &RefCell<WaitList<()>> {
        match end {
            End::Get => &self.shared.getters,
            End::Put => &self.shared.putters,
        }
    }

    /// What there is one more of belongs to the first who waits for it.
    fn promise(&self, end: End) {
        let next = self.list(end).borrow_mut().pop();
        let Some(next) = next else { return };
        let mut state = self.shared.state.borrow_mut();
        match end {
            End::Get => state.promised_items += 1,
            End::Put => state.promised_room += 1,
        }
        drop(state);
        next.wake();
    }
}

/// A turn that is waited for; one that has come is passed on if nobody takes it.
struct Turn<'a, T, D: Discipline<T>> {
    queue: &'a Queue<T, D>,
    end: End,
    ticket: Option<Ticket>,
}

impl<T, D: Discipline<T>> Turn<'_, T, D> {
    /// Whether it has come, or the queue was shut down before.
    async fn wait(&mut self) -> bool {
        let list = self.queue.list(self.end);
        std::future::poll_fn(|context| {
            if self.ticket.is_some_and(|ticket| !list.borrow().is_waiting(ticket)) {
                return Poll::Ready(true);
            }
            if self.queue.is_shut_down() {
                return Poll::Ready(false);
            }
            let point = match self.end {
                End::Get => &self.queue.shared.getting,
                End::Put => &self.queue.shared.putting,
            };
            let waiter = Waiter::of(context, || Waits::Point(Rc::clone(point)));
            list.borrow_mut().wait(&mut self.ticket, waiter, ());
            Poll::Pending
        })
        .await
    }

    /// It has come: what was promised is used.
    fn take(&mut self) {
        self.ticket = None;
        let mut state = self.queue.shared.state.borrow_mut();
        let promised = match self.end {
            End::Get => &mut state.promised_items,
            End::Put => &mut state.promised_room,
        };
        *promised = promised.saturating_sub(1);
    }
}

impl<T, D: Discipline<T>> Drop for Turn<'_, T, D> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let gone = self.queue.list(self.end).borrow_mut().remove(ticket);
        if gone.is_none() {
            self.take();
            self.queue.promise(self.end);
        }
    }
}
