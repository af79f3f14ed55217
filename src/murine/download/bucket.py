"""The listing of a public bucket."""

from __future__ import annotations

import logging
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from urllib.parse import quote

from murine.download.http import Client, PermanentError, Remote, TemporaryError, seconds_until_retry, times
from murine.errors import MurineError

_log = logging.getLogger(__name__)

_LARGEST_PAGE = 32 * 2**20


@dataclass(frozen=True)
class Bucket:
    """A public S3 bucket, read over HTTPS without an account.

    Parameters
    ----------
    name
        Name of the bucket.
    region
        AWS region of the bucket.
    endpoint
        Address of another server with the S3 protocol, for example ``http://localhost:9000``. Its paths begin with the
        name of the bucket.

    Examples
    --------
    >>> Bucket("allen-brain-observatory").url
    'https://allen-brain-observatory.s3.us-west-2.amazonaws.com'
    """

    name: str
    region: str = "us-west-2"
    endpoint: str = ""

    @property
    def url(self) -> str:
        """The common start of the addresses of all objects, without the final slash."""
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{self.name}"
        if "." in self.name:  # certificates cover only one level of names below the region
            return f"https://s3.{self.region}.amazonaws.com/{self.name}"
        return f"https://{self.name}.s3.{self.region}.amazonaws.com"

    def objects(self, prefix: str = "", *, timeout: float = 30.0, retries: int = 5, pause: float = 0.5) -> list[Remote]:
        """Return the objects of the bucket whose keys begin with a prefix, with sizes and ETags.

        Parameters
        ----------
        prefix
            Start of the keys; '' lists the whole bucket.
        timeout, retries, pause
            As in `murine.download.fetch`.

        Returns
        -------
        remotes
            The objects in the order of their keys, without "folders" (keys that end with a slash).

        Raises
        ------
        MurineError
            If the bucket cannot be listed, or the answer is not a listing.
        """
        found: list[Remote] = []
        token = ""
        seen: set[str] = set()
        with Client(timeout) as client:
            while True:
                query = f"?list-type=2&prefix={quote(prefix, safe='')}"
                query += f"&continuation-token={quote(token, safe='')}" if token else ""
                page, token = self._page(client, self.url + "/" + query, retries, pause)
                found += [self._remote(entry, prefix) for entry in page if not entry["Key"].endswith("/")]
                if not token:
                    return found
                if token in seen:
                    raise MurineError(f"the listing of {self.url!r} repeats its pages; is this an S3 server?")
                seen.add(token)

    def _remote(self, entry: dict[str, str], prefix: str) -> Remote:
        key, size = entry["Key"], entry.get("Size", "")
        if not key.startswith(prefix) or not size.isdecimal():
            raise MurineError(f"the listing of {self.url!r} makes no sense: key {key!r}, size {size!r}.")
        url = f"{self.url}/{quote(key, safe='/~')}"
        return Remote(url, int(size), entry.get("ETag", ""), key=key)

    def _page(self, client: Client, url: str, retries: int, pause: float) -> tuple[list[dict[str, str]], str]:
        for attempt in range(retries + 1):
            try:
                return parse_listing(client.read(url, _LARGEST_PAGE))
            except TemporaryError as setback:
                if attempt == retries:
                    raise MurineError(
                        f"the bucket at {self.url!r} cannot be listed: {setback} ({times(attempt + 1)})."
                    ) from None
                _log.info("listing %s: %s; trying again", self.url, setback)
                time.sleep(seconds_until_retry(attempt + 1, pause, setback.wait))
            except PermanentError as refusal:
                raise MurineError(f"the bucket at {self.url!r} cannot be listed: {refusal}.") from None
        raise MurineError(f"retries is {retries}; expected 0 or more.")


class _Entries(ET.TreeBuilder):
    """Builds the XML tree of a listing. Refuses a document type: a listing has none, and it could define entities."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise PermanentError("the answer is no listing of a bucket: it declares a document type")


def parse_listing(text: bytes) -> tuple[list[dict[str, str]], str]:
    """Return the entries of one page of a listing (ListObjectsV2), and the token of the next page, or ''."""
    parser = ET.XMLParser(target=_Entries())
    try:
        parser.feed(text)
        root = parser.close()
    except ET.ParseError as error:  # perhaps the connection was cut
        raise TemporaryError(f"the answer is no readable listing: {error}") from error
    if _tag(root) != "ListBucketResult":
        raise PermanentError(f"the answer is no listing of a bucket, but {_tag(root)!r}; check the endpoint")
    entries, values = [], {}
    for element in root:
        if _tag(element) == "Contents":
            entry = {_tag(child): child.text or "" for child in element}
            if "Key" not in entry:
                raise PermanentError("the answer is no listing of a bucket: an entry has no key")
            entries.append(entry)
        else:
            values[_tag(element)] = element.text or ""
    token = values.get("NextContinuationToken", "")
    if values.get("IsTruncated", "") == "true" and not token:
        raise PermanentError("the listing says that it continues, but gives no token for the next page")
    return entries, token if values.get("IsTruncated", "") == "true" else ""


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
