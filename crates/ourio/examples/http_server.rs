//! Scenario 22: an HTTP server on hyper. `cargo run --release -p ourio --example http_server [ADDRESS]`; with
//! `--check` it asks itself, with hyper's client, and ends. Control-C ends it after the requests under way.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use ourio::hyper::Timer;
use ourio::net::{TcpListener, TcpStream};
use ourio::{Either, race, signal, spawn};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What all connections share; nothing of it is behind a mutex, as one thread serves them all.
#[derive(Default)]
struct Site {
    visits: Cell<u64>,
}

async fn answer(site: Rc<Site>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    site.visits.set(site.visits.get() + 1);
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => (StatusCode::OK, "Hello, world!\n".to_owned()),
        (&Method::GET, "/visits") => (StatusCode::OK, format!("{}\n", site.visits.get())),
        (&Method::GET, "/slow") => {
            ourio::sleep(Duration::from_millis(100)).await;
            (StatusCode::OK, "worth the wait\n".to_owned())
        }
        _ => (StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    Ok(response)
}

async fn serve(listener: TcpListener) -> Outcome<()> {
    let site = Rc::<Site>::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let site = Rc::clone(&site);
        spawn(async move {
            let service = service_fn(move |request| answer(Rc::clone(&site), request));
            let mut http = http1::Builder::new();
            http.timer(Timer).header_read_timeout(Duration::from_secs(30));
            if let Err(error) = http.serve_connection(stream, service).await {
                eprintln!("a connection has failed: {error}");
            }
        })
        .detach();
    }
}

async fn get(address: std::net::SocketAddr, path: &str) -> Outcome<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    spawn(connection).detach();
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    Ok((response.status(), response.into_body().collect().await?.to_bytes()))
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|argument| argument == "--check");
    let address = arguments.into_iter().find(|argument| !argument.starts_with('-'));
    ourio::run(async move {
        let listener = TcpListener::bind(address.unwrap_or_else(|| "127.0.0.1:0".to_owned())).await?;
        let address = listener.local_addr()?;
        println!("http://{address}/");
        if !check {
            return match race(signal::ctrl_c(), serve(listener)).await {
                Either::First(interrupted) => Ok(interrupted?),
                Either::Second(served) => served,
            };
        }
        let serving = spawn(serve(listener));
        let (status, body) = get(address, "/").await?;
        println!("{status}: {}", String::from_utf8_lossy(&body).trim());
        assert_eq!((status, &*body), (StatusCode::OK, &b"Hello, world!\n"[..]));
        let (slow, quick) = (spawn(get(address, "/slow")), get(address, "/visits").await?);
        assert_eq!(quick.1, "2\n", "the slow one keeps nobody waiting");
        assert_eq!(slow.await??.0, StatusCode::OK);
        assert_eq!(get(address, "/nowhere").await?.0, StatusCode::NOT_FOUND);
        serving.cancel();
        Ok(())
    })?
}
