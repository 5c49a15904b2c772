//! A stream under every order of events: each callback once, in order, and no byte lost or out of place.

use std::collections::VecDeque;
use std::io::IoSlice;

use ourio_transport::{Admission, Effects, FlowChange, Loss, Stream};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    StartReading,
    Pause,
    Resume,
    Eof {
        keep_open: bool,
    },
    Write(usize),
    /// The kernel takes this many bytes, then refuses.
    Writable(usize),
    WriteEof,
    Close,
    Abort,
    Limits {
        high: usize,
        low: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::StartReading),
        2 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => any::<bool>().prop_map(|keep_open| Step::Eof { keep_open }),
        8 => (0usize..40).prop_map(Step::Write),
        8 => (0usize..60).prop_map(Step::Writable),
        1 => Just(Step::WriteEof),
        1 => Just(Step::Close),
        1 => Just(Step::Abort),
        1 => (0usize..80, 0usize..80).prop_map(|(high, low)| Step::Limits { high, low }),
    ];
    proptest::collection::vec(step, 0..120)
}

/// A host with a socket that takes what the test says, and notes what it was told to do.
#[derive(Default)]
struct Host {
    stream: Stream<Vec<u8>>,
    /// What the program wrote while the connection was open, not yet taken by the kernel.
    accepted: VecDeque<u8>,
    next_byte: u8,
    told: Vec<FlowChange>,
    shut_down: usize,
    lost: Vec<Loss>,
    writes_on_resume: bool,
}

impl Host {
    fn perform(&mut self, effects: Effects) {
        if effects.shut_down_write {
            assert!(self.stream.write_queue().is_empty(), "shut down before the queue had drained");
            self.shut_down += 1;
        }
        self.told.extend(effects.flow);
        self.lost.extend(effects.lost);
    }

    fn byte(&mut self) -> u8 {
        self.next_byte = self.next_byte.wrapping_add(1);
        self.next_byte
    }

    fn write(&mut self, len: usize) {
        match self.stream.admit_write() {
            Ok(Admission::Open) => {
                let chunk: Vec<u8> = std::iter::repeat_with(|| self.byte()).take(len).collect();
                self.accepted.extend(&chunk);
                self.stream.queue(chunk);
                let effects = self.stream.handle_blocked();
                self.perform(effects);
            }
            Ok(Admission::Dropped { .. }) => assert!(self.stream.is_lost()),
            Err(_) => assert!(self.stream.is_write_ended()),
        }
    }

    fn writable(&mut self, room: usize) {
        if !self.stream.wants_write() {
            return;
        }
        let mut slices = [IoSlice::new(&[]); 3];
        let offered = self.stream.write_queue().fill(&mut slices);
        let taken: Vec<u8> = offered.iter().flat_map(|slice| slice.iter().copied()).take(room).collect();
        for byte in &taken {
            assert_eq!(self.accepted.pop_front(), Some(*byte), "out of order");
        }
        let change = self.stream.handle_written(taken.len());
        self.told.extend(change);
        if change == Some(FlowChange::Resume) && self.writes_on_resume {
            self.write(3);
        }
        let effects = self.stream.handle_drained();
        self.perform(effects);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::StartReading => self.stream.start_reading(),
            Step::Pause => drop(self.stream.pause_reading()),
            Step::Resume => drop(self.stream.resume_reading()),
            &Step::Eof { keep_open } if self.stream.wants_read() => {
                let effects = self.stream.handle_eof(keep_open);
                self.perform(effects);
            }
            &Step::Eof { .. } => {}
            &Step::Write(len) => self.write(len),
            &Step::Writable(room) => self.writable(room),
            Step::WriteEof => {
                let effects = self.stream.write_eof();
                self.perform(effects);
            }
            Step::Close => {
                let effects = self.stream.close();
                self.perform(effects);
            }
            Step::Abort => {
                let (effects, discarded) = self.stream.abort();
                drop(discarded);
                self.accepted.clear();
                self.perform(effects);
            }
            &Step::Limits { high, low } => {
                if let Ok(effects) = self.stream.set_limits(Some(high), Some(low)) {
                    self.perform(effects);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_order_of_events_keeps_the_contract(steps in steps(), writes_on_resume: bool) {
        let mut host = Host { writes_on_resume, ..Host::default() };
        for step in steps {
            let was_closing = host.stream.is_closing();
            host.step(&step);
            prop_assert_eq!(host.stream.write_queue().len(), host.accepted.len());
            prop_assert!(host.lost.len() <= 1, "connection_lost more than once");
            prop_assert_eq!(host.stream.is_lost(), host.lost.len() == 1);
            prop_assert!(host.shut_down <= 1);
            prop_assert!(!was_closing || host.stream.is_closing(), "a closed connection opened again");
            prop_assert!(!(host.stream.is_closing() && host.stream.wants_read()));
            prop_assert!(!(host.stream.is_lost() && host.stream.wants_write()));
            // Pause first, then in turns.
            let turn = [FlowChange::Pause, FlowChange::Resume];
            prop_assert!(host.told.iter().zip(turn.iter().cycle()).all(|(told, due)| told == due));
        }
        // Whatever happened before: closing and draining always ends in exactly one connection_lost.
        host.step(&Step::Close);
        for _ in 0..1000 {
            host.writable(usize::MAX);
        }
        prop_assert_eq!(host.lost.len(), 1);
        prop_assert!(host.accepted.is_empty());
    }
}

#[test]
fn closing_drains_the_queue_first() {
    let mut stream = Stream::new();
    stream.queue(b"hello".to_vec());
    assert_eq!(stream.handle_blocked(), Effects::default());
    assert_eq!(stream.close(), Effects::default());
    assert!(stream.wants_write());
    assert_eq!(stream.handle_written(2), None);
    assert_eq!(stream.handle_drained(), Effects::default());
    assert_eq!(stream.handle_written(3), None);
    assert_eq!(stream.handle_drained().lost, Some(Loss::Closed));
    assert_eq!(stream.close(), Effects::default());
}

#[test]
fn what_a_protocol_writes_when_it_may_resume_is_sent_before_the_connection_closes() {
    let mut stream = Stream::new();
    assert_eq!(stream.set_limits(Some(4), Some(0)), Ok(Effects::default()));
    stream.queue(b"hello".to_vec());
    assert_eq!(stream.handle_blocked().flow, Some(FlowChange::Pause));
    assert_eq!(stream.close(), Effects::default());
    assert_eq!(stream.handle_written(5), Some(FlowChange::Resume));
    assert_eq!(stream.admit_write(), Ok(Admission::Open));
    stream.queue(b"bye".to_vec());
    assert_eq!(stream.handle_drained(), Effects::default());
    assert_eq!(stream.handle_written(3), None);
    assert_eq!(stream.handle_drained().lost, Some(Loss::Closed));
}

#[test]
fn the_end_of_writing_waits_for_the_queue() {
    let mut stream = Stream::new();
    stream.queue(b"bye".to_vec());
    assert!(!stream.write_eof().shut_down_write);
    assert!(stream.admit_write().is_err());
    assert_eq!(stream.handle_written(3), None);
    assert!(stream.handle_drained().shut_down_write);
    assert!(!stream.write_eof().shut_down_write, "once");
}

#[test]
fn writes_into_a_lost_connection_are_dropped_and_warned_about() {
    let mut stream: Stream<Vec<u8>> = Stream::new();
    let (effects, _) = stream.abort();
    assert_eq!(effects.lost, Some(Loss::Aborted));
    let warned: Vec<_> =
        (0..6).map(|_| stream.admit_write() == Ok(Admission::Dropped { warn: true })).collect();
    assert_eq!(warned, [false, false, false, false, true, true]);
}

#[test]
fn a_pause_before_the_connection_is_made_is_kept() {
    let mut stream: Stream<Vec<u8>> = Stream::new();
    assert!(stream.is_reading() && !stream.wants_read());
    assert!(stream.pause_reading());
    assert!(!stream.pause_reading(), "already paused");
    stream.start_reading();
    assert!(!stream.wants_read());
    assert!(stream.resume_reading());
    assert!(stream.wants_read());
}
