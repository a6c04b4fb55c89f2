use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::net::task;

/// A copy between two pipes, with the far ends of both.
fn begin(
    capacity: usize,
    linger: Linger,
) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Copied>) {
    let (near_a, mut a) = duplex(capacity);
    let (near_b, mut b) = duplex(capacity);
    let copy = task::spawn(async move {
        let mut copied = Copied::default();
        both(&mut a, &mut b, linger, &mut copied).await;
        copied
    });
    (near_a, near_b, copy)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn large_streams_go_both_ways_at_once_through_small_pipes() {
    let (a, b, copy) = begin(1000, Linger::Forever);
    let (forth, back) = (pattern(700_000), pattern(300_001));
    let (mut a_read, a_write) = tokio::io::split(a);
    let (mut b_read, b_write) = tokio::io::split(b);
    let (mut seen_a, mut seen_b) = (Vec::new(), Vec::new());
    let send = |mut to: tokio::io::WriteHalf<DuplexStream>, bytes: Vec<u8>| async move {
        to.write_all(&bytes).await.unwrap();
        to.shutdown().await.unwrap();
        to
    };
    let (_a, _b, ..) = tokio::join!(
        send(a_write, forth.clone()),
        send(b_write, back.clone()),
        async { a_read.read_to_end(&mut seen_a).await.unwrap() },
        async { b_read.read_to_end(&mut seen_b).await.unwrap() },
    );
    assert!(seen_b == forth && seen_a == back);
    let expected = Copied { forth: forth.len() as u64, back: back.len() as u64 };
    assert_eq!(copy.await.unwrap(), expected);
}

#[tokio::test]
async fn after_one_end_the_other_way_goes_on() {
    let (mut a, mut b, copy) = begin(64, Linger::Forever);
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    let mut question = Vec::new();
    b.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    b.write_all(b"answer").await.unwrap();
    drop(b);
    let mut answer = Vec::new();
    a.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(copy.await.unwrap(), Copied { forth: 8, back: 6 });
}

#[tokio::test]
async fn the_other_way_has_a_limit() {
    let (mut a, mut b, copy) = begin(64, Linger::For(Duration::from_millis(50)));
    a.shutdown().await.unwrap();
    let mut end = [0; 1];
    assert_eq!(b.read(&mut end).await.unwrap(), 0);
    // Neither side does anything more.
    let ended = tokio::time::timeout(Duration::from_secs(30), copy).await;
    assert_eq!(ended.unwrap().unwrap(), Copied::default());
}

#[tokio::test]
async fn a_receiver_that_is_gone_ends_its_way() {
    let (mut a, b, copy) = begin(64, Linger::For(Duration::ZERO));
    drop(b);
    let mut end = [0; 1];
    assert_eq!(a.read(&mut end).await.unwrap(), 0);
    copy.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_holds_no_memory() {
    let (mut a, mut near) = duplex(16);
    let (mut b, mut far) = duplex(16);
    let mut count = 0;
    let mut way = Way::new(&mut count);
    near.write_all(b"0123456789abcdef").await.unwrap();
    poll_fn(|context| {
        way.poll(context, &mut a, &mut b);
        Poll::Ready(())
    })
    .await;
    near.write_all(b"0123456789").await.unwrap();
    poll_fn(|context| {
        way.poll(context, &mut a, &mut b);
        Poll::Ready(())
    })
    .await;
    assert_eq!((way.rest.len(), *way.count), (10, 16));
    let mut all = [0; 26];
    let read = far.read_exact(&mut all);
    let copy = poll_fn(|context| {
        way.poll(context, &mut a, &mut b);
        if *way.count == 26 { Poll::Ready(()) } else { Poll::Pending }
    });
    let (read, ()) = tokio::join!(read, copy);
    read.unwrap();
    assert_eq!(way.rest.capacity(), 0);
}
