import Glibc
import JSONTree
import Linux

/// What a plugin is asked to do (`CNI_COMMAND`).
enum CNICommand: String {
    case add = "ADD"
    case delete = "DEL"
    case check = "CHECK"
    case collect = "GC"
    case status = "STATUS"
    case version = "VERSION"
}

/// Finds plugins, calls them and understands what they answer ("Execution Protocol").
struct PluginCaller: Sendable {
    /// Where plugins are looked for, in this order.
    let directories: [String]
    /// After so many seconds a plugin is killed.
    let seconds: Int
    /// What plugins inherit: all but variables of the protocol.
    private let environment: [String]

    init(directories: [String], seconds: Int) {
        self.directories = directories
        self.seconds = seconds
        // Plugins run programs of their own (iptables, ebtables), which Debian has in /usr/sbin.
        let inherited = Self.ownEnvironment().filter { !$0.hasPrefix("CNI_") }
        let hasPath = inherited.contains { $0.hasPrefix("PATH=") }
        environment = inherited + (hasPath ? [] : ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    /// The program of the plugin `type`.
    func find(_ type: String) throws(ChainError) -> String {
        for directory in directories {
            let path = "\(directory)/\(type)"
            var status = stat()
            if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(path, X_OK) == 0 { return path }
        }
        throw .pluginMissing(type, directories: directories)
    }

    /// Calls the plugin `type`. Its answer: nil where the plugin printed nothing.
    func call(
        _ command: CNICommand, _ type: String, input: JSONObject, attachment: AttachmentRecord? = nil,
        networkNamespacePath: String = ""
    ) throws(ChainError) -> JSONValue? {
        let path = try find(type)
        var variables = ["CNI_COMMAND=\(command.rawValue)", "CNI_PATH=\(directories.joined(separator: ":"))"]
        if let attachment {
            variables += [
                "CNI_CONTAINERID=\(attachment.containerID)", "CNI_IFNAME=\(attachment.interface)",
                "CNI_NETNS=\(networkNamespacePath)",
                "CNI_ARGS=" + attachment.arguments.map { "\($0.key)=\($0.value)" }.joined(separator: ";"),
            ]
        }
        let process = PluginProcess(
            path: path, environment: environment + variables, input: JSONValue.object(input).encoded(),
            seconds: seconds)
        do {
            return try answer(of: try process.run(), type, command)
        } catch let error as ChainError {
            throw error
        } catch let error as SystemError {
            throw .system(error)
        } catch {
            throw .unintelligible(plugin: type, command: command.rawValue, "\(error)")
        }
    }

    private func answer(
        of ending: PluginProcess.Ending, _ type: String, _ command: CNICommand
    ) throws(ChainError) -> JSONValue? {
        if ending.timedOut { throw .timedOut(plugin: type, command: command.rawValue, seconds: seconds) }
        func unintelligible(_ what: String) -> ChainError {
            let words = String(decoding: ending.errors, as: UTF8.self).split(whereSeparator: \.isNewline)
            let said = words.isEmpty ? "" : "; standard error: \(words.joined(separator: " | "))"
            return .unintelligible(plugin: type, command: command.rawValue, what + said)
        }
        if ending.outputTooLong { throw unintelligible("answered with more than \(PluginProcess.outputLimit) bytes") }
        guard cl_wifexited(ending.status) else {
            throw unintelligible("was killed by signal \(cl_wtermsig(ending.status))")
        }
        let code = cl_wexitstatus(ending.status)
        let isEmpty = ending.output.allSatisfy { [0x20, 0x0a, 0x0d, 0x09].contains($0) }
        let value = isEmpty ? nil : try? JSONValue.parse(ending.output)
        if code != 0 {
            if let error = value.flatMap({ CNIError($0) }) {
                throw .refused(plugin: type, command: command.rawValue, error)
            }
            let start = String(decoding: ending.output.prefix(200), as: UTF8.self)
            throw unintelligible("exit code \(code)" + (isEmpty ? " without an error object" : ": '\(start)'"))
        }
        if isEmpty { return nil }
        guard let value, value.objectValue != nil else {
            let start = String(decoding: ending.output.prefix(200), as: UTF8.self)
            throw unintelligible("answered with what is no JSON object: '\(start)'")
        }
        return value
    }

    /// What this process was started with.
    private static func ownEnvironment() -> [String] {
        guard let bytes = try? readFile("/proc/self/environ") else { return [] }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
