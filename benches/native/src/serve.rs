//! The limit: an echo server that does nothing but what the kernel asks of one.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::event::epoll;

use crate::Transport;
use crate::connection::{Connection, Secrets};

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    transport: Transport,
    /// For TLS: a certificate and its key in one PEM file.
    certificate: Option<PathBuf>,
    /// What every message is answered with, if it is not to be an echo.
    #[arg(long)]
    answer: Option<PathBuf>,
}

const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;

impl Serve {
    pub(crate) fn run(&self) -> Result<()> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: &dyn AsFd, key| {
            epoll::add(&set, fd.as_fd(), epoll::EventData::new_u64(key), epoll::EventFlags::IN)
        };
        add(&io::stdin(), CONTROL)?;
        let secrets = match self.transport {
            Transport::Tls => {
                Some(Secrets::server(self.certificate.as_deref().context("a certificate is needed")?)?)
            }
            _ => None,
        };
        let mut connections = BTreeMap::new();
        let listener = match self.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.set_nonblocking(true)?;
                announce(socket.local_addr()?.port())?;
                add(&socket, LISTENER)?;
                return echo_datagrams(&set, &socket);
            }
            Transport::Tcp | Transport::Tls => TcpListener::bind("127.0.0.1:0")?,
            Transport::Unix => bail!("there is no limit server for Unix sockets"),
        };
        rustix::net::listen(&listener, 2000)?;
        listener.set_nonblocking(true)?;
        announce(listener.local_addr()?.port())?;
        add(&listener, LISTENER)?;
        let answer = self.answer.as_ref().map(std::fs::read).transpose()?;
        let mut buffer = vec![0; 1 << 18];
        let mut events = Vec::with_capacity(1024);
        let mut next = 0;
        loop {
            events.clear();
            epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    CONTROL => return Ok(()),
                    LISTENER => {
                        let Ok((socket, _)) = listener.accept() else { continue };
                        socket.set_nonblocking(false)?;
                        let connection = Connection::accepted(socket, secrets.as_ref())?;
                        add(&connection, next)?;
                        connections.insert(next, connection);
                        next += 1;
                    }
                    key => {
                        let connection: &mut Connection =
                            connections.get_mut(&key).context("nobody's event")?;
                        let is_open = match connection.receive(&mut buffer) {
                            Ok(None) => true,
                            Ok(Some(0)) | Err(_) => false,
                            // The client may end with messages under way.
                            Ok(Some(count)) => {
                                connection.send(answer.as_deref().unwrap_or(&buffer[..count])).is_ok()
                            }
                        };
                        if !is_open {
                            drop(connections.remove(&key));
                        }
                    }
                }
            }
        }
    }
}

fn echo_datagrams(set: &impl AsFd, socket: &UdpSocket) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut events = Vec::with_capacity(16);
    loop {
        events.clear();
        epoll::wait(set, rustix::buffer::spare_capacity(&mut events), None)?;
        if events.iter().any(|event| event.data.u64() == CONTROL) {
            return Ok(());
        }
        while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..count], peer)?;
        }
    }
}

fn announce(port: u16) -> Result<()> {
    println!("{port}");
    Ok(io::stdout().flush()?)
}
