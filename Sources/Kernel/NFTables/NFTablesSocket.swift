// The netlink socket that carries transactions to the kernel and dumps from it (`man 7 netlink`,
// linux/netfilter/nfnetlink.h).
import CNFTables
import Glibc
import Linux

/// Why a transaction or a dump failed.
public enum NFTablesError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kernel refused `operation`; nothing of the transaction was done. `detail` is the kernel's own explanation,
    /// often empty.
    case refused(operation: String, errno: Int32, detail: String)
    /// Somebody changed a table of this network namespace since the given generation; nothing was done.
    case staleGeneration
    /// The kernel's answer was lost (ENOBUFS): the transaction may have been done or not. Dump and compare.
    case unknownOutcome
    /// Tables kept changing while they were read.
    case unsteady
    /// The transaction has no form the kernel would understand; nothing was sent.
    case invalid(EncodingError)
    case system(SystemError)

    public var description: String {
        switch self {
        case .refused(let operation, let errno, let detail):
            "\(operation): \(String(cString: strerror(errno)))" + (detail.isEmpty ? "" : " (\(detail))")
        case .staleGeneration: "nftables changed since they were read"
        case .unknownOutcome: "the kernel's answer to an nftables transaction was lost"
        case .unsteady: "nftables kept changing while they were read"
        case .invalid(let error): error.description
        case .system(let error): error.description
        }
    }

    /// Whether what the kernel holds is not what the sender of the transaction believed: read it again and retry.
    public var meansStaleView: Bool {
        switch self {
        case .refused(_, let errno, _): [ENOENT, EEXIST, EBUSY, ERESTART].contains(errno)
        case .staleGeneration, .unknownOutcome: true
        case .unsteady, .invalid, .system: false
        }
    }
}

/// A NETLINK_NETFILTER socket. It acts on the network namespace it was made in, whichever thread uses it later.
public struct NFTablesSocket: ~Copyable, Sendable {
    let descriptor: OwnedDescriptor
    private var sequence: UInt32 = 1
    private var sendBuffer = 0

    /// A socket in the network namespace of the calling thread.
    public init() throws(SystemError) {
        let number = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), NETLINK_NETFILTER)
        try self.init(owning: OwnedDescriptor(owning: try check(number, "socket", "NETLINK_NETFILTER")))
    }

    /// A socket in the network namespace that `namespace` is open on (`/proc/PID/ns/net`, `/run/netns/NAME`).
    public init(in namespace: borrowing OwnedDescriptor) throws(SystemError) {
        let number = cl_socket_in_netns(
            namespace.number, AF_NETLINK, Int32(SOCK_RAW.rawValue), NETLINK_NETFILTER)
        try self.init(owning: OwnedDescriptor(owning: try check(number, "socket", "NETLINK_NETFILTER")))
    }

    /// Takes over a socket that somebody opened, such as a process inside the namespace.
    public init(owning descriptor: consuming OwnedDescriptor) throws(SystemError) {
        self.descriptor = descriptor
        // Errors without the message they are about, with the kernel's explanation.
        try setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        try setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        // A batch may fail in thousands of places at once, and each answer takes room. Best effort: without
        // CAP_NET_ADMIN the default stays, and a lost answer is reported as such.
        var size: Int32 = 8 << 20
        setsockopt(self.descriptor.number, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        try check(setsockopt(descriptor.number, level, name, &value, size), "setsockopt", "netlink option \(name)")
    }

    /// Has the kernel do all of `transaction`, or nothing. An empty transaction is nothing to do. With `ifGeneration`,
    /// as ``generation()`` gave it, nothing is done if any table of the network namespace changed since.
    public mutating func commit(_ transaction: Transaction, ifGeneration: UInt32? = nil) throws(NFTablesError) {
        if transaction.isEmpty { return }
        let batch = try Self.encode(transaction, sequence: sequence, generation: ifGeneration)
        let messages = UInt32(batch.operations.count)
        sequence &+= messages
        do throws(SystemError) {
            try discardAnswers()
            try send(batch.buffer)
        } catch { throw .system(error) }
        // nfnetlink works while sendmsg(2) runs: its answers, errors only, are in the receive buffer by now.
        var failure: NFTablesError?
        try receive(waiting: false) { (message: Message) in
            guard message.error != 0, failure == nil, message.sequence &- batch.first < messages else { return false }
            let index = Int(message.sequence &- batch.first)
            if let operation = batch.operations[index] {
                failure = .refused(
                    operation: transaction.operations[operation].description, errno: message.error,
                    detail: message.detail)
            } else if message.error == ERESTART {
                failure = .staleGeneration
            } else {
                failure = .refused(operation: "batch", errno: message.error, detail: message.detail)
            }
            return false
        }
        if let failure { throw failure }
    }

    private static func encode(
        _ transaction: Transaction, sequence: UInt32, generation: UInt32?
    ) throws(NFTablesError) -> Batch {
        do throws(EncodingError) {
            return try Batch(transaction, sequence: sequence, generation: generation)
        } catch { throw .invalid(error) }
    }

    /// The number of the last change to any table in this network namespace.
    public mutating func generation() throws(NFTablesError) -> UInt32 {
        var result: UInt32?
        try request(UInt16(NFT_MSG_GETGEN.rawValue), .init(rawValue: 0), flags: 0) { message in
            result = message.attribute(UInt16(NFTA_GEN_ID.rawValue))?.number
        }
        guard let result else { throw .system(SystemError("NFT_MSG_GETGEN", errno: EPROTO)) }
        return result
    }

    /// Sends one request and gives each message of the answer to `body`. A dump that others' changes broke
    /// (NLM_F_DUMP_INTR) ends in ``NFTablesError/unsteady``.
    mutating func request(
        _ type: UInt16, _ family: Family?, subsystem: Int32 = NFNL_SUBSYS_NFTABLES, flags: Int32,
        attributes: (UnsafeMutablePointer<nlmsghdr>) -> Void = { _ in }, _ body: (Message) -> Void
    ) throws(NFTablesError) {
        let isDump = flags & NLM_F_DUMP == NLM_F_DUMP
        var buffer = MessageBuffer()
        let own = sequence
        sequence &+= 1
        let header = nftnl_nlmsg_build_hdr(
            buffer.next(), type, UInt16(family?.rawValue ?? 0), UInt16(flags), own)
        guard let header else { throw .system(SystemError("nftnl_nlmsg_build_hdr", errno: ENOMEM)) }
        // The builder knows one subsystem only.
        header.pointee.nlmsg_type = UInt16(subsystem) << 8 | type
        attributes(header)
        buffer.finish(header)
        do throws(SystemError) {
            try discardAnswers()
            try send(buffer)
        } catch { throw .system(error) }
        var interrupted = false
        var failure: Int32 = 0
        try receive(waiting: true) { (message: Message) in
            guard message.sequence == own else { return false }
            if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { interrupted = true }
            if message.isError {
                failure = message.error
                return true
            }
            if message.isDone { return true }
            body(message)
            return !isDump
        }
        if failure == EINTR || interrupted { throw .unsteady }
        if failure != 0 {
            let what = subsystem == NFNL_SUBSYS_NFTABLES ? "read nftables" : "connection tracking"
            throw .refused(operation: what, errno: failure, detail: "")
        }
    }

    /// Drops what an earlier, abandoned exchange left.
    private func discardAnswers() throws(SystemError) {
        var byte: UInt8 = 0
        while true {
            if recv(descriptor.number, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC)) >= 0 {
                continue
            }
            if errno == EAGAIN { return }
            if errno != ENOBUFS && errno != EINTR { throw SystemError("recv", "netlink") }
        }
    }

    private mutating func send(_ buffer: borrowing MessageBuffer) throws(SystemError) {
        let needed = buffer.count + (64 << 10)
        if needed > sendBuffer {
            // A batch is one sendmsg, and one sendmsg is at most the send buffer. Where it cannot be raised, the
            // send itself fails with EMSGSIZE and says so.
            var size = Int32(clamping: needed)
            setsockopt(
                descriptor.number, SOL_SOCKET, SO_SNDBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
            sendBuffer = needed
        }
        while true {
            let sent = buffer.withBytes { Glibc.send(descriptor.number, $0.baseAddress, $0.count, 0) }
            if sent >= 0 { return }
            if errno != EINTR { throw SystemError("sendmsg", "nftables batch of \(buffer.count) bytes") }
        }
    }

    /// Gives each received message to `body` until it returns true or, without `waiting`, none is left.
    private func receive(waiting: Bool, _ body: (Message) -> Bool) throws(NFTablesError) {
        // Dumps come in pieces of at most 32 KB (netlink_dump in the kernel).
        let size = 64 << 10
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { memory.deallocate() }
        while true {
            let count = recv(descriptor.number, memory.baseAddress, size, waiting ? 0 : Int32(MSG_DONTWAIT))
            if count < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN: return
                case ENOBUFS: throw .unknownOutcome
                default: throw .system(SystemError("recv", "netlink"))
                }
            }
            var rest = Int32(count)
            var next = UnsafePointer<nlmsghdr>(
                OpaquePointer(memory.baseAddress?.assumingMemoryBound(to: nlmsghdr.self)))
            while let header = next, mnl_nlmsg_ok(header, rest) {
                if body(Message(header: header)) { return }
                next = UnsafePointer(mnl_nlmsg_next(header, &rest))
            }
        }
    }
}
