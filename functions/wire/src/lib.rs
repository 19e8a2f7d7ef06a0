//! Every message that crosses a process: requests, replies, ids, claims, the sealed ticket, data-channel messages.
