"""What no schema says: session descriptions, keys that are new, and text for Lambda functions."""

import itertools
import os
import pathlib

import schemathesis

# Of a browser and of a WHIP client: no schema makes one up.
OFFERS = pathlib.Path(__file__).parent / "../../functions/signalling/tests/offers"
OFFER = (OFFERS / "chromium.sdp").read_bytes().decode()
WHIP_OFFER = (OFFERS / "aiortc-whip.sdp").read_bytes().decode()

schemathesis.serializer.alias("application/sdp", "text/plain")


# Posts so far.
posts = itertools.count()


def with_own_key(path, body):
    """A post under a key of its own. Made-up keys are short and come again, and a post with a key
    that was there gets the first one's reply, whatever has become of that message since."""
    if path.endswith("/messages") and isinstance(body, dict) and "key" in body:
        return {**body, "key": f"post-{next(posts)}"}
    return body


def with_offer(path, body):
    """A body whose session description is one; the others as they are."""
    if path.endswith("/sessions") and isinstance(body, dict) and "offer" in body:
        # In the region where there is a relay; of another one, a join says that it has none.
        return {**body, "offer": OFFER, "region": None}
    if path.endswith("/whip") and isinstance(body, str):
        return WHIP_OFFER
    return body


def with_short_wait(query):
    """A poll that waits a second at most: one that waits as long as it may would take more time
    than schemathesis gives an answer, and shows nothing more."""
    wait = (query or {}).get("wait")
    is_number = str(wait).isascii() and str(wait).isdigit()
    # Of the type that it had, by which schemathesis tells what is valid.
    return {**query, "wait": type(wait)(min(int(wait), 1))} if is_number else query


@schemathesis.hook
def before_call(context, case, kwargs):
    case.query = with_short_wait(case.query)
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid:
        case.body = with_own_key(case.operation.path, case.body)
    # Every other one, by what was made up, so that the same seed makes the same requests.
    if is_valid and len(repr(case.body)) % 2 == 0:
        case.body = with_offer(case.operation.path, case.body)
    # API Gateway hands a body of a text type on as a string. cargo-lambda does too, but answers a
    # body that is no UTF-8 with a 500 of its own, so functions never see one.
    if os.environ.get("SCHEMA_HOST") == "lambda" and isinstance(case.body, bytes):
        case.body = case.body.decode("utf-8", "replace").encode()
