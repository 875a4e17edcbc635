import Glibc
import Linux
import Synchronization

/// Small images out of this machine's Debian packages, made once per test run (scripts/lib/images).
public enum TestImages {
    /// The repository, found from this file.
    public static let repository: String = {
        let parts = #filePath.split(separator: "/")
        return "/" + parts.dropLast(3).joined(separator: "/")
    }()

    private static let made = Mutex<[String: String]>([:])

    /// An OCI layout with the image `kind` (`busybox` or `nginx`), tagged the same. Nobody may write into it.
    public static func layout(_ kind: String) throws -> String {
        try once("layout-\(kind)") { ["layout", kind, $0] }
    }

    /// The root file system of `kind` as a directory. Nobody may write into it.
    public static func rootfs(_ kind: String) throws -> String {
        try once("rootfs-\(kind)") { ["rootfs", kind, $0] }
    }

    /// Made below the build directory, by whom it is needed first; other test processes use it too.
    private static func once(_ name: String, _ command: (String) -> [String]) throws -> String {
        try made.withLock { made in
            if let path = made[name] { return path }
            let parent = "\(repository)/.build/test-images"
            try makeDirectories(parent)
            let path = "\(parent)/\(name)"
            let lock = try FileLock("\(parent)/lock")
            if !fileExists(path) {
                let fresh = "\(path).new"
                try removeTree(fresh)
                let output = try makePipe()
                let pid = try spawn(
                    "\(repository)/scripts/lib/images", arguments: ["images"] + command(fresh),
                    environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
                    descriptors: [-1, output.write.number, output.write.number])
                output.write.close()
                let outcome = try collect(
                    ["scripts/lib/images"] + command(fresh), pid: pid, output: output.read, errors: nil, seconds: 60)
                try outcome.orFail()
                guard rename(fresh, path) == 0 else { throw SystemError("rename", path) }
            }
            _ = consume lock
            made[name] = path
            return path
        }
    }
}
