"""Senders over HTTPS: by a certificate of their own, whoever signed it, or by a token as always."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from detect.intake.listeners.test_tls import Holder
from detect.worker.conftest import SECRET, Rig, source
from istmo.detect import wire
from istmo.settings import save_settings

BULK = b'{"create":{}}\n{"n":1}\n'


class Secure:
    """A worker that shows a certificate, and those who send to it."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig, self.folder = rig, folder
        rig.settings = replace(rig.settings, tls="own")
        save_settings(rig.settings)
        shown = Holder(folder, "node")
        rig.start(options=["--certificate", str(shown.certificate), "--key", str(shown.key)])
        rig.accept()
        self._generation = 1

    def register(self, holder: Holder | None) -> None:
        """Give the second source this certificate, or none."""
        self._generation += 1
        mark = holder.fingerprint if holder else ""
        second = source("other", id="s2", certificate=mark)
        self.rig.say(wire.PutSources(self._generation, [source(), second]))
        self.rig.hear(wire.Live, lambda live: live.what == wire.SOURCES)

    def send(self, holder: Holder | None, version: ssl.TLSVersion, token: str = "") -> httpx.Response:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if holder is not None:
            context.load_cert_chain(holder.certificate, holder.key)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(verify=context, trust_env=False, timeout=30) as http:
            return http.post(f"https://127.0.0.1:{self.rig.port}/_bulk", content=BULK, headers=headers)

    def accepted(self) -> dict[str, int]:
        """By source, what was told of since the last time."""
        counted = self.rig.hear(wire.Counted)
        return {one.id: one.accepted for one in counted.sources}


@pytest.fixture
def secure(make_rig: Callable[..., Rig], tmp_path: Path) -> Iterator[Secure]:
    yield Secure(make_rig(), tmp_path)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_holds_the_key_of_a_registered_certificate_is_its_source(
    secure: Secure, version: ssl.TLSVersion
) -> None:
    holder = Holder(secure.folder, "web1")
    secure.register(holder)
    assert secure.send(holder, version).status_code == 200
    assert secure.accepted() == {"s2": 1}
    assert secure.send(holder, version, token=SECRET).status_code == 200, "a token says it more exactly"
    assert secure.accepted() == {"s1": 1}
    assert secure.send(None, version, token=SECRET).status_code == 200
    assert secure.send(None, version).status_code == 401
    assert secure.send(holder, version, token="wrong").status_code == 401
    secure.register(None)
    assert secure.send(holder, version).status_code == 401, "taken from its source, it says nothing"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_of_nobody_opens_no_connection(secure: Secure, version: ssl.TLSVersion) -> None:
    with pytest.raises(httpx.TransportError):
        secure.send(Holder(secure.folder, "nobody"), version, token=SECRET)
    assert secure.send(None, version, token=SECRET).status_code == 200
