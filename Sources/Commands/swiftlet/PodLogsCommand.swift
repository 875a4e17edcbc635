import ArgumentParser
import Linux
import LocalNode

/// `swiftlet pod logs POD`: from the log files themselves, so it works whatever became of the agent.
struct PodLogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print what a container wrote.",
        discussion: """
            Both streams go to standard output in the order they were written, rotated files included. With -f the log \
            is followed from one run of the container to the next, until it has ended for good.
            """)

    @OptionGroup var options: CommonOptions

    @Flag(name: .shortAndLong, help: "Go on printing what is written, until the container has ended for good.")
    var follow = false

    @Option(help: "Begin with the last lines, this many; all where not given.")
    var tail: Int?

    @Option(
        name: [.customShort("c"), .long], help: "The container; where not given, the pod's first.",
        completion: PodCompletion.containers)
    var container: String?

    @Flag(help: "Print the time before each line (RFC 3339, UTC).")
    var timestamps = false

    @Flag(name: .shortAndLong, help: "The run before the present one.")
    var previous = false

    @Option(help: "Only what is newer: a span such as 90s, 5m or 1h30m, or a time such as 2026-11-21T04:00:00Z.")
    var since: LogTime?

    @Argument(help: "Name, namespace/name, or the beginning of a uid.", completion: PodCompletion.pods)
    var pod: String

    func validate() throws {
        if let tail, tail < 0 { throw ValidationError("--tail must not be negative.") }
        if follow, previous { throw ValidationError("-f and --previous contradict each other: that run has ended.") }
    }

    func run() throws {
        do {
            try print()
        } catch let error as NodeError {
            throw CommandError(error.message)
        } catch let error as SystemError {
            throw CommandError("\(error)")
        }
    }

    private func print() throws {
        try DataDirectory.checkReadable(options.dataDirectory)
        let found = try PodOnDisk.find(pod, among: PodOnDisk.all(dataDirectory: options.dataDirectory))
        let name = try chooseContainer(found)
        let settings = try NodeSettings.read(
            dataDirectory: options.dataDirectory, runDirectory: options.runDirectory)
        let logs = settings?.logDirectory ?? "\(options.dataDirectory)/logs"
        let directory = found.logDirectory(name, below: logs)
        let attempt = try chooseAttempt(ContainerLog.attempts(in: directory), name, found)
        var printer = LogPrinter(timestamps: timestamps, since: since?.text)
        if follow {
            var follower = try ContainerLogFollower(
                found, container: name, logDirectory: logs, attempt: attempt, tail: tail)
            try follower.run(output: STDOUT_FILENO) { Self.emit(printer.print($0)) }
        } else {
            var reader = try ContainerLogReader(ContainerLog(directory: directory, attempt: attempt), tail: tail)
            while true {
                let bytes = try reader.read()
                if bytes.isEmpty || !Self.emit(printer.print(bytes)) { return }
            }
        }
    }

    private func chooseContainer(_ pod: PodOnDisk) throws -> String {
        if let container {
            guard pod.containers.contains(container) else {
                throw CommandError(
                    "pod \"\(pod.name)\" has no container \"\(container)\"; it has \(pod.containers.joined(separator: ", "))"
                )
            }
            return container
        }
        guard let name = pod.defaultContainer else { throw CommandError("pod \"\(pod.name)\" has no containers") }
        return name
    }

    private func chooseAttempt(_ attempts: [Int], _ container: String, _ pod: PodOnDisk) throws -> Int {
        if previous {
            guard let attempt = attempts.dropLast().last else {
                throw CommandError("container \"\(container)\" of pod \"\(pod.name)\" has no earlier run with a log")
            }
            return attempt
        }
        if let last = attempts.last { return last }
        guard follow else {
            throw CommandError("container \"\(container)\" of pod \"\(pod.name)\" has not started: there is no log yet")
        }
        return 0
    }

    /// Whether somebody still reads.
    private static func emit(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}

/// A moment that `--since` names, as the log writes it.
struct LogTime: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        if secondsSinceEpoch(argument) != nil {
            text = argument
            return
        }
        guard let span = Self.seconds(argument) else { return nil }
        var moment = time(nil) - span
        var parts = tm()
        gmtime_r(&moment, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let length = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
        text = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self) + "."
    }

    /// The seconds of a span such as `1h30m`; nil for what is none.
    private static func seconds(_ text: String) -> Int? {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        var total = 0
        var digits = ""
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
            } else {
                guard let unit = units[character], let number = Int(digits), number < 1_000_000 else { return nil }
                total += number * unit
                digits = ""
            }
        }
        return text.isEmpty || !digits.isEmpty ? nil : total
    }
}
