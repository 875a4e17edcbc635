import CLinux
import CNetlink
import Glibc
import Linux

/// A socket that sends ICMP echo requests to one address, as ping(8) does, and tells what comes back: the reply, or who
/// said what against it. Needs CAP_NET_RAW.
public struct EchoProbe: ~Copyable, Sendable {
    public let destination: IPAddress
    /// The socket, which does not block: readable, or with an error (EPOLLERR), when ``next()`` has something to tell.
    public let descriptor: OwnedDescriptor
    /// What tells these requests from those of other probes.
    private let identifier = UInt16.random(in: .min ... .max)
    private let link: Int32?
    private let dontFragment: Bool
    private var payload = 0
    private var sequence: UInt16 = 0
    private var sent = ContinuousClock.now

    /// Opens the socket in the network namespace that the descriptor `networkNamespace` refers to.
    /// - Parameters:
    ///   - source: the requests' source address; nil: what the routing table says.
    ///   - link: index of the interface that requests leave through and answers come from, whatever the routing table
    ///     says; nil: any.
    ///   - mark: the requests' packet mark.
    ///   - dontFragment: whether packets must arrive in one piece; a path's MTU that the kernel believes to know is not
    ///     asked. Otherwise they are cut where they must be, over IPv6 by this host, which learns from complaints.
    public init(
        to destination: IPAddress, in networkNamespace: borrowing OwnedDescriptor, source: IPAddress? = nil,
        link: Int32? = nil, mark: UInt32? = nil, dontFragment: Bool = true
    ) throws(SystemError) {
        let isIPv4 = destination.bitWidth == 32
        let number = cl_socket_in_netns(
            networkNamespace.number, isIPv4 ? AF_INET : AF_INET6,
            Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue), Int32((isIPv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)))
        let socket = OwnedDescriptor(owning: try check(number, "socket", "ICMP"))
        let level = isIPv4 ? Int32(IPPROTO_IP) : Int32(IPPROTO_IPV6)
        try Self.set(socket, level, isIPv4 ? IP_RECVERR : IPV6_RECVERR, 1, "IP_RECVERR")
        try Self.set(
            socket, level, isIPv4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
            dontFragment ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT, "IP_MTU_DISCOVER")
        if let link { try Self.set(socket, SOL_SOCKET, SO_BINDTOIFINDEX, link, "SO_BINDTOIFINDEX") }
        if let mark { try Self.set(socket, SOL_SOCKET, SO_MARK, Int32(bitPattern: mark), "SO_MARK") }
        if let source {
            let result = source.withSocketAddress { bind(socket.number, $0, $1) }
            try check(result, "bind", "\(source)")
        }
        self.destination = destination
        self.link = link
        self.dontFragment = dontFragment
        descriptor = socket
    }

    /// Bytes of payload for which the whole packet to `destination`, IP header included, has `size` bytes.
    public static func payload(ofPacketSize size: Int, to destination: IPAddress) -> Int {
        max(size - (destination.bitWidth == 32 ? 20 : 40) - 8, 0)
    }

    /// Sends a request, after which answers to earlier ones are not told any more.
    /// - Parameter payload: bytes after the ICMP header; 65507 at most over IPv4, 65527 over IPv6.
    /// - Returns: the answer where this host itself refuses to send; otherwise nil.
    public mutating func send(payload: Int = 56) throws(SystemError) -> EchoAnswer? {
        // Of what no packet can hold, IPv6 would say how much fits into one.
        guard payload <= (destination.bitWidth == 32 ? 65507 : 65527) else { return .notSent(errno: EMSGSIZE) }
        while try takeError() != nil {}
        self.payload = payload
        sequence &+= 1
        let packet = EchoPacket(identifier: identifier, sequence: sequence, payload: payload, to: destination)
        sent = .now
        // From then on only what that address sends comes in.
        guard destination.withSocketAddress(link: link, { connect(descriptor.number, $0, $1) }) == 0 else {
            return .notSent(errno: errno)
        }
        while Glibc.send(descriptor.number, packet.bytes, packet.bytes.count, 0) < 0 {
            let failure = errno
            if failure == EINTR { continue }
            let told = try takeError()
            if failure == EMSGSIZE, let told { return told }
            return .notSent(errno: failure)
        }
        return nil
    }

    /// The answer to the last request; nil where there is none yet.
    public mutating func next() throws(SystemError) -> EchoAnswer? {
        if let error = try nextError() { return error }
        let hasIPHeader = destination.bitWidth == 32
        // The longest IP header and the beginning of the payload; the rest is of no interest.
        var buffer = [UInt8](repeating: 0, count: 128)
        while true {
            let size = recv(descriptor.number, &buffer, buffer.count, 0)
            if size < 0 {
                if errno == EINTR { continue }
                // Whatever is wrong is in the error queue as well.
                return try nextError()
            }
            let reply = EchoPacket.Header(buffer[..<size], hasIPHeader: hasIPHeader)
            if reply?.isReply == true, reply?.identifier == identifier, reply?.sequence == sequence {
                return .reply(roundTrip: sent.duration(to: .now))
            }
        }
    }

    /// Sends a request and waits for its answer, blocking the caller for as long as `timeout`.
    public mutating func ask(payload: Int = 56, timeout: Duration = .seconds(1)) throws(SystemError) -> EchoAnswer {
        if let answer = try send(payload: payload) { return answer }
        let end = ContinuousClock.now.advanced(by: timeout)
        while true {
            if let answer = try next() { return answer }
            let left = ContinuousClock.now.duration(to: end)
            guard left > .zero else { return .timeout }
            var poller = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            _ = poll(&poller, 1, Int32(min(left / .milliseconds(1), 1e6)) + 1)
        }
    }

    /// The next complaint about the last request, if it is one for the caller.
    private mutating func nextError() throws(SystemError) -> EchoAnswer? {
        let answer = try takeError()
        guard !dontFragment, case .tooLarge(_, .some) = answer else { return answer }
        // The kernel has read it too, and cuts the next one.
        return try send(payload: payload)
    }

    /// The next complaint about the last request; complaints about others are dropped.
    private func takeError() throws(SystemError) -> EchoAnswer? {
        var error = cn_socket_error()
        while cn_receive_error(descriptor.number, &error) == 0 {
            if let answer = EchoAnswer(error, identifier: identifier, sequence: sequence) { return answer }
        }
        guard errno == EAGAIN else { throw SystemError("recvmsg", "MSG_ERRQUEUE") }
        return nil
    }

    private static func set(
        _ socket: borrowing OwnedDescriptor, _ level: Int32, _ option: Int32, _ value: Int32, _ name: String
    ) throws(SystemError) {
        var value = value
        let result = setsockopt(socket.number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        try check(result, "setsockopt", name)
    }
}

/// What came of an echo request.
public enum EchoAnswer: Sendable, Hashable {
    /// The reply, and the time from sending to reading it.
    case reply(roundTrip: Duration)
    /// The packet was too large and must not be cut: how large it may be, and who says so; nil: this host.
    case tooLarge(mtu: UInt32, from: IPAddress?)
    /// The ICMP (or ICMPv6) message that somebody sent instead of passing the packet on.
    case unreachable(type: UInt8, code: UInt8, from: IPAddress)
    /// This host did not send it: ENETUNREACH without a route, EPERM where a packet filter dropped it …
    case notSent(errno: Int32)
    /// Nothing came in time.
    case timeout
}

extension EchoAnswer: CustomStringConvertible {
    /// `1300 bytes at most (192.0.2.1)`
    public var description: String {
        switch self {
        case .reply(let time): "reply after \(time)"
        case .tooLarge(let mtu, let from): "\(mtu) bytes at most (\(from.map { "\($0)" } ?? "this host"))"
        case .unreachable(let type, let code, let from): "\(Self.words(type, code, from)) (\(from))"
        case .notSent(let number): "not sent: \(String(cString: strerror(number)))"
        case .timeout: "no answer"
        }
    }

    /// The names of RFC 792, 1122 and 1812, or RFC 4443.
    private static func words(_ type: UInt8, _ code: UInt8, _ from: IPAddress) -> String {
        switch (from.bitWidth, type, code) {
        case (32, 3, 0), (128, 1, 0): "network unreachable"
        case (32, 3, 1), (128, 1, 3): "host unreachable"
        case (32, 3, 2): "protocol unreachable"
        case (32, 3, 3), (128, 1, 4): "port unreachable"
        case (32, 3, 9), (32, 3, 10), (32, 3, 13), (128, 1, 1): "administratively prohibited"
        case (32, 11, _), (128, 3, _): "time exceeded"
        default: "ICMP type \(type) code \(code)"
        }
    }

    /// nil where the error is about another request.
    fileprivate init?(_ error: cn_socket_error, identifier: UInt16, sequence: UInt16) {
        if error.origin == SO_EE_ORIGIN_LOCAL {
            self = error.error == EMSGSIZE ? .tooLarge(mtu: error.info, from: nil) : .notSent(errno: Int32(error.error))
            return
        }
        let packet = withUnsafeBytes(of: error.packet) { Array($0.prefix(Int(error.packet_size))) }
        let about = EchoPacket.Header(packet[...], hasIPHeader: false)
        let address = withUnsafeBytes(of: error.from) { IPAddress(bytes: Array($0.prefix(Int(error.from_size)))) }
        guard let address, about?.identifier == identifier, about?.sequence == sequence else { return nil }
        let isICMP = error.origin == SO_EE_ORIGIN_ICMP
        let isAboutSize = isICMP ? error.type == 3 && error.code == 4 : error.type == 2
        self =
            isAboutSize
            ? .tooLarge(mtu: error.info, from: address)
            : .unreachable(type: error.type, code: error.code, from: address)
    }
}
