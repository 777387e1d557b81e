//! The limits that a worker sets for itself before it reads a byte of its job. None can be lifted again.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;

use crate::worker::pass::Order;

/// Memory, time, output, no core file (it would hold rows), no new files or sockets, no more rights than now.
pub(crate) fn confine(order: &Order) -> Result<(), Errno> {
    set_no_new_privs(true)?;
    let limits = [
        (Resource::Core, 0),
        (Resource::As, order.memory_bytes),
        (Resource::Cpu, order.cpu_seconds),
        (Resource::Fsize, order.output_bytes),
        // The files it has stay open; every new one, by path or socket, is refused.
        (Resource::Nofile, 0),
    ];
    limits.into_iter().try_for_each(|(resource, most)| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    })
}
