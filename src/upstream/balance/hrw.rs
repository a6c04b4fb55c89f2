//! Highest random weight (rendezvous hashing): each client address always gets the same choice while that is usable.
//!
//! Traefik: FNV-1a of 64 bits over the address as text and the name of the choice. That hash hardly mixes in its last
//! bytes, so names that differ only in their last letter share clients badly; a server keeps its clients all the same when
//! one gateway takes the place of the other.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// FNV-1a of 64 bits, fed with text.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Fnv {
    const BEGIN: Self = Self(0xcbf2_9ce4_8422_2325);
    const PRIME: u64 = 0x0000_0100_0000_01b3;
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(Self::PRIME);
        }
        Ok(())
    }
}

/// Picks for `client` among choices of index, name and weight (above 0); give only usable ones.
pub fn pick<'a>(
    client: IpAddr,
    choices: impl Iterator<Item = (usize, &'a str, f64)>,
) -> Option<usize> {
    let mut begun = Fnv::BEGIN;
    // Hashing cannot fail.
    let _ = write!(begun, "{client}");
    let scored = choices.map(|(index, name, weight)| (index, score(begun, name, weight)));
    scored.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// The share of hashes that a choice wins is proportional to its weight.
fn score(mut begun: Fnv, name: &str, weight: f64) -> f64 {
    let _ = begun.write_str(name);
    let uniform = begun.0 as f64 / 2_f64.powi(64);
    weight / -uniform.ln()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ALL: [(&str, f64); 4] = [
        ("http://a.test:80", 1.0),
        ("http://b.test:80", 1.0),
        ("http://c.test:80", 1.0),
        ("http://d.test:80", 1.0),
    ];

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..4000_u32).map(|n| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n * 7)))
    }

    fn choose(client: IpAddr, names: &[(&'static str, f64)]) -> &'static str {
        let choices = names.iter().enumerate().map(|(i, (name, weight))| (i, *name, *weight));
        names[pick(client, choices).unwrap()].0
    }

    #[test]
    fn only_the_clients_of_a_lost_choice_move() {
        for client in clients() {
            let before = choose(client, &ALL);
            let after = choose(client, &ALL[..3]);
            assert!(before == ALL[3].0 || before == after);
        }
    }

    #[test]
    fn a_new_choice_takes_its_share_and_moves_nobody_else() {
        let mut moved = 0;
        for client in clients() {
            let before = choose(client, &ALL[..3]);
            let after = choose(client, &ALL);
            moved += usize::from(after == ALL[3].0);
            assert!(after == ALL[3].0 || before == after);
        }
        assert!((700..1300).contains(&moved), "{moved}");
    }

    #[test]
    fn weights_set_the_shares() {
        let choices = [ALL[0], (ALL[1].0, 3.0)];
        let heavy = clients().filter(|client| choose(*client, &choices) == ALL[1].0).count();
        assert!((2700..3300).contains(&heavy), "{heavy}");
    }

    #[test]
    fn the_choice_is_that_of_traefik() {
        // Seen with Traefik 3.7.15.
        let servers = [
            ("http://127.0.0.1:21601", 2.0),
            ("http://localhost:21602/", 1.0),
            ("http://127.1.0.1:21603/abc", 1.0),
        ];
        let seen = (2..42_u8).map(|i| {
            let client = IpAddr::V4(Ipv4Addr::new(127, 0, i * 5, i * 3 + 2));
            let chosen = choose(client, &servers);
            1 + servers.iter().position(|(name, _)| *name == chosen).unwrap()
        });
        let seen: String = seen.map(|number| number.to_string()).collect();
        assert_eq!(seen, "3111132121212112313111111323112123212132");
    }

    #[test]
    fn without_choices_there_is_none() {
        assert_eq!(pick(IpAddr::V4(Ipv4Addr::LOCALHOST), std::iter::empty()), None);
    }
}
