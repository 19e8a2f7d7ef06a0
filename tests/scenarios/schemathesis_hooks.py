"""Session descriptions are text, and so is everything that a Lambda function is sent."""

import os

import schemathesis

schemathesis.serializer.alias("application/sdp", "text/plain")


@schemathesis.hook
def before_call(context, case, kwargs):
    # API Gateway hands a body of a text type on as a string. cargo-lambda does too, but answers a
    # body that is no UTF-8 with a 500 of its own, so functions never see one.
    if os.environ.get("SCHEMA_HOST") == "lambda" and isinstance(case.body, bytes):
        case.body = case.body.decode("utf-8", "replace").encode()
