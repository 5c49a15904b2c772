//! Where a wait puts what it was told.

/// At most this many events are taken per turn; the rest is reported by the next, as the level is kept.
///
/// The kernel lists what is ready in order of arrival, so that who comes while a long list is worked through waits for
/// all of it, and then for those before it in the next. With short lists everybody waits about equally long: of a
/// hundred busy connections the slowest hundredth of answers came after 0.8 to 1.1 ms, with 1,024 at a time after 1.15;
/// of a thousand, after 9.5 and 12 ms. A turn of a busy server is short, too, so that timers stay on time.
pub(super) const EVENTS_MAX: usize = 32;

/// Where a wait puts what it was told. It is moved between the engine and the wait, never copied.
///
/// The kernel's own layout as `libc` declares it: `rustix::event::epoll::Event` holds a union with a pointer,
/// which is not `Send`.
pub(crate) type EventBuffer = Vec<libc::epoll_event>;

pub(crate) fn event_buffer() -> EventBuffer {
    Vec::with_capacity(EVENTS_MAX)
}
