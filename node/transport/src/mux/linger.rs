//! A socket that is not dropped with unread bytes: TCP would answer those with a reset, and a reset makes the peer's kernel
//! throw away what it has not read yet, which is the close and its code.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};

/// Bytes of a peer that are thrown away after our close; one that sends more is cut.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Closing it sends the end and then discards what the peer still sends, until its end. The caller sets the deadline.
pub(super) struct Linger<T> {
    socket: T,
    ended: bool,
    discarded: usize,
}

impl<T> Linger<T> {
    pub(super) fn new(socket: T) -> Self {
        Self { socket, ended: false, discarded: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Linger<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ended {
            ready!(Pin::new(&mut this.socket).poll_close(cx))?;
            this.ended = true;
        }
        let mut scratch = [0; 16 * 1024];
        while this.discarded < DISCARDED_BYTES_MAX {
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut scratch)) {
                Ok(0) | Err(_) => break,
                Ok(count) => this.discarded += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}
