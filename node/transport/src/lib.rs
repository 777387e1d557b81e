//! Connections between nodes: QUIC, and TLS over TCP where UDP is dropped.
