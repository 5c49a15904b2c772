//! The load: connections that each have one message under way, always.

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
}

/// A connection and its message.
struct Exchange {
    connection: Connection,
    received: usize,
    sent_at: Instant,
}

/// How long an answer by UDP is waited for before the question is put again: datagrams may be lost.
const PATIENCE: Duration = Duration::from_millis(200);

impl Load {
    pub(crate) fn run(&self) -> Result<()> {
        let message: Vec<u8> = match &self.message {
            Some(path) => std::fs::read(path)?,
            None => (0..self.size_bytes).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect(),
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
            epoll::add(&set, &connection, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
            exchanges.push(Exchange { connection, received: 0, sent_at: Instant::now() });
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
        for exchange in &mut exchanges {
            exchange.sent_at = Instant::now();
            exchange.connection.send(&message)?;
        }
        let mut latencies = Vec::with_capacity(self.messages);
        let mut buffer = vec![0; (1 << 18).max(self.size_bytes)];
        let mut events = Vec::with_capacity(1024);
        while latencies.len() < self.messages {
            events.clear();
            let timeout =
                (self.transport == Transport::Udp).then(|| Timespec::try_from(PATIENCE)).transpose()?;
            match epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(0) => retry(&mut exchanges, &message)?,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let exchange = &mut exchanges[usize::try_from(event.data.u64())?];
                if let Some(latency) = exchange.advance(&message, &expected, &mut buffer)? {
                    latencies.push(latency);
                }
            }
        }
        let elapsed = started.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let percentile = |hundredths: usize| latencies[latencies.len() * hundredths / 100].as_secs_f64();
        let count = f64::from(u32::try_from(latencies.len())?);
        println!("{} {} {}", elapsed / count, percentile(50), percentile(99));
        Ok(())
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

    /// Receives; when the message is back, sends it anew and tells how long it took.
    fn advance(
        &mut self,
        message: &[u8],
        expected: &Expected<'_>,
        buffer: &mut [u8],
    ) -> Result<Option<Duration>> {
        if !self.is_answered(expected, buffer)? {
            return Ok(None);
        }
        let now = Instant::now();
        let took = now - self.sent_at;
        self.sent_at = now;
        self.connection.send(message)?;
        Ok(Some(took))
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

/// Sends again what has got no answer.
fn retry(exchanges: &mut [Exchange], message: &[u8]) -> Result<()> {
    for exchange in exchanges {
        if exchange.sent_at.elapsed() >= PATIENCE {
            exchange.connection.send(message)?;
        }
    }
    Ok(())
}
