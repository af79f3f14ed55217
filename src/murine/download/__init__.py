"""Verified downloads that can be interrupted and continued, and listings of public buckets.

`plan` says what is missing, `fetch` transfers files over HTTP and checks their digests, and `verify` reads them again.
A file gets its name only when all of its bytes have arrived and agree with the listing.

These files belong to a file ``NAME`` and lie in the same folder. None of them depends on where the folder is::

    .NAME.partial        the bytes received so far
    .NAME.partial.json   which file they belong to, so that another process can continue
    .NAME.verified.json  size and digests of NAME, and what they were compared with
    .NAME.lock           held by the process that works on NAME
"""

from murine.download.bucket import Bucket
from murine.download.fetching import TransferResult, fetch, require_all
from murine.download.http import Check, Remote, Transfer, proxy_of, proxy_problem
from murine.download.ledger import Record, read_record, remove, untouched, verified, verify
from murine.download.planning import TransferPlan, plan

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
    "proxy_problem",
    "read_record",
    "remove",
    "require_all",
    "untouched",
    "verified",
    "verify",
]
