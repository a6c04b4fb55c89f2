//! HTTP/3: one task for the connection and one for each request, from whose head on everything is as with h2.

mod body;
mod exchange;
mod flow;
mod frames;
mod head;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, ConnectionError};
use h3::server::{Connection, RequestResolver};
use parking_lot::Mutex;
use quinn::VarInt;
use tokio::time::{Instant, sleep_until};

use super::{Guarded, Handler, Session};
use crate::http::activity::{Activity, Limits, Phase, Watch};
use crate::net::drain::{Drain, Drainer};
use crate::net::task;
use exchange::Exchange;
use flow::Tally;
use transport::{Arrival, Transport};

/// What RFC 9114 section 4.2.2 adds for each field to the size of a head.
const PER_FIELD: usize = 32;

/// Requests on their way when a drain begins that are still answered.
const LAST_REQUESTS: usize = 100;

/// How long requests may be on their way, beside the time of the path.
const LAST_ARRIVALS: Duration = Duration::from_millis(100);

/// How long a finished answer may take to be acknowledged before the connection closes.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// A connection whose client may move: its requests are of the address that it has at the moment.
pub struct Http3<H> {
    connection: quinn::Connection,
    sessions: Box<dyn Fn(SocketAddr) -> Arc<Session<H>> + Send>,
    session: Arc<Session<H>>,
    address: SocketAddr,
    drain: Drain,
    activity: Arc<Activity>,
    tally: Arc<Tally>,
    running: Drainer,
}

impl<H: Handler> Http3<H> {
    /// On a connection whose handshake is over; `sessions` makes the session for an address of the client.
    pub fn new(
        connection: quinn::Connection,
        sessions: impl Fn(SocketAddr) -> Arc<Session<H>> + Send + 'static,
    ) -> Self {
        let address = connection.remote_address();
        let session = sessions(address);
        Self {
            connection,
            sessions: Box::new(sessions),
            address,
            drain: session.drain.clone(),
            session,
            activity: Activity::new(Phase::Quiet),
            tally: Arc::default(),
            running: Drainer::new(),
        }
    }

    /// Serves the connection to its end.
    pub async fn serve(self) {
        let settings = Arc::clone(&self.session.settings);
        let limits =
            Limits { idle: settings.idle_timeout, read: settings.read_timeout, write: None };
        let activity = Arc::clone(&self.activity);
        let connection = Box::pin(self.drive());
        Guarded { connection, activity, limits, watch: Watch::default() }.await;
    }

    async fn drive(mut self) -> Result<(), ConnectionError> {
        let settings = &self.session.settings;
        // Twice, so that a head that is somewhat too large gets an answer, as with h2.
        let longest = (2 * settings.max_head + PER_FIELD * settings.max_fields) as u64;
        let transport = Transport::new(self.connection.clone(), longest);
        let arrived = transport.arrived();
        let mut server = h3::server::builder()
            .max_field_section_size(longest)
            .send_grease(false)
            .build(transport)
            .await?;
        let mut drain = self.drain.clone();
        loop {
            tokio::select! {
                accepted = server.accept() => match accepted? {
                    Some(resolver) => self.begin(resolver, &arrived)?,
                    None => return Ok(()),
                },
                () = drain.begun() => break,
            }
        }
        self.end(server, &arrived).await
    }

    /// Has a request answered, in a task of its own.
    fn begin(
        &mut self,
        resolver: RequestResolver<Transport, Bytes>,
        arrived: &Mutex<Option<Arrival>>,
    ) -> Result<(), ConnectionError> {
        let Some(Arrival { flow, stopped }) = arrived.lock().take() else { return Ok(()) };
        if self.tally.is_flood() {
            let code = VarInt::from_u64(Code::H3_EXCESSIVE_LOAD.value()).unwrap_or(VarInt::MAX);
            self.connection.close(code, b"too many requests were given up");
            tracing::debug!(peer = %self.address, "a client gave up too many requests");
            return Ok(());
        }
        let address = self.connection.remote_address();
        if address != self.address {
            self.address = address;
            self.session = (self.sessions)(address);
        }
        let exchange = Exchange {
            session: Arc::clone(&self.session),
            activity: Arc::clone(&self.activity),
            flow,
            stopped,
            tally: Arc::clone(&self.tally),
        };
        let busy = self.activity.begin_request();
        let held = self.running.drain().hold();
        task::spawn(async move {
            exchange.run(resolver).await;
            drop((busy, held));
        });
        Ok(())
    }

    /// Ends as RFC 9114 section 5.2 asks: tell that it ends, take what was on its way, name the last request, and close
    /// when the answers have arrived.
    async fn end(
        mut self,
        mut server: Connection<Transport, Bytes>,
        arrived: &Mutex<Option<Arrival>>,
    ) -> Result<(), ConnectionError> {
        server.shutdown(LAST_REQUESTS).await?;
        let arrivals = LAST_ARRIVALS + 3 * self.connection.rtt();
        let end = Instant::now() + arrivals;
        loop {
            tokio::select! {
                accepted = server.accept() => match accepted? {
                    Some(resolver) => self.begin(resolver, arrived)?,
                    None => return Ok(()),
                },
                () = sleep_until(end) => break,
            }
        }
        // One further, as clients take the number for that of the first request that is not answered.
        server.shutdown(1).await?;
        let running = std::mem::take(&mut self.running);
        let ended = running.ended();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                // Requests from now on are refused by being dropped.
                accepted = server.accept() => if accepted?.is_none() { break },
                () = &mut ended => break,
            }
        }
        Ok(())
    }
}
