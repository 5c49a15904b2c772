//! The load: connections that each have one message under way, always, or send by the clock.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::event::{Timespec, epoll};

use crate::Transport;
use crate::connection::{Connection, Secrets};

#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    transport: Transport,
    /// A port of 127.0.0.1, or the path of a Unix socket.
    address: String,
    connections: usize,
    messages: usize,
    size_bytes: usize,
    /// Sent once by each connection, before all else; answered by anything that ends with an empty line.
    #[arg(long)]
    preamble: Option<PathBuf>,
    /// The message, if it is not to be an echo. How long its answer is, is learned from the first one.
    #[arg(long)]
    message: Option<PathBuf>,
    /// So many messages per second in all, by the clock: how long one took is counted from when it was due, also if
    /// its connection was still waiting for the answer before. By default each sends as soon as it has its answer.
    #[arg(long)]
    rate: Option<u32>,
    /// Each message over a connection of its own, which is closed after the answer.
    #[arg(long, conflicts_with_all = ["rate", "preamble"])]
    fresh: bool,
}

/// A connection and its messages.
struct Exchange {
    connection: Connection,
    received: usize,
    /// When each message was due: the first is under way.
    due: VecDeque<Instant>,
}

/// Messages of which a percentile is taken, when they are sent by the clock: the result is the median of all windows.
/// A machine that does something else for a millisecond then spoils the one window, and not the result.
const WINDOW: usize = 500;

/// How long an answer by UDP is waited for before the question is put again: datagrams may be lost.
const PATIENCE: Duration = Duration::from_millis(200);

fn watch(set: &OwnedFd, connection: &Connection, index: usize) -> Result<()> {
    Ok(epoll::add(set, connection, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?)
}

/// A message of any bytes, of which the last and no other ends a line.
fn one_line(size_bytes: usize) -> Vec<u8> {
    let bytes = (0..=u8::MAX).filter(|byte| *byte != b'\n').cycle();
    bytes.take(size_bytes.saturating_sub(1)).chain([b'\n']).collect()
}

impl Load {
    pub(crate) fn run(&self) -> Result<()> {
        let message: Vec<u8> = match &self.message {
            Some(path) => std::fs::read(path)?,
            None => one_line(self.size_bytes),
        };
        let preamble = self.preamble.as_ref().map(std::fs::read).transpose()?;
        let secrets = if self.transport == Transport::Tls { Some(Secrets::client()?) } else { None };
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut exchanges = Vec::new();
        for index in 0..self.connections {
            let mut connection = Connection::open(self.transport, &self.address, secrets.as_ref())?;
            if let Some(preamble) = &preamble {
                connection.send(preamble)?;
                while !connection.answer()?.ends_with(b"\r\n\r\n") {}
            }
            watch(&set, &connection, index)?;
            exchanges.push(Exchange { connection, received: 0, due: VecDeque::new() });
        }
        let expected = match (&self.message, exchanges.first_mut()) {
            (Some(_), Some(exchange)) => {
                exchange.connection.send(&message)?;
                Expected::Length(exchange.connection.answer()?.len())
            }
            _ => Expected::Echo(&message),
        };
        if self.transport != Transport::Udp {
            let mut buffer = vec![0; (1 << 18).max(self.size_bytes)];
            for exchange in &mut exchanges {
                exchange.warm_up(&message, &expected, &mut buffer)?;
            }
        }
        // Whoever started this looks at the clocks now, and says so.
        println!("connected");
        std::io::stdin().read_line(&mut String::new())?;
        let started = Instant::now();
        let latencies = self.exchange(&set, &mut exchanges, &message, &expected, secrets.as_ref())?;
        let elapsed = started.elapsed().as_secs_f64();
        let count = f64::from(u32::try_from(latencies.len())?);
        let window = if self.rate.is_some() { WINDOW } else { latencies.len() };
        let [p50, p99] = [50, 99].map(|hundredths| typical(&latencies, window, hundredths).as_secs_f64());
        println!("{} {p50} {p99}", elapsed / count);
        Ok(())
    }

    /// Has all messages answered, and tells how long each took.
    fn exchange(
        &self,
        set: &OwnedFd,
        exchanges: &mut [Exchange],
        message: &[u8],
        expected: &Expected<'_>,
        secrets: Option<&Secrets>,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(self.messages);
        let mut buffer = vec![0; (1 << 18).max(self.size_bytes)];
        let mut events = Vec::with_capacity(1024);
        let mut clock = self.rate.map(Clock::start);
        if clock.is_none() {
            for exchange in &mut *exchanges {
                exchange.offer(Instant::now(), message)?;
            }
        }
        let mut heard_at = Instant::now();
        while latencies.len() < self.messages {
            while let Some((count, due)) = clock.as_mut().and_then(|clock| clock.tick(self.messages)) {
                exchanges[count % self.connections].offer(due, message)?;
            }
            // By the clock the client never sleeps: what it would measure is how long it takes to wake up.
            let timeout = match self.transport {
                _ if clock.is_some() => Some(Duration::ZERO),
                Transport::Udp => Some(PATIENCE),
                Transport::Tcp | Transport::Unix | Transport::Tls => None,
            };
            let timeout = timeout.map(Timespec::try_from).transpose()?;
            events.clear();
            match epoll::wait(set, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let now = Instant::now();
            if !events.is_empty() {
                heard_at = now;
            } else if self.transport == Transport::Udp && now - heard_at >= PATIENCE {
                retry(exchanges, message)?;
                heard_at = now;
            }
            for event in &events {
                let index = usize::try_from(event.data.u64())?;
                let exchange = &mut exchanges[index];
                if let Some(latency) = exchange.advance(message, expected, &mut buffer)? {
                    latencies.push(latency);
                    let now = Instant::now();
                    if self.fresh {
                        exchange.connection = Connection::open(self.transport, &self.address, secrets)?;
                        watch(set, &exchange.connection, index)?;
                    }
                    if clock.is_none() {
                        exchange.offer(now, message)?;
                    }
                }
            }
        }
        Ok(latencies)
    }
}

/// When messages are due.
struct Clock {
    next: Instant,
    interval: Duration,
    count: usize,
}

impl Clock {
    fn start(rate: u32) -> Self {
        Self { next: Instant::now(), interval: Duration::from_secs(1) / rate, count: 0 }
    }

    /// The number of the next message, of so many, and when it was due, if it is.
    fn tick(&mut self, messages: usize) -> Option<(usize, Instant)> {
        let (count, due) = (self.count, self.next);
        if count == messages || due > Instant::now() {
            return None;
        }
        self.count += 1;
        self.next += self.interval;
        Some((count, due))
    }
}

/// What answers a message.
enum Expected<'a> {
    Echo(&'a [u8]),
    Length(usize),
}

impl Expected<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Echo(message) => message.len(),
            Self::Length(length) => *length,
        }
    }

    /// Whether these bytes can stand at this place of the answer.
    fn allows(&self, bytes: &[u8], from: usize) -> bool {
        match self {
            Self::Echo(message) => message.get(from..from + bytes.len()) == Some(bytes),
            Self::Length(length) => from + bytes.len() <= *length,
        }
    }
}

impl Exchange {
    /// Has one message answered: what is measured begins when each connection is accepted and has been served once.
    fn warm_up(&mut self, message: &[u8], expected: &Expected<'_>, buffer: &mut [u8]) -> Result<()> {
        self.connection.send(message)?;
        while !self.is_answered(expected, buffer)? {
            self.connection.wait_readable()?;
        }
        Ok(())
    }

    /// Sends a message, once the one before is back.
    fn offer(&mut self, due: Instant, message: &[u8]) -> Result<()> {
        self.due.push_back(due);
        if self.due.len() == 1 { self.connection.send(message) } else { Ok(()) }
    }

    /// Receives; when the message is back, tells how long it took, and sends what else is due.
    fn advance(
        &mut self,
        message: &[u8],
        expected: &Expected<'_>,
        buffer: &mut [u8],
    ) -> Result<Option<Duration>> {
        if !self.is_answered(expected, buffer)? {
            return Ok(None);
        }
        let due = self.due.pop_front();
        if !self.due.is_empty() {
            self.connection.send(message)?;
        }
        Ok(due.map(|due| due.elapsed()))
    }

    /// Receives once; whether the message is back.
    fn is_answered(&mut self, expected: &Expected<'_>, buffer: &mut [u8]) -> Result<bool> {
        let count = match self.connection.receive(buffer)? {
            None => return Ok(false),
            Some(0) => bail!("the server hung up"),
            Some(count) => count,
        };
        ensure!(expected.allows(&buffer[..count], self.received), "a response that is not the one expected");
        self.received += count;
        let is_answered = self.received >= expected.len();
        if is_answered {
            self.received = 0;
        }
        Ok(is_answered)
    }
}

/// The median of the windows' percentiles.
fn typical(latencies: &[Duration], window: usize, hundredths: usize) -> Duration {
    let percentile = |window: &mut [Duration], hundredths: usize| {
        window.sort_unstable();
        window[window.len() * hundredths / 100]
    };
    let mut percentiles = latencies
        .chunks(window)
        .map(|window| percentile(&mut window.to_vec(), hundredths))
        .collect::<Vec<_>>();
    percentile(&mut percentiles, 50)
}

/// Sends again what has got no answer.
fn retry(exchanges: &mut [Exchange], message: &[u8]) -> Result<()> {
    for exchange in exchanges {
        if !exchange.due.is_empty() {
            exchange.connection.send(message)?;
        }
    }
    Ok(())
}
