//! `loop.sock_*`: system calls on a program's own sockets.

pub(crate) mod calls;
