//! The FUSE side: translates the kernel's requests to [`super::reads_writes`] and back. It decides
//! nothing about data.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::node::{FileName, Node, Numbering};
use super::reads_writes::{Range, ReadsWrites};
use crate::lun_table::{LunEvent, LunOperation};

/// Names and attributes are asked for again each time: a connection that ended is seen at once.
const NO_TTL: Duration = Duration::ZERO;
/// Inode numbers never change their meaning, so there is one generation.
const GENERATION: Generation = Generation(0);
/// Bytes; loop devices take their discard granularity from it (`f_bsize`).
const BLOCK_SIZE: u32 = 4096;
/// Bytes in one write request at most, and with that in one read.
const LARGEST_REQUEST: u32 = 1 << 20;
/// Direct I/O requests that the kernel keeps in flight at most.
const IN_FLIGHT: u16 = 64;

#[derive(Debug)]
pub(super) struct LunFilesystem {
    data: Arc<ReadsWrites>,
    numbering: Numbering,
    /// Dropped with the file system, which tells the owner of the mount that the session is over.
    _alive: Sender<()>,
}

impl LunFilesystem {
    pub(super) fn new(data: Arc<ReadsWrites>, alive: Sender<()>) -> Self {
        Self {
            data,
            numbering: Numbering::default(),
            _alive: alive,
        }
    }

    fn range(&self, inode: INodeNo, offset: u64, length: u64) -> Option<Range> {
        match self.numbering.node(inode.0)? {
            Node::Block(host, number) => Some(Range {
                host,
                number,
                offset,
                length,
            }),
            Node::Root | Node::Host(_) | Node::Serial(..) => None,
        }
    }

    /// The attributes of a place, if something is there now.
    fn attributes(&self, inode: u64, node: &Node) -> Option<FileAttr> {
        let table = &self.data.table;
        Some(match node {
            Node::Root => folder(inode),
            Node::Host(host) => {
                if !table.has_host(host) {
                    return None;
                }
                folder(inode)
            }
            Node::Block(host, number) => file(inode, table.lookup(host, *number)?.size, 0o600),
            Node::Serial(host, number) => file(
                inode,
                table.lookup(host, *number)?.serial.len() as u64 + 1,
                0o400,
            ),
        })
    }

    /// The inode number and the place of a name in a folder, whether or not something is there.
    fn child(&self, parent: &Node, name: &OsStr) -> Option<(u64, Node)> {
        let name = name.to_str()?;
        let inode = match parent {
            // a host is numbered only when it is known, so that the numbering stays small
            Node::Root if self.data.table.has_host(name) => self.numbering.host(name),
            Node::Host(host) => self.numbering.file(host, FileName::parse(name)?),
            Node::Root | Node::Block(..) | Node::Serial(..) => return None,
        };
        Some((inode, self.numbering.node(inode)?))
    }

    /// The entries of a folder: inode, kind and name, in the order of the inode numbers, which
    /// are also the offsets. A listing that goes on after a change misses nothing that stayed.
    fn entries(&self, inode: u64, node: &Node) -> Vec<(u64, FileType, String)> {
        let mut entries = vec![(inode, FileType::Directory, ".".to_owned())];
        match node {
            Node::Root => {
                entries.push((inode, FileType::Directory, "..".to_owned()));
                for host in self.data.table.hosts() {
                    entries.push((self.numbering.host(&host), FileType::Directory, host));
                }
            }
            Node::Host(host) => {
                entries.push((INodeNo::ROOT.0, FileType::Directory, "..".to_owned()));
                for number in self.data.table.luns(host) {
                    let block = self.numbering.file(host, FileName::Block(number));
                    let serial = self.numbering.file(host, FileName::Serial(number));
                    entries.push((block, FileType::RegularFile, number.to_string()));
                    entries.push((serial, FileType::RegularFile, format!("{number}.serial")));
                }
            }
            Node::Block(..) | Node::Serial(..) => {}
        }
        entries.sort_by_key(|(inode, _, _)| *inode);
        entries
    }
}

impl Filesystem for LunFilesystem {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for capability in [InitFlags::FUSE_ASYNC_DIO, InitFlags::FUSE_PARALLEL_DIROPS] {
            if let Err(missing) = config.add_capabilities(capability) {
                tracing::debug!(
                    ?missing,
                    "kernel without a FUSE capability: slower, not wrong"
                );
            }
        }
        // each refuses only values outside the kernel's bounds and then keeps its own
        let settled = (
            config.set_max_write(LARGEST_REQUEST),
            config.set_max_background(IN_FLIGHT),
        );
        tracing::trace!(?settled, "FUSE session");
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.numbering.node(parent.0).and_then(|parent| {
            let (inode, node) = self.child(&parent, name)?;
            self.attributes(inode, &node)
        });
        match found {
            Some(attributes) => reply.entry(&NO_TTL, &attributes, GENERATION),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let node = self.numbering.node(inode.0);
        match node
            .as_ref()
            .and_then(|node| self.attributes(inode.0, node))
        {
            Some(attributes) => reply.attr(&NO_TTL, &attributes),
            // a path that is gone already failed in lookup; this is a handle
            None => reply.error(Errno::EIO),
        }
    }

    /// Nothing can be changed; an `open` that truncates is let pass, as a block device does.
    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if mode.is_some() || uid.is_some() || gid.is_some() {
            return reply.error(Errno::EPERM);
        }
        self.getattr(request, inode, handle, reply);
    }

    fn open(&self, _request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let node = self.numbering.node(inode.0);
        let Some(node) = node.filter(|node| self.attributes(inode.0, node).is_some()) else {
            return reply.error(Errno::ENOENT);
        };
        let writes = flags.acc_mode() != fuser::OpenAccMode::O_RDONLY;
        if writes && matches!(node, Node::Serial(..)) {
            return reply.error(Errno::EACCES);
        }
        reply.opened(
            FileHandle(0),
            FopenFlags::FOPEN_DIRECT_IO
                | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
                | FopenFlags::FOPEN_NOFLUSH,
        );
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if let Some(Node::Serial(host, number)) = self.numbering.node(inode.0) {
            return match self.data.table.lookup(&host, number) {
                Some(lun) => reply.data(part(format!("{}\n", lun.serial).as_bytes(), offset, size)),
                None => {
                    self.data.table.record(LunEvent::Refused);
                    reply.error(Errno::EIO);
                }
            };
        }
        let Some(range) = self.range(inode, offset, u64::from(size)) else {
            return reply.error(Errno::EISDIR);
        };
        self.data
            .after_delay(LunOperation::Read, &range.clone(), move |data| {
                match data.read(&range) {
                    Ok(bytes) => reply.data(&bytes),
                    Err(error) => reply.error(error),
                }
            });
    }

    fn write(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Some(range) = self.range(inode, offset, u64::from(length)) else {
            return reply.error(Errno::EISDIR);
        };
        let place = range.clone();
        let answer = move |path: &ReadsWrites, bytes: &[u8]| match path.write(&range, bytes) {
            Ok(()) => reply.written(length),
            Err(error) => reply.error(error),
        };
        if self.data.delay(LunOperation::Write, &place).is_zero() {
            // the common case copies nothing
            return answer(&self.data, data);
        }
        let bytes = data.to_vec();
        self.data
            .after_delay(LunOperation::Write, &place, move |path| {
                answer(path, &bytes);
            });
    }

    fn fsync(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let Some(range) = self.range(inode, 0, 0) else {
            return reply.ok();
        };
        self.data
            .after_delay(
                LunOperation::Write,
                &range.clone(),
                move |data| match data.flush(&range) {
                    Ok(()) => reply.ok(),
                    Err(error) => reply.error(error),
                },
            );
    }

    fn fallocate(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(range) = self.range(inode, offset, length) else {
            return reply.error(Errno::EOPNOTSUPP);
        };
        self.data
            .after_delay(LunOperation::Write, &range.clone(), move |data| match data
                .allocate(&range, mode)
            {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            });
    }

    fn readdir(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(node) = self.numbering.node(inode.0) else {
            return reply.error(Errno::ENOENT);
        };
        let entries = self.entries(inode.0, &node).into_iter().enumerate();
        for (index, (entry, kind, name)) in entries {
            // "." and ".." come first, at 1 and 2; the inode numbers of the others are larger
            let position = if index < 2 { index as u64 + 1 } else { entry };
            if position > offset && reply.add(INodeNo(entry), position, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK_SIZE, 255, BLOCK_SIZE);
    }
}

/// The bytes of a small file that a read asks for.
fn part(bytes: &[u8], offset: u64, size: u32) -> &[u8] {
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let rest = bytes.get(start..).unwrap_or_default();
    let length = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
    rest.get(..length).unwrap_or_default()
}

fn folder(inode: u64) -> FileAttr {
    FileAttr {
        kind: FileType::Directory,
        nlink: 2,
        ..file(inode, 0, 0o700)
    }
}

/// Attributes of a regular file that belongs to whoever runs the simulator.
fn file(inode: u64, size: u64, mode: u16) -> FileAttr {
    let epoch = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        crtime: epoch,
        kind: FileType::RegularFile,
        perm: mode,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}
