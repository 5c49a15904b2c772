//! Perfetto: a recorder's ring as a trace that ui.perfetto.dev opens.
//!
//! The format is protobuf, of which a trace needs four messages: they are written here by hand. Field numbers are those of
//! Perfetto's `trace_packet.proto`, `track_event.proto` and `track_descriptor.proto`.

use std::collections::{HashMap, HashSet};

use crate::recorder::{Activity, Record, Recorder, Scale};

const SEQUENCE: u64 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: nothing before is needed to read this.
const CLEARED: u64 = 1;
/// `BUILTIN_CLOCK_MONOTONIC`.
const MONOTONIC: u64 = 3;

const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;

/// The tracks, below that of the process.
const PROCESS: u64 = 1;
const LOOP: u64 = 2;
const GARBAGE: u64 = 3;
/// Tracks of threads begin here.
const THREADS: u64 = 1000;

/// What a trace is of.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The program.
    pub program: String,
    /// The kernel's number of the process.
    pub process: u32,
    /// The loop's name.
    pub name: String,
    /// The kernel's number of its thread; 0 if it is not known.
    pub thread: u32,
}

/// Writes a trace.
///
/// Steps, callbacks and I/O are slices of the loop's track; an arrow leads from what made or woke a task to the step that
/// followed. Collections of garbage and jobs of other threads have tracks of their own.
pub fn trace(recorder: &Recorder, scale: Scale, origin: &Origin) -> Vec<u8> {
    let mut trace = Message::default();
    describe(&mut trace, PROCESS, 0, &origin.program, Some(origin.process), None);
    describe(
        &mut trace,
        LOOP,
        PROCESS,
        &format!("event loop {}", origin.name),
        None,
        Some((origin.process, origin.thread)),
    );
    describe(&mut trace, GARBAGE, PROCESS, "garbage collection", None, None);
    let mut threads = HashSet::new();
    let mut flows: HashMap<u32, u64> = HashMap::new();
    let mut next_flow = 1;
    // What wakes is written before the slice that it happened in, which ends later.
    let mut pending: Vec<u64> = Vec::new();
    for (activity, name, record) in recorder.records(scale) {
        match activity {
            Activity::Wake | Activity::Create => {
                flows.entry(record.subject).or_insert_with(|| {
                    next_flow += 1;
                    pending.push(next_flow - 1);
                    next_flow - 1
                });
            }
            Activity::Step | Activity::Callback | Activity::Io => {
                let ends = if activity == Activity::Step { flows.remove(&record.subject) } else { None };
                slice(&mut trace, LOOP, activity, name, &record, &std::mem::take(&mut pending), ends);
            }
            Activity::Collection => slice(&mut trace, GARBAGE, activity, name, &record, &[], None),
            Activity::Job => {
                let track = THREADS + u64::from(record.subject);
                if threads.insert(record.subject) {
                    describe(
                        &mut trace,
                        track,
                        PROCESS,
                        &format!("executor thread {}", record.subject),
                        None,
                        None,
                    );
                }
                slice(&mut trace, track, activity, name, &record, &[], None);
            }
        }
    }
    trace.bytes
}

fn describe(
    trace: &mut Message,
    track: u64,
    parent: u64,
    name: &str,
    process: Option<u32>,
    thread: Option<(u32, u32)>,
) {
    let mut descriptor = Message::default();
    descriptor.number(1, track);
    descriptor.text(2, name);
    if let Some(process) = process {
        let mut message = Message::default();
        message.number(1, u64::from(process));
        message.text(6, name);
        descriptor.message(3, &message);
    }
    if let Some((process, thread)) = thread.filter(|(_, thread)| *thread != 0) {
        let mut message = Message::default();
        message.number(1, u64::from(process));
        message.number(2, u64::from(thread));
        message.text(5, name);
        descriptor.message(4, &message);
    } else if parent != 0 {
        descriptor.number(5, parent);
    }
    let mut packet = Message::default();
    packet.number(10, SEQUENCE);
    packet.number(13, CLEARED);
    packet.message(60, &descriptor);
    trace.message(1, &packet);
}

fn slice(
    trace: &mut Message,
    track: u64,
    activity: Activity,
    name: &str,
    record: &Record,
    begins: &[u64],
    ends: Option<u64>,
) {
    let mut event = Message::default();
    event.number(9, SLICE_BEGIN);
    event.number(11, track);
    event.text(22, category(activity));
    event.text(23, name);
    if activity == Activity::Step {
        let mut annotation = Message::default();
        annotation.text(10, "task");
        annotation.number(3, u64::from(record.subject));
        event.message(4, &annotation);
    }
    for flow in begins {
        event.fixed(47, *flow);
    }
    if let Some(flow) = ends {
        event.fixed(48, flow);
    }
    packet(trace, record.start.as_nanos(), &event);
    let mut event = Message::default();
    event.number(9, SLICE_END);
    event.number(11, track);
    packet(trace, record.end.as_nanos(), &event);
}

fn packet(trace: &mut Message, time: u64, event: &Message) {
    let mut packet = Message::default();
    packet.number(8, time);
    packet.number(58, MONOTONIC);
    packet.number(10, SEQUENCE);
    packet.message(11, event);
    trace.message(1, &packet);
}

const fn category(activity: Activity) -> &'static str {
    match activity {
        Activity::Step => "task",
        Activity::Callback | Activity::Wake | Activity::Create => "callback",
        Activity::Io => "io",
        Activity::Job => "executor",
        Activity::Collection => "gc",
    }
}

/// A protobuf message that is being written.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.bytes.push(u8::try_from(value).unwrap_or(0));
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn fixed(&mut self, field: u64, value: u64) {
        self.key(field, 1);
        self.bytes.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        self.key(field, 2);
        self.varint(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.key(field, 2);
        self.varint(message.bytes.len() as u64);
        self.bytes.extend(&message.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_protobuf_writes_them() {
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        // The two examples of protobuf's own description of its encoding.
        assert_eq!(message.bytes, [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat());
        let mut outer = Message::default();
        outer.message(60, &message);
        outer.fixed(47, 1);
        assert_eq!(outer.bytes[..3], [0xe2, 0x03, 12]);
    }
}
