//! `Sorting`: the socket of an endpoint, which passes on what is for another one: of this process, as the client has moved, or
//! of another process, before or after an upgrade.
//!
//! Packets are sent on the socket itself, by whoever has the connection.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::mpsc;

use super::ids::{self, Process};
use super::legacy::Legacy;
use crate::net::drain::Hold;
use crate::net::handover::{Origin, Passage, Received, is_gone};

/// Packets that may wait for another worker; more are dropped, as the network would.
pub(super) const WAITING: usize = 256;

/// A packet for another worker.
#[derive(Debug)]
pub(super) struct Packet {
    bytes: Box<[u8]>,
    origin: Origin,
}

/// Where packets for the workers are put, by their sockets.
pub(super) type Inboxes = Arc<[mpsc::Sender<Packet>]>;

/// The socket of one endpoint.
pub(super) struct Sorting {
    inner: Arc<dyn AsyncUdpSocket>,
    process: Process,
    index: u16,
    inboxes: Inboxes,
    legacy: Legacy,
    state: Mutex<State>,
}

struct State {
    inbox: mpsc::Receiver<Packet>,
    /// The process before, as long as it may have connections.
    before: Option<(Passage, Hold, Hold)>,
    /// The process after, which reads from the socket.
    after: Option<Passage>,
    driver: Waker,
    /// Whether the socket is looked at before all else, by turns.
    socket_first: bool,
}

/// Who a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Worker(u16),
    Before,
}

/// What a socket works for.
pub(super) struct Own {
    pub(super) process: Process,
    pub(super) index: u16,
    pub(super) inbox: mpsc::Receiver<Packet>,
    pub(super) inboxes: Inboxes,
    pub(super) legacy: Legacy,
}

impl Sorting {
    /// Sorts what comes to `inner`. `before` is the process before; what it holds ends with that process.
    pub(super) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        own: Own,
        before: Option<(Passage, Hold, Hold)>,
    ) -> Arc<Self> {
        let Own { process, index, inbox, inboxes, legacy } = own;
        let driver = Waker::noop().clone();
        let state = State { inbox, before, after: None, driver, socket_first: false };
        Arc::new(Self { inner, process, index, inboxes, legacy, state: Mutex::new(state) })
    }

    /// Stops reading from the socket and has the process at `end` go on, which passes on what is for this one.
    pub(super) fn hand_over(&self, end: OwnedFd) -> io::Result<()> {
        let passage = Passage::new(end)?;
        // Nothing is read meanwhile.
        let mut state = self.state.lock();
        passage.give(&self.legacy.write(self.process))?;
        state.after = Some(passage);
        state.driver.wake_by_ref();
        Ok(())
    }

    fn place(&self, state: &State, packet: &[u8]) -> Place {
        match ids::destination(packet) {
            Some((process, index)) if process == self.process => {
                let is_here = index == self.index || usize::from(index) >= self.inboxes.len();
                if is_here { Place::Here } else { Place::Worker(index) }
            }
            Some((process, _))
                if state.before.is_some() && self.legacy.earlier.contains(&process) =>
            {
                Place::Before
            }
            // Of a new client, or nobody's.
            _ => Place::Here,
        }
    }

    /// Passes a packet on that is not for this endpoint; where that fails it is lost, as packets may.
    fn pass(&self, state: &mut State, place: Place, packet: &[u8], origin: Origin) {
        match place {
            Place::Here => {}
            Place::Worker(index) => {
                if let Some(inbox) = self.inboxes.get(usize::from(index)) {
                    drop(inbox.try_send(Packet { bytes: packet.into(), origin }));
                }
            }
            Place::Before => {
                if let Some((before, ..)) = &state.before
                    && let Err(error) = before.pass(packet, &origin)
                    && is_gone(&error)
                {
                    state.before = None;
                }
            }
        }
    }

    /// Leaves in `buffer` what is for this endpoint. Several packets of one client may have come at once, with `stride`
    /// bytes each but the last.
    fn sort(&self, state: &mut State, buffer: &mut [u8], meta: &mut RecvMeta) {
        let (stride, length) = (meta.stride.max(1), meta.len);
        let received = buffer.get(..length).unwrap_or_default();
        if received.chunks(stride).all(|packet| self.place(state, packet) == Place::Here) {
            return;
        }
        let origin = origin_of(meta);
        let mut kept = 0;
        for from in (0..length).step_by(stride) {
            let to = (from + stride).min(length);
            let packet = buffer.get(from..to).unwrap_or_default();
            match self.place(state, packet) {
                Place::Here => {
                    buffer.copy_within(from..to, kept);
                    kept += to - from;
                }
                place => self.pass(state, place, packet, origin),
            }
        }
        meta.len = kept;
    }

    /// Takes one packet that somebody has passed on.
    fn poll_passed(
        &self,
        state: &mut State,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        meta: &mut RecvMeta,
    ) -> Poll<()> {
        if let Poll::Ready(Some(packet)) = state.inbox.poll_recv(context) {
            let length = packet.bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&packet.bytes[..length]);
            *meta = meta_of(length, packet.origin);
            return Poll::Ready(());
        }
        *meta = RecvMeta::default();
        if let Some((before, ..)) = &state.before
            && let Poll::Ready(received) = before.poll_receive(context, buffer)
        {
            // It keeps what is its own, so all that is to be learnt is its end.
            if matches!(received, Ok(Received::End) | Err(_)) {
                state.before = None;
            }
            return Poll::Ready(());
        }
        let Some(after) = &state.after else { return Poll::Pending };
        match ready!(after.poll_receive(context, buffer)) {
            Ok(Received::Datagram(length, origin)) => {
                *meta = meta_of(length, origin);
                self.sort(state, buffer, meta);
            }
            Ok(Received::Yours(_) | Received::Unknown) => {}
            // It is gone or does not want the socket: this process reads again.
            Ok(Received::End) | Err(_) => state.after = None,
        }
        Poll::Ready(())
    }

    fn poll_socket(
        &self,
        state: &mut State,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if state.after.is_some() {
            return Poll::Pending;
        }
        let count = ready!(self.inner.poll_recv(context, buffers, metas))?;
        for (buffer, meta) in buffers.iter_mut().zip(&mut *metas).take(count) {
            self.sort(state, buffer, meta);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncUdpSocket for Sorting {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    /// A buffer without a byte in it is nothing that has come; the endpoint passes over it.
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.driver.clone_from(context.waker());
        state.socket_first = !state.socket_first;
        if state.socket_first
            && let Poll::Ready(count) = self.poll_socket(state, context, buffers, metas)
        {
            return Poll::Ready(count);
        }
        if let ([buffer, ..], [meta, ..]) = (&mut *buffers, &mut *metas)
            && self.poll_passed(state, context, buffer, meta).is_ready()
        {
            return Poll::Ready(Ok(1));
        }
        if state.socket_first {
            return Poll::Pending;
        }
        self.poll_socket(state, context, buffers, metas)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl fmt::Debug for Sorting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorting").field("index", &self.index).finish_non_exhaustive()
    }
}

fn origin_of(meta: &RecvMeta) -> Origin {
    let local: Option<IpAddr> = meta.dst_ip;
    Origin { peer: meta.addr, local, ecn: meta.ecn.map_or(0, |ecn| ecn as u8) }
}

fn meta_of(length: usize, origin: Origin) -> RecvMeta {
    RecvMeta {
        addr: origin.peer,
        len: length,
        stride: length,
        ecn: EcnCodepoint::from_bits(origin.ecn),
        dst_ip: origin.local,
    }
}

#[cfg(test)]
mod tests;
