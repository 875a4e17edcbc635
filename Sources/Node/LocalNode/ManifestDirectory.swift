// The directory of manifests: which of its files count, what they say, and what they said when they were last right.
import JSONTree
import Linux
import Resources

/// What a file says.
struct ManifestContent: Sendable, Hashable {
    var pods: [DesiredPod] = []
    var services: [SourcedService] = []
}

/// A directory of Pod and Service manifests, read again at each ``scan()``.
struct ManifestDirectory: Sendable {
    /// Reads a file's bytes as manifests, or says why they are none, one line for each problem, beginning with the path.
    typealias Loader = @Sendable (_ path: String, _ bytes: [UInt8]) -> Result<ManifestContent, ManifestProblems>

    /// The most bytes of one file.
    static let sizeLimit = 8 << 20

    private struct File: Sendable {
        var bytes: [UInt8]
        /// What the file said when it was last right; nil if that was never.
        var content: ManifestContent?
        var isBroken: Bool
    }

    let path: String
    private let load: Loader
    private var files: [String: File] = [:]

    init(_ path: String, load: @escaping Loader) {
        self.path = path
        self.load = load
    }

    /// Whether a file of this name counts: `*.yaml`, `*.yml` and `*.json`, but not what editors and tools keep beside them
    /// (`.web.yaml.swp`, `web.yaml~`, `.#web.yaml`, `4913`).
    static func counts(_ name: String) -> Bool {
        !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) && name != $0 }
    }

    /// Reads what is new or changed. Returns what there is to say about it, a line each; a file that was wrong before and
    /// did not change is not mentioned again. A directory that cannot be read changes nothing.
    mutating func scan() throws(SystemError) -> [String] {
        var problems: [String] = []
        var seen: Set<String> = []
        for name in try listDirectory(path) where Self.counts(name) {
            let file = "\(path)/\(name)"
            var status = stat()
            guard stat(file, &status) == 0 else {
                // A link that leads nowhere is a file that is not there.
                continue
            }
            guard status.st_mode & S_IFMT == S_IFREG else { continue }
            seen.insert(file)
            do throws(SystemError) {
                let bytes = try readFile(file, limit: Self.sizeLimit)
                if let known = files[file], known.bytes == bytes { continue }
                switch load(file, bytes) {
                case .success(let content): files[file] = File(bytes: bytes, content: content, isBroken: false)
                case .failure(let found):
                    problems += found.lines
                    files[file] = File(bytes: bytes, content: files[file]?.content, isBroken: true)
                }
            } catch {
                if error.errno == ENOENT {
                    seen.remove(file)
                    continue
                }
                problems.append("\(file): \(String(cString: strerror(error.errno)))")
                files[file] = File(bytes: [], content: files[file]?.content, isBroken: true)
            }
        }
        files = files.filter { seen.contains($0.key) }
        return problems
    }

    private var sorted: [File] { files.sorted { $0.key < $1.key }.map(\.value) }

    /// The pods that the files ask for, files in the order of their names; of a broken file those of its last good version.
    var pods: [DesiredPod] { sorted.flatMap { $0.content?.pods ?? [] } }

    /// The Services likewise.
    var services: [SourcedService] { sorted.flatMap { $0.content?.services ?? [] } }

    /// Files that are wrong and were never right since this agent started: what they asked for before is not known.
    var unread: Set<String> { Set(files.filter { $0.value.isBroken && $0.value.content == nil }.keys) }
}

/// Why a file holds no manifests.
struct ManifestProblems: Error, Sendable, Hashable {
    let lines: [String]
}
