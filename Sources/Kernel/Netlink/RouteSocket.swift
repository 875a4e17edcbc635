import CLinux
import CNetlink
import Glibc
import Linux

/// An rtnetlink socket: asks and changes what one network namespace has, whichever thread uses it.
///
/// The socket belongs to the namespace it was opened in for its whole life. One user at a time, which `mutating` makes
/// the compiler see to. Every call blocks until the kernel has answered, mostly for microseconds; deleting an
/// interface waits for an RCU grace period (tens of milliseconds).
public struct RouteSocket: ~Copyable, Sendable {
    /// The socket itself.
    public let descriptor: OwnedDescriptor
    private var sequence: UInt32 = 0

    /// More errors than this at once might not fit into the receive buffer (ENOBUFS).
    private static let changesPerRound = 128

    /// Opens a socket in the caller's network namespace.
    public init() throws(SystemError) {
        let socket = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_ROUTE)
        try self.init(owning: OwnedDescriptor(owning: try check(socket, "socket", "NETLINK_ROUTE")))
    }

    /// Opens a socket in the network namespace that the descriptor `networkNamespace` refers to.
    public init(in networkNamespace: borrowing OwnedDescriptor) throws(SystemError) {
        let socket = cl_socket_in_netns(networkNamespace.number, AF_NETLINK, Int32(SOCK_RAW.rawValue), NETLINK_ROUTE)
        try self.init(owning: OwnedDescriptor(owning: try check(socket, "socket", "NETLINK_ROUTE in namespace")))
    }

    /// Takes over a NETLINK_ROUTE socket that somebody else opened, perhaps in another namespace (SCM_RIGHTS).
    public init(owning descriptor: consuming OwnedDescriptor) throws(SystemError) {
        // Errors come with the kernel's words, and without a copy of the whole request (netlink(7), since 4.3 and 4.12).
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
            var on: Int32 = 1
            let result = setsockopt(descriptor.number, SOL_NETLINK, option, &on, socklen_t(MemoryLayout<Int32>.size))
            try check(result, "setsockopt", "SOL_NETLINK \(option)")
        }
        self.descriptor = descriptor
    }

    /// Makes the changes in order, as few messages to the kernel as possible.
    ///
    /// The kernel goes on with the next change after one that failed, so this is not a transaction.
    /// - Throws: the first failure, after all were tried.
    public mutating func apply(_ changes: [Change]) throws(NetlinkError) {
        for case .some(let error) in try attempt(changes) { throw error }
    }

    /// As ``apply(_:)``, with one result per change: nil where it was made.
    /// - Throws: only what concerns the socket itself; how many of the changes were made is then unknown.
    public mutating func attempt(_ changes: [Change]) throws(NetlinkError) -> [NetlinkError?] {
        var results: [NetlinkError?] = []
        results.reserveCapacity(changes.count)
        let buffer = ReceiveBuffer()
        while results.count < changes.count {
            try attemptSome(of: changes, &results, buffer)
            let made = changes[results.count - 1]
            // Never where it failed: the interface of that name is somebody else's then.
            guard results[results.count - 1] == nil else { continue }
            for case .some(let failure) in try attempt(made.completion) {
                results[results.count - 1] = NetlinkError(made, failure.errno, failure.message)
            }
        }
        return results
    }

    /// Makes the changes that have no result yet, up to as many as fit into one round or one that needs completion.
    private mutating func attemptSome(
        of changes: [Change], _ results: inout [NetlinkError?], _ buffer: borrowing ReceiveBuffer
    ) throws(NetlinkError) {
        var batch = NetlinkBatch()
        let start = results.count
        let first = sequence &+ 1
        for change in changes[start...].prefix(Self.changesPerRound) where batch.hasRoom {
            sequence &+= 1
            do {
                try batch.append(change, sequence: sequence)
                results.append(nil)
            } catch {
                results.append(NetlinkError(change, error.errno, error.message))
            }
            if !change.completion.isEmpty { break }
        }
        guard batch.count > 0 else { return }
        batch.acknowledgeLast()
        try send(batch)
        let last = batch.lastSequence
        var isAnswered = false
        while !isAnswered {
            try receive(into: buffer) { message throws(NetlinkError) in
                let position = Int(message.sequence &- first)
                guard message.type == NLMSG_ERROR, position < results.count - start else { return }
                if message.sequence == last { isAnswered = true }
                guard let failure = message.failure else { return }
                results[start + position] = NetlinkError(changes[start + position], failure.errno, failure.message)
            }
        }
    }

    /// Sends one request and hands over its answer; nil where the kernel says one of `absent`, or nothing.
    mutating func ask<Header: BitwiseCopyable, Answer>(
        _ operation: String, _ subject: String, type: Int, flags: Int32 = 0, header: Header, absent: [Int32],
        _ put: (inout MessageWriter) -> Void, _ parse: (NetlinkMessage) -> Answer?
    ) throws(NetlinkError) -> Answer? {
        sequence &+= 1
        let expected = sequence
        var batch = NetlinkBatch()
        try batch.append(type: type, flags: flags | NLM_F_ACK, sequence: expected, header: header, put)
        try send(batch)
        let buffer = ReceiveBuffer()
        var answer: Answer?
        var failure: (errno: Int32, message: String?)?
        var isAnswered = false
        while !isAnswered {
            try receive(into: buffer) { message throws(NetlinkError) in
                guard message.sequence == expected else { return }
                // The acknowledgement is last, and all there is of some questions: of a queue by default, for one.
                guard message.type == NLMSG_ERROR else { return answer = parse(message) }
                isAnswered = true
                failure = message.failure
            }
        }
        guard let failure, !absent.contains(failure.errno) else { return answer }
        throw NetlinkError(operation: operation, subject: subject, errno: failure.errno, message: failure.message)
    }

    /// Asks for a list. One that changed while it was read (NLM_F_DUMP_INTR) is asked for again.
    mutating func dump<Header: BitwiseCopyable, Item>(
        _ operation: String, _ type: Int, _ header: Header, _ put: (inout MessageWriter) -> Void = { _ in },
        _ parse: (NetlinkMessage) -> Item?
    ) throws(NetlinkError) -> [Item] {
        let buffer = ReceiveBuffer()
        for _ in 0..<100 {
            sequence &+= 1
            let expected = sequence
            var batch = NetlinkBatch()
            try batch.append(type: type, flags: NLM_F_ROOT | NLM_F_MATCH, sequence: expected, header: header, put)
            try send(batch)
            var items: [Item] = []
            var isDone = false
            var isTorn = false
            while !isDone {
                try receive(into: buffer) { message throws(NetlinkError) in
                    guard message.sequence == expected else { return }
                    if message.flags & NLM_F_DUMP_INTR != 0 { isTorn = true }
                    switch message.type {
                    case Int(NLMSG_DONE), Int(NLMSG_ERROR):
                        isDone = true
                        if let failure = message.failure {
                            throw NetlinkError(
                                operation: operation, subject: "", errno: failure.errno, message: failure.message)
                        }
                    default:
                        if let item = parse(message) { items.append(item) }
                    }
                }
            }
            if !isTorn { return items }
        }
        throw NetlinkError(operation: operation, subject: "changes faster than it can be read", errno: EINTR)
    }

    private func send(_ batch: borrowing NetlinkBatch) throws(NetlinkError) {
        let bytes = batch.bytes
        while true {
            let sent = Glibc.send(descriptor.number, bytes.baseAddress, bytes.count, 0)
            if sent == bytes.count { return }
            if sent >= 0 || errno != EINTR {
                throw NetlinkError(operation: "send", subject: "NETLINK_ROUTE", errno: sent >= 0 ? EMSGSIZE : errno)
            }
        }
    }

    private func receive(
        into buffer: borrowing ReceiveBuffer, _ body: (NetlinkMessage) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        while true {
            let size = buffer.receive(from: descriptor)
            if size >= 0 { return try buffer.forEachMessage(size, body) }
            let failure = errno
            if failure == EINTR { continue }
            // An answer was lost. Until all that waits is read, the kernel would drop others without a word
            // (netlink_overrun).
            if failure == ENOBUFS { buffer.drain(descriptor) }
            throw NetlinkError(operation: "receive", subject: "NETLINK_ROUTE", errno: failure)
        }
    }
}

extension NetlinkError {
    fileprivate init(_ change: Change, _ errno: Int32, _ message: String?) {
        let words = change.words
        self.init(operation: words.operation, subject: words.subject, errno: errno, message: message)
    }
}
