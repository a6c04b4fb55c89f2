//! The way to the engine: a socket of the machine, TCP or TLS, with a fresh connection for each call.
//!
//! bollard brings its own connectors, but its TLS wants all three files and cannot skip verification; with a transport
//! of ours all endpoints share one path and one set of messages.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker as Engine};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use portcullis_config::units::Secret;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{Docker, Tls, trust};
use crate::Failure;

/// How to reach the engine.
pub(super) struct Client {
    endpoint: Endpoint,
    tls: Option<Tls>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// What one call needs.
struct Route {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// The port of an engine that listens on TCP, and on TLS.
const PORTS: (u16, u16) = (2375, 2376);

/// How long the engine may take to begin an answer unless the user says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The newest version of the API that we know; the engine's own is used if it is older.
const VERSION: &ClientVersion = &ClientVersion { major_version: 1, minor_version: 47 };

impl Client {
    /// Checks the options; an error names the option.
    pub(super) fn new(options: &Docker) -> Result<Self, (&'static str, String)> {
        let (endpoint, security) = parse(&options.endpoint).map_err(|it| ("endpoint", it))?;
        let wants_tls = matches!(endpoint, Endpoint::Tcp(_))
            && (security == Security::Tls || options.tls.is_some());
        if security == Security::Plain && options.tls.is_some() {
            return Err((
                "endpoint",
                "`http://` is without TLS; write `https://` or `tcp://`".to_owned(),
            ));
        }
        let timeout = options.http_client_timeout.positive().unwrap_or(TIMEOUT);
        Ok(Self {
            endpoint,
            tls: wants_tls.then(|| options.tls.clone().unwrap_or_default()),
            authorization: basic(&options.username, &options.password),
            timeout,
        })
    }

    /// Agrees with the engine on a version of its API.
    pub(super) async fn connect(&self) -> Result<Engine, Failure> {
        let route = Arc::new(self.route()?);
        let transport = move |request| call(Arc::clone(&route), request);
        // bollard counts whole seconds, and none as no time at all.
        let seconds = self.timeout.as_secs_f64().ceil().max(1.0) as u64;
        let engine = Engine::connect_with_custom_transport(
            transport,
            Some("http://docker"),
            seconds,
            VERSION,
        );
        let engine = engine.map_err(|error| self.explain(error))?;
        engine.negotiate_version().await.map_err(|error| self.explain(error))
    }

    /// Files are read for each connection, so that renewed certificates count.
    fn route(&self) -> Result<Route, Failure> {
        let host = match &self.endpoint {
            Endpoint::Unix(_) => "docker",
            Endpoint::Tcp(authority) => authority,
        };
        let tls = match &self.tls {
            None => None,
            Some(tls) => {
                Some((TlsConnector::from(Arc::new(trust::client(tls)?)), server_name(host)?))
            }
        };
        let host = HeaderValue::from_str(host)
            .map_err(|error| Failure::caused("the endpoint is no host", error))?;
        let authorization = self.authorization.clone();
        Ok(Route { endpoint: self.endpoint.clone(), tls, host, authorization })
    }

    /// Says what failed, and what mends it.
    pub(super) fn explain(&self, error: Error) -> Failure {
        let message = match (&error, &self.endpoint) {
            (Error::IOError { err }, Endpoint::Unix(path)) => explain_socket(path, err),
            (Error::IOError { err }, Endpoint::Tcp(authority)) => {
                format!("cannot reach the engine at {authority}: {err}")
            }
            (Error::RequestTimeoutError, _) => {
                format!("the engine did not answer within {:?}", self.timeout)
            }
            (Error::DockerResponseServerError { status_code: 401, .. }, _) => {
                "the engine wants a user name and a password (options `username`, `password`), \
                 or refuses these"
                    .to_owned()
            }
            (Error::DockerResponseServerError { status_code: 403, message }, _) => format!(
                "the engine forbids a call ({}); a proxy in front of it must allow reading \
                 `version`, `containers`, `events` and `_ping`",
                message.trim()
            ),
            _ => format!("the engine failed: {}", root(&error)),
        };
        Failure::caused(message, error)
    }
}

/// Whether the scheme of an endpoint decides about TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    Tls,
    Plain,
    /// As the option `tls` says.
    Open,
}

fn parse(endpoint: &str) -> Result<(Endpoint, Security), String> {
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return Err(format!(
            "`{endpoint}` has no scheme; expected unix://, tcp://, http:// or https://"
        ));
    };
    let (security, port) = match scheme.to_ascii_lowercase().as_str() {
        "unix" if rest.is_empty() => return Err("expected a path behind `unix://`".to_owned()),
        "unix" => return Ok((Endpoint::Unix(rest.into()), Security::Open)),
        "tcp" => (Security::Open, PORTS.0),
        "http" => (Security::Plain, PORTS.0),
        "https" => (Security::Tls, PORTS.1),
        other => {
            return Err(format!(
                "`{other}://` is not served; expected unix://, tcp://, http:// or https://"
            ));
        }
    };
    let authority = rest.trim_end_matches('/');
    let uri: hyper::Uri = format!("http://{authority}/")
        .parse()
        .map_err(|_| format!("`{authority}` is no host and port"))?;
    let host = uri.host().filter(|host| !host.is_empty() && !authority.contains(['/', '@']));
    let host = host.ok_or_else(|| format!("`{authority}` is no host and port"))?;
    let port = uri.port_u16().unwrap_or(port);
    Ok((Endpoint::Tcp(format!("{host}:{port}")), security))
}

fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    if username.is_empty() {
        return None;
    }
    let pair =
        base64::engine::general_purpose::STANDARD.encode(format!("{username}:{}", password.0));
    let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn server_name(authority: &str) -> Result<ServerName<'static>, Failure> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_matches(['[', ']']).to_owned();
    ServerName::try_from(host)
        .map_err(|error| Failure::caused("the endpoint's host is no name for TLS", error))
}

/// The cause of the cause.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    error.source().map_or(error, root)
}

fn explain_socket(path: &Path, error: &IoError) -> String {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "permission denied on {shown}: {}; run as root (`--user root`) or as a member of that group \
             (`--group-add`), or put a proxy in front of the engine",
            owner(path)
        ),
        ErrorKind::NotFound => format!(
            "{shown} does not exist: is the engine running? In a container, mount the socket: \
             `-v {shown}:{shown}:ro`"
        ),
        ErrorKind::ConnectionRefused => {
            format!("nothing listens on {shown}: is the engine running?")
        }
        _ => format!("cannot talk to the engine on {shown}: {error}"),
    }
}

fn owner(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(found) => {
            format!("the socket belongs to user {} and group {}", found.uid(), found.gid())
        }
        Err(_) => "one of its folders may not be entered".to_owned(),
    }
}

/// One call over a connection of its own.
async fn call(route: Arc<Route>, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    *request.uri_mut() = target.parse().map_err(IoError::other)?;
    request.headers_mut().insert(HOST, route.host.clone());
    if let Some(authorization) = &route.authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    match &route.endpoint {
        Endpoint::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
        Endpoint::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await?;
            match &route.tls {
                None => exchange(stream, request).await,
                Some((tls, name)) => {
                    exchange(tls.connect(name.clone(), stream).await?, request).await
                }
            }
        }
    }
}

async fn exchange<S>(stream: S, request: BollardRequest) -> Result<Response<Incoming>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = Box::pin(connection);
    let mut response = std::pin::pin!(sender.send_request(request));
    // The connection knows better than the request why there is no answer.
    let response = tokio::select! {
        biased;
        ended = &mut connection => {
            ended?;
            return Ok(response.await?);
        }
        response = &mut response => response?,
    };
    drive(connection);
    Ok(response)
}

/// bollard wants a response whose body is fed by somebody else.
#[allow(
    clippy::disallowed_methods,
    reason = "lives on the control runtime, which runs providers; \
                                              ends with the response"
)]
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        // What goes wrong here, the reader of the response sees as well.
        let _ = connection.await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        parse(text).map(|(endpoint, _)| endpoint)
    }

    #[test]
    fn endpoints_are_sockets_or_hosts_with_the_engines_ports() {
        assert_eq!(endpoint("unix:///run/x.sock"), Ok(Endpoint::Unix("/run/x.sock".into())));
        assert_eq!(endpoint("tcp://10.0.0.1:1234"), Ok(Endpoint::Tcp("10.0.0.1:1234".into())));
        assert_eq!(endpoint("tcp://[::1]"), Ok(Endpoint::Tcp("[::1]:2375".into())));
        assert_eq!(endpoint("https://engine/"), Ok(Endpoint::Tcp("engine:2376".into())));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_ones_there_are() {
        assert!(endpoint("/var/run/docker.sock").unwrap_err().contains("has no scheme"));
        assert!(endpoint("ssh://host").unwrap_err().contains("expected unix://"));
        assert!(endpoint("tcp://").unwrap_err().contains("no host"));
        assert!(endpoint("tcp://a/b").unwrap_err().contains("no host"));
    }

    #[test]
    fn plain_http_contradicts_tls() {
        let options = Docker {
            endpoint: "http://engine".to_owned(),
            tls: Some(Tls::default()),
            ..Docker::default()
        };
        assert_eq!(Client::new(&options).err().unwrap().0, "endpoint");
    }

    #[test]
    fn a_socket_that_may_not_be_opened_says_whose_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = explain_socket(file.path(), &ErrorKind::PermissionDenied.into());
        assert!(message.contains("the socket belongs to user"), "{message}");
        assert!(message.contains("--group-add"), "{message}");
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "tests have no workers")]
    async fn a_user_name_and_its_password_are_sent_and_their_refusal_is_said() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Docker {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            username: "user".to_owned(),
            password: Secret("pass".to_owned()),
            ..Docker::default()
        };
        let engine = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let failure = Client::new(&options).ok().unwrap().connect().await.err().unwrap();
        assert!(failure.to_string().contains("a user name and a password"), "{failure}");
        let request = engine.await.unwrap();
        assert!(request.contains("authorization: Basic dXNlcjpwYXNz"), "{request}");
        assert!(request.starts_with("GET /"), "{request}");
    }

    #[tokio::test]
    async fn a_missing_socket_says_how_to_mount_it() {
        let options =
            Docker { endpoint: "unix:///nowhere/docker.sock".to_owned(), ..Docker::default() };
        let failure = Client::new(&options).ok().unwrap().connect().await.err().unwrap();
        assert!(failure.to_string().contains("-v /nowhere/docker.sock:"), "{failure}");
    }
}
