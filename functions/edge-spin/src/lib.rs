//! The ports of edge on Spin: SQLite store, variables, outbound http, WASI clock and random.
