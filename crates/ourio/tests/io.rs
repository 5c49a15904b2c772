//! Sockets, streams, processes and signals, against the kernel.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ourio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, getaddrinfo};
use ourio::process::Command;
use ourio::streams::ReadError;
use ourio::{
    EventLoop, gather, open_connection, signal, sleep, spawn, start_server, timeout, to_thread, yield_now,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Long enough for anything that works, short enough to see what does not.
const PATIENCE: Duration = Duration::from_secs(20);

fn run(program: impl Future<Output = Outcome>) {
    ourio::run(timeout(PATIENCE, program)).expect("a loop").expect("in time").expect("no error");
}

#[test]
fn bytes_go_both_ways_over_tcp_and_the_end_is_seen() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = spawn(async move {
            let (stream, peer) = listener.accept().await?;
            assert!(peer.ip().is_loopback());
            let mut buffer = [0; 100];
            let mut total = 0;
            loop {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    got => {
                        total += got;
                        stream.write_all(&buffer[..got]).await?;
                    }
                }
            }
            Ok::<_, io::Error>(total)
        });
        let stream = TcpStream::connect(address).await?;
        assert_eq!(stream.peer_addr()?, address);
        let mut answer = [0; 5];
        for _ in 0..10 {
            stream.write_all(b"hello").await?;
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"hello");
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(stream.read(&mut answer).await?, 0);
        assert_eq!(server.await??, 50);
        Ok(())
    });
}

#[test]
fn more_than_the_kernel_takes_is_written_while_another_task_reads() {
    run(async {
        let (one, other) = UnixStream::pair()?;
        let data: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let sent = data.clone();
        let writer = spawn(async move {
            one.write_all(&sent).await?;
            one.shutdown(std::net::Shutdown::Write)
        });
        let mut got = Vec::new();
        let mut buffer = vec![0; 10_000];
        while let count @ 1.. = other.read(&mut buffer).await? {
            got.extend_from_slice(&buffer[..count]);
        }
        writer.await??;
        assert!(got == data);
        Ok(())
    });
}

#[test]
fn the_ecosystems_traits_read_and_write() {
    run(async {
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all(b"over futures-io").await?;
        AsyncWriteExt::close(&mut one).await?;
        let mut got = String::new();
        other.read_to_string(&mut got).await?;
        assert_eq!(got, "over futures-io");
        Ok(())
    });
}

#[test]
fn refused_reset_and_silent_peers_are_clear_errors() {
    run(async {
        let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        assert_eq!(
            TcpStream::connect(free).await.expect_err("nobody").kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert_eq!(
            TcpStream::connect("nonsense").await.expect_err("no port").kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(TcpListener::bind("256.1.1.1.invalid:1").await.is_err());

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        let (peer, _) = listener.accept().await?;
        let silence = timeout(Duration::from_millis(5), stream.read(&mut [0; 10])).await;
        assert!(silence.is_err(), "a peer that says nothing");
        rustix_linger(&peer)?;
        drop(peer);
        assert_eq!(
            stream.read(&mut [0; 10]).await.expect_err("reset").kind(),
            io::ErrorKind::ConnectionReset
        );
        Ok(())
    });
}

/// Has the close of a socket reset its connection.
fn rustix_linger(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO))?)
}

#[test]
fn messages_are_sent_and_received_over_udp_and_unix() {
    run(async {
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        let mut buffer = [0; 100];
        one.send_to(b"ping", other.local_addr()?).await?;
        let (got, from) = other.recv_from(&mut buffer).await?;
        assert_eq!((&buffer[..got], from), (&b"ping"[..], one.local_addr()?));
        other.connect(from).await?;
        other.send(b"pong").await?;
        assert_eq!(one.recv(&mut buffer).await?, 4);

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("messages");
        let server = UnixDatagram::bind(&path)?;
        let (client, _) = UnixDatagram::pair()?;
        client.send_to(b"hi", &path).await?;
        let (got, _) = server.recv_from(&mut buffer).await?;
        assert_eq!(&buffer[..got], b"hi");
        Ok(())
    });
}

#[test]
fn a_unix_listener_accepts() {
    run(async {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        assert_eq!(UnixStream::connect(&path).await.expect_err("nobody").kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path)?;
        let client = UnixStream::connect(&path).await?;
        let (server, _) = listener.accept().await?;
        server.write_all(b"x").await?;
        assert_eq!(client.read(&mut [0; 4]).await?, 1);
        assert!(UnixListener::bind(&path).is_err(), "the path is taken");
        Ok(())
    });
}

#[test]
fn names_are_looked_up_on_a_thread_and_numbers_are_not() {
    run(async {
        assert_eq!(getaddrinfo("127.0.0.1:80").await?.len(), 1);
        assert!(getaddrinfo(("localhost", 80)).await?.iter().all(|address| address.ip().is_loopback()));
        Ok(())
    });
}

#[test]
fn a_number_that_is_used_again_is_another_connection() {
    run(async {
        for round in 0..200u8 {
            let (one, other) = UnixStream::pair()?;
            let reader = spawn(async move {
                let mut buffer = [0; 1];
                other.read_exact(&mut buffer).await?;
                Ok::<_, io::Error>(buffer[0])
            });
            yield_now().await;
            // Half of the readers are dropped while they wait; their numbers come back at once.
            if round % 2 == 0 {
                reader.cancel();
                assert!(reader.await.is_err());
                drop(one.write_all(&[round]).await);
            } else {
                one.write_all(&[round]).await?;
                assert_eq!(reader.await??, round);
            }
        }
        Ok(())
    });
}

#[test]
fn two_tasks_wait_for_the_same_socket() {
    run(async {
        let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let socket = Rc::clone(&socket);
                spawn(async move { socket.recv(&mut [0; 8]).await })
            })
            .collect();
        yield_now().await;
        let sender = UdpSocket::bind("127.0.0.1:0").await?;
        for _ in 0..2 {
            sender.send_to(b"x", address).await?;
        }
        for got in gather(tasks).await? {
            assert_eq!(got?, 1);
        }
        Ok(())
    });
}

#[test]
fn streams_read_lines_exact_counts_and_what_comes_before_a_separator() {
    run(async {
        let server = start_server("127.0.0.1:0", async |mut reader, writer| {
            while let Ok(line) = reader.read_line().await {
                if line.is_empty() {
                    break;
                }
                writer.write(&line.to_ascii_uppercase());
                if writer.drain().await.is_err() {
                    break;
                }
            }
            writer.close();
        })
        .await?;
        assert!(server.is_serving());
        let (mut reader, writer) = open_connection(server.local_addr().expect("TCP")).await?;
        assert_eq!(writer.peer_addr(), server.local_addr());
        writer.writelines([&b"one\ntw"[..], b"o\nthree;fo", b"ur\nlast"]);
        assert_eq!(reader.read_line().await?, b"ONE\n");
        assert_eq!(reader.read_exactly(4).await?, b"TWO\n");
        assert_eq!(reader.read_until(b";").await?, b"THREE;");
        assert_eq!(reader.read(2).await?, b"FO");
        assert_eq!(reader.read_line().await?, b"UR\n");
        writer.write_eof();
        match reader.read_exactly(10).await {
            Err(ReadError::Incomplete(partial)) => assert_eq!(partial, b"LAST"),
            other => panic!("{other:?}"),
        }
        assert!(reader.at_eof());
        assert_eq!(reader.read_line().await?, b"");
        server.close();
        yield_now().await;
        yield_now().await;
        assert!(!server.is_serving());
        Ok(())
    });
}

#[test]
fn a_line_longer_than_the_limit_is_an_error_and_the_stream_goes_on() {
    run(async {
        let (one, other) = UnixStream::pair()?;
        let (mut reader, _own) = one.into();
        let (_nobody, writer): (ourio::streams::StreamReader, _) = other.into();
        reader.set_limit(10);
        writer.write(&[&[b'x'; 50][..], b"\nshort\n"].concat());
        assert!(matches!(reader.read_line().await, Err(ReadError::LimitOverrun(10))));
        assert_eq!(reader.read_line().await?, b"short\n");
        assert!(reader.read_until(b"").await.is_err());
        Ok(())
    });
}

#[test]
fn a_writer_goes_on_in_the_background_and_drain_waits_for_room() {
    run(async {
        let (one, other) = UnixStream::pair()?;
        let (_reader, writer) = one.into();
        let (mut reader, _own) = other.into();
        let data = vec![b'x'; 2_000_000];
        writer.write(&data);
        let draining = Rc::new(Cell::new(true));
        let drained = {
            let draining = Rc::clone(&draining);
            spawn(async move {
                let outcome = writer.drain().await;
                draining.set(false);
                writer.close();
                outcome.and(writer.wait_closed().await)
            })
        };
        sleep(Duration::from_millis(5)).await;
        assert!(draining.get(), "nobody has read");
        assert_eq!(reader.read_to_end().await?.len(), data.len());
        drained.await??;
        Ok(())
    });
}

#[test]
fn writing_to_a_peer_that_is_gone_is_told_by_drain() {
    run(async {
        let (one, other) = UnixStream::pair()?;
        let (_reader, writer) = one.into();
        drop(other);
        writer.write(b"x");
        writer.write(b"y");
        assert_eq!(writer.drain().await.expect_err("gone").kind(), io::ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_server_out_of_descriptors_goes_on_afterwards() {
    // In a process of its own: the limit is the process's.
    if std::env::var_os("OURIO_TEST_DESCRIPTORS").is_none() {
        let own = std::env::current_exe().expect("a test");
        let mut again = std::process::Command::new(own);
        again.args(["--exact", "a_server_out_of_descriptors_goes_on_afterwards", "--test-threads=1"]);
        let status = again.env("OURIO_TEST_DESCRIPTORS", "1").status().expect("it runs");
        assert!(status.success());
        return;
    }
    run(async {
        let server = start_server("127.0.0.1:0", async |mut reader, writer| {
            if let Ok(line) = reader.read_line().await {
                writer.write(&line);
            }
        })
        .await?;
        let address = server.local_addr().expect("TCP");
        let clients: Vec<_> =
            (0..4).map(|_| std::net::TcpStream::connect(address)).collect::<Result<_, _>>()?;
        // All that is left is taken.
        let mut taken = Vec::new();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let low = rustix::process::Rlimit { current: Some(200), maximum: limit.maximum };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, low)?;
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        sleep(Duration::from_millis(10)).await;
        drop(taken);
        for client in clients {
            let (mut reader, writer) = TcpStream::try_from(client)?.into();
            writer.write(b"still there\n");
            assert_eq!(reader.read_line().await?, b"still there\n");
        }
        Ok(())
    });
}

#[test]
fn callbacks_of_descriptors_are_called_until_they_are_removed() {
    let event_loop = EventLoop::new().expect("a loop");
    let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    one.set_nonblocking(true).expect("a socket");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (inside, reading) = (Rc::clone(&seen), one.try_clone().expect("a descriptor"));
    let add = move || {
        let mut byte = [0];
        io::Read::read_exact(&mut &reading, &mut byte).expect("it is readable");
        inside.borrow_mut().push(byte[0]);
    };
    event_loop.add_reader(&one, add).expect("a socket can be polled");
    io::Write::write_all(&mut &other, b"abc").expect("room");
    let writable = Rc::new(Cell::new(0));
    let count = Rc::clone(&writable);
    event_loop.add_writer(&one, move || count.set(count.get() + 1)).expect("a socket");
    let watched = Rc::clone(&seen);
    event_loop
        .run_until_complete(async move {
            while watched.borrow().len() < 3 {
                yield_now().await;
            }
        })
        .expect("an end");
    assert_eq!(*seen.borrow(), *b"abc");
    assert!(writable.get() > 0);
    assert!(event_loop.remove_reader(&one) && !event_loop.remove_reader(&one));
    assert!(event_loop.remove_writer(&one));
    let file = tempfile::tempfile().expect("a file");
    assert!(event_loop.add_reader(&file, || {}).is_err(), "a file cannot be polled");
}

#[test]
fn processes_are_run_spoken_with_and_ended() {
    run(async {
        let output = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output().await?;
        assert_eq!(
            (output.status.code(), &*output.stdout, &*output.stderr),
            (Some(3), &b"out\n"[..], &b"err\n"[..])
        );
        assert_eq!(
            Command::new("no such program").spawn().expect_err("none").kind(),
            io::ErrorKind::NotFound
        );

        let piped = || std::process::Stdio::piped();
        let child = Command::new("cat").stdin(piped()).stdout(piped()).spawn()?;
        let data = vec![b'x'; 1_000_000];
        let output = child.communicate(&data).await?;
        assert!(output.status.success() && output.stdout == data);

        let child = Command::new("sleep").arg("1000").spawn()?;
        assert_eq!(child.returncode(), None);
        child.terminate()?;
        let status = child.wait().await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        assert_eq!(child.kill().expect_err("it has ended").kind(), io::ErrorKind::NotFound);
        assert_eq!(child.wait().await, status, "any number of times");

        let children: Vec<_> = (0..20)
            .map(|code| {
                spawn(async move { Command::new("sh").args(["-c", &format!("exit {code}")]).status().await })
            })
            .collect();
        for (code, status) in (0..).zip(gather(children).await?) {
            assert_eq!(status?.code(), Some(code));
        }
        Ok(())
    });
}

#[test]
fn signals_reach_handlers_and_whoever_listens() {
    run(async {
        let mut first = signal::listen(signal::SIGUSR2)?;
        let mut second = signal::listen(signal::SIGUSR2)?;
        let pid = std::process::id().to_string();
        let kill = to_thread(move || std::process::Command::new("kill").args(["-USR2", &pid]).status());
        kill.await??;
        first.recv().await;
        second.recv().await;
        drop(first);
        let again = timeout(Duration::from_millis(5), second.recv()).await;
        assert!(again.is_err(), "it came once");
        assert!(signal::listen(9).is_err(), "SIGKILL cannot be caught");
        Ok(())
    });
    let event_loop = EventLoop::new().expect("a loop");
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    event_loop
        .add_signal_handler(signal::SIGWINCH, move || count.set(count.get() + 1))
        .expect("it can be caught");
    let watched = Rc::clone(&seen);
    event_loop
        .run_until_complete(async move {
            let pid = std::process::id().to_string();
            Command::new("kill").args(["-WINCH", &pid]).status().await.expect("kill runs");
            while watched.get() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .expect("an end");
    assert!(event_loop.remove_signal_handler(signal::SIGWINCH));
    assert!(!event_loop.remove_signal_handler(signal::SIGWINCH));
}
