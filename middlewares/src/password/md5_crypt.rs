//! The MD5-based crypt of FreeBSD (`$1$`) and Apache (`$apr1$`), as Apache's documentation of password formats
//! describes it.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The alphabet of crypt, six bits a character.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Which bytes of the digest go together, the highest first.
const GROUPS: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];

/// Prefix (`$apr1$`), salt and digest of a hash.
pub(super) fn parts(hash: &str) -> Option<(&str, &str, &str)> {
    ["$apr1$", "$1$"].into_iter().find_map(|prefix| {
        let (salt, digest) = hash.strip_prefix(prefix)?.split_once('$')?;
        Some((prefix, salt, digest))
    })
}

/// Whether `password` has this hash.
pub(super) fn matches(hash: &str, password: &[u8]) -> bool {
    parts(hash).is_some_and(|(prefix, salt, digest)| {
        encode(&stretch(password, prefix.as_bytes(), salt.as_bytes()))
            .ct_eq(digest.as_bytes())
            .into()
    })
}

fn stretch(password: &[u8], prefix: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner: [u8; 16] = inner.finalize().into();
    let mut first = Md5::new().chain_update(password).chain_update(prefix).chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        first.update(&inner[..chunk.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        // A quirk of the original code: the bits of the length choose between a zero and the first character.
        first.update(if length & 1 == 1 { &[0] } else { &password[..1] });
        length >>= 1;
    }
    let mut digest: [u8; 16] = first.finalize().into();
    for round in 0..1000 {
        digest = again(digest, round, password, salt);
    }
    digest
}

fn again(digest: [u8; 16], round: u32, password: &[u8], salt: &[u8]) -> [u8; 16] {
    let odd = round % 2 == 1;
    let mut next = Md5::new();
    next.update(if odd { password } else { &digest });
    if !round.is_multiple_of(3) {
        next.update(salt);
    }
    if !round.is_multiple_of(7) {
        next.update(password);
    }
    next.update(if odd { &digest } else { password });
    next.finalize().into()
}

fn encode(digest: &[u8; 16]) -> [u8; 22] {
    let mut text = [0; 22];
    let (groups, last) = text.split_at_mut(20);
    for (out, [high, middle, low]) in groups.chunks_mut(4).zip(GROUPS) {
        write(out, u32::from_be_bytes([0, digest[high], digest[middle], digest[low]]));
    }
    write(last, u32::from(digest[11]));
    text
}

fn write(out: &mut [u8], mut bits: u32) {
    for place in out {
        *place = ALPHABET[(bits % 64) as usize];
        bits /= 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes were made by OpenSSL.
    #[test]
    fn hashes_of_others_match() {
        let longest = "x".repeat(130);
        for (hash, password) in [
            ("$apr1$ab$ZgbyBttfAvWjwKDroS41O1", "a much longer password than sixteen bytes"),
            ("$apr1$12345678$sHuPAw7VA9xjRbJz7zKV7/", ""),
            ("$apr1$xyz$XOWUEV7/cCWesMjsxupGD1", "grüße"),
            ("$apr1$q$wbxfAJABrNqtjid8/M3Wr.", &longest),
            ("$1$abc$B..HicC/afMveWeNyfNsf/", "test"),
        ] {
            assert!(matches(hash, password.as_bytes()), "{hash}");
            assert!(!matches(hash, b"another"), "{hash}");
        }
        assert!(!matches("$apr1$abc$B..HicC/afMveWeNyfNsf/", b"test"));
    }
}
