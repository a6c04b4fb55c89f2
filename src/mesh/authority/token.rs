//! `Token`: what an operator hands to a machine that is to join: where the authority is, how to recognise it, and a secret.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What every token begins with: says what it is where one is found, and which form it has.
const MARK: &str = "pcj1";

/// Bytes of a token's id.
const ID: usize = 9;

/// Bytes of its secret.
const SECRET: usize = 32;

/// What an operator hands to a machine that is to join. Its text is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Where the authority listens, `10.0.0.10:15012`.
    pub address: String,
    /// SHA-256 of the root's certificate.
    pub pin: [u8; 32],
    /// Which invitation it is.
    pub id: String,
    pub(super) secret: [u8; SECRET],
}

/// What the authority keeps of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Which token it is about.
    pub id: String,
    /// Checks proofs. As good as the secret.
    pub key: [u8; 32],
}

impl Token {
    /// Makes one with a new secret.
    pub fn new(address: &str, pin: [u8; 32]) -> Result<Self, String> {
        if address.is_empty() || address.contains(['/', ' ']) || !address.contains(':') {
            return Err(format!("`{address}`: expected the address of the authority, `host:port`"));
        }
        let (mut id, mut secret) = ([0; ID], [0; SECRET]);
        for bytes in [&mut id[..], &mut secret[..]] {
            let random = crate::tls::provider().secure_random;
            random.fill(bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        }
        let id = URL_SAFE_NO_PAD.encode(id);
        Ok(Self { address: address.to_owned(), pin, id, secret })
    }

    /// Reads the text of a token. The message never shows any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("this is no token; expected `{MARK}/…` as `portcullis token create` prints it")
        };
        let parts: Vec<&str> = text.trim().split('/').collect();
        let [MARK, address, pin, id, secret] = parts.as_slice() else { return Err(wrong()) };
        let pin = URL_SAFE_NO_PAD.decode(pin).ok().and_then(|it| it.try_into().ok());
        let secret = URL_SAFE_NO_PAD.decode(secret).ok().and_then(|it| it.try_into().ok());
        let (Some(pin), Some(secret)) = (pin, secret) else { return Err(wrong()) };
        if !is_id(id) || !address.contains(':') {
            return Err(wrong());
        }
        Ok(Self { address: (*address).to_owned(), pin, id: (*id).to_owned(), secret })
    }

    /// The text to hand over.
    pub fn text(&self) -> String {
        let pin = URL_SAFE_NO_PAD.encode(self.pin);
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        format!("{MARK}/{}/{pin}/{}/{secret}", self.address, self.id)
    }

    /// What the authority keeps of it.
    pub fn invitation(&self) -> Invitation {
        Invitation { id: self.id.clone(), key: Sha256::digest(self.secret).into() }
    }

    /// Shows that whoever asks for a certificate has the token, without sending it: another node or request needs another
    /// proof.
    pub fn prove(&self, node: &str, request: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.invitation().hmac());
        statement(node, request, |bytes| context.update(bytes));
        context.sign().as_ref().to_vec()
    }
}

impl Invitation {
    /// Whether `proof` was made by [`Token::prove`] with the same node and request.
    pub fn accepts(&self, node: &str, request: &[u8], proof: &[u8]) -> bool {
        let mut message = Vec::new();
        statement(node, request, |bytes| message.extend_from_slice(bytes));
        hmac::verify(&self.hmac(), &message, proof).is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key)
    }
}

fn statement(node: &str, request: &[u8], mut take: impl FnMut(&[u8])) {
    take(b"portcullis join 1\0");
    take(&(node.len() as u64).to_be_bytes());
    take(node.as_bytes());
    take(request);
}

/// Whether `text` looks like the id of a token.
pub(super) fn is_id(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == ID)
}

/// The pin of a root.
pub(super) fn pin(root: &[u8]) -> [u8; 32] {
    Sha256::digest(root).into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text() {
        let token = Token::new("10.0.0.10:15012", [7; 32]).unwrap();
        assert_eq!(Token::parse(&format!("{}\n", token.text())), Ok(token.clone()));
        assert_ne!(Token::new("10.0.0.10:15012", [7; 32]).unwrap().text(), token.text());
        assert!(!format!("{token:?} {:?}", token.invitation()).contains("secret"));
        let secret = token.text().rsplit('/').next().unwrap().to_owned();
        for broken in ["", "pcj1", "pcj1/a:1/b/c/d", &token.text()[..90], &token.text()[1..]] {
            let message = Token::parse(broken).unwrap_err();
            assert!(message.contains("no token") && !message.contains(&secret), "{message}");
        }
        assert!(Token::new("host", [7; 32]).is_err() && Token::new("a/b:1", [7; 32]).is_err());
    }

    #[test]
    fn a_proof_is_for_one_node_and_one_request() {
        let token = Token::new("c:1", [0; 32]).unwrap();
        let proof = token.prove("n2", b"request");
        let invitation = token.invitation();
        assert!(invitation.accepts("n2", b"request", &proof));
        assert!(!invitation.accepts("n3", b"request", &proof));
        assert!(!invitation.accepts("n2", b"other", &proof));
        assert!(!invitation.accepts("n", b"2request", &proof));
        let other = Token::new("c:1", [0; 32]).unwrap().invitation();
        assert!(!other.accepts("n2", b"request", &proof));
    }
}
