//! A heartbeat for busy workers.
//!
//! The runtime wakes itself up, by a system call, whenever a timer is set that is due before all others, and a
//! connection sets several. While a short one runs anyway, none of theirs is the first.

use std::cell::Cell;
use std::time::Duration;

use super::task;

/// Shorter than the timers of a connection.
const BEAT: Duration = Duration::from_millis(50);

/// Beats without news after which the heart stops, so that an idle worker sleeps.
const QUIET: u32 = 20;

thread_local! {
    /// Beats since the last news; `None` while the heart stands still.
    static SILENCE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Says that this worker has got something to do.
pub fn busy() {
    if SILENCE.replace(Some(0)).is_none() {
        task::spawn(beat());
    }
}

async fn beat() {
    loop {
        tokio::time::sleep(BEAT).await;
        let silence = SILENCE.get().unwrap_or(QUIET) + 1;
        if silence > QUIET {
            SILENCE.set(None);
            return;
        }
        SILENCE.set(Some(silence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_heart_beats_while_there_is_news_and_then_stops() {
        busy();
        assert_eq!(SILENCE.get(), Some(0));
        let stopped = async {
            while SILENCE.get().is_some() {
                tokio::time::sleep(BEAT).await;
            }
        };
        assert!(tokio::time::timeout(BEAT * QUIET / 2, stopped).await.is_err());
        busy();
        assert_eq!(SILENCE.get(), Some(0));
        let stopped = async {
            while SILENCE.get().is_some() {
                tokio::time::sleep(BEAT).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stopped).await.unwrap();
    }
}
