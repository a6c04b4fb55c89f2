//! `Probe`: the question that tells whether a TCP server is healthy.

use std::io;
use std::sync::Arc;

use portcullis_config::routing::tcp::HealthCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::{From, dial_place};
use super::server::{Place, Security, Server};
use super::transport::Transport;
use crate::upstream::health::active::{Pace, Question};

/// The question that tells whether a TCP server is healthy: it takes a connection and, where the user says so, answers a
/// text with a text.
#[derive(Debug)]
pub struct Probe {
    place: Place,
    shown: Box<str>,
    security: Security,
    transport: Arc<Transport>,
    send: Box<[u8]>,
    expect: Box<[u8]>,
}

/// Longest answer that may be expected.
const MOST_EXPECTED: usize = 64 * 1024;

impl Probe {
    /// Compiles the settings for `server`.
    pub fn new(settings: &HealthCheck, server: &Server) -> Result<Self, String> {
        let mut place = server.place.clone();
        if settings.port != 0 {
            let port = u16::try_from(settings.port);
            place.port =
                port.map_err(|_| format!("healthCheck.port: {} is no port", settings.port))?;
        }
        if settings.expect.len() > MOST_EXPECTED {
            return Err(format!("healthCheck.expect: longer than {MOST_EXPECTED} bytes"));
        }
        Ok(Self {
            shown: format!("{}:{}", place.host, place.port).into(),
            place,
            security: server.security,
            transport: Arc::clone(&server.transport),
            send: settings.send.as_bytes().into(),
            expect: settings.expect.as_bytes().into(),
        })
    }

    async fn ask_once(&self) -> Result<(), String> {
        let dialled =
            dial_place(&self.place, &self.shown, self.security, &self.transport, From::Gateway);
        let mut stream = dialled.await.map_err(|error| error.to_string())?;
        let talk = async {
            if !self.send.is_empty() {
                stream.write_all(&self.send).await?;
                stream.flush().await?;
            }
            let mut answer = vec![0; self.expect.len()];
            stream.read_exact(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = talk.await.map_err(|error| format!("it does not answer: {error}"))?;
        if *answer != *self.expect {
            return Err("the answer is another than expected".to_owned());
        }
        Ok(())
    }
}

impl Question for Probe {
    type Settings = HealthCheck;

    fn pace(settings: &HealthCheck) -> Pace {
        Pace {
            interval: settings.interval,
            unhealthy_interval: settings.unhealthy_interval,
            timeout: settings.timeout,
        }
    }

    fn ask(&self) -> impl Future<Output = Result<(), String>> + Send {
        self.ask_once()
    }
}
