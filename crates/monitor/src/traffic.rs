//! Traffic: how many connections there are, and how many bytes they have moved, by kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stream over IP.
    Tcp,
    /// A stream over a local socket.
    Unix,
    /// A stream whose bytes are encrypted: what is counted are those on the wire.
    Tls,
    /// Datagrams over IP.
    Udp,
}

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Unix, Self::Tls, Self::Udp];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }
}

/// The counts of one loop. Clones are the same ones.
///
/// # Threads
///
/// Counted by the loop's own thread, which makes counting an addition without a lock; readable from any.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    pages: Arc<[Page; 4]>,
}

#[derive(Debug, Default)]
struct Page {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// The counts of one kind at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// Connections since the start.
    pub opened: u64,
    /// Connections now.
    pub open: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl Traffic {
    /// What was counted of a kind.
    pub fn read(&self, kind: Kind) -> Moved {
        let page = self.page(kind);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let opened = read(&page.opened);
        Moved {
            opened,
            open: opened.saturating_sub(read(&page.closed)),
            received: read(&page.received),
            sent: read(&page.sent),
        }
    }

    /// Bytes have come.
    #[inline]
    pub fn received(&self, kind: Kind, bytes: usize) {
        add(&self.page(kind).received, bytes as u64);
    }

    /// Bytes have gone.
    #[inline]
    pub fn sent(&self, kind: Kind, bytes: usize) {
        add(&self.page(kind).sent, bytes as u64);
    }

    /// A connection, for as long as the result lives.
    pub fn open(&self, kind: Kind) -> Connection {
        add(&self.page(kind).opened, 1);
        Connection { traffic: self.clone(), kind }
    }

    #[inline]
    fn page(&self, kind: Kind) -> &Page {
        &self.pages[kind as usize]
    }
}

/// One thread writes: no other's addition can be lost.
#[inline]
fn add(count: &AtomicU64, amount: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// A connection that is open.
#[derive(Debug)]
pub struct Connection {
    traffic: Traffic,
    kind: Kind,
}

impl Connection {
    /// Bytes have come.
    #[inline]
    pub fn received(&self, bytes: usize) {
        self.traffic.received(self.kind, bytes);
    }

    /// Bytes have gone.
    #[inline]
    pub fn sent(&self, bytes: usize) {
        self.traffic.sent(self.kind, bytes);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropped by whoever drops the transport last, which may be another thread than the loop's.
        self.traffic.page(self.kind).closed.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_while_it_lives_and_its_bytes_for_ever() {
        let traffic = Traffic::default();
        let connection = traffic.open(Kind::Tls);
        connection.received(10);
        connection.sent(3);
        connection.received(5);
        assert_eq!(traffic.read(Kind::Tls), Moved { opened: 1, open: 1, received: 15, sent: 3 });
        drop(connection);
        assert_eq!(traffic.read(Kind::Tls), Moved { opened: 1, open: 0, received: 15, sent: 3 });
        assert_eq!(traffic.read(Kind::Tcp), Moved::default());
    }
}
