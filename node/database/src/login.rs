//! Who signs on to which database, and how private the way there is.

use zeroize::Zeroizing;

use crate::fault::DatabaseFault;

/// How the way to the server is kept private. There is no "if it happens to offer it".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privacy {
    /// TLS 1.3, or no conversation.
    Tls(TlsTerms),
    /// None: the connection must be a local socket or loopback.
    WithinMachine,
}

/// Whom to trust, and who the server must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsTerms {
    /// The name or address that the server's certificate must carry.
    pub server_name: String,
    /// The certificates to trust, in PEM. Nothing else is trusted.
    pub roots_pem: Vec<u8>,
}

/// A password. Wiped when dropped; has no text form.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it is a secret")]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What a conversation begins with.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds a secret")]
pub struct Login {
    /// The database's user.
    pub user: String,
    /// Its password, where it has one.
    pub password: Option<Password>,
    /// The database.
    pub database: String,
    /// How the way there is kept private.
    pub privacy: Privacy,
}

/// The longest name or password, in bytes.
const TERM_BYTES_MAX: usize = 1_024;

impl Login {
    /// The password's bytes; none without one.
    pub(crate) fn password(&self) -> &[u8] {
        self.password.as_ref().map_or(&[], Password::as_bytes)
    }

    /// Checks what will be written into messages that end their fields with a zero.
    pub(crate) fn check(&self) -> Result<(), DatabaseFault> {
        let terms = [self.user.as_bytes(), self.password(), self.database.as_bytes()];
        let usable = |term: &&[u8]| term.len() <= TERM_BYTES_MAX && !term.contains(&0);
        if terms.iter().all(usable) { Ok(()) } else { Err(DatabaseFault::LoginTerms) }
    }
}
