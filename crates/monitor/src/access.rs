//! Who may ask: over the local socket the user who runs the program, over TCP whoever has the token.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use rustix::process::geteuid;

/// The folder of the sockets: in the user's runtime folder if there is one, else below the temporary one.
pub fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder).join("ourio"),
        _ => std::env::temp_dir().join(format!("ourio-{}", geteuid().as_raw())),
    }
}

/// The socket of a process.
pub fn socket_of(process: u32) -> PathBuf {
    folder().join(format!("{process}.sock"))
}

/// Listens on a local socket that only this user may open.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] if the folder is somebody else's, or open to others; the system's otherwise.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // In a folder that others may write to, a socket could be exchanged for theirs.
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o077 != 0 {
        let text = format!("{} is not a folder of this user alone", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Whether the process at the other end of a local socket belongs to this user.
pub(crate) fn is_this_user(peer: impl AsFd) -> bool {
    rustix::net::sockopt::socket_peercred(peer).is_ok_and(|peer| peer.uid == geteuid())
}

/// What is wrong with a request that came over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was addressed to another name, as a page does that has its own name point here.
    Host,
    /// It was sent by a page of another origin.
    Origin,
    /// It has no token, or a wrong one.
    Token,
}

/// Checks a request that came over TCP.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(crate) fn check(
    headers: &HeaderMap,
    query: Option<&str>,
    address: SocketAddr,
    token: &str,
) -> Result<(), Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if !is_ours(host, address) {
        return Err(Refusal::Host);
    }
    if text(ORIGIN).is_some_and(|origin| origin != format!("http://{host}")) {
        return Err(Refusal::Origin);
    }
    let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let cookie = text(COOKIE).and_then(|cookies| {
        cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
    });
    let given = [bearer, cookie, query.and_then(token_in)];
    let right = given.into_iter().flatten().any(|given| is_equal(given.as_bytes(), token.as_bytes()));
    if right { Ok(()) } else { Err(Refusal::Token) }
}

/// The query's argument with the token.
const ARGUMENT_NAME: &str = "token";
/// The cookie with the token.
const COOKIE_NAME: &str = "ourio_token";

/// The address that opens a server, token included.
pub(crate) fn url(address: SocketAddr, token: &str) -> String {
    format!("http://{address}/?{ARGUMENT_NAME}={token}")
}

/// The cookie in which a browser that was let in keeps the token.
pub(crate) fn cookie(token: &str) -> String {
    format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/")
}

/// The token in a query.
pub(crate) fn token_in(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix(ARGUMENT_NAME)?.strip_prefix('='))
}

/// Whether a request was addressed to where we listen: by the address, or by `localhost` if nobody else hears us. If we
/// listen on every address, any address will do, but no name.
fn is_ours(host: &str, address: SocketAddr) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    if port != address.port().to_string() {
        return false;
    }
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match ip {
        Ok(ip) => ip == address.ip() || address.ip().is_unspecified(),
        Err(_) => name == "localhost" && (address.ip().is_loopback() || address.ip().is_unspecified()),
    }
}

/// Compares in a time that does not tell how much is right.
fn is_equal(given: &[u8], right: &[u8]) -> bool {
    given.len() == right.len() && given.iter().zip(right).fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
}

/// A token that nobody can guess: 128 random bits.
///
/// # Errors
///
/// The system's, if it has no random numbers.
pub(crate) fn make_token() -> io::Result<String> {
    let mut random = [0; 16];
    let mut filled = 0;
    while filled < random.len() {
        filled += rustix::rand::getrandom(&mut random[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const TOKEN: &str = "0123456789abcdef";

    fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }

    fn outcome(headers: &[(HeaderName, &'static str)], query: Option<&str>) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.clone(), HeaderValue::from_static(value));
        }
        check(&map, query, address(), TOKEN)
    }

    #[test]
    fn the_token_opens_in_each_of_its_places() {
        let host = (HOST, "127.0.0.1:8080");
        assert_eq!(outcome(std::slice::from_ref(&host), Some("a=b&token=0123456789abcdef")), Ok(()));
        assert_eq!(outcome(&[host.clone(), (AUTHORIZATION, "Bearer 0123456789abcdef")], None), Ok(()));
        assert_eq!(outcome(&[host.clone(), (COOKIE, "x=y; ourio_token=0123456789abcdef")], None), Ok(()));
        assert_eq!(
            outcome(&[(HOST, "localhost:8080"), (COOKIE, "ourio_token=0123456789abcdef")], None),
            Ok(())
        );
        for wrong in ["", "0123456789abcdee", "0123456789abcdef0", "0123"] {
            assert_eq!(
                outcome(std::slice::from_ref(&host), Some(&format!("token={wrong}"))),
                Err(Refusal::Token)
            );
        }
        assert_eq!(outcome(&[host], None), Err(Refusal::Token));
    }

    #[test]
    fn another_name_or_origin_is_refused_whatever_the_token() {
        let right = Some("token=0123456789abcdef");
        for host in ["evil.example:8080", "127.0.0.1:81", "127.0.0.2:8080", "", "localhost"] {
            assert_eq!(outcome(&[(HOST, host)], right), Err(Refusal::Host), "{host}");
        }
        let host = (HOST, "127.0.0.1:8080");
        assert_eq!(outcome(&[host.clone(), (ORIGIN, "http://evil.example")], right), Err(Refusal::Origin));
        assert_eq!(outcome(&[host.clone(), (ORIGIN, "null")], right), Err(Refusal::Origin));
        assert_eq!(outcome(&[host, (ORIGIN, "http://127.0.0.1:8080")], right), Ok(()));
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let folder = scratch.path().join("mine");
        let path = folder.join("1.sock");
        let listener = listen(&path)?;
        assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder)?.mode() & 0o777, 0o700);
        drop(listener);
        // What an ended process has left is no obstacle.
        drop(listen(&path)?);
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        assert_eq!(listen(&path).map_err(|error| error.kind()).err(), Some(io::ErrorKind::PermissionDenied));
        Ok(())
    }

    #[test]
    fn tokens_differ() -> io::Result<()> {
        let (one, other) = (make_token()?, make_token()?);
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        Ok(())
    }
}
