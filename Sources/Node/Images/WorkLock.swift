import CLinux
import Glibc
import Linux

/// A flock(2) on a file that may be removed by whoever holds it; dies with the process. For long work: one layer, one
/// download. Where both are held, the layer's was taken first.
final class WorkLock: Sendable {
    private let file: OwnedDescriptor
    private let path: String

    private init(file: consuming OwnedDescriptor, path: String) {
        self.file = file
        self.path = path
    }

    /// Waits, blocking the thread; nil with `wait` false when somebody else holds it.
    static func take(_ path: String, wait: Bool) throws(SystemError) -> WorkLock? {
        while true {
            let file = try OwnedDescriptor(opening: path, flags: O_RDWR | O_CREAT, mode: 0o600)
            var result: Int32
            repeat { result = flock(file.number, LOCK_EX | (wait ? 0 : LOCK_NB)) } while result < 0 && errno == EINTR
            if result < 0 {
                if errno == EWOULDBLOCK { return nil }
                throw SystemError("flock", path)
            }
            // The one before us may have removed the file: then another file of that name is the lock now.
            var held = stat()
            var named = stat()
            try check(fstat(file.number, &held), "fstat", path)
            if stat(path, &named) == 0, named.st_ino == held.st_ino, named.st_dev == held.st_dev {
                return WorkLock(file: file, path: path)
            }
        }
    }

    /// Removes the lock's file, while it is held: nobody else can be in possession of it.
    func removeFile() { unlink(path) }
}
