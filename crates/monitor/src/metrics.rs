//! Metrics: what a loop has done, read from its published pages, as numbers, as JSON and as Prometheus' text.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ourio_engine::{Beat, Counters, CountersPage, Distribution, Meter, Pulse};
use serde::Serialize;

use crate::traffic::{Kind, Moved, Traffic};

/// The pages of one loop, on which other threads read what it does.
#[derive(Debug, Clone, Default)]
pub struct LoopView {
    /// Names the loop, such as the thread that it was made in.
    pub name: String,
    /// Whether it turns, rests or is stuck in a turn.
    pub pulse: Pulse,
    /// What it has done, as of its last look at the kernel.
    pub page: CountersPage,
    /// How long it is busy at a time, and how late its timers are.
    pub meter: Meter,
    /// What its connections have moved.
    pub traffic: Traffic,
}

/// What is read of a loop at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// Its counters.
    pub counters: Counters,
    /// Its delays since the start.
    pub delays: Distribution,
    /// Its lags since the start.
    pub lags: Distribution,
    /// Its pulse.
    pub beat: Beat,
}

impl LoopView {
    /// Reads everything.
    pub fn read(&self) -> Reading {
        Reading {
            at: Instant::now(),
            counters: self.page.read(),
            delays: self.meter.delays.read(),
            lags: self.meter.lags.read(),
            beat: self.pulse.beat(),
        }
    }
}

/// What a loop did between two readings, as it is shown.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// The share of the time in which the loop ran something; the rest it slept.
    pub utilisation: f64,
    /// Seconds that half of what arrived waited at most, for the loop to look at it.
    pub delay_p50: f64,
    /// The same for 99 of 100.
    pub delay_p99: f64,
    /// Seconds by which half of the timers were late at most.
    pub lag_p50: f64,
    /// The same for 99 of 100.
    pub lag_p99: f64,
    /// Turns per second.
    pub turns: f64,
    /// Callbacks per second.
    pub callbacks: f64,
    /// Events of descriptors per second.
    pub io_events: f64,
    /// Callbacks that are ready now.
    pub ready: u64,
    /// Timers that wait now.
    pub timers: u64,
    /// Descriptors that are watched now.
    pub descriptors: u64,
}

impl Figures {
    /// What was done between two readings of one loop. `blocked` is for how long its turn has gone on without an end.
    pub fn between(before: &Reading, after: &Reading, blocked: Option<Duration>) -> Self {
        let passed = after.at.saturating_duration_since(before.at).as_secs_f64().max(1e-9);
        let rate = |count: fn(&Counters) -> u64| {
            as_f64(count(&after.counters).saturating_sub(count(&before.counters))) / passed
        };
        let (delays, lags) = (after.delays.since(&before.delays), after.lags.since(&before.lags));
        // What goes on is counted only when it is over.
        let utilisation = match blocked {
            Some(blocked) if blocked.as_secs_f64() >= passed => 1.0,
            _ => (rate(|counters| counters.busy_ns) / 1e9).min(1.0),
        };
        let waited = blocked.map_or(0.0, |blocked| blocked.as_secs_f64());
        Self {
            utilisation,
            delay_p50: delays.quantile(0.5).as_secs_f64(),
            delay_p99: delays.quantile(0.99).as_secs_f64().max(waited),
            lag_p50: lags.quantile(0.5).as_secs_f64(),
            lag_p99: lags.quantile(0.99).as_secs_f64(),
            turns: rate(|counters| counters.turns),
            callbacks: rate(|counters| counters.ran),
            io_events: rate(|counters| counters.io_events),
            ready: after.counters.ready,
            timers: after.counters.timers,
            descriptors: after.counters.watched,
        }
    }
}

/// The counts of a kind of connection, as they are shown.
#[derive(Debug, Clone, Serialize)]
pub struct Connections {
    /// `tcp`, `unix`, `tls` or `udp`.
    pub kind: &'static str,
    /// Open now.
    pub open: u64,
    /// Opened since the start.
    pub opened: u64,
    /// Bytes received since the start.
    pub received: u64,
    /// Bytes sent since the start.
    pub sent: u64,
}

/// What all kinds have moved.
pub fn connections(traffic: &Traffic) -> Vec<Connections> {
    let of = |kind: Kind| {
        let Moved { opened, open, received, sent } = traffic.read(kind);
        Connections { kind: kind.name(), open, opened, received, sent }
    };
    Kind::ALL.map(of).into()
}

/// The delays up to which Prometheus' buckets reach, in seconds.
const BUCKETS: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// The metrics of loops as Prometheus' text. `blocked` is for how long each is stuck in a turn.
pub fn prometheus(loops: &[(LoopView, Option<Duration>)]) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, String)>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP ourio_{name} {help}\n# TYPE ourio_{name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(text, "ourio_{name}{labels} {value}");
        }
    };
    let read: Vec<_> = loops.iter().map(|(view, blocked)| (view, blocked, view.read())).collect();
    let label = |view: &LoopView| format!("{{loop=\"{}\"}}", escape(&view.name));
    let mut count = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Counters) -> String| {
        let rows = read.iter().map(|(view, _, reading)| (label(view), value(&reading.counters))).collect();
        family(name, kind, help, rows);
    };
    count("turns_total", "counter", "Turns of the loop.", &|counters| counters.turns.to_string());
    count("polls_total", "counter", "Turns that asked the kernel.", &|counters| counters.polls.to_string());
    count("callbacks_total", "counter", "Callbacks and task steps run.", &|counters| {
        counters.ran.to_string()
    });
    count("io_events_total", "counter", "Events of descriptors.", &|counters| counters.io_events.to_string());
    count("timers_fired_total", "counter", "Timers that came due.", &|counters| {
        counters.timers_fired.to_string()
    });
    count("threadsafe_calls_total", "counter", "Callbacks of other threads.", &|counters| {
        counters.inbox_received.to_string()
    });
    count(
        "busy_seconds_total",
        "counter",
        "Time in which the loop ran something; the rest it slept.",
        &|counters| (as_f64(counters.busy_ns) / 1e9).to_string(),
    );
    count("ready", "gauge", "Callbacks that are ready.", &|counters| counters.ready.to_string());
    count("timers", "gauge", "Timers that wait.", &|counters| counters.timers.to_string());
    count("descriptors", "gauge", "Descriptors that are watched.", &|counters| counters.watched.to_string());
    let blocked = read.iter().map(|(view, blocked, _)| {
        (label(view), blocked.map_or(0.0, |blocked| blocked.as_secs_f64()).to_string())
    });
    family("blocked_seconds", "gauge", "For how long the loop has been stuck in a turn.", blocked.collect());
    for (name, help, of) in [
        (
            "delay_seconds",
            "How long what arrived may have waited for the loop.",
            (|reading| &reading.delays) as fn(&Reading) -> &Distribution,
        ),
        ("timer_lag_seconds", "How late timers were.", |reading| &reading.lags),
    ] {
        let mut rows = Vec::new();
        for (view, _, reading) in &read {
            let (distribution, name) = (of(reading), escape(&view.name));
            for bucket in BUCKETS {
                let count = distribution.up_to(Duration::from_secs_f64(bucket));
                rows.push((format!("_bucket{{loop=\"{name}\",le=\"{bucket}\"}}"), count.to_string()));
            }
            let count = distribution.count().to_string();
            rows.push((format!("_bucket{{loop=\"{name}\",le=\"+Inf\"}}"), count.clone()));
            let total = distribution.total().as_secs_f64().to_string();
            rows.push((format!("_sum{{loop=\"{name}\"}}"), total));
            rows.push((format!("_count{{loop=\"{name}\"}}"), count));
        }
        family(name, "histogram", help, rows);
    }
    for (name, kind, help, of) in [
        (
            "connections",
            "gauge",
            "Connections that are open.",
            (|moved| moved.open) as fn(&Connections) -> u64,
        ),
        ("connections_total", "counter", "Connections since the start.", |moved| moved.opened),
        ("received_bytes_total", "counter", "Bytes received.", |moved| moved.received),
        ("sent_bytes_total", "counter", "Bytes sent.", |moved| moved.sent),
    ] {
        let mut rows = Vec::new();
        for (view, ..) in &read {
            for moved in connections(&view.traffic) {
                let labels = format!("{{loop=\"{}\",kind=\"{}\"}}", escape(&view.name), moved.kind);
                rows.push((labels, of(&moved).to_string()));
            }
        }
        family(name, kind, help, rows);
    }
    text
}

/// A label's value, as Prometheus' format wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str) -> LoopView {
        LoopView { name: name.to_owned(), ..LoopView::default() }
    }

    #[test]
    fn every_line_of_the_text_is_a_comment_or_a_sample() {
        let view = view("a \"loop\"\nof two lines");
        let connection = view.traffic.open(Kind::Tcp);
        connection.received(7);
        let text = prometheus(&[(view, Some(Duration::from_millis(1500)))]);
        for line in text.lines() {
            assert!(line.starts_with('#') || line.starts_with("ourio_"), "{line}");
            let value = line.rsplit(' ').next();
            assert!(
                line.starts_with('#') || value.is_some_and(|value| value.parse::<f64>().is_ok()),
                "{line}"
            );
        }
        assert!(
            text.contains(
                "ourio_received_bytes_total{loop=\"a \\\"loop\\\"\\nof two lines\",kind=\"tcp\"} 7"
            )
        );
        assert!(text.contains("} 1.5\n"));
    }

    #[test]
    fn a_loop_that_is_blocked_is_used_whole() {
        let view = view("main");
        let before = view.read();
        let after = Reading { at: before.at + Duration::from_secs(1), ..view.read() };
        let figures = Figures::between(&before, &after, Some(Duration::from_secs(3)));
        assert!(figures.utilisation > 0.99);
        assert!(figures.delay_p99 > 2.9);
        assert!(Figures::between(&before, &after, None).utilisation < 0.01);
    }
}
