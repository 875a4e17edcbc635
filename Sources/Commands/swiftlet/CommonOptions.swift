// The options that every command of swiftlet takes, and the shapes in which lists are printed.
import ArgumentParser
import Logging

/// Where this node keeps its state and how much it says. Several nodes can run on one machine, each with directories of
/// its own, in separate network namespaces.
struct CommonOptions: ParsableArguments {
    static let defaultDataDirectory = "/var/lib/swiftlet"

    @Option(
        name: .customLong("data-dir"),
        help: ArgumentHelp("Directory of images, pods, logs and allocations.", valueName: "dir"),
        completion: .directory)
    var dataDirectory = CommonOptions.defaultDataDirectory

    @Option(
        name: .customLong("run-dir"),
        help: ArgumentHelp("Directory of the control socket and what does not survive a reboot.", valueName: "dir"),
        completion: .directory)
    var runDirectory = "/run/swiftlet"

    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp("Least severe messages to print on standard error.", valueName: "level"))
    var logLevel: Logger.Level = .info

    /// A logger at the level that was asked for, writing to standard error.
    func logger(_ label: String) -> Logger {
        var logger = Logger(label: label) { StandardErrorLog(label: $0) }
        logger.logLevel = logLevel
        return logger
    }

    func validate() throws {
        for (option, path) in [("--data-dir", dataDirectory), ("--run-dir", runDirectory)] {
            guard path.hasPrefix("/"), path != "/" else {
                throw ValidationError("\(option) must be an absolute path below /, not '\(path)'.")
            }
        }
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// How a command that lists prints what it found.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    /// Columns for a person, as kubectl prints them.
    case table
    /// One JSON document on standard output.
    case json
}

/// `-o`, for the commands that list.
struct OutputOptions: ParsableArguments {
    @Option(name: [.customShort("o"), .customLong("output")], help: "How to print the result.")
    var format = OutputFormat.table
}
