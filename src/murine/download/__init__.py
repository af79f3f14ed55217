"""Verified, resumable transfers over HTTP, and the listing of a public bucket.

A file gets its name only when all of its bytes are there and agree with what the listing says of them; a record of
size and digests then lies beside it. For a file ``NAME`` these have names of their own in the same folder::

    .NAME.partial        the bytes that have come
    .NAME.partial.json   what they are bytes of, so that another process can go on with them
    .NAME.verified.json  size and digests of NAME, and what they were checked against
    .NAME.lock           held by the process that works on NAME

Nothing in them depends on where the folder is.
"""

from murine.download.bucket import Bucket
from murine.download.fetching import TransferResult, fetch, require_all
from murine.download.planning import TransferPlan, plan
from murine.download.proxies import proxy_of, proxy_trouble
from murine.download.records import Record, read_record, remove, untouched, verified, verify
from murine.download.remote import Check, Remote, Transfer

__all__ = [
    "Bucket",
    "Check",
    "Record",
    "Remote",
    "Transfer",
    "TransferPlan",
    "TransferResult",
    "fetch",
    "plan",
    "proxy_of",
    "proxy_trouble",
    "read_record",
    "remove",
    "require_all",
    "untouched",
    "verified",
    "verify",
]
