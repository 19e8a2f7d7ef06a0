//! What the function may touch besides its store.

use edge::ports::{Clock, Entropy, Timer, Variables};

/// Everything that the function may touch besides its store.
pub trait Ports: Clock + Entropy + Variables + Timer {}

impl<H: Clock + Entropy + Variables + Timer> Ports for H {}
