//! The end of the gateway: what runs may finish, and nothing new begins.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{End, Gateway};
use crate::net::stage::Stage;
use crate::worker::Worker;

impl Gateway {
    /// Ends in order: health checks fail first, then nothing new is accepted, then what runs may finish. Where another
    /// process has taken over, health checks go on to succeed: whoever asks this address is served.
    pub(super) async fn end(self, end: End) {
        let wait = self.longest(|cycle| cycle.request_accept_grace_timeout);
        let grace = self.longest(|cycle| cycle.grace_time_out);
        tracing::info!("stopping; requests that run get up to {grace:?}");
        match end {
            End::HandedOver => self.stages.enter(Stage::HandedOver),
            End::Told => {
                self.stages.enter(Stage::Ends);
                self.observer.stopping();
                tokio::time::sleep(wait).await;
            }
        }
        self.drainer.begin();
        let mut impatient = signal(SignalKind::interrupt()).ok();
        let again = async {
            match &mut impatient {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.drainer.ended() => {}
            () = tokio::time::sleep(grace) => {
                tracing::warn!("{} connections were still open", self.drainer.held());
            }
            _ = again => tracing::warn!("stopped at once by a second signal"),
        }
        drop(self.entrances);
        self.observer.flush();
        self.workers.into_iter().for_each(Worker::stop);
    }

    fn longest(
        &self,
        choose: impl Fn(&crate::install::LifeCycle) -> portcullis_config::units::Duration,
    ) -> Duration {
        let cycles = self.install.entry_points.values().map(|e| choose(&e.transport.life_cycle));
        cycles.filter_map(|duration| duration.positive()).max().unwrap_or_default()
    }
}
