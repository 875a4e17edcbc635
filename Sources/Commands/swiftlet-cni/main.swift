// swiftlet-cni: the CNI plugin (Node/CNI, SwiftletPlugin). Static, without Foundation: it is started anew for every call.
import CNI
import Glibc
import Linux

private func environment() -> [String: String] {
    var variables: [String: String] = [:]
    for name in ["COMMAND", "CONTAINERID", "NETNS", "IFNAME", "ARGS", "NETNS_OVERRIDE"] {
        if let value = getenv("CNI_\(name)") { variables["CNI_\(name)"] = String(cString: value) }
    }
    return variables
}

private func say(_ bytes: some Sequence<UInt8>, to descriptor: Int32) {
    let bytes = Array(bytes)
    if bytes.isEmpty { return }
    do {
        try OwnedDescriptor(owning: descriptor).writeAll(bytes)
    } catch {
        // Whoever asked does not listen any more.
        exit(1)
    }
}

/// Runs the command line or the environment; the exit code.
private func run() -> Int32 {
    let arguments = CommandLine.arguments
    if arguments.count == 3, arguments[1] == "--remove" {
        do {
            try SwiftletPlugin.removeNetwork(directory: arguments[2])
            return 0
        } catch {
            say("swiftlet-cni: \(error)\n".utf8, to: STDERR_FILENO)
            return 1
        }
    }
    let answer = SwiftletPlugin.run(environment: environment()) { () throws(SystemError) in
        // A person at a terminal who asks for VERSION has nothing to add.
        isatty(STDIN_FILENO) == 1
            ? [] : try OwnedDescriptor(owning: STDIN_FILENO).readAll(limit: 16 << 20, subject: "stdin")
    }
    say(answer.remarks.utf8, to: STDERR_FILENO)
    say(answer.output, to: STDOUT_FILENO)
    return answer.exitCode
}

exit(run())
