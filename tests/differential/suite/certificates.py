"""Certificates of one run: an authority, server certificates and client certificates, made with `openssl`."""

import hashlib
import ssl
import subprocess

# name of the pair -> (common name, subject alternative names, authority)
PAIRS = {
    "a": ("a.tls.test", "DNS:a.tls.test", "ca"),
    "b": ("b.tls.test", "DNS:b.tls.test,DNS:b2.tls.test", "ca"),
    "wild": ("*.wild.test", "DNS:*.wild.test", "ca"),
    "exact": ("exact.wild.test", "DNS:exact.wild.test", "ca"),
    "fallback": ("fallback.test", "DNS:fallback.test", "ca"),
    "backend": ("backend.test", "DNS:backend.test,IP:127.0.0.1", "ca"),
    "client": ("client", "DNS:client.test", "ca"),
    "stranger": ("stranger", "DNS:stranger.test", "other"),
}


class Certificates:
    """The folder with all pairs, and the names of the certificates by fingerprint."""

    def __init__(self, folder):
        self.folder = folder
        self.names = {}
        folder.mkdir(parents=True, exist_ok=True)
        for authority in ("ca", "other"):
            self.make_authority(authority)
        for name, (common_name, alternatives, authority) in PAIRS.items():
            self.make_pair(name, common_name, alternatives, authority)
            der = ssl.PEM_cert_to_DER_cert((folder / f"{name}.crt").read_text())
            self.names[hashlib.sha256(der).hexdigest()] = name

    def chain(self, name):
        return str(self.folder / f"{name}.crt"), str(self.folder / f"{name}.key")

    def authority(self):
        return str(self.folder / "ca.crt")

    def make_authority(self, name):
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN=authority {name}", "-keyout", f"{name}.key", "-out", f"{name}.crt",
        )  # fmt: skip

    def make_pair(self, name, common_name, alternatives, authority):
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        (self.folder / f"{name}.ext").write_text(
            f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        self.openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", "20", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )  # fmt: skip

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
