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

    /// Makes the changes in order, as few messages to the kernel as possible, each acknowledged.
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
        // More acknowledgements than this at once might not fit into the receive buffer (ENOBUFS).
        for start in stride(from: 0, to: changes.count, by: 64) {
            let some = changes[start..<min(start + 64, changes.count)]
            try attempt(some, &results)
        }
        return results
    }

    private mutating func attempt(_ changes: ArraySlice<Change>, _ results: inout [NetlinkError?]) throws(NetlinkError)
    {
        let first = sequence &+ 1
        var batch = NetlinkBatch(messages: changes.count)
        for change in changes {
            sequence &+= 1
            try batch.append(change, sequence: sequence)
        }
        try send(batch)
        let start = results.count
        results += Array(repeating: nil, count: changes.count)
        var missing = changes.count
        while missing > 0 {
            try receive { message throws(NetlinkError) in
                let position = Int(message.sequence &- first)
                guard message.type == NLMSG_ERROR, position < changes.count else { return }
                missing -= 1
                guard let failure = message.failure else { return }
                let words = changes[changes.startIndex + position].words
                results[start + position] = NetlinkError(
                    operation: words.operation, subject: words.subject, errno: failure.errno, message: failure.message)
            }
        }
    }

    /// Every interface of the namespace.
    public mutating func links() throws(NetlinkError) -> [Link] {
        try dump("list links", RTM_GETLINK, ifinfomsg(), { $0.putStatisticsUnwanted() }) { Link($0) }
    }

    /// The interface, or nil if there is none of that name or index.
    public mutating func link(_ reference: LinkReference) throws(NetlinkError) -> Link? {
        sequence &+= 1
        let expected = sequence
        var batch = NetlinkBatch(messages: 1)
        try batch.append(type: RTM_GETLINK, flags: 0, sequence: expected, header: linkHeader(reference)) {
            $0.put(nameOf: reference)
            $0.putStatisticsUnwanted()
        }
        try send(batch)
        var link: Link?
        var failure: (errno: Int32, message: String?)?
        var isAnswered = false
        while !isAnswered {
            try receive { message throws(NetlinkError) in
                guard message.sequence == expected else { return }
                isAnswered = true
                if message.type == NLMSG_ERROR { failure = message.failure } else { link = Link(message) }
            }
        }
        guard let failure, failure.errno != ENODEV else { return link }
        throw NetlinkError(
            operation: "get link", subject: "\(reference)", errno: failure.errno, message: failure.message)
    }

    /// Every address of every interface, or those of one.
    public mutating func addresses(of link: Int32? = nil) throws(NetlinkError) -> [Address] {
        var header = ifaddrmsg()
        header.ifa_index = UInt32(bitPattern: link ?? 0)
        return try dump("list addresses", RTM_GETADDR, header) { Address($0) }
    }

    /// The routes of every table; with `origin`, only those that it made.
    public mutating func routes(origin: RouteProtocol? = nil) throws(NetlinkError) -> [Route] {
        var header = rtmsg()
        header.rtm_protocol = origin?.rawValue ?? 0
        return try dump("list routes", RTM_GETROUTE, header) { message in
            Route(message).flatMap { route in origin == nil || route.origin == origin ? route : nil }
        }
    }

    /// The neighbour tables of IPv4 and IPv6.
    public mutating func neighbours() throws(NetlinkError) -> [Neighbour] {
        try dump("list neighbours", RTM_GETNEIGH, ndmsg()) { Neighbour($0) }
    }

    /// Asks for a list. One that changed while it was read (NLM_F_DUMP_INTR) is asked for again.
    private mutating func dump<Header: BitwiseCopyable, Item>(
        _ operation: String, _ type: Int, _ header: Header, _ body: (inout MessageWriter) -> Void = { _ in },
        _ parse: (NetlinkMessage) -> Item?
    ) throws(NetlinkError) -> [Item] {
        for _ in 0..<100 {
            sequence &+= 1
            let expected = sequence
            var batch = NetlinkBatch(messages: 1)
            try batch.append(type: type, flags: NLM_F_ROOT | NLM_F_MATCH, sequence: expected, header: header, body)
            try send(batch)
            var items: [Item] = []
            var isDone = false
            var isTorn = false
            while !isDone {
                try receive { message throws(NetlinkError) in
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

    /// Reads one datagram and hands over its messages.
    private func receive(_ body: (NetlinkMessage) throws(NetlinkError) -> Void) throws(NetlinkError) {
        // The kernel fills 32 KiB of a list at most (netlink_dump). A stored buffer of a private type would save the
        // allocation, and breaks release builds of other modules (Swift 6.3).
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 8)
        defer { memory.deallocate() }
        while true {
            let size = recv(descriptor.number, memory.baseAddress, memory.count, Int32(MSG_TRUNC))
            if size < 0, errno == EINTR { continue }
            if size < 0 { throw NetlinkError(operation: "receive", subject: "NETLINK_ROUTE", errno: errno) }
            guard size <= memory.count else {
                throw NetlinkError(operation: "receive", subject: "NETLINK_ROUTE", errno: EMSGSIZE)
            }
            return try NetlinkMessage.forEach(in: UnsafeRawBufferPointer(memory), size: size, body)
        }
    }
}

extension NetlinkMessage {
    /// What an NLMSG_ERROR or NLMSG_DONE says went wrong; nil for an acknowledgement.
    var failure: (errno: Int32, message: String?)? {
        guard let number = header(Int32.self), number < 0 else { return nil }
        guard flags & Int32(NLM_F_ACK_TLVS) != 0 else { return (-number, nil) }
        var words: String?
        // The request's header follows the number (NETLINK_CAP_ACK drops the rest of it), then the attributes.
        let attributes = type == NLMSG_ERROR ? attributes(after: nlmsgerr.self) : attributes(after: Int32.self)
        for attribute in attributes where Int(attribute.type) == Int(NLMSGERR_ATTR_MSG.rawValue) {
            words = attribute.string
        }
        return (-number, words)
    }
}
