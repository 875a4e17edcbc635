import CLinux
import Glibc

/// Changes in directories as the kernel reports them (inotify(7)).
public struct Inotify: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    /// One change: which watch, what (IN_CREATE, IN_MOVED_TO …), and the name inside the directory.
    public struct Event: Sendable, Hashable {
        public let watch: Int32
        public let mask: UInt32
        public let name: String
        /// Events were lost: look at everything again.
        public var isOverflow: Bool { mask & UInt32(IN_Q_OVERFLOW) != 0 }
    }

    public init() throws(SystemError) {
        let flags = Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)
        descriptor = OwnedDescriptor(owning: try check(inotify_init1(flags), "inotify_init1"))
    }

    /// Watches `path` for the events of `mask`; the number that its events carry.
    public func watch(_ path: String, mask: UInt32) throws(SystemError) -> Int32 {
        try check(inotify_add_watch(descriptor.number, path, mask), "inotify_add_watch", path)
    }

    /// Ends a watch; an event with IN_IGNORED tells of it.
    public func unwatch(_ watch: Int32) { inotify_rm_watch(descriptor.number, watch) }

    /// All events that are there now, without waiting.
    public func events() throws(SystemError) -> [Event] {
        var events: [Event] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = read(descriptor.number, &buffer, buffer.count)
            if count < 0 {
                if errno == EAGAIN { return events }
                if errno == EINTR { continue }
                throw SystemError("read", "inotify")
            }
            buffer.withUnsafeBytes { bytes in
                var offset = 0
                while offset + MemoryLayout<inotify_event>.size <= count {
                    let header = bytes.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                    let start = offset + MemoryLayout<inotify_event>.size
                    let end = min(start + Int(header.len), count)
                    let name = String(decoding: bytes[start..<end].prefix { $0 != 0 }, as: UTF8.self)
                    events.append(Event(watch: header.wd, mask: header.mask, name: name))
                    offset = end
                }
            }
        }
    }
}
