//! Connection ids that say which socket of which process they belong to.
//!
//! | Bytes | |
//! |---|---|
//! | 3 | the process, by a random number |
//! | 2 | the socket |
//! | 7 | random |
//!
//! So packets find their connection when the client has moved to another address, and the kernel gives them to another
//! socket, and when another process reads from the socket. Who watches learns which connections have a worker in common, as
//! with the plaintext form of QUIC-LB (draft-ietf-quic-load-balancers), and nothing about which id follows which.

use aws_lc_rs::rand;
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;

/// Bytes of an id.
const LENGTH: usize = 12;

/// The first bit of a packet with a long header (RFC 9000 section 17.2).
const LONG: u8 = 0x80;

/// Where the length of the destination's id stands in a long header.
const LENGTH_AT: usize = 5;

/// A process, as its connection ids tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process(pub(super) [u8; 3]);

impl Process {
    /// This process, for the life of one entry point.
    pub(super) fn new() -> Result<Self, String> {
        let mut bytes = [0; 3];
        rand::fill(&mut bytes).map_err(|_| "there are no random numbers".to_owned())?;
        Ok(Self(bytes))
    }
}

/// Who issued the id that a packet is for, and for which socket; `None` where the id cannot be one of ours.
pub(super) fn destination(packet: &[u8]) -> Option<(Process, u16)> {
    let id = if packet.first()? & LONG == 0 {
        packet.get(1..=LENGTH)?
    } else {
        let length = usize::from(*packet.get(LENGTH_AT)?);
        packet.get(LENGTH_AT + 1..)?.get(..length).filter(|_| length == LENGTH)?
    };
    let [a, b, c, socket @ ..] = id.first_chunk::<5>()?;
    Some((Process([*a, *b, *c]), u16::from_be_bytes(*socket)))
}

/// Makes the ids of one socket.
pub(super) struct Ids {
    pub(super) process: Process,
    pub(super) socket: u16,
    /// Processes before this one, whose connections may be reset once they are gone.
    pub(super) earlier: Vec<Process>,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; LENGTH];
        // Without random numbers there is no handshake either.
        let _ = rand::fill(&mut id);
        id[..3].copy_from_slice(&self.process.0);
        id[3..5].copy_from_slice(&self.socket.to_be_bytes());
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let known = |process: &Process| id.starts_with(&process.0);
        let is_known = known(&self.process) || self.earlier.iter().any(known);
        is_known.then_some(()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_its_socket_in_either_form() {
        let process = Process([1, 2, 3]);
        let mut ids = Ids { process, socket: 0x0405, earlier: vec![Process([9, 9, 9])] };
        let (id, other) = (ids.generate_cid(), ids.generate_cid());
        assert_ne!(id, other);
        let short = [&[0x40][..], &id, &[0; 30]].concat();
        let long = [&[0xc0, 0, 0, 0, 1, LENGTH as u8][..], &id, &[0; 30]].concat();
        for packet in [short, long] {
            assert_eq!(destination(&packet), Some((process, 0x0405)));
        }
        assert!(ids.validate(&id).is_ok());
        assert!(ids.validate(&ConnectionId::new(&[9; 12])).is_ok());
        assert!(ids.validate(&ConnectionId::new(&[8; 12])).is_err());
    }

    #[test]
    fn what_is_cut_or_of_another_length_is_nobodys() {
        let long = |length: u8| [&[0xc0, 0, 0, 0, 1, length][..], &[7; 12]].concat();
        assert!(destination(&long(12)).is_some());
        for packet in
            [&[][..], &[0x40], &[0x40; 12], &[0xc0, 0, 0], &long(8), &long(20), &long(255)]
        {
            assert_eq!(destination(packet), None, "{packet:?}");
        }
    }
}
