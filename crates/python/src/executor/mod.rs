//! What the threads of the loop's default executor wait for.

pub(crate) mod lock_holder;
pub(crate) mod work_queue;
