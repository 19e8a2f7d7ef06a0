//! Build, run, test and measure LifeVerse Voice.

fn main() {}
