//! The provider, running as the gateway runs it.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_config::tree::Tree;
use portcullis_providers::{Contact, Kind, Published, Receiver, State, channel};

use super::engine::Engine;

const DEADLINE: Duration = Duration::from_secs(20);

/// An engine with an image of a few tools; `None` if this machine cannot have one.
pub(crate) fn engine(options: &[&str]) -> Option<Engine> {
    let engine = Engine::start(options)?;
    engine.image("tools", &["/bin/sleep", "/usr/bin/test", "/bin/touch", "/bin/rm"].map(Path::new));
    Some(engine)
}

/// Starts a container that sleeps.
pub(crate) fn sleep(engine: &Engine, name: &str, options: &str) {
    engine.docker(&format!("run -d --name {name} --net edge {options} tools /bin/sleep 1000"));
}

/// A provider that runs as the gateway runs it: again after each failure, soon.
pub(crate) struct Running {
    pub(crate) receiver: Receiver,
    state: State,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn run(options: &[(&str, &str)]) -> Running {
    run_tree(&map(options))
}

pub(crate) fn map(entries: &[(&str, &str)]) -> Tree {
    Tree::map(entries.iter().map(|(key, value)| ((*key).to_owned(), Tree::scalar(*value))))
}

pub(crate) fn run_tree(options: &Tree) -> Running {
    let mut provider = (Kind::find("docker").unwrap().build)(options).ok().unwrap();
    let (publisher, receiver) = channel();
    let state = receiver.state();
    let task = tokio::spawn(async move {
        loop {
            let Err(failure) = provider.run(&publisher).await;
            publisher.contact(Contact::Lost);
            eprintln!("the provider failed: {failure}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    Running { receiver, state, task }
}

impl Running {
    /// Waits for a state in which `wanted` holds.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&Published) -> bool,
    ) -> Published {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut last = None;
        loop {
            let Ok(published) = tokio::time::timeout_at(deadline, self.receiver.changed()).await
            else {
                panic!("{what} never came; the last was {last:#?}");
            };
            if wanted(&published) {
                return published;
            }
            last = Some(published);
        }
    }

    pub(crate) async fn contact(&self, wanted: Contact) {
        let deadline = Instant::now() + DEADLINE;
        while self.state.contact() != wanted {
            assert!(Instant::now() < deadline, "{wanted:?} never came");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn urls(published: &Published, service: &str) -> Vec<String> {
    let service = published.routing.http.services.get(service);
    let balancer = service.and_then(|service| service.load_balancer.as_ref());
    let servers = balancer.iter().flat_map(|balancer| &balancer.servers);
    servers.map(|server| server.url.clone()).collect()
}
