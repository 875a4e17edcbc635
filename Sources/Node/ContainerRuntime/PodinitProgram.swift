import CLinux
import Glibc
import Linux

/// The podinit program: found once, copied to a sealed memfd, and started from there for every pod, so that nothing in
/// a container can write to it through `/proc/<pid>/exe` (CVE-2019-5736) and all pods share its pages.
public final class PodinitProgram: Sendable {
    private let memory: OwnedDescriptor

    /// `$SWIFTLET_PODINIT`, else `podinit` next to the executable, else `../libexec/swiftlet/podinit` seen from there.
    public static func locate() throws(LaunchError) -> String {
        if let path = getenv("SWIFTLET_PODINIT") { return String(cString: path) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        if length < 0 { throw LaunchError(SystemError("readlink", "/proc/self/exe")) }
        let executable = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let directory = parentDirectory(of: executable)
        let candidates = ["\(directory)/podinit", "\(directory)/../libexec/swiftlet/podinit"]
        for path in candidates where access(path, X_OK) == 0 { return path }
        throw LaunchError(
            step: .podinit, subject: "not found as \(candidates.joined(separator: " or ")); set SWIFTLET_PODINIT",
            errno: ENOENT)
    }

    /// Loads the program at `path`.
    public init(path: String) throws(LaunchError) {
        do {
            let sealed = try sealedMemoryFile(named: "podinit", try readFile(path, limit: 16 << 20))
            // Above the numbers that the child's own descriptors get.
            let number = fcntl(sealed.number, F_DUPFD_CLOEXEC, 16)
            memory = OwnedDescriptor(owning: try check(number, "fcntl", "F_DUPFD_CLOEXEC"))
        } catch {
            throw LaunchError(error)
        }
    }

    /// Starts the program with `listener` as descriptor 3 and nothing else of ours; `label` is what ps(1) shows.
    func start(listener: Int32, label: String) throws(SystemError) -> pid_t {
        try spawn(
            "/proc/self/fd/\(memory.number)", arguments: ["podinit", label], environment: [],
            descriptors: [-1, -1, -1, listener])
    }
}
