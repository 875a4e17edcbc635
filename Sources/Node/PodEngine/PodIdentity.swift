// PodEngine: the lifecycle of pods on one host. It runs a Pod object wherever it came from: makes its sandbox (pause
// process, cgroups, network), runs init containers, sidecars and app containers, restarts what its policy restarts, and
// keeps on disk all that the next start needs to go on.
import Glibc
import Linux

/// The unique id of a pod: a UUID, or for a pod of a manifest directory a hash of its source and content.
public struct PodUID: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Takes 1 to 64 characters of `a-z0-9-`, since the id becomes a part of paths; nil for anything else.
    public init?(_ text: String) {
        let allowed = text.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "-")
        }
        guard allowed, (1...64).contains(text.utf8.count) else { return nil }
        self.text = text
    }

    /// A random one (RFC 9562, version 4).
    public init() {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        self.text = String(decoding: text, as: UTF8.self)
    }

    public var description: String { text }
}

/// Who asked for a pod.
public enum PodSource: Sendable, Hashable {
    /// `swiftlet pod run`
    case command
    /// A file of the manifest directory.
    case manifest(path: String)
}

/// A moment in nanoseconds since 1970 (CLOCK_REALTIME), as the pause process and the disk keep it.
public struct Moment: Sendable, Hashable, Comparable {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func now() -> Moment {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Moment(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    public static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (moment: Moment, seconds: Int64) -> Moment {
        Moment(nanoseconds: moment.nanoseconds + seconds * 1_000_000_000)
    }
    /// Seconds from `right` to `left`.
    public static func - (left: Moment, right: Moment) -> Double {
        Double(left.nanoseconds - right.nanoseconds) / 1e9
    }

    /// As Kubernetes writes times: `2026-11-21T04:00:00Z` (RFC 3339).
    public var rfc3339: String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}

/// Why a pod could not be run, changed or found: one line that a person can act on.
public struct PodError: Error, Sendable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        case notFound = "NotFound", alreadyExists = "AlreadyExists", conflict = "Conflict", invalid = "Invalid"
        case image = "Image", internalError = "InternalError", notRunning = "NotRunning"
        /// What exec(3) said of an exec's command: exit codes 127 and 126 of a shell.
        case commandNotFound = "CommandNotFound", commandNotExecutable = "CommandNotExecutable"
    }
    public let reason: Reason
    public let message: String

    public init(_ reason: Reason, _ message: String) { (self.reason, self.message) = (reason, message) }
    public var description: String { message }
}
