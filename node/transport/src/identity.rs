//! TLS identities: raw Ed25519 public keys (RFC 7250) in both directions, TLS 1.3 only, no tickets and no early data.
//!
//! A dialler compares the listener's key with the one key it expects. A listener cannot see the ALPN while TLS checks the
//! client's key, so TLS accepts every key that is not weak, and [`Admission`] is asked right after the handshake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use cohortium_protocol::key::pair::PublicKey;
use cohortium_protocol::wire::version;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError, PeerMisbehaved,
    ServerConfig, SignatureScheme,
};
use zeroize::Zeroizing;

use crate::restart::Restart;

/// `SubjectPublicKeyInfo` of an Ed25519 key up to its 32 bytes (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// PKCS#8 version 1 of an Ed25519 key up to its 32-byte seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const SPKI_BYTES: usize = SPKI_PREFIX.len() + 32;

/// The protocol that a connection speaks, as TLS negotiates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alpn {
    /// Between the parties of a consortium.
    Member,
    /// Enrolment, where the peer's key is not known yet.
    Join,
}

impl Alpn {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Member, Self::Join];

    /// The bytes that TLS carries.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Member => version::ALPN,
            Self::Join => version::ALPN_JOIN,
        }
    }

    /// The protocol of these bytes, if this version knows it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|alpn| alpn.as_bytes() == bytes)
    }
}

/// Who may connect. Asked once for each connection, after the handshake and before a byte of it is read.
pub trait Admission: Send + Sync {
    /// Whether the holder of `key` may speak `alpn` with this node. Must not block.
    fn admits(&self, alpn: Alpn, key: &PublicKey) -> bool;
}

/// A node's TLS key. Neither shown nor stored by this crate.
#[expect(missing_debug_implementations, reason = "a secret has no text form")]
#[derive(Clone)]
pub struct TlsIdentity {
    certified: Arc<CertifiedKey>,
    public: PublicKey,
    restart: Restart,
}

impl TlsIdentity {
    /// The identity of a 32-byte seed, which must come from a secure random source.
    ///
    /// # Panics
    /// Never: every seed is a key, and no seed gives a weak one.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut der = Zeroizing::new([0_u8; PKCS8_PREFIX.len() + 32]);
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(seed);
        let key = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]))
            .expect("these 48 bytes are the PKCS#8 form of a seed");
        let spki = key.public_key().expect("an Ed25519 key has a public half").to_vec();
        let public = key_of(&spki).expect("a seed's scalar is clamped, so its point is of large order");
        let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key));
        Self { certified, public, restart: Restart::of(seed) }
    }

    /// What tells peers, after a restart, that their connections are gone.
    pub(crate) fn restart(&self) -> &Restart {
        &self.restart
    }

    /// The public half: what a node record names.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// What a listener needs, for both protocols.
    pub(crate) fn server_config(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3 suites")
            .with_client_cert_verifier(Arc::new(AnyStrongKey))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.certified))));
        config.alpn_protocols = Alpn::ALL.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        config
    }

    /// What a dialler needs to reach exactly `peer`, and where it reads that another key was offered.
    pub(crate) fn client_config(&self, peer: &PublicKey, alpn: Alpn) -> (ClientConfig, KeyRefused) {
        let refused = KeyRefused::default();
        let verifier = ExpectedServer { spki: spki_of(peer), refused: refused.clone() };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3 suites")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.certified))));
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        // The key is the name: a server name would only tell the network who is called.
        config.enable_sni = false;
        (config, refused)
    }
}

/// Set when the listener offered another key than the expected one.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyRefused(Arc<AtomicBool>);

impl KeyRefused {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The name that rustls asks for; it is never sent.
pub(crate) const SERVER_NAME: &str = "cohortium.invalid";

/// The peer's key out of what TLS keeps of it after a handshake.
pub(crate) fn peer_key(chain: Option<&[CertificateDer<'_>]>) -> Option<PublicKey> {
    match chain {
        Some([only]) => key_of(only),
        _ => None,
    }
}

fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}

fn spki_of(key: &PublicKey) -> [u8; SPKI_BYTES] {
    let mut spki = [0; SPKI_BYTES];
    spki[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
    spki[SPKI_PREFIX.len()..].copy_from_slice(key.as_bytes());
    spki
}

/// The key in a `SubjectPublicKeyInfo`, if it is an Ed25519 key in its one encoding and not weak.
fn key_of(spki: &[u8]) -> Option<PublicKey> {
    let bytes: [u8; 32] = spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    PublicKey::from_bytes(bytes).ok()
}

fn verify(
    message: &[u8],
    spki: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, TlsError> {
    verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(spki.as_ref()), dss, algorithms())
}

fn tls12_refused() -> TlsError {
    TlsError::PeerMisbehaved(PeerMisbehaved::UnsolicitedCertExtension)
}

/// The dialler's check: exactly one key.
#[derive(Debug)]
struct ExpectedServer {
    spki: [u8; SPKI_BYTES],
    refused: KeyRefused,
}

impl ServerCertVerifier for ExpectedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if intermediates.is_empty() && end_entity.as_ref() == self.spki {
            return Ok(ServerCertVerified::assertion());
        }
        self.refused.0.store(true, Ordering::Release);
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(tls12_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The listener's check: any Ed25519 key that is not weak.
#[derive(Debug)]
struct AnyStrongKey;

impl ClientCertVerifier for AnyStrongKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        match key_of(end_entity) {
            Some(_) if intermediates.is_empty() => Ok(ClientCertVerified::assertion()),
            _ => Err(TlsError::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(tls12_refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::key::pair::KeyPair;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_key_as_in_the_protocol() {
        let identity = TlsIdentity::from_seed(&[7; 32]);
        assert_eq!(identity.public_key(), KeyPair::from_seed(&[7; 32]).public());
        assert_eq!(key_of(&spki_of(&identity.public_key())), Some(identity.public_key()));
    }

    // KEY-1, TLS-1
    #[test]
    fn a_listener_refuses_a_weak_or_malformed_client_key() {
        let good = spki_of(&TlsIdentity::from_seed(&[1; 32]).public_key());
        let admitted = |spki: &[u8], more: &[CertificateDer<'_>]| {
            AnyStrongKey.verify_client_cert(&CertificateDer::from(spki.to_vec()), more, UnixTime::now()).is_ok()
        };
        assert!(admitted(&good, &[]));
        assert!(!admitted(&good, &[CertificateDer::from(good.to_vec())]), "a chain is no raw key");
        assert!(!admitted(&good[..43], &[]) && !admitted(&[&good[..], &[0]].concat(), &[]));
        let mut other_algorithm = good;
        other_algorithm[8] = 0x6e; // X25519
        assert!(!admitted(&other_algorithm, &[]));
        for weak in [[0; 32], std::array::from_fn(|i| u8::from(i == 0))] {
            let mut spki = good;
            spki[SPKI_PREFIX.len()..].copy_from_slice(&weak);
            assert!(!admitted(&spki, &[]), "{weak:02x?}");
        }
    }

    // TLS-2
    #[test]
    fn a_dialler_accepts_one_key_and_notes_any_other() {
        let key = |seed| TlsIdentity::from_seed(&[seed; 32]).public_key();
        let refused = KeyRefused::default();
        let verifier = ExpectedServer { spki: spki_of(&key(1)), refused: refused.clone() };
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let check = |seed| {
            let offered = CertificateDer::from(spki_of(&key(seed)).to_vec());
            verifier.verify_server_cert(&offered, &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(check(1) && !refused.get());
        assert!(!check(2) && refused.get());
    }

    #[test]
    fn an_alpn_reads_back_as_itself() {
        for alpn in Alpn::ALL {
            assert_eq!(Alpn::from_bytes(alpn.as_bytes()), Some(alpn));
        }
        assert_eq!(Alpn::from_bytes(b"h2"), None);
    }
}
