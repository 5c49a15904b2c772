//! The table itself: slots by place, and the wakers of tasks that are over, kept for those to come.

use std::cell::{Cell, RefCell, RefMut};
use std::num::NonZeroU32;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::body::Body;
use super::entry::{Door, TaskWaker};
use super::slot::{Rare, Slot, WAKERS_OF_THE_LOOP};
use super::state::TaskState;
use super::task_id::TaskId;
use super::waits::Waits;
use crate::context;

/// The tasks of one loop.
#[derive(Default)]
pub(crate) struct TaskTable {
    slots: RefCell<Slab<Slot>>,
    /// Numbers tasks and callbacks, so that a place that is used again is not mistaken.
    serials: Cell<u32>,
    /// Wakers that nobody but the loop holds, for tasks to come.
    spare_wakers: RefCell<Vec<(Waker, Arc<TaskWaker>)>>,
}

/// At most this many wakers are kept: a burst of tasks then allocates none.
const SPARE_WAKERS_MAX: usize = 1024;

impl TaskTable {
    /// Gives a task its place; it counts as being in the queue.
    pub(crate) fn insert(
        &self,
        body: Option<Pin<Box<dyn Body>>>,
        name: Option<String>,
        spawned_at: &'static Location<'static>,
        held: bool,
        door: &Arc<Door>,
    ) -> TaskId {
        let serial = NonZeroU32::new(self.next_serial()).unwrap_or(NonZeroU32::MIN);
        let mut slots = self.slots.borrow_mut();
        let vacant = slots.vacant_entry();
        let place = u32::try_from(vacant.key())
            .expect("four thousand million tasks need more memory than a machine has");
        let id = TaskId { place, serial };
        let (waker, task_waker) = self.waker(id, door);
        vacant.insert(Slot {
            body,
            waker: Some(waker),
            task_waker: Some(task_waker),
            context: context::current(),
            joiner: None,
            rare: name.map(|name| Box::new(Rare { name: Some(name), ..Rare::default() })),
            waits: Waits::Turn,
            spawned_at,
            serial,
            state: TaskState::Created,
            queued: true,
            held,
            cancelling: false,
        });
        id
    }

    /// Looks at a task that is not gone. The look must not run anybody's code.
    #[inline]
    pub(crate) fn look<T>(&self, id: TaskId, look: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut slots = self.slots.borrow_mut();
        slots.get_mut(id.place as usize).filter(|slot| slot.serial == id.serial).map(look)
    }

    /// The slot of a task that is not gone, for more than a look: what is taken out of it then stays in registers. Nobody's
    /// code must run while it is held.
    #[inline]
    pub(crate) fn slot(&self, id: TaskId) -> Option<RefMut<'_, Slot>> {
        let slots = self.slots.borrow_mut();
        RefMut::filter_map(slots, |slots| {
            slots.get_mut(id.place as usize).filter(|slot| slot.serial == id.serial)
        })
        .ok()
    }

    /// Takes a task's slot out if a look at it says so, for its place to be another's. Dropping it may run the program's
    /// code.
    #[inline]
    pub(crate) fn take_if(&self, id: TaskId, look: impl FnOnce(&mut Slot) -> bool) -> Option<Slot> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(id.place as usize).filter(|slot| slot.serial == id.serial)?;
        look(slot).then(|| slots.remove(id.place as usize))
    }

    /// The tasks that are not done, by place.
    pub(crate) fn living(&self) -> impl Iterator<Item = TaskId> + use<> {
        let slots = self.slots.borrow();
        let living = slots.iter().filter(|(_, slot)| !slot.state.is_done());
        let living: Vec<_> = living.map(|(place, slot)| task_id(place, slot)).collect();
        living.into_iter()
    }

    /// Whether tasks wait, and nobody but the loop can wake any of them. A loop without tasks runs for ever.
    ///
    /// Begins with a task that could be woken from outside when it was last looked for: most likely it still can.
    pub(crate) fn is_out_of_reach(&self, reachable: &Cell<Option<TaskId>>) -> bool {
        let slots = self.slots.borrow();
        let within_reach = |id: TaskId| {
            let slot = slots.get(id.place as usize).filter(|slot| slot.serial == id.serial);
            slot.is_some_and(|slot| !slot.state.is_done() && !slot.is_out_of_reach())
        };
        if reachable.get().is_some_and(within_reach) {
            return false;
        }
        let mut waiting = slots.iter().filter(|(_, slot)| !slot.state.is_done()).peekable();
        if waiting.peek().is_none() {
            return false;
        }
        let found = waiting.find(|(_, slot)| !slot.is_out_of_reach());
        reachable.set(found.map(|(place, slot)| task_id(place, slot)));
        found.is_none()
    }

    /// How many places are taken, by tasks that are over and still held too.
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    pub(crate) fn next_serial(&self) -> u32 {
        let next = self.serials.get().checked_add(1).unwrap_or(1);
        self.serials.set(next);
        next
    }

    /// Keeps the waker of a task that has ended for the next one, unless somebody else has it too.
    pub(crate) fn keep_waker(&self, waker: Waker, task_waker: Arc<TaskWaker>) {
        if Arc::strong_count(&task_waker) > WAKERS_OF_THE_LOOP {
            return;
        }
        let mut spare = self.spare_wakers.borrow_mut();
        if spare.len() < SPARE_WAKERS_MAX {
            spare.push((waker, task_waker));
        }
    }

    /// A waker for a task: one that was another's, if there is one.
    fn waker(&self, id: TaskId, door: &Arc<Door>) -> (Waker, Arc<TaskWaker>) {
        if let Some((waker, task_waker)) = self.spare_wakers.borrow_mut().pop() {
            task_waker.reuse(id);
            return (waker, task_waker);
        }
        let task_waker = Arc::new(TaskWaker::new(id, Arc::clone(door)));
        (Waker::from(Arc::clone(&task_waker)), task_waker)
    }
}

fn task_id(place: usize, slot: &Slot) -> TaskId {
    // `TaskTable::insert` has made sure that it fits.
    TaskId { place: u32::try_from(place).unwrap_or(u32::MAX), serial: slot.serial }
}
