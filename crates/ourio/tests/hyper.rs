//! hyper, server and client, on the loop.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use ourio::hyper::Timer;
use ourio::net::{TcpListener, TcpStream};
use ourio::{gather, sleep, spawn, timeout};

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(Bytes::from([path.as_bytes(), b": ", &body].concat()))))
}

#[test]
fn hundreds_of_requests_over_many_connections_are_answered_in_order() {
    ourio::run(timeout(Duration::from_secs(60), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                spawn(async move {
                    let serving =
                        hyper::server::conn::http1::Builder::new().serve_connection(stream, service_fn(echo));
                    serving.await.expect("a connection that ends well");
                })
                .detach();
            }
        });
        let clients: Vec<_> = (0..20)
            .map(|client| {
                spawn(async move {
                    let stream = TcpStream::connect(address).await.expect("it listens");
                    let (mut sender, connection) =
                        hyper::client::conn::http1::handshake(stream).await.expect("HTTP");
                    let driving = spawn(connection);
                    for number in 0..20 {
                        // Some bodies are larger than any buffer.
                        let body = vec![b'x'; if number % 5 == 0 { 300_000 } else { number }];
                        let request =
                            Request::post(format!("/{client}/{number}")).header("host", "localhost");
                        let request = request.body(Full::new(Bytes::from(body.clone()))).expect("a request");
                        let answer = sender.send_request(request).await.expect("an answer");
                        assert!(answer.status().is_success());
                        let got = answer.into_body().collect().await.expect("a body").to_bytes();
                        let expected = [format!("/{client}/{number}: ").as_bytes(), &body].concat();
                        assert!(got == expected, "client {client}, request {number}");
                    }
                    drop(sender);
                    driving.await.expect("no panic").expect("no error");
                })
            })
            .collect();
        gather(clients).await.expect("all are answered");
        server.cancel();
    }))
    .expect("a loop")
    .expect("in time");
}

#[test]
fn hypers_timeouts_are_kept() {
    ourio::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let hello = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"never asked for"))))
            });
            hyper::server::conn::http1::Builder::new()
                .timer(Timer)
                .header_read_timeout(Duration::from_millis(20))
                .serve_connection(stream, hello)
                .await
        });
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET / HT").await.expect("room");
        let ended = timeout(Duration::from_secs(20), server).await.expect("in time").expect("no panic");
        assert!(ended.expect_err("too slow").is_timeout());
        sleep(Duration::from_millis(1)).await;
    })
    .expect("a loop");
}
