//! Scenario 24: a peer that never answers, a reset, a refused connection, no descriptors left: a clear error, nothing
//! lost, the loop lives.

use std::io::ErrorKind;
use std::time::Duration;

use ourio::net::{TcpListener, TcpStream};
use ourio::{spawn, timeout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ourio::run(async {
        let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let refused = TcpStream::connect(free).await.expect_err("nobody listens");
        println!("refused: {refused}");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let silent = TcpStream::connect(address).await?;
        let silence = timeout(Duration::from_millis(20), silent.read(&mut [0; 16])).await;
        println!("never answers: {}", silence.expect_err("it says nothing"));

        // A peer that closes while there is something it has not read resets the connection.
        let (peer, _) = listener.accept().await?;
        silent.write_all(b"unread").await?;
        ourio::sleep(Duration::from_millis(5)).await;
        drop(peer);
        let mut outcome = silent.read(&mut [0; 16]).await;
        while outcome.is_ok() {
            outcome = silent.read(&mut [0; 16]).await;
        }
        let reset = outcome.expect_err("reset");
        println!("reset: {reset}");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

        rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: Some(64), maximum: Some(64) },
        )?;
        let mut connections = Vec::new();
        let full = loop {
            match TcpStream::connect(address).await {
                Ok(connection) => connections.push(connection),
                Err(error) => break error,
            }
        };
        println!("no descriptors left: {full}");
        let kept = connections.len();
        connections.truncate(1);
        let accepted = spawn(async move { listener.accept().await.map(|(stream, _)| stream) });
        let stream = accepted.await??;
        stream.write_all(b"still here").await?;
        let mut answer = [0; 10];
        connections[0].read_exact(&mut answer).await?;
        println!("after {kept} connections the loop lives: {}", String::from_utf8_lossy(&answer));
        Ok(())
    })?
}
