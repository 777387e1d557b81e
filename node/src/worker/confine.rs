//! The limits that a worker sets for itself before it reads a byte of its job. None can be lifted again.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;

use crate::worker::pass::Order;

/// Memory, time, output, no core file (it would hold rows), no new files or sockets, no more rights than now.
pub(crate) fn confine(order: &Order) -> Result<(), Errno> {
    set_no_new_privs(true)?;
    let limits = [
        (Resource::Core, 0, 0),
        (Resource::As, order.memory_bytes, order.memory_bytes),
        // At the first the kernel says why it ends the process, at the second it no longer asks.
        (Resource::Cpu, order.cpu_seconds, order.cpu_seconds.saturating_add(2)),
        (Resource::Fsize, order.output_bytes, order.output_bytes),
        // The files it has stay open; every new one, by path or socket, is refused.
        (Resource::Nofile, 0, 0),
    ];
    limits
        .into_iter()
        .try_for_each(|(resource, soft, hard)| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) }))
}
