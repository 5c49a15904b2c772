//! The threads of the loop's default executor: what they take their jobs from, and how they and the loop wait for each other.

pub(crate) mod jobs;
pub(crate) mod lock_holder;
pub(crate) mod work_queue;
