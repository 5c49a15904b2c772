//! Scenario 20: TCP, UDP and Unix sockets, pipes, names, files through threads, processes, signals, streams.

use std::time::Duration;

use ourio::net::{TcpListener, TcpStream, UdpSocket, UnixStream, getaddrinfo};
use ourio::process::Command;
use ourio::{open_connection, signal, spawn, start_server, timeout, to_thread};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ourio::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let echo = spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut buffer = [0; 64];
            let got = stream.read(&mut buffer).await?;
            stream.write_all(&buffer[..got]).await
        });
        let stream = TcpStream::connect(address).await?;
        stream.write_all(b"over TCP").await?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await?;
        echo.await??;
        println!("{}", String::from_utf8_lossy(&answer));

        let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        one.send_to(b"over UDP", other.local_addr()?).await?;
        let (got, _) = other.recv_from(&mut answer).await?;
        println!("{}", String::from_utf8_lossy(&answer[..got]));

        let (one, other) = UnixStream::pair()?;
        one.write_all(b"a socket").await?;
        other.read_exact(&mut answer).await?;
        println!("{}", String::from_utf8_lossy(&answer));

        let server = start_server("127.0.0.1:0", async |mut reader, writer| {
            while let Ok(line @ [_, ..]) = reader.read_line().await.as_deref() {
                writer.write(&line.to_ascii_uppercase());
            }
        })
        .await?;
        let (mut reader, writer) = open_connection(server.local_addr().ok_or("no address")?).await?;
        writer.write(b"a stream of lines\n");
        print!("{}", String::from_utf8_lossy(&reader.read_line().await?));

        println!("localhost is {:?}", getaddrinfo(("localhost", 80)).await?.first());
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let length = to_thread(move || std::fs::read(manifest).map(|bytes| bytes.len())).await??;
        println!("a file of {length} bytes, read by a thread");

        let child = Command::new("tr").args(["a-z", "A-Z"]);
        let child = child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn()?;
        let output = child.communicate(b"through a process\n").await?;
        print!("{}", String::from_utf8_lossy(&output.stdout));

        let mut usr1 = signal::listen(signal::SIGUSR1)?;
        let pid = std::process::id().to_string();
        Command::new("kill").args(["-USR1", &pid]).status().await?;
        timeout(Duration::from_secs(10), usr1.recv()).await?;
        println!("a signal");
        Ok::<_, Box<dyn std::error::Error>>(())
    })?
}
