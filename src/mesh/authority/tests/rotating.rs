//! 2.8: another root, with nodes that acknowledge and one that does not.

use super::*;
use crate::mesh::authority::rotation::{Advance, Patience, advance, begin};

fn roots(holder: &Holder) -> usize {
    holder.bundle().roots("td").len()
}

#[tokio::test]
async fn a_root_is_replaced_once_every_node_believes_the_new_one() {
    let control = Control::new(Duration::from_secs(20)).await;
    let (directory, lives) = (control.directory(), control.lives);
    let n1 = Node::start("n1", &control.invite("n1", "ns/*/sa/*", Duration::from_mins(1)));
    let n2 = Node::start("n2", &control.invite("n2", "ns/*/sa/*", Duration::from_mins(1)));
    let web = account("default", "web");
    n1.ready(&web).await;
    n2.ready(&node("n2")).await;
    // One of them is away.
    let Node { folder, holder, keeper } = n2;
    drop((holder, keeper));
    assert_eq!(begin(&directory, lives).unwrap(), Advance::Announced);
    assert!(begin(&directory, lives).is_err(), "one at a time");
    until("n1 believes both", || roots(&n1.holder) == 2).await;
    until("the control believes both", || roots(&control.holder) == 2).await;
    let step = || advance(&directory, lives, Patience::Waits).unwrap();
    until("only n2 is missing", || step() == Advance::Waits(vec!["n2".to_owned()])).await;
    let old = Ca::open(&directory).unwrap().pin();
    let n2 = Node::again("n2", folder);
    until("n2 has acknowledged", || step() == Advance::Switched).await;
    assert_eq!(roots(&n2.holder), 2);
    assert_ne!(Ca::open(&directory).unwrap().pin(), old);
    assert!(matches!(step(), Advance::Lingers(left) if left > 0));
    let ends = |holder: &Holder, id: &Id| holder.svid(id).unwrap().not_after;
    let held = [
        (&n1.holder, node("n1")),
        (&n1.holder, web.clone()),
        (&n2.holder, node("n2")),
        (&control.holder, node("c1")),
    ];
    let before: Vec<_> = held.iter().map(|(holder, id)| ends(holder, id)).collect();
    // The new root signs; everybody believes it and what the old one signed.
    let fresh = account("default", "fresh");
    n1.ready(&fresh).await;
    control.keeper.want(&fresh);
    control.keeper.ready(&fresh, LIMIT).await.unwrap();
    let joined = Node::start("n3", &control.invite("n3", "ns/*/sa/*", Duration::from_mins(1)));
    joined.ready(&node("n3")).await;
    // What the old root signed is not used any more; that the rest of its life is waited for, too, is seen above.
    until("everybody has leaves of the new root", || {
        held.iter().zip(&before).all(|((holder, id), before)| ends(holder, id) > *before)
    })
    .await;
    assert_eq!(advance(&directory, lives, Patience::Forces).unwrap(), Advance::Done);
    until("n1 believes the new one alone", || roots(&n1.holder) == 1).await;
    until("n2, too", || roots(&n2.holder) == 1).await;
    assert_eq!(*n1.holder.bundle(), *n2.holder.bundle());
}
