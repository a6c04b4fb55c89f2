//! What the process before leaves to this one: keys that outlive a process, and the names of the processes before.

use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac, rand};
use quinn::EndpointConfig;
use quinn::ServerConfig;

use super::ids::{Ids, Process};

/// Processes that are remembered; more are never there at a time, as each waits for the one before and the grace time
/// ends them all.
const REMEMBERED: usize = 16;

/// What one process leaves to the next.
pub(super) struct Legacy {
    /// Tokens and stateless resets are made from it: the next process takes the tokens that clients were given, and may
    /// reset connections whose process is gone (RFC 9000 sections 8.1 and 10.3).
    secret: [u8; SECRET],
    /// The newest first.
    pub(super) earlier: Vec<Process>,
}

const SECRET: usize = 32;

impl Legacy {
    /// That of nobody.
    pub(super) fn new() -> Result<Self, String> {
        let mut secret = [0; SECRET];
        rand::fill(&mut secret).map_err(|_| "there are no random numbers".to_owned())?;
        Ok(Self { secret, earlier: Vec::new() })
    }

    /// Reads what [`Legacy::write`] wrote, perhaps in another version of the program.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (secret, processes) = bytes.split_first_chunk::<SECRET>()?;
        let earlier = processes.chunks_exact(3).filter_map(|it| Some(Process(*it.first_chunk()?)));
        Some(Self { secret: *secret, earlier: earlier.take(REMEMBERED).collect() })
    }

    /// What `process` leaves to the next one.
    pub(super) fn write(&self, process: Process) -> Vec<u8> {
        let processes = std::iter::once(&process).chain(&self.earlier).take(REMEMBERED);
        self.secret.iter().copied().chain(processes.flat_map(|it| it.0)).collect()
    }

    /// The same for another socket of the same process.
    pub(super) fn copy(&self) -> Self {
        Self { secret: self.secret, earlier: self.earlier.clone() }
    }

    /// The configuration of the endpoint on `socket`.
    pub(super) fn endpoint(&self, process: Process, socket: u16) -> EndpointConfig {
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &self.derive(b"portcullis quic reset"));
        let mut config = EndpointConfig::new(Arc::new(reset));
        let earlier = self.earlier.clone();
        config.cid_generator(move || Box::new(Ids { process, socket, earlier: earlier.clone() }));
        config
    }

    /// `config` with tokens that the processes before and after take as well.
    pub(super) fn server(&self, config: &ServerConfig) -> ServerConfig {
        let mut config = config.clone();
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis quic token");
        config.token_key(Arc::new(salt.extract(&self.secret)));
        config
    }

    fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let tag = hmac::sign(&key, purpose);
        let mut derived = [0; 32];
        derived.copy_from_slice(tag.as_ref());
        derived
    }
}

impl std::fmt::Debug for Legacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Legacy").field("earlier", &self.earlier).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_and_never_grows_without_end() {
        let mut legacy = Legacy::new().unwrap();
        let secret = legacy.secret;
        for number in 0..100 {
            legacy = Legacy::read(&legacy.write(Process([number, 0, 0]))).unwrap();
            assert_eq!(legacy.earlier.first(), Some(&Process([number, 0, 0])));
        }
        assert_eq!(legacy.secret, secret);
        assert_eq!(legacy.earlier.len(), REMEMBERED);
        assert!(Legacy::read(&[0; 31]).is_none());
        assert!(!format!("{legacy:?}").contains("secret"));
    }
}
