//! The signalling function as a Spin component.
