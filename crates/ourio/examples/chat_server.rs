//! Scenario 22: a chat server over lines. `cargo run -p ourio --example chat_server [ADDRESS]`, then `nc` to it; with
//! `--check` three clients speak and it ends. A client that does not read loses its lines, and keeps nobody waiting.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ourio::streams::{StreamReader, StreamWriter};
use ourio::sync::Queue;
use ourio::{gather, open_connection, race, spawn, start_server};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Lines that may wait for a slow reader.
const BACKLOG: usize = 1000;

#[derive(Default)]
struct Room {
    members: RefCell<BTreeMap<String, Queue<String>>>,
}

impl Room {
    fn say(&self, from: &str, line: &str) {
        for (name, queue) in &*self.members.borrow() {
            if name != from {
                // A member whose queue is full misses the line.
                drop(queue.put_nowait(format!("{from}: {line}\n")));
            }
        }
    }
}

async fn member(room: Rc<Room>, mut reader: StreamReader, writer: StreamWriter) -> Outcome<()> {
    writer.write(b"name?\n");
    let name = String::from_utf8(reader.read_line().await?)?.trim().to_owned();
    let queue = Queue::new(BACKLOG);
    if name.is_empty() || room.members.borrow().contains_key(&name) {
        writer.write(b"that name is taken\n");
        return Ok(());
    }
    room.members.borrow_mut().insert(name.clone(), queue.clone());
    writer.write(format!("welcome, {name}\n").as_bytes());
    room.say(&name, "has come");
    let listening = async {
        loop {
            match reader.read_line().await {
                Ok(line) if !line.is_empty() => room.say(&name, String::from_utf8_lossy(&line).trim()),
                _ => break,
            }
        }
    };
    let speaking = async {
        while let Ok(line) = queue.get().await {
            writer.write(line.as_bytes());
            if writer.drain().await.is_err() {
                break;
            }
        }
    };
    race(listening, speaking).await;
    room.members.borrow_mut().remove(&name);
    room.say(&name, "has left");
    Ok(())
}

/// One who joins, says a line once everybody is there, and hears the others'.
async fn client(address: std::net::SocketAddr, name: &str, others: usize) -> Outcome<Vec<String>> {
    let (mut reader, writer) = open_connection(address).await?;
    reader.read_line().await?;
    writer.write(format!("{name}\n").as_bytes());
    reader.read_line().await?;
    ourio::sleep(std::time::Duration::from_millis(100)).await;
    writer.write(format!("hello from {name}\n").as_bytes());
    let mut heard = Vec::new();
    while heard.len() < others {
        let line = String::from_utf8(reader.read_line().await?)?;
        if line.contains("hello") {
            heard.push(line.trim().to_owned());
        }
    }
    heard.sort();
    Ok(heard)
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|argument| argument == "--check");
    let address = arguments.into_iter().find(|argument| !argument.starts_with('-'));
    ourio::run(async move {
        let room = Rc::<Room>::default();
        let server =
            start_server(address.unwrap_or_else(|| "127.0.0.1:0".to_owned()), move |reader, writer| {
                let room = Rc::clone(&room);
                async move {
                    if let Err(error) = member(room, reader, writer).await {
                        eprintln!("a member was lost: {error}");
                    }
                }
            })
            .await?;
        let address = server.local_addr().ok_or("no address")?;
        println!("chat at {address}");
        if !check {
            server.serve_forever().await;
            return Ok(());
        }
        let names = ["ann", "bob", "cid"];
        let clients =
            names.map(|name| spawn(async move { client(address, name, 2).await.map_err(|e| e.to_string()) }));
        for (name, heard) in names.iter().zip(gather(Vec::from(clients)).await?) {
            let heard = heard?;
            println!("{name} heard {heard:?}");
            let expected: Vec<_> = names.iter().filter(|other| *other != name).collect();
            let expected: Vec<_> =
                expected.iter().map(|other| format!("{other}: hello from {other}")).collect();
            assert_eq!(heard, expected);
        }
        Ok(())
    })?
}
