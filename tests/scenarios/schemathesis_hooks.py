"""Session descriptions are text, and so is everything that a Lambda function is sent."""

import os
import pathlib

import schemathesis

# Of a browser and of a WHIP client: no schema makes one up.
OFFERS = pathlib.Path(__file__).parent / "../../functions/signalling/tests/offers"
OFFER = (OFFERS / "chromium.sdp").read_text(newline="")
WHIP_OFFER = (OFFERS / "aiortc-whip.sdp").read_text(newline="")

schemathesis.serializer.alias("application/sdp", "text/plain")


@schemathesis.hook
def map_body(context, body):
    # Every other one, by what was made up, so that the same seed makes the same requests.
    if len(repr(body)) % 2:
        return body
    if isinstance(body, dict) and isinstance(body.get("offer"), str):
        return {**body, "offer": OFFER}
    if context.operation is not None and context.operation.path.endswith("/whip"):
        return WHIP_OFFER
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    # API Gateway hands a body of a text type on as a string. cargo-lambda does too, but answers a
    # body that is no UTF-8 with a 500 of its own, so functions never see one.
    if os.environ.get("SCHEMA_HOST") == "lambda" and isinstance(case.body, bytes):
        case.body = case.body.decode("utf-8", "replace").encode()
