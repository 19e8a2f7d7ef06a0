//! The fleet function as a Spin component.
