import ContainerRuntime
import JSONTree
import Linux
import Resources
import Seccomp

/// The compiled seccomp programs of a node: compiled once for each profile and set of capabilities.
final class SeccompPrograms: Sendable {
    private let compiler = SeccompCompiler()

    /// The program of a container's profile; nil for Unconfined. A Localhost profile is read from below `directory` and
    /// never from outside of it.
    func program(
        for reference: SeccompProfileReference, capabilities: Capabilities, directory: String
    ) throws(PodError) -> [UInt8]? {
        let profile: SeccompProfile
        do {
            switch reference {
            case .unconfined: return nil
            case .runtimeDefault: profile = .runtimeDefault
            case .localhost(let path): profile = try Self.read(path, in: directory)
            }
            return try compiler.program(for: profile, capabilities: Set(capabilities.names)).bytes
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.invalid, "seccomp profile \(reference.label): \(error)")
        }
    }

    private static func read(_ path: String, in directory: String) throws(PodError) -> SeccompProfile {
        do {
            let root = try OwnedDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY)
            let file = try OwnedDescriptor(opening: path, in: root, flags: O_RDONLY, resolve: .beneath)
            return try SeccompProfile(json: JSONValue.parse(file.readAll(limit: 1 << 20, subject: path)))
        } catch {
            throw PodError(.invalid, "seccomp profile \(directory)/\(path): \(error)")
        }
    }
}

extension SeccompProfileReference {
    fileprivate var label: String {
        switch self {
        case .runtimeDefault: "RuntimeDefault"
        case .unconfined: "Unconfined"
        case .localhost(let path): "Localhost \(path)"
        }
    }
}
