//! The server: the board for other programs, over a local socket and, if asked for, over HTTP for a browser.
//!
//! It runs in a thread of its own, on a loop of our Rust runtime, and needs nothing of the loops that it tells about: it
//! answers while they are blocked. What only the host can tell (tasks, waits) is asked for and waited for a moment; if
//! the host cannot answer, because its interpreter's lock is held, that is the answer.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use ourio::hyper::Timer;
use ourio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use ourio::{Either, race, sleep, spawn, timeout};
use serde_json::json;

use crate::access::{self, Refusal};
use crate::board::{Board, SAMPLE};
use crate::dashboard;
use crate::metrics::prometheus;

/// Between two looks at the pulses.
const LOOK: Duration = Duration::from_millis(100);
/// For so long the host is waited for.
const PATIENCE: Duration = Duration::from_millis(700);
/// Connections at a time and door; more wait.
const CONNECTIONS_MAX: u32 = 64;
/// A request's head must be here by then, and be no larger.
const HEAD_TIME: Duration = Duration::from_secs(5);
const HEAD_MAX: usize = 16 * 1024;
/// A connection lives no longer, however slowly it reads.
const CONNECTION_TIME: Duration = Duration::from_secs(5 * 60);
/// An argument is cut off beyond.
const ARGUMENT_MAX: usize = 1000;

/// What the server tells beside the board.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The program, as its command line names it.
    pub program: String,
    /// What runs it, such as `CPython 3.14.8`.
    pub host: String,
}

/// A server that runs until it is stopped or dropped.
pub struct Server {
    /// Its end is the sign to stop.
    shutdown_sender: Option<StdUnixStream>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    /// Where a browser finds it, with the token; `None` if it does not listen there.
    url: Option<String>,
    process: u32,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts to serve a board: on a local socket of this user's, and over TCP at `http` if that is given.
    ///
    /// # Errors
    ///
    /// The system's, if it refuses a socket or a thread; [`io::ErrorKind::PermissionDenied`] if the folder for the socket is
    /// not this user's alone.
    pub fn start(board: Board, identity: Identity, http: Option<SocketAddr>) -> io::Result<Self> {
        let path = access::socket_of(std::process::id());
        let local = access::listen(&path)?;
        let door = http.map(Door::open).transpose()?;
        let url = door.as_ref().map(|door| access::url(door.address, &door.token));
        let (shutdown_sender, shutdown) = StdUnixStream::pair()?;
        let site = Site { board, identity, began: Instant::now() };
        let thread = thread::Builder::new().name("ourio-monitor".to_owned()).spawn(move || {
            // What it cannot do, such as make a poller, ends the monitor and nothing else: whoever asks finds nobody.
            drop(ourio::run(serve(site, local, door, shutdown)));
        })?;
        Ok(Self {
            shutdown_sender: Some(shutdown_sender),
            thread: Some(thread),
            path,
            url,
            process: std::process::id(),
        })
    }

    /// Where a browser finds the dashboard, with the token.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The local socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stops, and removes the socket.
    pub fn stop(&mut self) {
        if self.process != std::process::id() {
            // A forked process has neither the thread nor the right to the socket.
            return;
        }
        drop(self.shutdown_sender.take());
        if let Some(thread) = self.thread.take() {
            // It panics for nothing that it could say.
            drop(thread.join());
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The door for browsers.
struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: String,
}

impl Door {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { address: listener.local_addr()?, listener, token: access::make_token()? })
    }
}

struct Site {
    board: Board,
    identity: Identity,
    began: Instant,
}

/// Who asks.
#[derive(Clone)]
enum Visitor {
    /// A process of this user's.
    Local,
    /// A browser, which must show the token.
    Remote { address: SocketAddr, token: Rc<str> },
}

async fn serve(site: Site, local: StdUnixListener, door: Option<Door>, shutdown: StdUnixStream) {
    let site = Rc::new(site);
    if shutdown.set_nonblocking(true).is_err() {
        return;
    }
    let Ok(shutdown) = UnixStream::try_from(shutdown) else { return };
    spawn(serve_local(Rc::clone(&site), local)).detach();
    if let Some(door) = door {
        spawn(serve_browsers(Rc::clone(&site), door)).detach();
    }
    let mut sampled = Instant::now();
    loop {
        let is_sample = sampled.elapsed() >= SAMPLE;
        if is_sample {
            sampled = Instant::now();
        }
        site.board.look(is_sample);
        if let Either::Second(_ended) = race(sleep(LOOK), shutdown.read(&mut [0])).await {
            return;
        }
    }
}

async fn serve_local(site: Rc<Site>, listener: StdUnixListener) {
    // Each door has room of its own: no crowd of browsers keeps `ourio top` out.
    let open = Rc::new(Cell::new(0));
    if listener.set_nonblocking(true).is_err() {
        return;
    }
    let Ok(listener) = UnixListener::try_from(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, _)) if access::is_this_user(&stream) => {
                admit(&site, stream, Visitor::Local, &open).await;
            }
            // Another user's; the socket's mode keeps them away already.
            Ok(_) => {}
            // Out of descriptors, most likely: the program's, and it needs them more.
            Err(_) => sleep(LOOK).await,
        }
    }
}

async fn serve_browsers(site: Rc<Site>, door: Door) {
    let open = Rc::new(Cell::new(0));
    let Ok(listener) = TcpListener::try_from(door.listener) else { return };
    let visitor = Visitor::Remote { address: door.address, token: Rc::from(door.token) };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let stream: TcpStream = stream;
                admit(&site, stream, visitor.clone(), &open).await;
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

async fn admit<S>(site: &Rc<Site>, stream: S, visitor: Visitor, open: &Rc<Cell<u32>>)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    while open.get() >= CONNECTIONS_MAX {
        sleep(LOOK).await;
    }
    open.set(open.get() + 1);
    let (site, open) = (Rc::clone(site), Rc::clone(open));
    spawn(async move {
        let service = service_fn(move |request| answer(Rc::clone(&site), visitor.clone(), request));
        let mut http = http1::Builder::new();
        http.timer(Timer).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX);
        // How a visitor's connection ends is no matter of the program's.
        let _ = timeout(CONNECTION_TIME, http.serve_connection(stream, service)).await;
        open.set(open.get() - 1);
    })
    .detach();
}

type Answer = Response<Full<Bytes>>;

async fn answer(site: Rc<Site>, visitor: Visitor, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let mut answer = match refusal(&visitor, &request) {
        Some(refusal) => refusal,
        None => site.page(request.uri().path(), request.uri().query().unwrap_or_default()).await,
    };
    if let Visitor::Remote { token, .. } = &visitor
        && answer.status() == StatusCode::OK
        && request.uri().query().and_then(access::token_in).is_some()
        && let Ok(cookie) = HeaderValue::from_str(&access::cookie(token))
    {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

/// Why a request is not answered, if it is not.
fn refusal(visitor: &Visitor, request: &Request<Incoming>) -> Option<Answer> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood here"));
    }
    if !request.body().is_end_stream() {
        return Some(text(StatusCode::PAYLOAD_TOO_LARGE, "a request has no body here"));
    }
    let Visitor::Remote { address, token } = visitor else { return None };
    let refusal = match access::check(request.headers(), request.uri().query(), *address, token) {
        // Recording costs the program something: a browser only looks.
        Ok(()) if request.uri().path() == "/api/trace" => {
            return Some(text(StatusCode::FORBIDDEN, "traces are for the local socket"));
        }
        Ok(()) => return None,
        Err(refusal) => refusal,
    };
    Some(match refusal {
        Refusal::Host => text(StatusCode::MISDIRECTED_REQUEST, "this is not where it was sent to"),
        Refusal::Origin => text(StatusCode::FORBIDDEN, "another origin may not ask"),
        Refusal::Token => {
            text(StatusCode::UNAUTHORIZED, "the address that the program printed has the token")
        }
    })
}

impl Site {
    async fn page(&self, path: &str, query: &str) -> Answer {
        match path {
            "/" => page("text/html; charset=utf-8", dashboard::PAGE),
            "/dashboard.js" => page("text/javascript; charset=utf-8", dashboard::SCRIPT),
            "/dashboard.css" => page("text/css; charset=utf-8", dashboard::STYLE),
            "/uplot.js" => page("text/javascript; charset=utf-8", dashboard::CHART),
            "/uplot.css" => page("text/css; charset=utf-8", dashboard::CHART_STYLE),
            "/api/state" => json_of(self.state().to_string()),
            "/api/notes" => json_of(json!(self.board.notes()).to_string()),
            "/api/tasks" => self.ask("tasks", "").await,
            "/api/sites" => self.ask("sites", "").await,
            "/api/why" => self.ask("why", &argument(query, "task")).await,
            "/api/trace" => self.ask("trace", &argument(query, "do")).await,
            "/metrics" => {
                let mut metrics = prometheus(&self.board.views());
                // What the host has, if it is free to say so.
                metrics.push_str(&self.asked("metrics", "").await.unwrap_or_default());
                let mut answer = Response::new(Full::from(metrics));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            _ => text(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }

    fn state(&self) -> serde_json::Value {
        json!({
            "process": std::process::id(),
            "program": self.identity.program,
            "host": self.identity.host,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": self.began.elapsed().as_secs_f64(),
            "loops": self.board.states(),
            "notes": self.board.notes(),
        })
    }

    async fn ask(&self, name: &str, argument: &str) -> Answer {
        match self.asked(name, argument).await {
            Some(answer) => json_of(answer),
            None => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the interpreter does not answer: native code keeps its lock, or it is very busy",
            ),
        }
    }

    /// Asks the host, and waits a moment for its answer.
    async fn asked(&self, name: &str, argument: &str) -> Option<String> {
        let number = self.board.ask(name, argument)?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        while began.elapsed() < PATIENCE {
            if let Some(answer) = self.board.take_answer(number) {
                return Some(answer);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        None
    }
}

/// An argument of a query, with its `%` and `+` undone.
fn argument(query: &str, name: &str) -> String {
    let raw =
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = raw.bytes().take(ARGUMENT_MAX);
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit =
                    |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
                u8::try_from(digit(rest.next()) * 16 + digit(rest.next())).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn page(kind: &'static str, content: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(content));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn json_of(content: String) -> Answer {
    let mut answer = Response::new(Full::from(content));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn text(status: StatusCode, content: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(content));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::argument;

    #[test]
    fn an_argument_is_read_as_a_browser_writes_it() {
        assert_eq!(argument("a=b&task=Task-1%20%C3%A4+x&c", "task"), "Task-1 ä x");
        assert_eq!(argument("task=%", "task"), "\0");
        assert_eq!(argument("taskx=1", "task"), "");
        assert_eq!(argument(&format!("task={}", "y".repeat(5000)), "task").len(), 1000);
    }
}
