// The leases file as this node sees it: it must be there at the start and name this node.
import Linux
import Netlink
import Overlay

extension LeaseFile {
    /// The leases of the file at `path` and, among them, that of the node that `settings` are about.
    static func read(_ path: String, _ settings: NodeSettings) throws(NodeError) -> (own: NodeLease, all: [NodeLease]) {
        let all: [NodeLease]
        do {
            all = try parse(try readFile(path, limit: maximumSize), fileName: path)
        } catch let error as SystemError {
            throw NodeError("--leases \(path): \(String(cString: strerror(error.errno)))")
        } catch {
            throw NodeError("\(error)")
        }
        guard let own = all.first(where: { $0.name == settings.nodeName }) else {
            throw NodeError("\(path): no node '\(settings.nodeName)' in it; --node-name says which of them this is")
        }
        guard !own.podCIDRs.isEmpty else { throw NodeError("\(path): node \(own.name) has no podCIDR") }
        try settings.checkServiceCIDR(own.podCIDRs)
        return (own, all)
    }
}
