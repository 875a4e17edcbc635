import ArgumentParser
import Cgroups
import ControlSocket
import JSONTree
import Linux
import LocalNode

/// `swiftlet pod run FILE…`
struct PodRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the pods of manifests.",
        discussion: """
            Reads v1 Pods in YAML or JSON, several documents a file, and starts them in order: pulls images, waits until \
            the containers have started, and returns. The pods go on running, are restarted by their policy and keep \
            their logs, whatever becomes of this command. Where no agent runs, one is started in the background.

            All files are read and checked before the first pod starts.
            """)

    @OptionGroup var options: CommonOptions

    @Flag(help: "Wait until the pods have ended; exit code 1 if one failed.")
    var wait = false

    @Argument(
        help: ArgumentHelp("Manifest files; - is standard input.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var files: [String]

    func run() throws {
        CgroupMigration.expectSoon()
        let manifests = try files.map(read)
        let agent = AgentConnection(options: options)
        let report = RunReport()
        defer { report.finish() }
        let answer = try agent.call("run", ["files": .array(manifests)]) { report.take($0) }
        report.finish()
        guard wait else { return }
        var failed: [String] = []
        for pod in answer?["pods"]?.arrayValue ?? [] {
            let result = try agent.call("wait", ["pod": pod["uid"] ?? .null])
            let phase = result?["phase"]?.stringValue ?? "Unknown"
            write("pod/\(pod["name"]?.stringValue ?? "") \(phase.lowercased())\n", to: STDOUT_FILENO)
            if phase != "Succeeded" { failed.append(pod["name"]?.stringValue ?? "") }
        }
        if !failed.isEmpty { throw CommandError("failed: pod \(failed.joined(separator: ", "))") }
    }

    private func read(_ path: String) throws -> JSONValue {
        let name = path == "-" ? "standard input" : path
        do throws(SystemError) {
            let bytes =
                path == "-"
                ? try OwnedDescriptor(owning: try check(dup(STDIN_FILENO), "dup")).readAll(
                    limit: 8 << 20, subject: name)
                : try readFile(path, limit: 8 << 20)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw SystemError("", name, errno: EILSEQ)
            }
            return ["name": .string(name), "text": .string(text)]
        } catch {
            switch error.errno {
            case EILSEQ: throw CommandError("\(name): not UTF-8")
            case EFBIG: throw CommandError("\(name): larger than 8 MiB")
            default: throw CommandError("\(name): \(String(cString: strerror(error.errno)))")
            }
        }
    }
}

/// Says on standard output what became of the pods, and what is pulled meanwhile.
private final class RunReport {
    private let progress = RunProgress()

    func take(_ message: JSONValue) {
        let pod = message["pod"]?.stringValue ?? ""
        switch message["event"]?.stringValue {
        case "created", "started":
            progress.clear()
            write("pod/\(pod) \(message["event"]?.stringValue ?? "")\n", to: STDOUT_FILENO)
        case "pull": progress.take(message)
        case "warning":
            progress.clear()
            warn(message["message"]?.stringValue ?? "")
        default: break
        }
    }

    func finish() { progress.clear() }
}
