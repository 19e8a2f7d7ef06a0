//! The system call under [`SendBatch`](crate::SendBatch).

use std::mem::{MaybeUninit, size_of};

use crate::address::RawAddress;
use crate::line::{Line, PARCELS_PER_CALL_MAX, Parcel};

/// Longest wait for room in the socket buffer, in milliseconds.
const WAIT_MILLISECONDS: libc::c_int = 1;

/// Room for one control message that holds the segment size.
const CONTROL_BYTES: usize = 32;

/// An open socket.
pub(crate) struct KernelLine {
    pub(crate) fd: libc::c_int,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

impl Line for KernelLine {
    fn send(&mut self, parcels: &[Parcel<'_>]) -> Result<usize, i32> {
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; PARCELS_PER_CALL_MAX];
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; PARCELS_PER_CALL_MAX];
        let mut addresses = [const { MaybeUninit::<RawAddress>::uninit() }; PARCELS_PER_CALL_MAX];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; PARCELS_PER_CALL_MAX];
        let count = parcels.len().min(PARCELS_PER_CALL_MAX);
        for (slot, parcel) in parcels[..count].iter().enumerate() {
            let (address, address_bytes) = RawAddress::encode(parcel.to);
            let vector = libc::iovec {
                // The kernel only reads what it sends, so the cast to mut is never used as such.
                iov_base: parcel.data.as_ptr().cast_mut().cast(),
                iov_len: parcel.data.len(),
            };
            // SAFETY: an mmsghdr consists of integers and pointers, for which zero is valid.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = (addresses[slot].write(address) as *mut RawAddress).cast();
            header.msg_hdr.msg_namelen = address_bytes;
            header.msg_hdr.msg_iov = vectors[slot].write(vector);
            header.msg_hdr.msg_iovlen = 1;
            if let Some(segment_bytes) = parcel.segment_bytes {
                let control = controls[slot].write(Control([0; CONTROL_BYTES]));
                write_segment_size(&mut header.msg_hdr, control, segment_bytes);
            }
            headers[slot].write(header);
        }
        // SAFETY: the first `count` headers are initialised and point to an address, a vector,
        // payload and, where set, a control message, all of which outlive the call.
        // The system call itself: what musl calls sendmmsg is a loop of sendmsg.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_sendmmsg,
                self.fd,
                headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        match sent {
            1.. => Ok(sent as usize),
            _ => Err(std::io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO)),
        }
    }

    fn wait(&mut self) {
        let mut poll = libc::pollfd {
            fd: self.fd,
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one pollfd that outlives the call. Its outcome does not matter: the next send
        // tells whether there is room.
        let _ = unsafe { libc::poll(&mut poll, 1, WAIT_MILLISECONDS) };
    }
}

/// Tells the kernel to cut the payload of `header` into datagrams of `segment_bytes`.
fn write_segment_size(header: &mut libc::msghdr, control: &mut Control, segment_bytes: u16) {
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: no pointers; the macro is arithmetic.
    let bytes = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) };
    assert!(bytes as usize <= CONTROL_BYTES);
    // The type of a length differs between C libraries, here and below.
    header.msg_controllen = bytes as _;
    // SAFETY: the control buffer is set, aligned for a control header and large enough for one
    // that holds a u16 (asserted above), so the first header exists and its data is in bounds.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = libc::SOL_UDP;
        (*first).cmsg_type = libc::UDP_SEGMENT;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        libc::CMSG_DATA(first)
            .cast::<u16>()
            .write_unaligned(segment_bytes);
    }
}
