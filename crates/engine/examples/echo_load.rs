//! A closed-loop load generator for echo servers, on the engine itself: `echo_load PORT CONNECTIONS MESSAGES SIZE`.
//!
//! Each connection sends a message, waits until it is back, checks it, and sends the next. Prints the seconds
//! per message. Being native, it leaves the server to be the bottleneck.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Instant;

use ourio_engine::{Engine, Event, Interest, Patience, Token};

struct Connection {
    socket: TcpStream,
    received: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let &[port, connections, messages, size] = numbers.as_slice() else {
        return Err("usage: echo_load PORT CONNECTIONS MESSAGES SIZE".into());
    };
    let message: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
    let mut engine: Engine<Event> = Engine::new()?;
    let mut open: BTreeMap<usize, Connection> = BTreeMap::new();
    for _ in 0..connections {
        let socket = TcpStream::connect(("127.0.0.1", u16::try_from(port)?))?;
        socket.set_nodelay(true)?;
        let token: Token = engine.watch(socket.as_raw_fd(), Interest::READ)?;
        open.insert(token.index(), Connection { socket, received: 0 });
    }
    let started = Instant::now();
    for connection in open.values_mut() {
        connection.socket.write_all(&message)?;
        connection.socket.set_nonblocking(true)?;
    }
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    while done < messages {
        let events = engine.prepare(engine.now(), Patience::Block).block()?;
        engine.absorb(events, engine.now());
        while let Some(event) = engine.next() {
            let Event::Io(event) = event else { continue };
            let connection = open.get_mut(&event.token.index()).ok_or("an event of nobody")?;
            let count = match connection.socket.read(&mut buffer) {
                Ok(0) => return Err("the server hung up".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            let expected = message.get(connection.received..connection.received + count);
            if expected != Some(&buffer[..count]) {
                return Err("a response that is not the request".into());
            }
            connection.received += count;
            if connection.received == size {
                connection.received = 0;
                done += 1;
                connection.socket.write_all(&message)?;
            }
        }
    }
    println!("{}", started.elapsed().as_secs_f64() / f64::from(u32::try_from(messages)?));
    Ok(())
}
