//! Whether a write leaves at once or waits for the others of its turn.
//!
//! What a callback writes may be held back until the callbacks of its turn have run: the headers and the body of a
//! response then leave in one system call. A protocol that writes once per callback gains nothing by that, and its peer
//! could have started already. So the first write of a callback leaves at once where nothing else is left to be done in
//! the turn, until a second one follows in the same callback: from then on the writes of this connection wait, for as
//! long as there are several.
//!
//! Sending what was held back, and when, is the host's business.

/// The holding back of one connection's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    is_listed: bool,
    habit: Habit,
}

/// How a protocol writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// One write in a callback, as far as is known; the last one that was sent at once was in this callback.
    Once { sent_in: u64 },
    /// Several, such as headers and a body.
    Often,
}

impl Default for Habit {
    fn default() -> Self {
        Self::Once { sent_in: 0 }
    }
}

/// When a write leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// At once.
    Now,
    /// When the turn ends: the host has to put the connection on its list.
    AtTheEnd,
    /// When the turn ends; the connection is on the host's list already.
    WithTheRest,
}

impl Hold {
    /// Something was written while nothing was blocked. `callback` is the number of the callback that runs, which is not
    /// 0, or `None` if none does: then nothing is held back. `is_alone` is asked whether no other connection waits for the end
    /// of this turn, and nothing is left to be done in it that could write.
    #[inline]
    pub fn handle_write(&mut self, callback: Option<u64>, is_alone: impl FnOnce() -> bool) -> Departure {
        if self.is_listed {
            return Departure::WithTheRest;
        }
        let Some(running) = callback else { return Departure::Now };
        match self.habit {
            Habit::Once { sent_in } if sent_in == running => self.habit = Habit::Often,
            Habit::Once { .. } if is_alone() => {
                self.habit = Habit::Once { sent_in: running };
                return Departure::Now;
            }
            Habit::Once { .. } | Habit::Often => {}
        }
        self.is_listed = true;
        Departure::AtTheEnd
    }

    /// The host has taken the connection off its list and sends now; `has_several` is asked whether several writes wait.
    #[inline]
    pub fn handle_turn_end(&mut self, has_several: impl FnOnce() -> bool) {
        self.is_listed = false;
        if self.habit == Habit::Often && !has_several() {
            self.habit = Habit::default();
        }
    }

    /// Whether the connection is on the host's list.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: fn() -> bool = || true;
    const IN_COMPANY: fn() -> bool = || false;

    #[test]
    fn what_is_written_between_callbacks_leaves_at_once() {
        let mut hold = Hold::default();
        assert_eq!(hold.handle_write(None, || unreachable!()), Departure::Now);
        assert!(!hold.is_listed());
    }

    #[test]
    fn the_only_write_of_a_turn_leaves_at_once() {
        let mut hold = Hold::default();
        for callback in [1, 3, 5] {
            assert_eq!(hold.handle_write(Some(callback), ALONE), Departure::Now);
        }
    }

    #[test]
    fn a_write_waits_while_others_could_write_too() {
        let mut hold = Hold::default();
        assert_eq!(hold.handle_write(Some(1), IN_COMPANY), Departure::AtTheEnd);
        assert!(hold.is_listed());
    }

    #[test]
    fn a_second_write_in_a_callback_waits_and_so_does_the_first_of_the_next() {
        let mut hold = Hold::default();
        assert_eq!(hold.handle_write(Some(1), ALONE), Departure::Now);
        assert_eq!(hold.handle_write(Some(1), ALONE), Departure::AtTheEnd);
        hold.handle_turn_end(|| false);
        // One alone was held: the habit is not proven.
        assert_eq!(hold.handle_write(Some(3), ALONE), Departure::Now);
        assert_eq!(hold.handle_write(Some(3), ALONE), Departure::AtTheEnd);
        assert_eq!(hold.handle_write(Some(3), ALONE), Departure::WithTheRest);
        hold.handle_turn_end(|| true);
        assert_eq!(hold.handle_write(Some(5), ALONE), Departure::AtTheEnd);
    }

    #[test]
    fn a_connection_is_put_on_the_list_once() {
        let mut hold = Hold::default();
        assert_eq!(hold.handle_write(Some(1), IN_COMPANY), Departure::AtTheEnd);
        assert_eq!(hold.handle_write(Some(1), IN_COMPANY), Departure::WithTheRest);
        assert_eq!(hold.handle_write(Some(3), IN_COMPANY), Departure::WithTheRest);
        hold.handle_turn_end(|| true);
        assert_eq!(hold.handle_write(Some(5), IN_COMPANY), Departure::AtTheEnd);
    }

    #[test]
    fn several_writes_of_several_callbacks_are_no_habit_of_one() {
        let mut hold = Hold::default();
        assert_eq!(hold.handle_write(Some(1), IN_COMPANY), Departure::AtTheEnd);
        hold.handle_turn_end(|| true);
        assert_eq!(hold.handle_write(Some(3), ALONE), Departure::Now);
    }
}
