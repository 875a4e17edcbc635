// The leases file as this node sees it at the start: it must be there and name this node. What is wrong with other nodes'
// entries is no reason for this one not to start.
import Linux
import Netlink
import Overlay

extension LeaseFile {
    /// The leases of the file at `path`, among them that of the node that `settings` are about, and what is wrong with the
    /// others, one a line.
    static func read(
        _ path: String, _ settings: NodeSettings
    ) throws(NodeError) -> (own: NodeLease, all: [NodeLease], problems: [String]) {
        let all: [NodeLease]
        let problems: [String]
        do {
            var status = stat()
            if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
                throw NodeError("--leases \(path): not a regular file")
            }
            (all, problems) = try parseTolerantly(try readFile(path, limit: maximumSize), fileName: path)
        } catch let error as SystemError {
            throw NodeError("--leases \(path): \(String(cString: strerror(error.errno)))")
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("\(error)")
        }
        guard let own = all.first(where: { $0.name == settings.nodeName }) else {
            let reason = "\(path): no node '\(settings.nodeName)' in it; --node-name says which of them this is"
            throw NodeError(([reason] + problems).joined(separator: "\n"))
        }
        guard !own.podCIDRs.isEmpty else { throw NodeError("\(path): node \(own.name) has no podCIDR") }
        try settings.checkServiceCIDR(own.podCIDRs)
        return (own, all, problems)
    }
}
