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

/// The most files of one job: so many that parts of any size fit, so few that every message of them fits the socket's buffer
/// before the worker reads the first.
pub(crate) const FILES_MAX: usize = 16 * 1024;
/// The most files of one message; the kernel allows 253.
const MESSAGE_FILES_MAX: usize = 200;
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

/// Sends the order with its first files, and then one byte with each more of them that fit a message. The job follows on
/// the same stream.
pub(crate) fn send(socket: &UnixStream, order: Order, files: &[OwnedFd]) -> io::Result<()> {
    if files.len() > FILES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (first, more) = files.split_at(files.len().min(MESSAGE_FILES_MAX));
    send_with(socket, &order.to_bytes(), first)?;
    more.chunks(MESSAGE_FILES_MAX).try_for_each(|files| send_with(socket, &[0], files))
}

fn send_with(socket: &UnixStream, bytes: &[u8], files: &[OwnedFd]) -> io::Result<()> {
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FILES_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(&fds));
        assert!(fits, "the space is for as many files as are allowed");
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    // The socket is new and its buffer far larger than all that is sent here.
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives the order with its files.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<(Order, Vec<File>)> {
    let mut bytes = [0; ORDER_BYTES];
    let mut files = receive_with(&socket, &mut bytes)?;
    let order = Order::from_bytes(&bytes);
    while (files.len() as u64) < order.files {
        let more = receive_with(&socket, &mut [0])?;
        if more.is_empty() || files.len() + more.len() > FILES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        files.extend(more);
    }
    if order.files == files.len() as u64 { Ok((order, files)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One message: fills all of `bytes` and gives the files that came with them. The kernel ends a read where files end.
fn receive_with(socket: &impl AsFd, bytes: &mut [u8]) -> io::Result<Vec<File>> {
    let wanted = bytes.len();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FILES_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket.as_fd(), &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            files.extend(fds.map(File::from));
        }
    }
    if received.bytes == wanted { Ok(files) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    fn order(files: usize) -> Order {
        Order { job_bytes: 1, files: files as u64, memory_bytes: 2, cpu_seconds: 3, output_bytes: u64::MAX }
    }

    #[test]
    fn any_number_of_files_arrives_in_order_with_their_order_and_the_job_behind_them() {
        for count in [0, 1, MESSAGE_FILES_MAX, MESSAGE_FILES_MAX + 1, 2 * MESSAGE_FILES_MAX + 7] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut file = tempfile::tempfile().unwrap();
            (0..count).for_each(|_| file.write_all(b"x").unwrap());
            // One file and a copy of it for each: how far each is read is its own.
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let files = (0..count).map(|place| {
                let mut file = File::open(&path).unwrap();
                file.seek(std::io::SeekFrom::Start(place as u64)).unwrap();
                OwnedFd::from(file)
            });
            send(&ours, order(count), &files.collect::<Vec<_>>()).unwrap();
            (&ours).write_all(b"j").unwrap();
            let (received, files) = receive(&theirs).unwrap();
            assert_eq!((received, files.len()), (order(count), count));
            for (place, mut file) in files.into_iter().enumerate() {
                assert_eq!(file.stream_position().unwrap(), place as u64);
            }
            let mut job = [0];
            (&theirs).read_exact(&mut job).unwrap();
            assert_eq!(&job, b"j");
        }
    }

    #[test]
    fn an_order_with_other_files_than_it_says_is_none() {
        let file = || OwnedFd::from(tempfile::tempfile().unwrap());
        for (said, sent) in [(0, 1), (2, 1), (1, 2)] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let files: Vec<OwnedFd> = (0..sent).map(|_| file()).collect();
            send(&ours, order(said), &files).unwrap();
            (&ours).write_all(b"job").unwrap();
            assert!(receive(&theirs).is_err(), "{said} said, {sent} sent");
        }
    }
}
