"""`edgetally up` under a service manager and with TLS: ready when it serves, alive while it turns, new certificates."""

import shutil
import signal
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.tls import BadCertificate, Certificate
from tests.certificates import Authority, authority
from tests.cli.inside import edgetally
from tests.e2e.running import Net, Process, until


@pytest.fixture(scope="module")
def signer() -> Authority:
    return authority()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(30)
        yield heard


def placed(signer: Authority, name: str, folder: Path, **options: float) -> tuple[Path, Path]:
    """A certificate under the names that are set; the key is private."""
    made = signer.broker(folder, name, **options)
    for source, target in zip(made, (folder / "web.crt", folder / "web.key"), strict=True):
        target.touch(mode=0o600)
        target.write_bytes(source.read_bytes())
    return folder / "web.crt", folder / "web.key"


def served(port: int, signer: Authority, folder: Path) -> bytes:
    """The certificate that the page shows, DER."""
    (folder / "ca.pem").write_bytes(signer.pem)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    plain = socket.create_connection(("127.0.0.1", port), 10)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as wrapped:
        return wrapped.getpeercert(True) or b""


def test_a_coordinator_as_systemd_runs_it(signer: Authority, manager: socket.socket, tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    placed(signer, "first", net.folder)
    text = net.config.read_text().replace("[http]\n", '[http]\ncertfile = "web.crt"\nkeyfile = "web.key"\n')
    net.config.write_text(text)
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    with Process(["up", "--config", net.config], net.folder / "up", environment=environment) as process:
        assert manager.recv(200) == b"READY=1"  # and now it serves
        first = served(net.http_port, signer, tmp_path)
        said = [manager.recv(200) for _ in range(4)]
        assert said.count(b"WATCHDOG=1") >= 2 and any(one.startswith(b"STATUS=beacon ") for one in said)
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(f"https://localhost:{net.http_port}/", context=context, timeout=20) as page:
            assert page.status == 200

        placed(signer, "second", net.folder)
        process.process.send_signal(signal.SIGHUP)
        heard = until(lambda: (one := manager.recv(200)).startswith(b"RELOADING=1\nMONOTONIC_USEC=") and one, "reload")
        assert heard and until(lambda: manager.recv(200) == b"READY=1", "ready again")
        second = served(net.http_port, signer, tmp_path)
        assert second != first

        (net.folder / "web.crt").write_text("nonsense")  # half of a renewal: the old one stays
        process.process.send_signal(signal.SIGHUP)
        until(lambda: "certificate_refused" in process.errors, "the refusal")
        assert served(net.http_port, signer, tmp_path) == second
        process.process.send_signal(signal.SIGTERM)
        until(lambda: manager.recv(200) == b"STOPPING=1", "the last word")
        assert process.wait() == 0


def test_files_that_change_are_noticed(signer: Authority, tmp_path: Path) -> None:
    certificate = Certificate(*placed(signer, "first", tmp_path))
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2
    certificate.look()
    assert certificate.renewals == 0
    placed(signer, "second-and-longer", tmp_path)
    certificate.look()
    certificate.look()
    assert certificate.renewals == 1
    (tmp_path / "web.key").unlink()
    certificate.look()
    assert certificate.renewals == 1


def test_what_cannot_be_used_is_named(signer: Authority, tmp_path: Path) -> None:
    certfile, keyfile = placed(signer, "one", tmp_path)
    other = signer.broker(tmp_path, "other")
    other[1].chmod(0o600)
    keyfile.chmod(0o644)
    with pytest.raises(BadCertificate, match="mode 0644 lets others at it; run: chmod 600"):
        Certificate(certfile, keyfile)
    keyfile.chmod(0o640)
    Certificate(certfile, keyfile)
    with pytest.raises(BadCertificate, match="is not the key of"):
        Certificate(certfile, other[1])
    with pytest.raises(BadCertificate, match="No such file"):
        Certificate(certfile, tmp_path / "none.key")
    shutil.copy(certfile, keyfile)
    with pytest.raises(BadCertificate, match="are not a certificate and an unencrypted key"):
        Certificate(certfile, keyfile)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    net.config.write_text(net.config.read_text().replace("[http]\n", '[http]\ncertfile = "a"\nkeyfile = "b"\n'))
    done = edgetally("up", "--config", net.config)
    assert done.returncode == 1 and "http.certfile" in done.stderr and "No such file" in done.stderr
