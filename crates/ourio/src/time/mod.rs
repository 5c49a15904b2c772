//! Waiting for a time.

mod sleep;

pub use sleep::{
    Sleep, Timeout, TimeoutHandle, YieldNow, sleep, timeout, timeout_scope, wait_for, yield_now,
};
