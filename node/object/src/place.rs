//! Which object, in which store, and who asks for it.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, RetryConfig};
use zeroize::Zeroizing;

use crate::fetch::{FetchFault, FetchLimits};

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The store, `https://s3.hospital.example:9000`; without one, that of Amazon in the region. Without TLS only
    /// within this machine.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// A certificate to trust beside those of the system, in PEM.
    pub root_pem: Option<Vec<u8>>,
}

/// Who asks. Wiped when dropped; has no text form.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it is a secret")]
pub struct Credentials {
    /// The key's name.
    pub access_key: Zeroizing<String>,
    /// The key.
    pub secret: Zeroizing<String>,
    /// A token of limited time, where there is one.
    pub token: Option<Zeroizing<String>>,
}

impl Place {
    /// The store, and the object's path in it. Nothing is asked of the surroundings: no variable, no metadata service.
    pub(crate) fn store(
        &self,
        credentials: Option<&Credentials>,
        limits: &FetchLimits,
    ) -> Result<(AmazonS3, Path), FetchFault> {
        let mut client = ClientOptions::new()
            .with_allow_http(self.in_the_open()?)
            .with_connect_timeout(limits.connect_max)
            .with_timeout(limits.request_max);
        if let Some(pem) = &self.root_pem {
            client = client.with_root_certificate(Certificate::from_pem(pem).map_err(|_| FetchFault::Place)?);
        }
        let retry = RetryConfig { max_retries: 3, retry_timeout: limits.request_max, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_region(&self.region)
            .with_bucket_name(&self.bucket)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder = match credentials {
            None => builder.with_skip_signature(true),
            Some(Credentials { access_key, secret, token }) => {
                let builder = builder.with_access_key_id(access_key.as_str()).with_secret_access_key(secret.as_str());
                token.iter().fold(builder, |builder, token| builder.with_token(token.as_str()))
            }
        };
        let path = Path::parse(&self.key).map_err(|_| FetchFault::Place)?;
        Ok((builder.build().map_err(|_| FetchFault::Place)?, path))
    }

    /// Whether requests go without TLS; they may within this machine alone.
    fn in_the_open(&self) -> Result<bool, FetchFault> {
        let Some(endpoint) = &self.endpoint else { return Ok(false) };
        if endpoint.starts_with("https://") {
            return Ok(false);
        }
        let host = endpoint.strip_prefix("http://").ok_or(FetchFault::Place)?;
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if local { Ok(true) } else { Err(FetchFault::NotPrivate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_within_the_machine() {
        let of = |endpoint: &str| {
            let endpoint = Some(endpoint.to_owned());
            Place { endpoint, region: String::new(), bucket: String::new(), key: String::new(), root_pem: None }
                .in_the_open()
        };
        for local in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:9000/x", "http://127.9.9.9/"] {
            assert_eq!(of(local), Ok(true), "{local}");
        }
        assert_eq!(of("https://s3.example"), Ok(false));
        for open in [
            "http://s3.example",
            "http://10.0.0.1:9000",
            "http://127.0.0.1@s3.example",
            "http://localhost.example",
            "http://[::2]",
            "http://",
        ] {
            assert_eq!(of(open), Err(FetchFault::NotPrivate), "{open}");
        }
        for odd in ["", "s3://x", "ftp://127.0.0.1", "HTTP://127.0.0.1"] {
            assert_eq!(of(odd), Err(FetchFault::Place), "{odd}");
        }
    }
}
