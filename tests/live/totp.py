"""One-time passwords by time, as an authenticator app computes them (RFC 6238)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
import urllib.parse

STEP_SECONDS = 30
DIGITS = 6


def secret_of(enroll_uri: str) -> str:
    """Return the base32 secret of an `otpauth://` URI."""
    query = urllib.parse.urlsplit(enroll_uri).query
    return urllib.parse.parse_qs(query)["secret"][0]


def now(secret: str) -> str:
    """Return the six digits that are valid now."""
    padded = secret.upper() + "=" * (-len(secret) % 8)
    counter = struct.pack(">Q", int(time.time()) // STEP_SECONDS)
    digest = hmac.new(base64.b32decode(padded), counter, hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return str((number & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)
