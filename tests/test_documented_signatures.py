"""What docs/broadcasters.md says about verifying webhooks, tried with messages that we sign."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.crypto.webhook_keys import WebhookSigner, new_key, secret_text
from tests.programs import PROJECT

PAGE = (PROJECT / "docs/broadcasters.md").read_text(encoding="utf-8")
BODY = '{"type":"asset.created","data":{"title":"Échange"}}'.encode()
SECRET = new_key()
NOW = 1_795_521_600
Verify = Callable[[str, dict[str, str], bytes], bool]


def block(language: str, holding: str) -> str:
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [found] = [each for each in blocks if holding in each]
    return found


def receiver() -> dict[str, Any]:
    """The names of the receiver that the page has pasted into a file."""
    code = re.search(
        r"^cat >hooks.py <<'END'\n(.*?)^END$", block("bash", "hooks.py"), re.MULTILINE | re.DOTALL
    )
    assert code
    names: dict[str, Any] = {"__name__": "hooks"}
    exec(compile(code[1], "hooks.py", "exec"), names)  # noqa: S102  # our own page
    return names


def message(*, age: int = 0, secrets: tuple[bytes, ...] = (SECRET,)) -> dict[str, str]:
    at = NOW - age
    signature = WebhookSigner(secrets, new_key()).sign("msg_a", at, BODY)
    return {"webhook-id": "msg_a", "webhook-timestamp": str(at), "webhook-signature": signature}


def check(is_genuine: Verify) -> None:
    secret = secret_text(SECRET)
    genuine = message()
    assert is_genuine(secret, genuine, BODY)
    assert is_genuine(secret, message(secrets=(new_key(), SECRET)), BODY)
    for age in (300, -300):
        assert is_genuine(secret, message(age=age), BODY)
    for age in (301, -301):
        assert not is_genuine(secret, message(age=age), BODY)
    assert not is_genuine(secret, message(secrets=(new_key(),)), BODY)
    assert not is_genuine(secret, genuine, BODY + b" ")
    assert not is_genuine(secret, {**genuine, "webhook-id": "msg_b"}, BODY)
    assert not is_genuine(secret, {**genuine, "webhook-timestamp": "now"}, BODY)
    assert not is_genuine(secret, {**genuine, "webhook-signature": "v1,é"}, BODY)


def test_documented_python_takes_what_is_genuine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    check(receiver()["is_genuine"])
    assert not receiver()["is_genuine"](secret_text(SECRET), {}, BODY)


@pytest.mark.slow
def test_documented_shell_computes_the_signature(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed; on Debian and Ubuntu: apt-get install openssl")
    (tmp_path / "body").write_bytes(BODY)
    signed = message()
    said = subprocess.run(
        ["/bin/sh", "-c", block("sh", "openssl")],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "secret": secret_text(SECRET),
            "id": signed["webhook-id"],
            "sent_at": signed["webhook-timestamp"],
        },
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"v1,{said.strip()}" in signed["webhook-signature"].split()


@pytest.mark.slow
def test_documented_javascript_takes_what_is_genuine_alone(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is needed; on Debian and Ubuntu: apt-get install nodejs")
    (tmp_path / "hooks.mjs").write_text(block("js", "isGenuine"), encoding="utf-8")
    program = """
        import { isGenuine } from "./hooks.mjs";
        const [now, secret, headers, body] = JSON.parse(process.argv[1]);
        Date.now = () => 1000 * now;
        console.log(isGenuine(secret, headers, Buffer.from(body, "utf8")));
    """

    def is_genuine(secret: str, headers: dict[str, str], body: bytes) -> bool:
        given = json.dumps([NOW, secret, headers, body.decode()])
        command = [node, "--input-type=module", "-e", program, given]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return json.loads(done.stdout) is True

    check(is_genuine)
