//! Scenario 22: a crawler: hundreds of pages, at most sixteen at a time, each page once, with a time limit for each.
//!
//! It crawls a site of its own, on hyper; some of its pages never answer, and some are not there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use ourio::net::{TcpListener, TcpStream};
use ourio::sync::Queue;
use ourio::{gather, spawn, timeout};

const PAGES: u32 = 300;
const AT_A_TIME: u32 = 16;
const PATIENCE: Duration = Duration::from_millis(300);

/// Page N links to three others; every fiftieth never answers, and what lies behind the last page is not there.
async fn page(
    busiest: Rc<(Cell<u32>, Cell<u32>)>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    busiest.0.set(busiest.0.get() + 1);
    busiest.1.set(busiest.1.get().max(busiest.0.get()));
    let number: u32 = request.uri().path().trim_start_matches('/').parse().unwrap_or(u32::MAX);
    ourio::sleep(Duration::from_millis(1)).await;
    busiest.0.set(busiest.0.get() - 1);
    if number % 50 == 49 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::default();
    if number < PAGES {
        let links = [number * 2 + 1, number * 2 + 2, number + 7].map(|link| format!("<a href=\"/{link}\">"));
        *response.body_mut() = Full::new(Bytes::from(links.concat()));
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn fetch(
    address: std::net::SocketAddr,
    path: &str,
) -> Result<(StatusCode, String), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let driving = spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driving.cancel();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn links(page: &str) -> impl Iterator<Item = String> {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
}

/// What became of each page.
async fn crawl(
    address: std::net::SocketAddr,
) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let queue = Queue::new(0);
    let (seen, outcomes) = (Rc::new(RefCell::new(BTreeSet::new())), Rc::new(RefCell::new(BTreeMap::new())));
    seen.borrow_mut().insert("/0".to_owned());
    queue.put("/0".to_owned()).await?;
    let workers: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            let (queue, seen, outcomes) = (queue.clone(), Rc::clone(&seen), Rc::clone(&outcomes));
            spawn(async move {
                while let Ok(path) = queue.get().await {
                    let outcome = match timeout(PATIENCE, fetch(address, &path)).await {
                        Err(silence) => silence.to_string(),
                        Ok(Err(error)) => error.to_string(),
                        Ok(Ok((status, body))) => {
                            for link in links(&body) {
                                if seen.borrow_mut().insert(link.clone()) {
                                    // The queue has no bound, and is open.
                                    drop(queue.put_nowait(link));
                                }
                            }
                            status.to_string()
                        }
                    };
                    outcomes.borrow_mut().insert(path, outcome);
                    queue.task_done();
                }
            })
        })
        .collect();
    queue.join().await;
    queue.shutdown(false);
    gather(workers).await?;
    Ok(outcomes.take())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ourio::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let busiest = Rc::new((Cell::new(0), Cell::new(0)));
        let counted = Rc::clone(&busiest);
        let site = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let busiest = Rc::clone(&counted);
                let service = service_fn(move |request| page(Rc::clone(&busiest), request));
                // A client that gives up is no failure of the site's.
                spawn(async move { drop(http1::Builder::new().serve_connection(stream, service).await) })
                    .detach();
            }
        });
        let outcomes = crawl(address).await?;
        site.cancel();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for outcome in outcomes.values() {
            *counts.entry(outcome).or_default() += 1;
        }
        println!("{} pages, {} at a time at most: {counts:?}", outcomes.len(), busiest.1.get());
        assert!(outcomes.len() > PAGES as usize && busiest.1.get() <= AT_A_TIME);
        assert!(counts["200 OK"] > 200 && counts["404 Not Found"] > 100 && counts["the time ran out"] > 3);
        Ok(())
    })?
}
