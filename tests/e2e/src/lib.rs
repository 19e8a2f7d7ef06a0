//! End-to-end tests over the real edge host and a real relay.
