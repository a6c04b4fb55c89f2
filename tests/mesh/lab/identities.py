"""Authorities and certificates as SPIFFE has them, and such as nobody should believe."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DOMAIN = "lab.test"


def spiffe(namespace, account):
    return f"spiffe://{DOMAIN}/ns/{namespace}/sa/{account}"


def edge(name):
    return spiffe("portcullis-system", f"edge.{name}")


def node(name):
    return spiffe("portcullis-system", f"node.{name}")


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder, name):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self.builder(subject, subject, self.key, datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}")])
        builder = builder.add_extension(identifier, critical=False)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.subject = subject
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def builder(subject, issuer, key, life, begin=datetime.timedelta(minutes=-5)):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin).not_valid_after(now + life)
        )  # fmt: skip

    def issue(self, stem, *uris, life=datetime.timedelta(hours=1), begin=datetime.timedelta(minutes=-5)):
        """Chain and key for somebody who says to be `uris`; the paths of both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        purposes = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = self.builder(x509.Name([]), self.subject, key, life, begin)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        signed = builder.sign(self.key, hashes.SHA256())
        chain, private = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        private.chmod(0o600)
        return chain, private
