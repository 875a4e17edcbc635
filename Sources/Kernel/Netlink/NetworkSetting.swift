import CNetlink
import Glibc
import Linux

/// A file below /proc/sys/net of one network namespace, whichever thread asks (sysctl(8)).
public struct NetworkSetting: Sendable, Hashable {
    /// As sysctl writes it: `net.ipv4.ip_forward`; with slashes, `net/ipv6/conf/eth0.5/forwarding`, where an interface's
    /// name has dots.
    public let name: String

    public init(_ name: String) { self.name = name }

    private var path: String { "/proc/sys/" + (name.contains("/") ? name : name.replacing(".", with: "/")) }

    /// The value, without the line's end.
    public func value(in networkNamespace: borrowing OwnedDescriptor) throws(SystemError) -> String {
        let number = cn_open_in_netns(networkNamespace.number, path, O_RDONLY)
        let file = OwnedDescriptor(owning: try check(number, "open", path))
        let bytes = try file.readAll(limit: 4096, subject: path)
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    public func set(_ value: String, in networkNamespace: borrowing OwnedDescriptor) throws(SystemError) {
        let number = cn_open_in_netns(networkNamespace.number, path, O_WRONLY)
        let file = OwnedDescriptor(owning: try check(number, "open", path))
        try file.writeAll(Array(value.utf8), subject: path)
    }
}
