//! Join, WHIP and leave: answers an SDP offer with a sealed admission ticket.
