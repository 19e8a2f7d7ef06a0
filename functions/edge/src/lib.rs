//! What all functions share: ports, authentication, problem replies, relay directory, invocation record.
