//! Bounds of a connection that only this node needs to know, and the settings of QUIC that follow from them.
//!
//! quinn's defaults are for one trusted peer: the connection's window is unbounded and 100 MiB may wait before a handshake.

use std::sync::Arc;
use std::time::Duration;

use cohortium_protocol::limits as agreed;
use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};

/// Streams that a peer may have open at one time over QUIC.
pub const QUIC_STREAMS_MAX: u32 = 64;
/// Streams that each side opens at one time over TCP. With yamux every stream is granted 256 KiB at once.
pub const TCP_STREAMS_MAX: usize = 16;
/// Bytes that a peer may send ahead on one stream. Larger windows were no faster on loopback.
pub const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes that a peer may send ahead on one QUIC connection: 160 MB/s at a round trip of 50 ms.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Bytes kept for sending again on one QUIC connection.
pub const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that a peer may send ahead on one TCP connection: what yamux grants every stream, and 4 MiB by which those that
/// need it may grow.
pub const TCP_WINDOW_BYTES: usize = TCP_STREAMS_OPEN_MAX * (yamux::DEFAULT_CREDIT as usize) + 4 * 1024 * 1024;
/// How often an idle connection shows that it lives; also what keeps a firewall's entry open.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Silence after which a connection is given up.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Handshakes that run at one time; more are refused at once, so that nobody waits behind those who hold theirs.
pub const HANDSHAKES_MAX: usize = 512;
/// Handshakes that run at one time for one address; more are refused, so that one sender cannot take all places.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 8;
/// First packets that wait for a decision, for all peers together.
pub const INCOMING_MAX: usize = 256;
/// Connections that wait for [`crate::Transport::accept`].
pub const ACCEPTED_MAX: usize = 64;
/// Bytes of the reason that goes with a close.
pub const CLOSE_REASON_BYTES_MAX: usize = 128;
/// Bytes of a proxy's answer to CONNECT.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;
/// How long QUIC is tried before TCP is.
pub const QUIC_TRY: Duration = Duration::from_secs(4);

/// Streams of both sides, the two control streams, and streams that one side has closed and the other has yet to.
const TCP_STREAMS_OPEN_MAX: usize = 3 * TCP_STREAMS_MAX;
const INCOMING_BUFFER_BYTES: u64 = 32 * 1024;
const INCOMING_BUFFERS_BYTES: u64 = 1024 * 1024;
/// The largest datagram tried: a few lost probes on Ethernet, less than half the processor time on loopback and jumbo
/// frames. quinn hands the kernel ten datagrams at once, and all ten must fit one UDP payload, or they are lost unseen.
pub const MTU_UPPER_BYTES: u16 = 6_500;
/// quinn's `MAX_TRANSMIT_SEGMENTS`.
const SEGMENTS_AT_ONCE: u32 = 10;
const UDP_PAYLOAD_BYTES_MAX: u32 = 65_487;
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

const _: () = assert!(STREAM_WINDOW_BYTES as u64 >= agreed::RANGE_BYTES, "a range fits a stream's window");
const _: () = assert!(MTU_UPPER_BYTES as u32 * SEGMENTS_AT_ONCE <= UDP_PAYLOAD_BYTES_MAX);
const _: () = assert!(STREAM_WINDOW_BYTES <= CONNECTION_WINDOW_BYTES);
const _: () = assert!(QUIC_STREAMS_MAX as usize >= 2 * agreed::RANGES_IN_FLIGHT_MAX);
const _: () = assert!(TCP_STREAMS_MAX >= agreed::RANGES_IN_FLIGHT_MAX);
const _: () = assert!(INCOMING_BUFFERS_BYTES >= INCOMING_BUFFER_BYTES);

/// A duration of the protocol as the clock takes it.
pub(crate) const fn duration(seconds: cohortium_protocol::time::Seconds) -> Duration {
    Duration::from_secs(seconds.0)
}

/// Settings of a QUIC connection, the same for both sides. Public so that a bench can run a bare quinn stream with them.
///
/// # Panics
/// Never: the idle timeout is a constant that QUIC can carry.
pub fn quic_transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_UPPER_BYTES);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        // Ranges end one after the other, so that the next one is asked for while the others travel: sent in turns, all end
        // at once and the line is idle while they are written. Words go before bulk by their streams' priority.
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_TIMEOUT).expect("60 s is below QUIC's bound")))
        .mtu_discovery_config(Some(mtu));
    config
}

/// Settings of a QUIC socket, put into `config`.
///
/// # Panics
/// Never: the largest datagram is a constant within UDP's bounds.
pub fn quic_endpoint(mut config: EndpointConfig) -> EndpointConfig {
    config.max_udp_payload_size(MTU_UPPER_BYTES).expect("between QUIC's 1,200 and UDP's 65,527");
    config
}

/// Bounds of what a listener keeps for peers it has not checked.
pub(crate) fn quic_listener(config: &mut ServerConfig) {
    config
        .transport_config(Arc::new(quic_transport()))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
}

/// Windows and stream counts of the multiplexer over TCP.
pub(crate) fn yamux() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(TCP_STREAMS_OPEN_MAX);
    config.set_max_connection_receive_window(Some(TCP_WINDOW_BYTES));
    config.set_split_send_size(64 * 1024);
    config.set_read_after_close(true);
    config
}

/// Asks for larger socket buffers; the kernel grants what it allows.
pub(crate) fn enlarge_buffers(socket: &socket2::SockRef<'_>) {
    if let Err(error) = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES) {
        tracing::debug!(%error, "the receive buffer stays as it is");
    }
    if let Err(error) = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES) {
        tracing::debug!(%error, "the send buffer stays as it is");
    }
}
