//! TLS over a stream: a library that knows `futures-io` needs nothing of this crate's.
//!
//! `cargo run -p ourio --example tls`

use std::sync::Arc;

use futures_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ourio::net::{TcpListener, TcpStream};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// More than fits into the kernel's buffers, so that both sides must wait for each other.
const BLOB_BYTES: usize = 4 << 20;

fn main() -> Outcome<()> {
    ourio::run(async {
        let (acceptor, trusting, distrusting) = secrets()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = ourio::spawn(async move {
            let mut handshakes = 0;
            for _ in 0..2 {
                let (stream, _) = listener.accept().await?;
                // A client that trusts nobody hangs up: that is no error of the server's.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    handshakes += 1;
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        let count = stream.read(&mut buffer).await?;
                        if count == 0 {
                            break;
                        }
                        stream.write_all(&buffer[..count]).await?;
                        stream.flush().await?;
                    }
                    stream.close().await?;
                }
            }
            Ok::<_, std::io::Error>(handshakes)
        });

        let name = ServerName::try_from("localhost")?;
        let refused = distrusting.connect(name.clone(), TcpStream::connect(address).await?).await;
        println!("without the server's certificate: {}", refused.err().ok_or("it was trusted")?);

        let stream = trusting.connect(name, TcpStream::connect(address).await?).await?;
        let (mut reader, mut writer) = stream.split();
        let blob: Arc<Vec<u8>> = Arc::new((0..BLOB_BYTES).map(|n| n.to_le_bytes()[0]).collect());
        let sent = Arc::clone(&blob);
        let sending = ourio::spawn(async move {
            writer.write_all(&sent).await?;
            writer.flush().await?;
            writer.close().await
        });
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await?;
        sending.await??;
        assert!(back == *blob, "what was sent is what came back");
        println!("{} bytes there and back", back.len());
        assert_eq!(server.await??, 1, "one handshake has succeeded");
        Ok(())
    })?
}

/// A server with a certificate made now, a client that trusts it, and one that does not.
fn secrets() -> Outcome<(TlsAcceptor, TlsConnector, TlsConnector)> {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let certificate = issued.cert.der().clone();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let trusting = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let distrusting =
        ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let connector = |config| TlsConnector::from(Arc::new(config));
    Ok((TlsAcceptor::from(Arc::new(server)), connector(trusting), connector(distrusting)))
}
