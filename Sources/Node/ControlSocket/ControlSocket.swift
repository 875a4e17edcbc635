// ControlSocket: how the commands of `swiftlet` talk to the agent of this host. A unix stream socket of root's carries
// length-checked frames of JSON and, where a request needs them, descriptors: a request is a verb with arguments, then
// come any number of progress messages and exactly one result or error. Both sides are here. This file: the names both
// sides share.
import Linux

/// The revision of the frames and of the verbs' meaning. Both sides must speak the same.
public let controlProtocolRevision: Int64 = 1

/// The socket's path for an agent with this run directory.
public func controlSocketPath(runDirectory: String) -> String { "\(runDirectory)/swiftlet.sock" }

/// Why a request has no result: what went wrong, for programs and for people.
public struct ControlError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A word that programs act on.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        /// No agent listens at the socket.
        public static let unavailable = Code(rawValue: "unavailable")
        /// The agent speaks another revision of the protocol.
        public static let versionMismatch = Code(rawValue: "version-mismatch")
        /// The other side went away before it answered.
        public static let disconnected = Code(rawValue: "disconnected")
        /// The agent is about to quit and has not begun the request: ask again.
        public static let retiring = Code(rawValue: "retiring")
        /// Bytes that are no frame, or a frame that may not come here.
        public static let malformed = Code(rawValue: "malformed")
        /// The verb is not known, or its arguments are not what it needs.
        public static let invalid = Code(rawValue: "invalid")
        public static let notFound = Code(rawValue: "not-found")
        /// It contradicts what is there: a name or a port in use, a pod that still runs.
        public static let conflict = Code(rawValue: "conflict")
        /// The command of an exec does not exist in the container: a shell's 127.
        public static let commandNotFound = Code(rawValue: "command-not-found")
        /// The command of an exec cannot be executed: a shell's 126.
        public static let commandNotExecutable = Code(rawValue: "command-not-executable")
        /// The request was understood and could not be served.
        public static let failed = Code(rawValue: "failed")
    }

    public let code: Code
    /// One line that says what and where.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

/// Who is at the other end.
public struct ControlIdentity: Hashable, Sendable {
    /// The release of swiftlet, such as `0.1.0`.
    public let version: String
    public let pid: pid_t

    public init(version: String, pid: pid_t) {
        self.version = version
        self.pid = pid
    }
}
