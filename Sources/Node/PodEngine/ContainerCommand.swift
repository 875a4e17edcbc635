import OCI
import Resources

/// What a container runs: the pod's command, args and env laid over the image's, as Kubernetes does it ("Define a
/// Command and Arguments for a Container", "Define Dependent Environment Variables").
struct ContainerCommand: Sendable, Hashable {
    var arguments: [String]
    /// `NAME=value`, each name once.
    var environment: [String]
    var workingDirectory: String

    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// `fields` gives the value of a pod field such as `metadata.name`; nil for one that there is not.
    init(
        _ container: Container, image: ImageConfig, hostname: String, fields: (String) -> String?
    ) throws(PodError) {
        var declared: [String: String] = [:]
        var names: [String] = []
        for variable in container.env {
            let value: String
            switch variable.source {
            case .value(let text): value = expandVariables(in: text) { declared[$0] }
            case .field(let path):
                guard let field = fields(path) else {
                    throw PodError(.invalid, "env \(variable.name): fieldPath \(path) has no value here")
                }
                value = field
            }
            if declared.updateValue(value, forKey: variable.name) == nil { names.append(variable.name) }
        }
        var values: [String: String] = [:]
        var order: [String] = []
        func set(_ name: String, _ value: String) {
            if values.updateValue(value, forKey: name) == nil { order.append(name) }
        }
        set("PATH", Self.defaultPath)
        set("HOSTNAME", hostname)
        if container.tty { set("TERM", "xterm") }
        for pair in image.environment {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            set(String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
        for name in names { set(name, declared[name] ?? "") }
        environment = order.map { "\($0)=\(values[$0] ?? "")" }

        func expanded(_ words: [String]?) -> [String] {
            (words ?? []).map { word in expandVariables(in: word) { declared[$0] } }
        }
        let command = expanded(container.command)
        let args = expanded(container.args)
        if !command.isEmpty {
            arguments = command + args
        } else {
            arguments = image.entrypoint + (args.isEmpty ? image.command : args)
        }
        guard !arguments.isEmpty else {
            throw PodError(
                .invalid, "no command specified: neither the container nor its image \(container.image) has one")
        }
        workingDirectory = container.workingDir ?? image.workingDirectory
        if workingDirectory.isEmpty { workingDirectory = "/" }
    }

    /// Adds `HOME` where neither image nor pod sets it.
    mutating func setHome(_ home: String) {
        if !environment.contains(where: { $0.hasPrefix("HOME=") }) { environment.append("HOME=\(home)") }
    }
}
