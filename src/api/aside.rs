//! `Aside`: long answers made beside the workers, few at a time.

use std::panic::resume_unwind;
use std::sync::Arc;

use ::http::StatusCode;
use portcullis_middlewares::message::Response;
use tokio::sync::Semaphore;

/// Answers that are made at the same time; the others wait.
const SLOTS: usize = 2;

/// Makes long answers on threads of their own, so that no other request waits for them.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    slots: Arc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(SLOTS)) }
    }
}

impl Aside {
    /// The answer that `make` makes.
    pub(super) async fn run(&self, make: impl FnOnce() -> Response + Send + 'static) -> Response {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            make()
        });
        match made.await {
            Ok(response) => response,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Response::bare(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}
