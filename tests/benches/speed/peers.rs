//! The anchors: the same bytes by a bare quinn stream, by TLS over TCP and by scp, between two processes on loopback.
//!
//! Each receiver counts what comes and says the count; the sender's clock runs from the first byte to that word. Nothing is
//! read from or written to a disk, except by scp.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cohortium_transport::limits;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, TransportConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::network::{self, subfolder, text};

/// Bytes that a sender hands over at once.
const PIECE: usize = 1 << 20;
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// A way to move bytes that the node is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// quinn as it comes.
    QuinnDefault,
    /// quinn with the node's windows, datagram size and socket buffers.
    QuinnNode,
    /// tokio-rustls over one TCP connection.
    Tls,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::QuinnDefault, Self::QuinnNode, Self::Tls];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::QuinnDefault => "bare quinn stream, quinn's defaults",
            Self::QuinnNode => "bare quinn stream, the node's settings",
            Self::Tls => "TLS 1.3 over TCP, one stream",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::QuinnDefault => "quinn-default",
            Self::QuinnNode => "quinn-node",
            Self::Tls => "tls",
        }
    }

    fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|peer| peer.word() == word).unwrap()
    }
}

/// Moves `bytes` between two new processes; gives the seconds.
pub(crate) fn moved(peer: Peer, bytes: u64) -> f64 {
    let mut receiver = child(&["receive", peer.word()]);
    let address = line_of(&mut receiver);
    let mut sender = child(&["send", peer.word(), &address, &bytes.to_string()]);
    let seconds = line_of(&mut sender).parse().unwrap();
    assert!(sender.wait().unwrap().success());
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    seconds
}

fn child(args: &[&str]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("peer").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn line_of(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// The other processes' beginning.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["receive", peer] => runtime.block_on(receive(Peer::from_word(peer))),
        ["send", peer, address, bytes] => {
            let seconds =
                runtime.block_on(send(Peer::from_word(peer), address.parse().unwrap(), bytes.parse().unwrap()));
            println!("{seconds}");
        }
        other => panic!("unknown order {other:?}"),
    }
    ExitCode::SUCCESS
}

fn settings(peer: Peer) -> (EndpointConfig, Arc<TransportConfig>) {
    match peer {
        Peer::QuinnNode => (limits::quic_endpoint(EndpointConfig::default()), Arc::new(limits::quic_transport())),
        Peer::QuinnDefault | Peer::Tls => (EndpointConfig::default(), Arc::default()),
    }
}

fn endpoint(peer: Peer, server: Option<quinn::ServerConfig>) -> Endpoint {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    if peer == Peer::QuinnNode {
        let socket = socket2::SockRef::from(&socket);
        socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
    }
    Endpoint::new(settings(peer).0, server, socket, Arc::new(quinn::TokioRuntime)).unwrap()
}

async fn receive(peer: Peer) {
    if peer == Peer::Tls {
        return receive_tls().await;
    }
    let crypto = QuicServerConfig::try_from(server_tls()).unwrap();
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(settings(peer).1);
    let endpoint = endpoint(peer, Some(server));
    println!("{}", endpoint.local_addr().unwrap());
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    let (mut send, mut recv) = connection.accept_bi().await.unwrap();
    let mut count = 0;
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.unwrap() {
        count += chunk.bytes.len() as u64;
    }
    send.write_all(&count.to_le_bytes()).await.unwrap();
    send.finish().unwrap();
    connection.closed().await;
}

async fn receive_tls() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (tcp, _) = listener.accept().await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = TlsAcceptor::from(Arc::new(server_tls())).accept(tcp).await.unwrap();
    let (mut count, mut piece) = (0, vec![0; PIECE]);
    // The sender's first eight bytes say how many follow: TCP has no end of one direction that TLS 1.3 needs here.
    let total = stream.read_u64_le().await.unwrap();
    while count < total {
        count += stream.read(&mut piece).await.unwrap() as u64;
    }
    stream.write_u64_le(count).await.unwrap();
    stream.flush().await.unwrap();
    // The sender closes first.
    let _ = stream.read(&mut piece).await;
}

async fn send(peer: Peer, address: SocketAddr, bytes: u64) -> f64 {
    let piece = bytes::Bytes::from(vec![7; PIECE]);
    let pieces = bytes.div_ceil(PIECE as u64);
    if peer == Peer::Tls {
        return send_tls(address, &piece, pieces).await;
    }
    let crypto = QuicClientConfig::try_from(client_tls()).unwrap();
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    client.transport_config(settings(peer).1);
    let endpoint = endpoint(peer, None);
    let connection = endpoint.connect_with(client, address, "localhost").unwrap().await.unwrap();
    let started = Instant::now();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    for _ in 0..pieces {
        send.write_chunk(piece.clone()).await.unwrap();
    }
    send.finish().unwrap();
    let count = recv.read_to_end(8).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(count, (pieces * PIECE as u64).to_le_bytes());
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    seconds
}

async fn send_tls(address: SocketAddr, piece: &[u8], pieces: u64) -> f64 {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client_tls())).connect(name, tcp).await.unwrap();
    let started = Instant::now();
    stream.write_u64_le(pieces * PIECE as u64).await.unwrap();
    for _ in 0..pieces {
        stream.write_all(piece).await.unwrap();
    }
    stream.flush().await.unwrap();
    assert_eq!(stream.read_u64_le().await.unwrap(), pieces * PIECE as u64);
    started.elapsed().as_secs_f64()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server with a raw public key, as the node's is. The key is known to everybody: nothing but a bench uses it.
fn server_tls() -> ServerConfig {
    const PKCS8_PREFIX: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = [PKCS8_PREFIX.as_slice(), &[7; 32]].concat();
    let key = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der)).unwrap();
    let public = CertificateDer::from(key.public_key().unwrap().to_vec());
    let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::new(CertifiedKey::new(vec![public], key)));
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver))
}

fn client_tls() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey))
        .with_no_client_auth()
}

/// Takes every raw key: the other end is this program.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// An SSH server of this run alone: its own keys, a port of its own.
pub(crate) struct Ssh {
    daemon: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Ssh {
    /// Starts one.
    ///
    /// # Errors
    /// Why scp is not measured.
    pub(crate) fn start() -> Result<Self, String> {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|path| Path::new(path).exists());
        let sshd = sshd.ok_or("there is no sshd (Debian: apt-get install openssh-server)")?;
        // Asked for by an sshd that root starts; not its own folder, so a failure only shows below.
        let _ = fs::create_dir_all("/run/sshd");
        let dir = network::folder();
        for key in ["host", "user"] {
            let path = dir.path().join(key);
            let args = ["-q", "-t", "ed25519", "-N", "", "-f", text(&path)];
            let made =
                Command::new("ssh-keygen").args(args).status().map_err(|fault| format!("ssh-keygen: {fault}"))?;
            if !made.success() {
                return Err("ssh-keygen failed".to_owned());
            }
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nStrictModes no\n\
             UsePAM no\nPidFile none\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n",
            text(dir.path())
        );
        let path = dir.path().join("config");
        fs::write(&path, config).unwrap();
        let daemon = Command::new(sshd).args(["-D", "-f", text(&path)]).stderr(Stdio::null()).spawn();
        let daemon = daemon.map_err(|fault| format!("sshd: {fault}"))?;
        let ssh = Self { daemon, port, dir };
        let small = ssh.dir.path().join("config");
        for _ in 0..20 {
            sleep(Duration::from_millis(100));
            if ssh.copied(&small).is_some() {
                return Ok(ssh);
            }
        }
        Err("sshd does not let this user in".to_owned())
    }

    /// Copies a file over loopback, to the disk but not synced; gives the seconds, with the connection's set-up.
    pub(crate) fn copied(&self, from: &Path) -> Option<f64> {
        let to = subfolder(self.dir.path(), "to").join("copy");
        let port = self.port.to_string();
        let started = Instant::now();
        let mut scp = Command::new("scp");
        scp.args(["-q", "-P", &port, "-i", text(&self.dir.path().join("user")), "-F", "/dev/null"]);
        scp.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]);
        scp.args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", text(from)]);
        let copied = scp.arg(format!("127.0.0.1:{}", text(&to))).stderr(Stdio::null()).status().ok()?;
        let seconds = started.elapsed().as_secs_f64();
        let whole = to.metadata().ok().map(|there| there.len()) == from.metadata().ok().map(|here| here.len());
        let _ = fs::remove_file(&to);
        (copied.success() && whole).then_some(seconds)
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It ends only when told to; either way it is waited for.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
