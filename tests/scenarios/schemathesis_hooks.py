"""Session descriptions are text."""

import schemathesis

schemathesis.serializer.alias("application/sdp", "text/plain")
