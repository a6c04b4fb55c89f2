//! `rfc2136`: a name server of the user's takes signed updates (RFC 2136, RFC 8945).

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::{BoxFuture, FutureExt as _};
use hickory_net::client::{Client, ClientHandle as _};
use hickory_net::proto::op::ResponseCode;
use hickory_net::proto::rr::rdata::TXT;
use hickory_net::proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_net::proto::rr::{Name, RData, Record as Resource, TSigner};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use portcullis_config::units::Secret;

use super::super::environment::Environment;
use super::look_up::LookUp;
use super::{Provider, Record, Tools};
use crate::net::task;

/// How far the clocks of both sides may differ, in seconds.
const FUDGE: u16 = 300;

struct Rfc2136 {
    server: String,
    signer: Option<TSigner>,
    time_to_live: u32,
    patience: Duration,
    look_up: LookUp,
    /// The zone, where the server's is not to be asked for.
    zone: Option<String>,
}

/// What to do with a record.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    let server = environment.required(&["RFC2136_NAMESERVER"])?.0;
    let has_port = server.parse::<SocketAddr>().is_ok()
        || (!server.starts_with('[') && server.matches(':').count() == 1);
    let server = match (has_port, server.parse::<std::net::IpAddr>()) {
        (true, _) => server,
        (false, Ok(address)) => SocketAddr::new(address, 53).to_string(),
        (false, Err(_)) => format!("{server}:53"),
    };
    let patience = environment.seconds("RFC2136_DNS_TIMEOUT")?;
    let zone = environment.text("RFC2136_ZONE", "")?;
    Ok(Box::new(Rfc2136 {
        server,
        signer: signer(environment)?,
        time_to_live: environment.time_to_live("RFC2136_TTL", 120)?,
        patience: patience.unwrap_or(Duration::from_secs(10)),
        look_up: tools.look_up.clone(),
        zone: (!zone.is_empty()).then_some(zone),
    }))
}

/// The key that updates are signed with, if there is one.
fn signer(environment: &Environment) -> Result<Option<TSigner>, String> {
    let Some(key) = environment.optional(&["RFC2136_TSIG_KEY"])? else { return Ok(None) };
    let Secret(secret) = environment.required(&["RFC2136_TSIG_SECRET"])?;
    let secret = BASE64_STANDARD
        .decode(secret.trim())
        .map_err(|_| "RFC2136_TSIG_SECRET: expected base64".to_owned())?;
    let wanted = environment.text("RFC2136_TSIG_ALGORITHM", "hmac-sha1.")?;
    let algorithm = match wanted.trim_end_matches('.').to_ascii_lowercase().as_str() {
        "hmac-sha224" => TsigAlgorithm::HmacSha224,
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        _ => {
            return Err(format!(
                "RFC2136_TSIG_ALGORITHM: `{wanted}` is not served; expected hmac-sha224., \
                 hmac-sha256., hmac-sha384. or hmac-sha512."
            ));
        }
    };
    let name =
        Name::from_ascii(&key.0).map_err(|_| "RFC2136_TSIG_KEY: expected a name".to_owned())?;
    let signer = TSigner::new(secret, algorithm, name, FUDGE);
    signer.map(Some).map_err(|error| format!("RFC2136_TSIG_KEY: {error}"))
}

impl Rfc2136 {
    async fn change(&self, record: &Record, change: Change) -> Result<(), String> {
        let zone = match &self.zone {
            Some(zone) => zone.clone(),
            None => self.look_up.zone(&record.name).await?,
        };
        let failed = |error: String| format!("name server `{}`: {error}", self.server);
        let mut addresses = tokio::net::lookup_host(self.server.as_str())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let address = addresses.next().ok_or_else(|| failed("it has no address".to_owned()))?;
        let name = |text: &str| {
            let name = Name::from_ascii(text).map_err(|error| format!("`{text}`: {error}"));
            name.map(|mut name| {
                name.set_fqdn(true);
                name
            })
        };
        let (zone, owner) = (name(&zone)?, name(&record.name)?);
        if !zone.zone_of(&owner) {
            return Err(format!("`{owner}` is not in the zone `{zone}`"));
        }
        let text = RData::TXT(TXT::new(vec![record.value.clone()]));
        let resource = Resource::from_rdata(owner, self.time_to_live, text);
        let stream = UdpClientStream::builder(address, TokioRuntimeProvider::new())
            .with_timeout(Some(self.patience))
            .with_signer(self.signer.clone())
            .build();
        let (mut client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
        let background = task::spawn(background);
        let answer = match change {
            Change::Add => client.append(resource, zone, false).await,
            Change::Remove => client.delete_by_rdata(resource, zone).await,
        };
        background.abort();
        match answer.map_err(|error| failed(error.to_string()))?.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(failed(format!("it answers {code}"))),
        }
    }
}

impl Provider for Rfc2136 {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.change(record, Change::Add).boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.change(record, Change::Remove).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(variables: &[(&str, &str)]) -> String {
        signer(&Environment::of(variables)).err().unwrap()
    }

    #[test]
    fn half_a_key_is_an_error_that_names_what_is_missing() {
        assert!(error(&[("RFC2136_TSIG_KEY", "k.")]).contains("RFC2136_TSIG_SECRET"));
        let bad = [("RFC2136_TSIG_KEY", "k."), ("RFC2136_TSIG_SECRET", "s3cr?t")];
        let text = error(&bad);
        assert!(text.contains("base64") && !text.contains("s3cr"), "{text}");
    }

    #[test]
    fn algorithms_that_are_broken_are_refused() {
        let variables = [
            ("RFC2136_TSIG_KEY", "k."),
            ("RFC2136_TSIG_SECRET", "c2VjcmV0"),
            ("RFC2136_TSIG_ALGORITHM", "hmac-md5.sig-alg.reg.int."),
        ];
        assert!(error(&variables).contains("hmac-sha256."));
        let good = [variables[0], variables[1], ("RFC2136_TSIG_ALGORITHM", "hmac-sha256.")];
        assert!(signer(&Environment::of(&good)).unwrap().is_some());
    }
}
