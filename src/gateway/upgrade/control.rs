//! The control socket: where `portcullis upgrade` asks.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::{Sockets, Wish};

/// The listening control socket.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Somebody who asked and waits.
pub(super) struct Asker(UnixStream);

/// The name under which it is handed over. No entry point is called so.
const NAME: &str = "control@portcullis";

/// How long a question may take to arrive, and an answer to leave.
const LIMIT: Duration = Duration::from_secs(5);

/// Longest question.
const LONGEST: u64 = 8192;

impl Control {
    /// Takes over the socket of the gateway before this one, or listens at `path`. Without a folder there is none.
    pub(super) fn open(path: Option<&Path>, sockets: &mut Sockets) -> Option<Self> {
        let path = path?;
        let inherited = sockets.take(NAME, |socket| {
            let address = socket.local_addr().ok();
            let domain = socket.domain().is_ok_and(|domain| domain == Domain::UNIX);
            domain && address.is_some_and(|it| it.as_pathname() == Some(path))
        });
        let opened = match inherited.into_iter().next() {
            Some(socket) => Ok(StdListener::from(std::os::fd::OwnedFd::from(socket))),
            None if path.parent().is_none_or(|folder| !folder.is_dir()) => return None,
            None => bind(path),
        };
        let listen = |listener: StdListener| {
            sockets.keep(NAME, listener.try_clone()?.into());
            UnixListener::from_std(listener)
        };
        match opened.and_then(listen) {
            Ok(listener) => Some(Self { listener, path: path.to_owned() }),
            Err(error) => {
                let path = path.display();
                tracing::warn!(
                    "control socket {path}: {error}; `portcullis upgrade` cannot ask, SIGUSR2 can"
                );
                None
            }
        }
    }

    /// Takes the socket's file away.
    pub(super) fn remove(self) {
        let _ = std::fs::remove_file(self.path);
    }
}

/// Only the user that runs the gateway may connect.
fn bind(path: &Path) -> io::Result<StdListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let text = "another gateway listens there; give this one its own by PORTCULLIS_CONTROL";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    let is_socket = |kind: std::fs::FileType| std::os::unix::fs::FileTypeExt::is_socket(&kind);
    if std::fs::symlink_metadata(path).is_ok_and(|it| is_socket(it.file_type())) {
        // It is left from a gateway that ended in disorder.
        std::fs::remove_file(path)?;
    }
    // Bound first and listening only once nobody else may connect.
    let socket = Socket::new(Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(16)?;
    Ok(StdListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// The next wish and who has it; for ever without a socket.
pub(super) async fn next(control: Option<&Control>) -> (Wish, Asker) {
    let Some(control) = control else { return std::future::pending().await };
    loop {
        let stream = match control.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(LIMIT).await;
                continue;
            }
        };
        if let Some(found) = question(stream).await {
            return found;
        }
    }
}

async fn question(mut stream: UnixStream) -> Option<(Wish, Asker)> {
    let mut line = Vec::new();
    let read = async {
        let mut rest = (&mut stream).take(LONGEST);
        while !line.contains(&b'\n') && rest.read_buf(&mut line).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::time::timeout(LIMIT, read).await.ok()?.ok()?;
    let wish = String::from_utf8(line).ok().as_deref().and_then(parse);
    if let Some(wish) = wish {
        return Some((wish, Asker(stream)));
    }
    Asker(stream).say("error expected: upgrade SECONDS [PROGRAM]\n").await;
    None
}

/// `upgrade 60 /usr/bin/portcullis`.
fn parse(line: &str) -> Option<Wish> {
    let rest = line.strip_suffix('\n')?.strip_prefix("upgrade ")?;
    let (seconds, program) = rest.split_once(' ').unwrap_or((rest, ""));
    let seconds: u16 = seconds.parse().ok()?;
    let program = Some(program).filter(|program| !program.is_empty()).map(PathBuf::from);
    Some(Wish { program, patience: Duration::from_secs(seconds.into()) })
}

impl Asker {
    /// Tells how it went.
    pub(super) async fn answer(self, outcome: &Result<u32, String>) {
        let line = match outcome {
            Ok(process) => format!("ok {process}\n"),
            Err(reason) => format!("error {}\n", reason.replace('\n', " ")),
        };
        self.say(&line).await;
    }

    /// Nobody is left to tell if it has gone.
    async fn say(mut self, line: &str) {
        let _ = tokio::time::timeout(LIMIT, self.0.write_all(line.as_bytes())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_has_its_patience_and_perhaps_a_program() {
        let patience = Duration::from_secs(7);
        assert_eq!(parse("upgrade 7 \n"), Some(Wish { program: None, patience }));
        let program = Some("/opt/a b".into());
        assert_eq!(parse("upgrade 7 /opt/a b\n"), Some(Wish { program, patience }));
        for line in ["", "upgrade", "upgrade \n", "upgrade x\n", "upgrade 7", "stop 7\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[tokio::test]
    async fn only_one_listens_and_what_is_left_over_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let first = Control::open(Some(&path), &mut Sockets::default()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Control::open(Some(&path), &mut Sockets::default()).is_none());
        drop(first);
        Control::open(Some(&path), &mut Sockets::default()).unwrap().remove();
        assert!(!path.exists());
        let nowhere = folder.path().join("no/control");
        assert!(Control::open(Some(&nowhere), &mut Sockets::default()).is_none());
    }
}
