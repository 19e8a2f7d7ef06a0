//! The browser SDK and the demo page as a Spin component.
