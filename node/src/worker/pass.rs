//! How a worker gets its order and its open files: over the socket that is its standard input (`SCM_RIGHTS`).

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// The most files of one job; the kernel allows 253.
pub(crate) const FILES_MAX: usize = 200;
const ORDER_BYTES: usize = 40;

/// What a worker must know before it reads its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Bytes of the job that follows.
    pub(crate) job_bytes: u64,
    /// Files that come with it.
    pub(crate) files: u64,
    /// Address space, in bytes.
    pub(crate) memory_bytes: u64,
    /// Processor time, in seconds.
    pub(crate) cpu_seconds: u64,
    /// The longest file it may write, in bytes.
    pub(crate) output_bytes: u64,
}

impl Order {
    fn to_bytes(self) -> [u8; ORDER_BYTES] {
        let mut bytes = [0; ORDER_BYTES];
        let fields = [self.job_bytes, self.files, self.memory_bytes, self.cpu_seconds, self.output_bytes];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; ORDER_BYTES]) -> Self {
        let field = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_le_bytes(eight)
        };
        Self {
            job_bytes: field(0),
            files: field(1),
            memory_bytes: field(2),
            cpu_seconds: field(3),
            output_bytes: field(4),
        }
    }
}

/// Sends the order with the files in one message. The job follows on the same stream.
pub(crate) fn send(socket: &UnixStream, order: Order, files: &[OwnedFd]) -> io::Result<()> {
    if files.len() > FILES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(&fds));
        assert!(fits, "the space is for as many files as are allowed");
    }
    let bytes = order.to_bytes();
    let sent = sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    // The socket is new and its buffer far larger than an order.
    if sent == ORDER_BYTES { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives the order with its files.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<(Order, Vec<File>)> {
    let mut bytes = [0; ORDER_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            files.extend(fds.map(File::from));
        }
    }
    let order = Order::from_bytes(&bytes);
    if received.bytes != ORDER_BYTES || order.files != files.len() as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((order, files))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    #[test]
    fn files_arrive_in_order_with_their_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let order = Order { job_bytes: 1, files: 3, memory_bytes: 2, cpu_seconds: 3, output_bytes: u64::MAX };
        let files = (0..3).map(|i| {
            let mut file = tempfile::tempfile().unwrap();
            write!(file, "{i}").unwrap();
            file.rewind().unwrap();
            OwnedFd::from(file)
        });
        send(&ours, order, &files.collect::<Vec<_>>()).unwrap();
        let (received, files) = receive(&theirs).unwrap();
        assert_eq!(received, order);
        for (i, mut file) in files.into_iter().enumerate() {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, i.to_string());
        }
    }
}
