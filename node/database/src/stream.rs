//! The connected socket that a conversation goes over. Nobody here connects: it is given.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::getsockname;

/// A connected stream socket.
#[derive(Debug)]
pub struct Stream(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Socket::Tcp(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Socket::Unix(stream))
    }
}

impl TryFrom<OwnedFd> for Stream {
    type Error = io::Error;

    /// The socket that a process was handed.
    ///
    /// # Errors
    /// It is no socket, or one of another family.
    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        match getsockname(&fd)?.address_family() {
            AddressFamily::UNIX => Ok(UnixStream::from(fd).into()),
            AddressFamily::INET | AddressFamily::INET6 => Ok(TcpStream::from(fd).into()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Stream {
    /// Whether what is written stays within this machine.
    pub(crate) fn is_local(&self) -> bool {
        match &self.0 {
            Socket::Tcp(stream) => stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()),
            Socket::Unix(_) => true,
        }
    }

    /// From now on every wait ends after `silence_max`.
    pub(crate) fn prepare(&self, silence_max: Duration) -> io::Result<()> {
        let wait = Some(silence_max.max(Duration::from_millis(1)));
        match &self.0 {
            Socket::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(wait)?;
                stream.set_write_timeout(wait)
            }
            Socket::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(wait)?;
                stream.set_write_timeout(wait)
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Socket::Tcp(stream) => stream.write(buffer),
            Socket::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_descriptor_becomes_the_socket_that_it_is() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut given = Stream::try_from(OwnedFd::from(theirs)).unwrap();
        assert!(matches!(given.0, Socket::Unix(_)) && given.is_local());
        given.write_all(b"x").unwrap();
        ours.read_exact(&mut [0]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let given = Stream::try_from(OwnedFd::from(tcp)).unwrap();
        assert!(matches!(given.0, Socket::Tcp(_)) && given.is_local());
        let file = tempfile::tempfile().unwrap();
        assert!(Stream::try_from(OwnedFd::from(file)).is_err());
    }

    #[test]
    fn a_silent_peer_is_not_waited_for_without_end() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let mut given = Stream::from(theirs);
        given.prepare(Duration::from_millis(20)).unwrap();
        assert_eq!(given.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
