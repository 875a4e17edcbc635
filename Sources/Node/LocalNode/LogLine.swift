// One line of a container's log in the CRI format (Kubernetes, kuberuntime/logs):
// `2026-11-21T04:00:00.123456789Z stdout F message`, where P instead of F is a line to be continued.

/// A line, or a part of one.
public struct LogLine: Sendable, Hashable {
    /// As written, RFC 3339 with nanoseconds.
    public let timestamp: ArraySlice<UInt8>
    public let isStandardError: Bool
    /// Whether the next line of this stream goes on where this one ends.
    public let isPartial: Bool
    public let content: ArraySlice<UInt8>

    /// Takes a line without its newline; nil for what is not in the format.
    public init?(_ line: ArraySlice<UInt8>) {
        let space = UInt8(ascii: " ")
        let parts = line.split(separator: space, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, let tag = parts[2].first, parts[0].count >= 20 else { return nil }
        switch parts[1] {
        case let stream where stream.elementsEqual("stdout".utf8): isStandardError = false
        case let stream where stream.elementsEqual("stderr".utf8): isStandardError = true
        default: return nil
        }
        // Tags are separated by colons; only the first is defined.
        guard tag == UInt8(ascii: "F") || tag == UInt8(ascii: "P") else { return nil }
        timestamp = parts[0]
        isPartial = tag == UInt8(ascii: "P")
        content = parts.count > 3 ? parts[3] : []
    }
}

/// Cuts bytes into log lines and turns them into what a person asked to see.
public struct LogPrinter: Sendable {
    private let timestamps: Bool
    private let since: [UInt8]?
    private var rest: [UInt8] = []
    /// For each stream, whether its last line was partial.
    private var midLine = [false, false]

    /// - Parameter since: a time as the log writes it; what is older is left out.
    public init(timestamps: Bool = false, since: String? = nil) {
        self.timestamps = timestamps
        self.since = since.map { Array($0.utf8) }
    }

    /// What to print for the next bytes of the log. A line that is not whole yet waits for the rest.
    public mutating func print(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        rest.append(contentsOf: bytes)
        var output: [UInt8] = []
        var start = 0
        while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[start..<end], to: &output)
            start = end + 1
        }
        rest.removeFirst(start)
        return output
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>, to output: inout [UInt8]) {
        guard let line = LogLine(bytes) else {
            // Better shown than lost: something else wrote into the file.
            output += bytes + [UInt8(ascii: "\n")]
            return
        }
        if let since, line.timestamp.lexicographicallyPrecedes(since) { return }
        let stream = line.isStandardError ? 1 : 0
        if timestamps, !midLine[stream] { output += line.timestamp + [UInt8(ascii: " ")] }
        output += line.content
        if !line.isPartial { output.append(UInt8(ascii: "\n")) }
        midLine[stream] = line.isPartial
    }
}
