//! Receiving many datagrams in one system call.
#![expect(unsafe_code, reason = "recvmmsg, which rustix does not offer")]

use std::fmt;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;

/// How many datagrams are received at once, and their answers sent. With 16 a datagram costs a twentieth less, but the
/// slowest hundredth of the answers comes a quarter later: the first answer waits for the last.
pub(crate) const COUNT: usize = 8;

#[expect(clippy::cast_possible_truncation, reason = "both are small")]
const COUNT_C: libc::c_uint = COUNT as libc::c_uint;
#[expect(clippy::cast_possible_truncation, reason = "both are small")]
const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// No datagram of the internet protocol of version 4 is longer.
const LONGEST: usize = 64 * 1024;

/// From one datagram's place to the next: places that were a power of two apart would share lines of the processor's
/// cache.
const STRIDE: usize = LONGEST + 17 * 64;

/// What one system call has received.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// As many places as datagrams are received at once; of a place, only what was ever received into is in memory.
    room: Vec<u8>,
    received: Vec<(usize, Option<SocketAddrV4>)>,
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Arrivals {
    /// Receives what has come, cut off after `longest` bytes each. What was received before is forgotten.
    ///
    /// # Errors
    ///
    /// The kernel's, if there is one before the first datagram; `AGAIN` if nothing has come.
    pub(crate) fn receive(&mut self, fd: BorrowedFd<'_>, longest: usize) -> Result<(), Errno> {
        self.received.clear();
        if self.room.is_empty() {
            self.room = vec![0; COUNT * STRIDE];
        }
        // SAFETY: structures of C made of numbers and pointers, for which zeros are valid.
        let (mut addresses, mut headers): ([libc::sockaddr_in; COUNT], [libc::mmsghdr; COUNT]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        let mut slices = [const { MaybeUninit::<libc::iovec>::uninit() }; COUNT];
        for (((place, header), slice), address) in
            self.room.chunks_exact_mut(STRIDE).zip(&mut headers).zip(&mut slices).zip(&mut addresses)
        {
            let room = &mut place[..longest.min(LONGEST)];
            header.msg_hdr.msg_iov =
                slice.write(libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() });
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = ADDRESS_LEN;
        }
        // SAFETY: each header points to a place in `room`, a slice and an address of its own, with their sizes; all of
        // them outlive the call, nothing else refers to them meanwhile, and zeroed fields mean "none".
        let count = unsafe {
            libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), COUNT_C, libc::MSG_DONTWAIT, ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
        };
        self.received.extend(headers.iter().zip(&addresses).take(count).map(|(header, address)| {
            // A datagram that is longer than its place is cut off, as asyncio cuts it.
            (header.msg_len as usize, sender(address, header.msg_hdr.msg_namelen))
        }));
        Ok(())
    }

    /// The datagrams, each with its sender.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<SocketAddrV4>)> {
        let places = self.room.chunks_exact(STRIDE);
        self.received.iter().zip(places).map(|((len, sender), place)| (&place[..*len], *sender))
    }
}

/// An address that the kernel has written, unless it is of another family.
fn sender(address: &libc::sockaddr_in, len: libc::socklen_t) -> Option<SocketAddrV4> {
    (len >= ADDRESS_LEN && i32::from(address.sin_family) == libc::AF_INET).then(|| {
        SocketAddrV4::new(
            Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)),
            u16::from_be(address.sin_port),
        )
    })
}
