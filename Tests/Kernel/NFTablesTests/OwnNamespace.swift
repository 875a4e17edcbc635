// A network namespace of the test's own, and the nft program run inside of it.
import CLinux
import Glibc
import Linux
import Testing

/// Lives as long as the value.
final class OwnNamespace: Sendable {
    let descriptor: OwnedDescriptor

    init() throws {
        // unshare(2) changes the calling thread for good: a thread of its own does it and ends.
        let result = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.pointee = -EINVAL
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { context in
                guard let result = context?.assumingMemoryBound(to: Int32.self) else { return nil }
                let opened =
                    cl_unshare(Int32(CLONE_NEWNET)) < 0 ? -1 : open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
                result.pointee = opened < 0 ? -errno : opened
                return nil
            }, result)
        guard failure == 0 else { throw SystemError("pthread_create", errno: failure) }
        pthread_join(thread, nil)
        guard result.pointee >= 0 else { throw SystemError("unshare", "CLONE_NEWNET", errno: -result.pointee) }
        descriptor = OwnedDescriptor(owning: result.pointee)
    }

    /// Runs the nft program here with `arguments` and `input`; its exit code and what it wrote.
    func nft(_ arguments: [String], input: String = "") throws -> (status: Int32, output: String) {
        let inputFile = try OwnedDescriptor(owning: check(cl_memfd_create("input"), "memfd_create"))
        let outputFile = try OwnedDescriptor(owning: check(cl_memfd_create("output"), "memfd_create"))
        try inputFile.writeAll(Array(input.utf8))
        lseek(inputFile.number, 0, SEEK_SET)
        let words = ["nsenter", "--net=/proc/self/fd/3", "nft"] + arguments
        let pid = try spawn(
            "/usr/bin/nsenter", arguments: words, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            descriptors: [inputFile.number, outputFile.number, outputFile.number, descriptor.number])
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        lseek(outputFile.number, 0, SEEK_SET)
        let output = try outputFile.readAll()
        return (cl_wifexited(status) ? cl_wexitstatus(status) : -1, String(decoding: output, as: UTF8.self))
    }

    func list(_ table: String) throws -> String {
        try nft(["list", "table"] + table.split(separator: " ").map(String.init)).output
    }
}
