//! Datagrams on a byte stream: each with its length in two bytes before it (RFC 4571).

use udp::DATAGRAM_BYTES_MAX;

/// Bytes of the length.
pub(crate) const HEADER_BYTES: usize = 2;

/// A frame is longer than any datagram that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameTooLong;

/// Finds the frames in what a connection brings. Holds the beginning of one frame at most, and
/// nothing between two.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    partial: Vec<u8>,
}

impl Deframer {
    /// Takes the next bytes of the stream and hands over each frame that they complete, empty
    /// ones left out.
    ///
    /// # Errors
    /// When a frame is too long; nothing can be read after it.
    pub(crate) fn take(
        &mut self,
        mut data: &[u8],
        mut frame: impl FnMut(&[u8]),
    ) -> Result<(), FrameTooLong> {
        while !data.is_empty() {
            if self.partial.is_empty()
                && let Some((whole, rest)) = split_frame(data)?
            {
                data = rest;
                hand_over(whole, &mut frame);
                continue;
            }
            let wanted = frame_bytes(&self.partial)?.unwrap_or(HEADER_BYTES);
            let (now, rest) = data.split_at((wanted - self.partial.len()).min(data.len()));
            self.partial.extend_from_slice(now);
            data = rest;
            if frame_bytes(&self.partial)? == Some(self.partial.len()) {
                let whole = std::mem::take(&mut self.partial);
                hand_over(&whole[HEADER_BYTES..], &mut frame);
            }
        }
        Ok(())
    }
}

/// A datagram, and what follows its frame.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first frame of `data`, its header left out; none until it is whole.
///
/// # Errors
/// When it is too long.
pub(crate) fn split_frame(data: &[u8]) -> Result<Option<Split<'_>>, FrameTooLong> {
    let Some(bytes) = frame_bytes(data)? else {
        return Ok(None);
    };
    let whole = data.split_at_checked(bytes);
    Ok(whole.map(|(frame, rest)| (&frame[HEADER_BYTES..], rest)))
}

/// The header of a frame. None when the datagram is longer than a frame can be.
pub(crate) fn header(datagram: &[u8]) -> Option<[u8; HEADER_BYTES]> {
    u16::try_from(datagram.len()).ok().map(u16::to_be_bytes)
}

/// Length of the frame that `start` begins, its header included; none without a whole header.
fn frame_bytes(start: &[u8]) -> Result<Option<usize>, FrameTooLong> {
    let [high, low, ..] = *start else {
        return Ok(None);
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        bytes if bytes > DATAGRAM_BYTES_MAX => Err(FrameTooLong),
        bytes => Ok(Some(HEADER_BYTES + bytes)),
    }
}

fn hand_over(datagram: &[u8], frame: &mut impl FnMut(&[u8])) {
    if !datagram.is_empty() {
        frame(datagram);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let framed = datagrams.iter().flat_map(|datagram| {
            header(datagram)
                .unwrap()
                .into_iter()
                .chain(datagram.clone())
        });
        framed.collect()
    }

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_wherever_the_stream_is_cut(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1..400_usize, 1..200),
        ) {
            let bytes = stream(&datagrams);
            let (mut deframer, mut seen) = (Deframer::default(), Vec::new());
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                deframer.take(now, |datagram| seen.push(datagram.to_vec())).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let wanted: Vec<_> = datagrams.into_iter().filter(|data| !data.is_empty()).collect();
            prop_assert_eq!(seen, wanted);
            prop_assert_eq!(deframer.partial.capacity(), 0, "nothing is held between frames");
        }

        #[test]
        fn any_bytes_are_frames_or_too_long_and_little_is_held(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..10),
        ) {
            let mut deframer = Deframer::default();
            for piece in &pieces {
                let mut longest = 0;
                let taken = deframer.take(piece, |datagram| longest = longest.max(datagram.len()));
                prop_assert!(longest <= DATAGRAM_BYTES_MAX);
                prop_assert!(deframer.partial.len() < HEADER_BYTES + DATAGRAM_BYTES_MAX);
                if taken.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn the_longest_datagram_fits_and_one_byte_more_does_not() {
        let mut longest = 0;
        let mut take = |bytes: usize| {
            let data = stream(&[vec![1; bytes]]);
            Deframer::default().take(&data, |datagram| longest = datagram.len())
        };
        assert_eq!(take(DATAGRAM_BYTES_MAX), Ok(()));
        assert_eq!(take(DATAGRAM_BYTES_MAX + 1), Err(FrameTooLong));
        assert_eq!(longest, DATAGRAM_BYTES_MAX);
        assert_eq!(header(&vec![0; 65_536]), None);
    }

    #[test]
    fn a_long_frame_is_refused_by_its_header_alone() {
        let mut deframer = Deframer::default();
        assert_eq!(deframer.take(&[0xff], |_| {}), Ok(()));
        assert_eq!(deframer.take(&[0xff], |_| {}), Err(FrameTooLong));
    }
}
