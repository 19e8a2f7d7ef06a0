//! Serves the components of a spin.toml on one machine.
