import Linux
import Testing

@testable import Cgroups

/// A directory of our own, removed with everything in it.
final class TemporaryTree: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/swiftlet-cgroups-XXXXXX".utf8CString)
        path = try template.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, mkdtemp(base) != nil else { throw SystemError("mkdtemp") }
            return String(cString: base)
        }
    }

    deinit { try? removeTree(path) }

    func write(_ file: String, _ text: String) throws {
        let file = "\(path)/\(file)"
        try makeDirectories(parentDirectory(of: file))
        try writeFileAtomically(file, Array(text.utf8))
    }

    func read(_ file: String) throws -> String { try readText("\(path)/\(file)") }
}

/// Ordinary files that look like a version 2 hierarchy: what is written can be read, nothing else happens.
struct FakeUnified {
    let tree: TemporaryTree
    let system: CgroupSystem

    init(controllers: String = "cpuset cpu io memory pids\n") throws {
        tree = try TemporaryTree()
        try tree.write("cgroup.controllers", controllers)
        try tree.write("cgroup.subtree_control", "\n")
        let mount = CgroupMount(version: .v2, mountPoint: tree.path, options: ["rw"])
        system = try CgroupSystem(mounts: [mount], root: tree.path, verify: false)
    }

    func cgroup(_ path: String, files: [String: String]) throws -> Cgroup {
        for (file, text) in files { try tree.write("\(path)/\(file)", text) }
        return try Cgroup(system: system, path: "/\(path)")
    }
}

/// A cgroup of the real host under a parent of this process's own, removed with all below when the test ends.
final class RealCgroup: Sendable {
    let cgroup: Cgroup

    init(_ name: String, system: CgroupSystem? = nil) throws {
        let system = try system ?? CgroupSystem.detect()
        cgroup = try Cgroup(system: system, path: "/swiftlet-test-\(getpid())-\(name)")
        try cgroup.create()
    }

    deinit {
        do {
            try cgroup.kill()
            try cgroup.remove()
        } catch {
            Issue.record("left behind: \(error)")
        }
    }
}

extension CgroupSystem {
    /// The version 2 hierarchy of this host alone, whatever else is mounted.
    static func unifiedOnly() throws -> CgroupSystem? {
        guard let mountPoint = try detect().unified?.mountPoint else { return nil }
        return try CgroupSystem(
            mounts: [CgroupMount(version: .v2, mountPoint: mountPoint, options: ["rw"])], root: mountPoint)
    }

    /// The version 1 hierarchies of this host alone.
    static func legacyOnly() throws -> CgroupSystem? {
        let mounts = CgroupMount.parse(mountinfo: try readText("/proc/self/mountinfo"), under: "/sys/fs/cgroup")
            .filter { $0.version == .v1 }
        return mounts.isEmpty ? nil : try CgroupSystem(mounts: mounts, root: "/sys/fs/cgroup")
    }
}

/// A shell that enters a cgroup before it runs a script. Killed and reaped when this goes.
final class Child {
    let pid: pid_t
    private let output: OwnedDescriptor
    private var status: Int32?

    init(in cgroup: Cgroup, _ script: String) throws {
        let entrance = try cgroup.processDescriptors()
        var pipeEnds: [Int32] = [-1, -1]
        // Not close-on-exec, but spawn passes only what it is told to.
        try check(pipe(&pipeEnds), "pipe")
        output = OwnedDescriptor(owning: pipeEnds[0])
        let writeEnd = OwnedDescriptor(owning: pipeEnds[1])
        let enter = entrance.numbers.indices.map { "echo 0 >&\($0 + 3) || exit 99\nexec \($0 + 3)>&-\n" }.joined()
        // dash knows only descriptors 3 to 9 by number; bash knows all.
        pid = try spawn(
            "/bin/bash", arguments: ["bash", "-c", enter + script], environment: ["PATH=/usr/bin:/bin"],
            descriptors: [-1, writeEnd.number, -1] + entrance.numbers)
    }

    /// Waits for the first `count` bytes of output, or the end of it.
    func read(_ count: Int = 1) throws -> String {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var buffer = [UInt8](repeating: 0, count: 256)
            let got = try check(Glibc.read(output.number, &buffer, buffer.count), "read")
            if got == 0 { break }
            bytes += buffer.prefix(got)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits for the end. The status word of wait(2).
    @discardableResult
    func wait() throws -> Int32 {
        if let status { return status }
        var word: Int32 = 0
        try check(waitpid(pid, &word, 0), "waitpid")
        status = word
        return word
    }

    var exitCode: Int32? {
        get throws {
            let word = try wait()
            return cl_wifexited(word) ? cl_wexitstatus(word) : nil
        }
    }

    deinit {
        if status == nil {
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
    }
}
