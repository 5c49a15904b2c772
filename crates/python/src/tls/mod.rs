//! TLS connections: the data path of asyncio's own `SSLProtocol`.
//!
//! asyncio's protocol stays what it is: its state machine does the handshake, the shutdown, flow control and every
//! error. What runs per packet, on a connection that is up and whose buffers are empty, is done natively on the same
//! OpenSSL objects. Before each step the protocol's own attributes are asked whether that is so; if not, or if
//! OpenSSL has anything to say but bytes, asyncio's method runs and meets the same.
//!
//! Sending is in the room above, as it ends in a stream's write queue.

pub(crate) mod libssl;
pub(crate) mod protocol;
pub(crate) mod receive;
pub(crate) mod session;
