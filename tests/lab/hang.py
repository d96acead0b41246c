"""A file system whose root directory never finishes being listed: hang.py MOUNTPOINT. Says "mounted" when it is."""

import errno
import stat
import sys

import pyfuse3
import trio


class Stuck(pyfuse3.Operations):
    async def getattr(self, inode, ctx=None):
        attributes = pyfuse3.EntryAttributes()
        attributes.st_ino = inode
        attributes.st_mode = stat.S_IFDIR | 0o755
        return attributes

    async def lookup(self, parent, name, ctx=None):
        raise pyfuse3.FUSEError(errno.ENOENT)

    async def opendir(self, inode, ctx):
        return inode

    async def readdir(self, handle, start, token):
        await trio.sleep_forever()


pyfuse3.init(Stuck(), sys.argv[1], {"fsname=stuck", "allow_other"})
print("mounted", flush=True)
trio.run(pyfuse3.main)
