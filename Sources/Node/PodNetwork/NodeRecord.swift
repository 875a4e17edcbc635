import Glibc
import JSONTree
import Linux
import Netlink

/// What this module changed on the host beyond its own objects, kept on disk so that `reset` can put it back:
/// `node.json` in the pod network's directory.
struct NodeRecord: Sendable, Hashable {
    /// On `lo`.
    var nodeAddress: IPv4Address
    /// The value of net.ipv4.ip_forward that was found; nil if it was as needed.
    var forwardingBefore: String?

    private static func path(_ directory: String) -> String { directory + "/node.json" }

    /// nil where there is none, or none that can be read.
    static func read(from directory: String) throws(SystemError) -> NodeRecord? {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path(directory), limit: 1 << 16)
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
        guard let value = try? JSONValue.parse(bytes),
            let address = value["nodeAddress"]?.stringValue.flatMap({ IPv4Address($0) })
        else { return nil }
        return NodeRecord(nodeAddress: address, forwardingBefore: value["net.ipv4.ip_forward"]?.stringValue)
    }

    func write(to directory: String) throws(SystemError) {
        var object: JSONObject = ["nodeAddress": .string("\(nodeAddress)")]
        if let before = forwardingBefore { object["net.ipv4.ip_forward"] = .string(before) }
        try writeFileAtomically(Self.path(directory), JSONValue.object(object).encoded() + [UInt8(ascii: "\n")])
    }
}
