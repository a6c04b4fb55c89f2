use std::net::SocketAddr;

use super::*;
use crate::net::drain::Drainer;
use crate::net::task;

fn origin(port: u16) -> Origin {
    Origin { peer: SocketAddr::new([127, 0, 0, 1].into(), port), local: None, ecn: 0 }
}

/// The next datagram that somebody passes on.
async fn next(reader: &mut Neighbours) -> Option<(Vec<u8>, Origin, By)> {
    let mut buffer = vec![0; 70_000];
    let (length, origin, by) = reader.next(&mut buffer).await?;
    buffer.truncate(length);
    Some((buffer, origin, by))
}

/// A first reader and one after it, to which the socket was handed over.
async fn two() -> (Neighbours, Neighbours, Drainer) {
    let drainer = Drainer::new();
    let drain = drainer.drain();
    let (succession, tell) = Succession::new(None);
    let mut first = Neighbours::begin(succession, &drain).await.unwrap();
    let (ours, theirs) = passage().unwrap();
    let second = task::spawn({
        let drain = drain.clone();
        async move { Neighbours::begin(Succession::new(Some(theirs)).0, &drain).await.unwrap() }
    });
    tokio::task::yield_now().await;
    assert!(first.reads() && !second.is_finished(), "it waits for the socket");
    tell.tell(ours);
    assert_eq!(next(&mut first).await, None);
    assert!(!first.reads(), "only one reads");
    let second = second.await.unwrap();
    assert!(second.reads() && !second.is_first());
    (first, second, drainer)
}

#[tokio::test]
async fn strangers_are_passed_back_to_the_newest_process() {
    let (mut first, mut second, _drainer) = two().await;
    assert_eq!(second.ask(b"hello", &origin(1), By::Nobody), Stranger::Passed);
    assert_eq!(next(&mut first).await, Some((b"hello".to_vec(), origin(1), By::After)));
    assert_eq!(first.ask(b"hello", &origin(1), By::After), Stranger::Passed);
    assert_eq!(next(&mut second).await, Some((b"hello".to_vec(), origin(1), By::Before)));
    assert_eq!(second.ask(b"hello", &origin(1), By::Before), Stranger::New);
}

#[tokio::test]
async fn datagrams_of_any_size_pass_whole() {
    let (mut first, mut second, _drainer) = two().await;
    for length in [0, 1, 65_507] {
        let bytes = vec![7; length];
        assert_eq!(second.ask(&bytes, &origin(1), By::Nobody), Stranger::Passed);
        let (datagram, ..) = next(&mut first).await.unwrap();
        assert_eq!(datagram, bytes);
    }
}

#[tokio::test]
async fn the_end_of_either_is_seen() {
    let (first, mut second, drainer) = two().await;
    assert_eq!(drainer.held(), 1, "the second stays for the first");
    drop(first);
    assert_eq!(next(&mut second).await, None);
    assert!(second.is_first());
    assert_eq!(drainer.held(), 0);
    let (mut first, second, _drainer) = two().await;
    drop(second);
    assert_eq!(next(&mut first).await, None);
    assert!(first.reads(), "nobody else does");
}

#[tokio::test]
async fn a_reader_that_is_gone_is_not_asked() {
    let (first, mut second, _drainer) = two().await;
    drop(first);
    assert_eq!(second.ask(b"hello", &origin(1), By::Nobody), Stranger::New);
}

#[tokio::test]
async fn a_full_passage_loses_and_does_not_block() {
    let (mut first, mut second, _drainer) = two().await;
    let bytes = [7; 1200];
    for port in 0..20_000 {
        assert_eq!(second.ask(&bytes, &origin(port), By::Nobody), Stranger::Passed);
    }
    let (_, from, _) = next(&mut first).await.unwrap();
    assert_eq!(from, origin(0), "the oldest are kept");
}
