use std::collections::VecDeque;
use std::future::poll_fn;

use super::*;
use crate::net::drain::Drainer;
use crate::net::handover::passage;

/// A socket to which packets come from a list.
#[derive(Debug, Default)]
struct Listed(Mutex<VecDeque<(Vec<u8>, usize)>>);

impl AsyncUdpSocket for Listed {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        unreachable!("nothing is sent")
    }

    fn try_send(&self, _: &Transmit<'_>) -> io::Result<()> {
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Some((bytes, stride)) = self.0.lock().pop_front() else { return Poll::Pending };
        buffers[0][..bytes.len()].copy_from_slice(&bytes);
        metas[0] = RecvMeta::default();
        (metas[0].len, metas[0].stride) = (bytes.len(), stride);
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 443).into())
    }
}

const OLD: Process = Process([1, 1, 1]);
const NEW: Process = Process([2, 2, 2]);

/// A packet of 20 bytes for a socket of a process, with a mark.
fn packet(process: Process, socket: u16, mark: u8) -> Vec<u8> {
    let mut packet = vec![mark; 20];
    packet[0] = 0x40;
    packet[1..4].copy_from_slice(&process.0);
    packet[4..6].copy_from_slice(&socket.to_be_bytes());
    packet
}

type Before = Option<(Passage, Hold, Hold)>;

/// The sockets of a process with two workers, and what comes to them.
fn sockets(
    process: Process,
    earlier: &[Process],
    before: Before,
) -> [(Arc<Sorting>, Arc<Listed>); 2] {
    let (puts, inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(WAITING)).unzip();
    let puts: Inboxes = puts.into();
    let (mut inboxes, mut before) = (inboxes.into_iter(), before);
    [0, 1].map(|index| {
        let mut legacy = Legacy::new().unwrap();
        legacy.earlier = earlier.to_vec();
        let (inbox, inboxes) = (inboxes.next().unwrap(), Arc::clone(&puts));
        let own = Own { process, index, inbox, inboxes, legacy };
        let listed = Arc::new(Listed::default());
        let inner: Arc<dyn AsyncUdpSocket> = listed.clone();
        (Sorting::new(inner, own, before.take()), listed)
    })
}

/// What comes next to an endpoint; empty where nothing does.
async fn received(socket: &Sorting) -> Vec<u8> {
    let mut bytes = [0; 200];
    let next = poll_fn(|context| {
        loop {
            let mut metas = [RecvMeta::default()];
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            match socket.poll_recv(context, &mut buffers, &mut metas) {
                Poll::Ready(count) => {
                    assert_eq!(count.unwrap(), 1);
                    if metas[0].len > 0 {
                        return Poll::Ready(buffers[0][..metas[0].len].to_vec());
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    tokio::time::timeout(QUIET, next).await.unwrap_or_default()
}

/// How long nothing comes where nothing is to come.
const QUIET: std::time::Duration = std::time::Duration::from_millis(300);

#[tokio::test]
async fn packets_of_a_client_that_moved_come_to_its_worker() {
    let [(one, to_one), (two, _)] = sockets(NEW, &[], None);
    let (own, strange) = (packet(NEW, 0, 7), packet(NEW, 1, 8));
    let all = [&own[..], &strange, &own, &strange[..19]].concat();
    to_one.0.lock().push_back((all, 20));
    assert_eq!(received(&one).await, [&own[..], &own].concat());
    assert_eq!(received(&two).await, strange);
    assert_eq!(received(&two).await, strange[..19]);
    assert!(received(&one).await.is_empty());
}

#[tokio::test]
async fn packets_for_the_process_before_go_there_and_new_clients_stay() {
    let (ours, theirs) = passage().unwrap();
    let [(old, to_old), (old_two, _)] = sockets(OLD, &[], None);
    let drainer = Drainer::new();
    let hold = || drainer.drain().hold();
    let before = (Passage::new(theirs).unwrap(), hold(), hold());
    old.hand_over(ours).unwrap();
    let left = Legacy::read(&before.0.until_given().await.unwrap()).unwrap();
    assert_eq!(left.earlier, [OLD]);
    let [(new, to_new), _] = sockets(NEW, &left.earlier, Some(before));
    let mut initial = vec![9; 60];
    initial[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
    for bytes in [packet(OLD, 0, 1), packet(OLD, 1, 2), packet(NEW, 0, 3), initial.clone()] {
        let stride = bytes.len();
        to_new.0.lock().push_back((bytes, stride));
    }
    assert_eq!(received(&new).await, packet(NEW, 0, 3));
    assert_eq!(received(&new).await, initial);
    assert_eq!(received(&old).await, packet(OLD, 0, 1));
    assert!(received(&old).await.is_empty());
    assert_eq!(received(&old_two).await, packet(OLD, 1, 2));
    // The old one reads no more, unless the new one goes.
    to_old.0.lock().push_back((packet(OLD, 0, 4), 20));
    assert!(received(&old).await.is_empty());
    drop(new);
    assert_eq!(received(&old).await, packet(OLD, 0, 4));
    assert_eq!(drainer.held(), 0);
}

#[tokio::test]
async fn once_the_process_before_is_gone_its_packets_are_looked_at_here() {
    let (ours, theirs) = passage().unwrap();
    let drainer = Drainer::new();
    let hold = || drainer.drain().hold();
    let before = (Passage::new(theirs).unwrap(), hold(), hold());
    let [(new, to_new), _] = sockets(NEW, &[OLD], Some(before));
    drop(ours);
    assert!(received(&new).await.is_empty());
    assert_eq!(drainer.held(), 0);
    to_new.0.lock().push_back((packet(OLD, 0, 1), 20));
    assert_eq!(received(&new).await, packet(OLD, 0, 1));
}
