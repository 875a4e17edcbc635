// The record of cluster IPs and node ports, `<data-dir>/services/allocations.json`: written before anything uses them.
import JSONTree
import Linux
import Resources

/// Keeps ``ServiceAllocations`` on disk. One agent at a time uses it (the agent's lock).
struct ServiceAllocationFile: Sendable {
    let path: String
    private(set) var allocations: ServiceAllocations

    /// Reads the record below `dataDirectory`; an absent one is empty, one that is not readable is an error, since
    /// starting anew would move every Service.
    init(dataDirectory: String) throws(NodeError) {
        path = "\(dataDirectory)/services/allocations.json"
        do {
            try makeDirectories("\(dataDirectory)/services", mode: 0o700)
            guard fileExists(path) else {
                allocations = ServiceAllocations()
                return
            }
            let tree = try JSONValue.parse(try readFile(path))
            guard let read = ServiceAllocations(tree: tree) else {
                throw NodeError(
                    "\(path): not a record of Service addresses; remove it to have all of them assigned anew")
            }
            allocations = read
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("\(path): \(error); remove the file to have all Services' addresses assigned anew")
        }
    }

    /// Assigns as ``ServiceAllocations/assign(_:range:)`` does; when it returns, the record is on the disk.
    mutating func assign(
        _ desired: [Service], range: ServiceRange
    ) throws(SystemError) -> (services: [Service], conflicts: [ServiceConflict]) {
        var changed = allocations
        let result = changed.assign(desired, range: range)
        if changed != allocations {
            try writeFileAtomically(path, changed.tree.encoded(pretty: true), mode: 0o600, durable: true)
            allocations = changed
        }
        return result
    }
}

/// Why the node cannot start or go on: one line for a person.
public struct NodeError: Error, Hashable, Sendable, CustomStringConvertible {
    public let message: String
    public init(_ message: String) { self.message = message }
    public var description: String { message }
}
