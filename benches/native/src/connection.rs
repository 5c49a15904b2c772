//! One non-blocking connection of any transport.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

#[cfg(feature = "tls")]
use anyhow::Context;
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::Transport;

#[cfg(feature = "tls")]
use openssl::ssl;

#[derive(Debug)]
pub(crate) enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<ssl::SslStream<TcpStream>>),
}

/// What makes TLS connections.
#[derive(Debug)]
pub(crate) struct Secrets {
    #[cfg(feature = "tls")]
    context: ssl::SslContext,
}

impl Secrets {
    /// A client's, which trusts anybody: it is the speed that is looked at.
    #[cfg(feature = "tls")]
    pub(crate) fn client() -> Result<Self> {
        let mut builder = ssl::SslContext::builder(ssl::SslMethod::tls_client())?;
        builder.set_verify(ssl::SslVerifyMode::NONE);
        Ok(Self { context: builder.build() })
    }

    /// A server's, with a certificate and its key in one PEM file.
    #[cfg(feature = "tls")]
    pub(crate) fn server(certificate: &std::path::Path) -> Result<Self> {
        let mut builder = ssl::SslContext::builder(ssl::SslMethod::tls_server())?;
        builder.set_certificate_chain_file(certificate)?;
        builder.set_private_key_file(certificate, ssl::SslFiletype::PEM)?;
        Ok(Self { context: builder.build() })
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn client() -> Result<Self> {
        anyhow::bail!("built without the feature `tls`")
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn server(_: &std::path::Path) -> Result<Self> {
        anyhow::bail!("built without the feature `tls`")
    }
}

impl Connection {
    /// Connects, shakes hands, and stops blocking.
    pub(crate) fn open(transport: Transport, address: &str, secrets: Option<&Secrets>) -> Result<Self> {
        let connection = match transport {
            Transport::Unix => Self::Unix(UnixStream::connect(address)?),
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(("127.0.0.1", address.parse()?))?;
                Self::Udp(socket)
            }
            Transport::Tcp => Self::Tcp(tcp(address)?),
            Transport::Tls => Self::connected(tcp(address)?, secrets)?,
        };
        match &connection {
            Self::Tcp(socket) => socket.set_nonblocking(true)?,
            Self::Udp(socket) => socket.set_nonblocking(true)?,
            Self::Unix(socket) => socket.set_nonblocking(true)?,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().set_nonblocking(true)?,
        }
        Ok(connection)
    }

    #[cfg(feature = "tls")]
    fn connected(socket: TcpStream, secrets: Option<&Secrets>) -> Result<Self> {
        let secrets = secrets.context("TLS needs its secrets")?;
        let stream = ssl::Ssl::new(&secrets.context)?.connect(socket);
        Ok(Self::Tls(Box::new(stream.map_err(|error| anyhow::anyhow!("{error}"))?)))
    }

    #[cfg(not(feature = "tls"))]
    fn connected(_: TcpStream, _: Option<&Secrets>) -> Result<Self> {
        anyhow::bail!("built without the feature `tls`")
    }

    /// A server's side of what was accepted. The handshake is made blocking: it is not what is measured.
    #[cfg(feature = "tls")]
    pub(crate) fn accepted(socket: TcpStream, secrets: Option<&Secrets>) -> Result<Self> {
        socket.set_nodelay(true)?;
        let Some(secrets) = secrets else {
            socket.set_nonblocking(true)?;
            return Ok(Self::Tcp(socket));
        };
        let stream = ssl::Ssl::new(&secrets.context)?.accept(socket);
        let stream = stream.map_err(|error| anyhow::anyhow!("{error}"))?;
        stream.get_ref().set_nonblocking(true)?;
        Ok(Self::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn accepted(socket: TcpStream, _: Option<&Secrets>) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Tcp(socket))
    }

    /// Receives what is there; `None` if nothing is.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let outcome = match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Udp(socket) => socket.recv(buffer),
            Self::Unix(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        };
        match outcome {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends all, waiting where it must.
    pub(crate) fn send(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let outcome = match self {
                Self::Tcp(socket) => socket.write(data),
                Self::Udp(socket) => socket.send(data),
                Self::Unix(socket) => socket.write(data),
                #[cfg(feature = "tls")]
                Self::Tls(stream) => stream.write(data),
            };
            match outcome {
                Ok(count) => data = &data[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_writable()?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives until nothing has come for a while.
    pub(crate) fn answer(&mut self) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.receive(&mut buffer)? {
                Some(0) => anyhow::bail!("the server hung up"),
                Some(count) => answer.extend_from_slice(&buffer[..count]),
                None => {
                    let patience = if answer.is_empty() { 10_000 } else { 20 };
                    let patience = Timespec::try_from(std::time::Duration::from_millis(patience))?;
                    if poll(&mut [PollFd::new(&self.as_fd(), PollFlags::IN)], Some(&patience))? == 0 {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Waits until something is there.
    pub(crate) fn wait_readable(&self) -> io::Result<()> {
        self.wait(PollFlags::IN)
    }

    fn wait_writable(&self) -> io::Result<()> {
        self.wait(PollFlags::OUT)
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        poll(&mut [PollFd::new(&self.as_fd(), flags)], None)?;
        Ok(())
    }
}

fn tcp(port: &str) -> Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port.parse()?))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().as_fd(),
        }
    }
}
