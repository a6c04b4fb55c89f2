//! The publisher: where a provider puts its whole configuration and its problems; the newest wins.
//!
//! A slot rather than a queue: a burst of changes costs the reader one compile, and a reader who is slow never
//! blocks a watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;
use portcullis_config::{Problem, Routing};
use tokio::sync::Notify;

/// What a provider last said.
#[derive(Debug, PartialEq)]
pub struct Published {
    /// The whole configuration, with unqualified names.
    pub routing: Routing,
    /// All defects of it, and of what did not make it into it.
    pub problems: Vec<Problem>,
    /// Whether it counts even if it says what the last one said.
    pub weight: Weight,
}

/// Whether a configuration counts even if it equals the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only if it differs.
    IfDifferent,
    /// In any case: files that it names, such as certificates, have changed or may have.
    Always,
}

impl Published {
    /// This one, in place of an older one that nobody has applied yet.
    pub fn after(mut self, older: Option<&Self>) -> Self {
        self.weight = older.map_or(self.weight, |older| self.weight.max(older.weight));
        self
    }
}

/// Whether a provider is in touch with what it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Not yet.
    Never,
    /// It sees changes.
    Up,
    /// It did, and no longer does; what it last published stays.
    Lost,
}

/// The two ends of a new slot.
pub fn channel() -> (Publisher, Receiver) {
    let slot = Arc::new(Slot {
        newest: Mutex::new(None),
        filled: Notify::new(),
        asked: Notify::new(),
        contact: AtomicU8::new(Contact::Never as u8),
    });
    (Publisher(Arc::clone(&slot)), Receiver(State(slot)))
}

/// The provider's end.
pub struct Publisher(Arc<Slot>);

impl Publisher {
    /// Replaces everything this provider said before. Never blocks.
    pub fn publish(&self, routing: Routing, problems: Vec<Problem>) {
        self.put(Published { routing, problems, weight: Weight::IfDifferent });
    }

    /// The same for a configuration that names files whose content may have changed.
    pub fn publish_again(&self, routing: Routing, problems: Vec<Problem>) {
        self.put(Published { routing, problems, weight: Weight::Always });
    }

    fn put(&self, published: Published) {
        let mut newest = self.0.newest.lock();
        *newest = Some(published.after(newest.as_ref()));
        drop(newest);
        self.0.filled.notify_one();
    }

    /// Says whether the provider sees changes. Whoever runs it says [`Contact::Lost`] when it failed.
    pub fn contact(&self, contact: Contact) {
        self.0.contact.store(contact as u8, Ordering::Relaxed);
    }

    /// Waits until somebody wants everything read again, because of a signal for instance. A wish that came
    /// before the call counts.
    pub async fn asked_again(&self) {
        self.0.asked.notified().await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.contact(Contact::Lost);
    }
}

/// The reader's end; there is one.
pub struct Receiver(State);

impl Receiver {
    /// Waits for the newest configuration that was not yet taken. Nothing is lost if the wait is dropped.
    pub async fn changed(&mut self) -> Published {
        loop {
            if let Some(published) = self.0.0.newest.lock().take() {
                return published;
            }
            self.0.0.filled.notified().await;
        }
    }

    /// A handle for metrics and signals.
    pub fn state(&self) -> State {
        self.0.clone()
    }
}

/// What others may ask of a running provider.
#[derive(Clone)]
pub struct State(Arc<Slot>);

impl State {
    /// Whether the provider sees changes.
    pub fn contact(&self) -> Contact {
        match self.0.contact.load(Ordering::Relaxed) {
            contact if contact == Contact::Up as u8 => Contact::Up,
            contact if contact == Contact::Lost as u8 => Contact::Lost,
            _ => Contact::Never,
        }
    }

    /// Makes the provider read everything again.
    pub fn ask_again(&self) {
        self.0.asked.notify_one();
    }
}

struct Slot {
    newest: Mutex<Option<Published>>,
    filled: Notify,
    asked: Notify,
    contact: AtomicU8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Routing {
        let mut routing = Routing::default();
        routing.http.routers.insert(name.to_owned(), Default::default());
        routing
    }

    #[tokio::test]
    async fn the_newest_wins_and_is_taken_once() {
        let (publisher, mut receiver) = channel();
        publisher.publish(named("old"), Vec::new());
        publisher.publish(named("new"), Vec::new());
        assert_eq!(receiver.changed().await.routing, named("new"));
        let pause = std::time::Duration::from_millis(5);
        assert!(tokio::time::timeout(pause, receiver.changed()).await.is_err());
        publisher.publish(named("newest"), Vec::new());
        assert_eq!(receiver.changed().await.routing, named("newest"));
    }

    #[tokio::test]
    async fn what_counts_always_does_so_behind_a_newer_one() {
        let (publisher, mut receiver) = channel();
        publisher.publish_again(named("old"), Vec::new());
        publisher.publish(named("new"), Vec::new());
        let published = receiver.changed().await;
        assert_eq!((published.routing, published.weight), (named("new"), Weight::Always));
        publisher.publish(named("new"), Vec::new());
        assert_eq!(receiver.changed().await.weight, Weight::IfDifferent);
    }

    #[tokio::test]
    async fn a_wish_to_read_again_waits_for_the_provider() {
        let (publisher, receiver) = channel();
        receiver.state().ask_again();
        publisher.asked_again().await;
    }

    #[test]
    fn contact_is_lost_with_the_publisher() {
        let (publisher, receiver) = channel();
        assert_eq!(receiver.state().contact(), Contact::Never);
        publisher.contact(Contact::Up);
        assert_eq!(receiver.state().contact(), Contact::Up);
        drop(publisher);
        assert_eq!(receiver.state().contact(), Contact::Lost);
    }
}
