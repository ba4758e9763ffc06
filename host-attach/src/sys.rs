//! The kernel calls that have no safe wrapper: loop devices, block devices, shutting a file
//! system down, and tying a child's life to ours. The crate's only `unsafe`.
//!
//! Layouts and numbers are those of `include/uapi/linux/loop.h`, `include/uapi/linux/fs.h` and
//! `include/uapi/linux/prctl.h`. Nothing here decides anything.

#![expect(
    unsafe_code,
    reason = "ioctl and pre_exec have no safe form; each block says why it is sound"
)]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::ioctl::{
    Getter, IntegerSetter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, ioctl, opcode,
};

use crate::mountinfo::DeviceNumber;

/// linux/loop.h: `LOOP_CLR_FD`.
const LOOP_CLR_FD: Opcode = 0x4C01;
/// linux/loop.h: `LOOP_GET_STATUS64`.
const LOOP_GET_STATUS64: Opcode = 0x4C05;
/// linux/loop.h: `LOOP_SET_CAPACITY`.
const LOOP_SET_CAPACITY: Opcode = 0x4C07;
/// linux/loop.h: `LOOP_CONFIGURE`.
const LOOP_CONFIGURE: Opcode = 0x4C0A;
/// linux/loop.h: `LOOP_CTL_GET_FREE`.
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
/// linux/fs.h: `BLKFLSBUF`, `_IO(0x12, 97)`.
const BLKFLSBUF: Opcode = opcode::none(0x12, 97);
/// linux/fs.h: `BLKGETSIZE64`, `_IOR(0x12, 114, size_t)`.
const BLKGETSIZE64: Opcode = opcode::read::<usize>(0x12, 114);
/// ext4.h `EXT4_IOC_SHUTDOWN` and `xfs_fs.h` `XFS_IOC_GOINGDOWN`: both `_IOR('X', 125, __u32)`.
const FS_IOC_SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// ext4.h `EXT4_GOING_FLAGS_NOLOGFLUSH` and `xfs_fs.h` `XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`.
const SHUTDOWN_WITHOUT_LOG_FLUSH: u32 = 2;
/// linux/loop.h: `LO_FLAGS_DIRECT_IO`.
const LO_FLAGS_DIRECT_IO: u32 = 16;
/// linux/loop.h: `LO_NAME_SIZE`.
const LO_NAME_SIZE: usize = 64;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; LO_NAME_SIZE],
    crypt_name: [u8; LO_NAME_SIZE],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo64>() == 232);
const _: () = assert!(size_of::<LoopConfig>() == 304);

/// `LOOP_CTL_GET_FREE` answers by its return value, which no ready-made pattern hands out.
struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE takes no argument (drivers/block/loop.c, loop_control_get_free), so
// the null pointer is never followed; its result is the return value.
unsafe impl Ioctl for GetFree {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(out).map_err(|_negative| rustix::io::Errno::INVAL)
    }
}

/// The number of a loop device that nobody used when the kernel looked.
pub(crate) fn loop_get_free(control: impl AsFd) -> io::Result<u32> {
    // SAFETY: see the implementation of `Ioctl` for `GetFree`; no memory is handed over.
    Ok(unsafe { ioctl(control, GetFree) }?)
}

/// Binds a loop device to a file in one step, with direct I/O where the file can, and with a
/// name of ours (at most 63 bytes; the rest is cut) that `LOOP_GET_STATUS64` gives back.
pub(crate) fn loop_configure(device: impl AsFd, file: impl AsFd, name: &str) -> io::Result<()> {
    let fd = u32::try_from(file.as_fd().as_raw_fd()).map_err(io::Error::other)?;
    let mut file_name = [0_u8; LO_NAME_SIZE];
    for (slot, byte) in file_name
        .iter_mut()
        .zip(name.bytes().take(LO_NAME_SIZE - 1))
    {
        *slot = byte;
    }
    let config = LoopConfig {
        fd,
        block_size: 0,
        info: LoopInfo64 {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            sizelimit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_DIRECT_IO,
            file_name,
            crypt_name: [0; LO_NAME_SIZE],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`; the layout is asserted above, the
    // value lives for the call, and both descriptors are borrowed for it.
    Ok(unsafe { ioctl(device, Setter::<LOOP_CONFIGURE, LoopConfig>::new(config)) }?)
}

/// What a loop device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoopStatus {
    /// The name that was given to [`loop_configure`], up to its first NUL.
    pub(crate) name: Vec<u8>,
    /// Number of the file system that its file is on, and the file's number there: the same
    /// whatever path leads to it, in any mount namespace.
    pub(crate) file: (DeviceNumber, u64),
}

/// Asks a loop device. The kernel asks the backing file for its attributes on the way, so this
/// fails with the file's error when the file is out of reach.
pub(crate) fn loop_status(device: impl AsFd) -> io::Result<LoopStatus> {
    // SAFETY: LOOP_GET_STATUS64 fills one `struct loop_info64`, all of it, before it returns
    // success (drivers/block/loop.c, loop_get_status64); every bit pattern is valid for it.
    let info = unsafe { ioctl(device, Getter::<LOOP_GET_STATUS64, LoopInfo64>::new()) }?;
    let name = info.file_name.iter().copied();
    // linux/kdev_t.h, new_encode_dev: 12 bits of major number between 8 and 12 of minor.
    let low = u32::try_from(info.device & 0xffff_ffff).unwrap_or_default();
    let number = DeviceNumber {
        major: (low & 0x000f_ff00) >> 8,
        minor: (low & 0xff) | ((low >> 12) & 0x000f_ff00),
    };
    Ok(LoopStatus {
        name: name.take_while(|byte| *byte != 0).collect(),
        file: (number, info.inode),
    })
}

/// Lets go of the file: at once, or when the last opener closes the device.
pub(crate) fn loop_clear(device: impl AsFd) -> io::Result<()> {
    // SAFETY: LOOP_CLR_FD takes no argument.
    Ok(unsafe { ioctl(device, NoArg::<LOOP_CLR_FD>::new()) }?)
}

/// Makes the device as large as its file is now.
pub(crate) fn loop_set_capacity(device: impl AsFd) -> io::Result<()> {
    // SAFETY: LOOP_SET_CAPACITY ignores its argument.
    Ok(unsafe { ioctl(device, IntegerSetter::<LOOP_SET_CAPACITY>::new_usize(0)) }?)
}

/// A block device's size in bytes, as the kernel sees it now.
pub(crate) fn block_size_bytes(device: impl AsFd) -> io::Result<u64> {
    // SAFETY: BLKGETSIZE64 writes a u64 (block/ioctl.c, put_u64), whatever its number's size
    // field says.
    Ok(unsafe { ioctl(device, Getter::<BLKGETSIZE64, u64>::new()) }?)
}

/// Writes back and drops what the page cache holds of a block device.
pub(crate) fn flush_block_cache(device: impl AsFd) -> io::Result<()> {
    // SAFETY: BLKFLSBUF takes no argument.
    Ok(unsafe { ioctl(device, NoArg::<BLKFLSBUF>::new()) }?)
}

/// Stops a mounted ext4 or XFS from doing any more I/O, without writing its journal. `root` is
/// an open directory on it. What was not written is lost, on purpose.
pub(crate) fn shut_down_filesystem(root: impl AsFd) -> io::Result<()> {
    // SAFETY: both file systems read one u32 of flags through the pointer (ext4_ioctl_shutdown,
    // xfs_file_ioctl); the value lives for the call.
    Ok(unsafe {
        ioctl(
            root,
            Setter::<FS_IOC_SHUTDOWN, u32>::new(SHUTDOWN_WITHOUT_LOG_FLUSH),
        )
    }?)
}

/// Has the kernel kill the child when the thread that starts it dies, so that no mkfs outlives
/// us. The thread must therefore live until the child is reaped.
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe, touches
    // no memory and takes no lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        });
    }
}
