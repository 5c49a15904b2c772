//! Blocking calls under way on the loop's threads, and whether it is worth it to stay awake for them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ourio_engine::{AdaptiveSpin, BlockingPool, Events, PoolLimits, Remote, Wait};

use crate::table::Entry;

/// The blocking calls of one loop.
#[derive(Default)]
pub(crate) struct Jobs {
    /// Made when the first call is.
    pool: RefCell<Option<Rc<BlockingPool>>>,
    limits: Cell<PoolLimits>,
    under_way: Cell<usize>,
    /// Whether it was worth it to stay awake for them.
    luck: AdaptiveSpin,
}

impl Jobs {
    pub(crate) fn pool(&self) -> Rc<BlockingPool> {
        let mut pool = self.pool.borrow_mut();
        Rc::clone(pool.get_or_insert_with(|| Rc::new(BlockingPool::new(self.limits.get()))))
    }

    pub(crate) fn limit(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// A call was given to the pool.
    pub(crate) fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    /// A call's end has arrived.
    pub(crate) fn end(&self) {
        self.under_way.set(self.under_way.get() - 1);
    }

    pub(crate) fn are_under_way(&self) -> bool {
        self.under_way.get() > 0
    }

    /// Carries out a turn's wait, awake at first if a call may end at any moment.
    pub(crate) fn block(&self, wait: Wait, remote: &Remote<Entry>) -> ourio_engine::Result<Events> {
        let (events, _) = self.luck.block(wait, remote, || self.are_under_way())?;
        Ok(events)
    }

    /// Takes the pool out. Dropping it waits for its threads.
    pub(crate) fn take_pool(&self) -> Option<Rc<BlockingPool>> {
        self.pool.take()
    }
}
