"""Objects and folders of S3 (and what speaks its language), over the same checked connections as every other download.

Takes credentials from a secret of the host, and only for the servers that the host settings bind it to; without one the
request is not signed, which public buckets take. AWS: Signature Version 4, ListObjectsV2.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

from reconciler.content.host_secrets import HostSecrets
from reconciler.content.web import Download, HttpFetcher
from reconciler.documents.content import Credential, HttpSource, S3Source
from reconciler.errors import SourceError
from reconciler.model.secret import Secret

SECRET = "s3"  # noqa: S105  (a name, not a value)
"""What the host settings call the credentials: `KEY_ID:SECRET_KEY`, or with a session's token as a third part."""
MOST_OBJECTS = 5_000
_PAGE = 1_000
_NOTHING = hashlib.sha256(b"").hexdigest()
_REGION = re.compile(r"(?:^|\.)s3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?$")
_NAMESPACE = re.compile(r"^\{[^}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Credentials of one account."""

    id: str
    key: Secret
    token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Object:
    """One object of a folder."""

    key: str
    tag: str
    size: int


class S3:
    """Reads objects and lists folders."""

    def __init__(
        self, web: HttpFetcher, secrets: HostSecrets, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._web = web
        self._secrets = secrets
        self._clock = clock

    def fetch(self, url: str, mark: str = "") -> Download:
        """Give one object. Raises SourceError."""
        return self._web.fetch(HttpSource(url=url), mark, self._signed)

    def list(self, source: S3Source) -> tuple[S3Object, ...]:
        """Give every object of a folder, by key. Raises SourceError where there are too many, or none."""
        bucket, prefix = source.bucket_and_key
        found: list[S3Object] = []
        token = ""
        while len(found) <= MOST_OBJECTS:
            asked = {"list-type": "2", "max-keys": str(_PAGE), "prefix": prefix}
            asked |= {"continuation-token": token} if token else {}
            query = "&".join(f"{name}={_quoted(value)}" for name, value in sorted(asked.items()))
            page = _page(self.fetch(f"{bucket}?{query}").data or b"")
            found += page.objects
            token = page.token
            if not token:
                break
        found = [one for one in found if one.key.startswith(prefix) and not one.key.endswith("/")]
        if not 0 < len(found) <= MOST_OBJECTS:
            raise SourceError(f"{source.shown} holds {len(found) or 'no'} objects: 1 to {MOST_OBJECTS} are downloaded")
        return tuple(sorted(found, key=lambda one: one.key))

    def _signed(self, url: str) -> Mapping[str, str]:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if not self._secrets.has(SECRET, host):
            return {}
        told = self._secrets.reveal(Credential(secret=SECRET), host).reveal().split(":", 2)
        if len(told) < 2 or not all(told):  # noqa: PLR2004  (id and key)
            raise SourceError(f"the secret {SECRET} is not KEY_ID:SECRET_KEY")
        keys = Keys(id=told[0], key=Secret(told[1]), token=Secret(told[2]) if len(told) > 2 else None)  # noqa: PLR2004
        return sign(url, {}, keys, self._clock())


def sign(url: str, headers: Mapping[str, str], keys: Keys, now: datetime) -> Mapping[str, str]:
    """Give the headers that sign a GET of `url` (its path and query as they go over the wire) with `headers`."""
    parts = urlsplit(url)
    stamp, day = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), now.astimezone(UTC).strftime("%Y%m%d")
    known = _REGION.search(parts.hostname or "")
    region = known[1] if known else "us-east-1"
    told = {"x-amz-content-sha256": _NOTHING, "x-amz-date": stamp}
    told |= {"x-amz-security-token": keys.token.reveal()} if keys.token is not None else {}
    signed = {"host": parts.netloc, **{name.lower(): value.strip() for name, value in headers.items()}, **told}
    names = ";".join(sorted(signed))
    query = "&".join(sorted(each if "=" in each else f"{each}=" for each in parts.query.split("&") if each))
    canonical = "\n".join(
        ("GET", _path(parts.path), query, *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, _NOTHING)
    )
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{keys.key.reveal()}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.id}/{scope},SignedHeaders={names},Signature={signature}"
    return {**told, "Authorization": authorization}


def _path(path: str) -> str:
    """Give a path as both sides write it to sign it, however it goes over the wire."""
    return quote(unquote(path), safe="/-_.~") or "/"


def object_url(bucket: str, key: str) -> str:
    """Give the address of one object of a bucket."""
    return f"{bucket}{quote(key, safe='/-_.~')}"


def names_below(source: S3Source, objects: tuple[S3Object, ...]) -> Iterator[tuple[str, S3Object]]:
    """Give the path of each object below the folder. Raises SourceError where one is none that a node could take."""
    prefix = source.bucket_and_key[1]
    for one in objects:
        name = one.key.removeprefix(prefix)
        odd = any(ord(char) < ord(" ") or char == "\x7f" for char in name)
        if odd or {"", ".", ".."} & set(name.split("/")):
            raise SourceError(f"{name[:200]!r} is no name that can be written on a node")
        yield name, one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    objects: tuple[S3Object, ...]
    token: str


def _page(data: bytes) -> _Page:
    """Read one page of ListObjectsV2."""
    if b"<!" in data:
        raise SourceError("the server's list of objects declares things of its own: it is not read")
    try:
        root = ET.fromstring(data)  # noqa: S314  (what could define entities was refused above)
        contents = [each for each in root if _tag(each) == "Contents"]
        objects = tuple(_object({_tag(part): part.text or "" for part in each}) for each in contents)
    except (ET.ParseError, ValueError, KeyError) as exc:
        raise SourceError("the server's list of objects does not read") from exc
    told = {_tag(each): each.text or "" for each in root}
    return _Page(
        objects=objects, token=told.get("NextContinuationToken", "") if told.get("IsTruncated") == "true" else ""
    )


def _object(told: Mapping[str, str]) -> S3Object:
    return S3Object(key=told["Key"], tag=told.get("ETag", ""), size=int(told["Size"]))


def _tag(element: ET.Element) -> str:
    return _NAMESPACE.sub("", element.tag)


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
