//! OCSP stapling, with OpenSSL as authority, as responder and as client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::server::Server;
use crate::harness::{Gateway, free_port, service, until};

/// An authority whose certificates name a responder; the responder runs when it is told to.
struct Authority {
    folder: tempfile::TempDir,
    port: u16,
    responder: Option<Child>,
}

impl Authority {
    /// With one certificate for `open.example`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let this = Self { folder, port, responder: None };
        let settings = format!(
            "[ca]\ndefault_ca = it\n[it]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n\
             certificate = ca.pem\nprivate_key = ca.key\ndefault_md = sha256\ndefault_days = 2\npolicy = any\n\
             unique_subject = no\n[any]\ncommonName = supplied\n[leaf]\nsubjectAltName = DNS:open.example\n\
             authorityInfoAccess = OCSP;URI:http://127.0.0.1:{port}\n"
        );
        fs::write(this.path("ca.cnf"), settings).unwrap();
        fs::write(this.path("index.txt"), "").unwrap();
        fs::write(this.path("serial"), "1000").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        this.openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 9 -subj /CN=it-ca"
        ));
        this.openssl(&format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=open.example"));
        this.openssl(
            "ca -batch -config ca.cnf -extensions leaf -in leaf.csr -out leaf.pem -notext",
        );
        let chain = ["leaf.pem", "ca.pem"].map(|name| fs::read_to_string(this.path(name)).unwrap());
        fs::write(this.path("chain.pem"), chain.concat()).unwrap();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let ran = command.args(words.split(' ')).current_dir(self.folder.path()).output().unwrap();
        assert!(ran.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Starts the responder, which reads the index once.
    fn answer(&mut self) {
        let words = format!(
            "ocsp -port {} -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -nmin 60",
            self.port
        );
        let mut command = Command::new("openssl");
        command.args(words.split(' ')).current_dir(self.folder.path());
        let said = fs::File::create(self.path("said")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        self.responder = Some(command.spawn().unwrap());
        // A connection without a question would keep it from the next one.
        let said = || fs::read_to_string(self.path("said")).unwrap();
        until("the responder listens", || said().contains("waiting for OCSP client connections"));
    }

    fn gateway(&self, server: &Server, install: &str) -> Gateway {
        let install = format!("{install}\n[metrics.prometheus]\nentryPoint = \"secure\"\n");
        Gateway::with(&install, &self.routes(server))
    }

    fn routes(&self, server: &Server) -> String {
        let (chain, key) = (self.path("chain.pem"), self.path("leaf.key"));
        format!(
            "[http.routers.open]\nrule = \"Host(`open.example`)\"\nservice = \"it\"\nentryPoints = [\"secure\"]\n\
             [http.routers.open.tls]\n{}[[tls.certificates]]\ncertFile = {chain:?}\nkeyFile = {key:?}\n",
            service("it", &[server.address]),
        )
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        if let Some(child) = &mut self.responder {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What OpenSSL prints of the status that it asks the gateway for.
fn status(gateway: &Gateway, authority: &Path) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-status", "-servername", "open.example", "-connect"])
        .arg(gateway.secure.to_string())
        .arg("-CAfile")
        .arg(authority)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_stapled(gateway: &Gateway, authority: &Path) -> bool {
    let text = status(gateway, authority);
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    text.contains("OCSP Response Status: successful") && text.contains("Cert Status: good")
}

#[test]
fn an_answer_is_shown_once_there_is_one_and_again_after_a_reload() {
    let (server, mut authority) = (Server::saying("hello"), Authority::new());
    authority.answer();
    let mut gateway = authority.gateway(&server, "[ocsp]\n");
    let ca = authority.path("ca.pem");
    until("the status is stapled", || is_stapled(&gateway, &ca));
    assert!(gateway.metric("portcullis_tls_ocsp_answers_total{result=\"good\"}").unwrap() >= 1.0);
    // The answer belongs to the certificate, not to the configuration that it came with, nor to who gave it.
    let mut child = authority.responder.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    gateway.reload(&format!("{}\n# another text\n", authority.routes(&server)));
    assert!(is_stapled(&gateway, &ca));
}

#[test]
fn a_certificate_serves_without_an_answer_and_a_revoked_one_is_never_vouched_for() {
    let (server, mut authority) = (Server::saying("hello"), Authority::new());
    let ca = authority.path("ca.pem");
    let silent = authority.gateway(&server, "[ocsp]\n");
    let failed = "portcullis_tls_ocsp_answers_total{result=\"failed\"}";
    until("nobody answers", || silent.metric(failed).is_some_and(|count| count >= 1.0));
    assert!(status(&silent, &ca).contains("OCSP response: no response sent"));
    assert!(silent.log().contains("no OCSP answer for the certificate"), "{}", silent.log());
    authority.openssl("ca -config ca.cnf -revoke leaf.pem");
    authority.answer();
    let told = authority.gateway(&server, "[ocsp]\n");
    until("it is logged", || told.log().contains("the issuer has revoked the certificate"));
    assert!(status(&told, &ca).contains("OCSP response: no response sent"));
}

#[test]
fn nobody_is_asked_unless_the_user_wants_it_and_another_may_be_asked_instead() {
    let (server, mut authority) = (Server::saying("hello"), Authority::new());
    let ca = authority.path("ca.pem");
    let named = format!("http://127.0.0.1:{}", authority.port);
    // The responder that the certificate names is not there; the one that stands in for it is.
    authority.port = free_port();
    authority.answer();
    let quiet = authority.gateway(&server, "");
    let install = format!(
        "[ocsp.responderOverrides]\n\"{named}\" = \"http://127.0.0.1:{}\"\n",
        authority.port
    );
    let overridden = authority.gateway(&server, &install);
    until("the status is stapled", || is_stapled(&overridden, &ca));
    assert!(status(&quiet, &ca).contains("OCSP response: no response sent"));
}
