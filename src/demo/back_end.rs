//! The servers behind the demonstration: each says its name and what it saw of a request.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::net::task;

/// A server that runs until the process ends.
#[derive(Debug)]
pub(super) struct BackEnd {
    /// How it calls itself.
    pub(super) name: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// Starts one server for each name, all on one thread of their own.
pub(super) fn start<const COUNT: usize>(names: [&'static str; COUNT]) -> io::Result<Vec<BackEnd>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut back_ends = Vec::new();
    for name in names {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        back_ends.push(BackEnd { name, address: listener.local_addr()? });
        let _inside = runtime.enter();
        task::spawn(accept(listener, name));
    }
    let forever = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("back-ends".to_owned()).spawn(forever)?;
    Ok(back_ends)
}

async fn accept(listener: TcpListener, name: &'static str) {
    loop {
        // Only the gateway comes here; a connection that breaks before it is accepted is its to repeat.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service_fn(move |request| async move { answer(name, &request) });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        task::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// The name and the head of the request, as it arrived.
fn answer(
    name: &'static str,
    request: &Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut text = format!("This is {name}. I was asked:\n\n");
    let _ = writeln!(text, "  {} {}", request.method(), request.uri());
    for (header, value) in request.headers() {
        let _ = writeln!(text, "  {header}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let mut response = Response::new(Full::from(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn each_says_its_name_and_what_it_saw() {
        let back_ends = start(["one", "two"]).unwrap();
        for back_end in back_ends {
            let mut stream = TcpStream::connect(back_end.address).unwrap();
            let request =
                b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\nX-Seen: yes\r\nConnection: close\r\n\r\n";
            stream.write_all(request).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.contains(&format!("This is {}.", back_end.name)), "{answer}");
            assert!(answer.contains("GET /x?y=1\n"), "{answer}");
            assert!(answer.contains("x-seen: yes\n"), "{answer}");
        }
    }
}
