//! TLS to a database: required or not asked for, the name checked, never quietly left out.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::fault::DatabaseFault;
use crate::login::TlsTerms;
use crate::stream::Stream;

/// What a conversation reads and writes, once nothing more will be agreed about its transport.
pub(crate) struct Channel(BufReader<Inner>);

enum Inner {
    Plain(Stream),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Channel {
    pub(crate) fn plain(stream: Stream) -> Self {
        Self(BufReader::with_capacity(64 * 1024, Inner::Plain(stream)))
    }

    /// Shakes hands over the stream. The server must be who it is said to be.
    pub(crate) fn tls(mut stream: Stream, terms: &TlsTerms) -> Result<Self, DatabaseFault> {
        let mut client = client(terms)?;
        while client.is_handshaking() {
            client.complete_io(&mut stream).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => DatabaseFault::Tls,
                _ => error.into(),
            })?;
        }
        let inner = Inner::Tls(Box::new(StreamOwned::new(client, stream)));
        Ok(Self(BufReader::with_capacity(64 * 1024, inner)))
    }
}

fn client(terms: &TlsTerms) -> Result<ClientConnection, DatabaseFault> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&terms.roots_pem) {
        let certificate = certificate.map_err(|_| DatabaseFault::TlsTerms)?;
        roots.add(certificate).map_err(|_| DatabaseFault::TlsTerms)?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| DatabaseFault::TlsTerms)?
        .with_webpki_verifier(verifier.map_err(|_| DatabaseFault::TlsTerms)?)
        .with_no_client_auth();
    let name = ServerName::try_from(terms.server_name.clone()).map_err(|_| DatabaseFault::TlsTerms)?;
    ClientConnection::new(Arc::new(config), name).map_err(|_| DatabaseFault::TlsTerms)
}

impl Read for Inner {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Channel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.0.get_mut() {
            Inner::Plain(stream) => stream.write(buffer),
            Inner::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.get_mut() {
            Inner::Plain(stream) => stream.flush(),
            Inner::Tls(stream) => stream.flush(),
        }
    }
}
