// Programs run inside of a test's network namespace.
import CLinux
import Glibc
import Linux

extension TestNamespace {
    /// Runs `words` here to its end with `input` on standard input: its exit code, and what it wrote to standard output
    /// and error together. Paths `/proc/self/fd/4` and on are open on `others`.
    public func run(
        _ words: [String], input: String = "", others: [TestNamespace] = []
    ) throws -> (status: Int32, output: String) {
        let inputFile = try OwnedDescriptor(owning: check(cl_memfd_create("input"), "memfd_create"))
        let outputFile = try OwnedDescriptor(owning: check(cl_memfd_create("output"), "memfd_create"))
        try inputFile.writeAll(Array(input.utf8))
        lseek(inputFile.number, 0, SEEK_SET)
        let pid = try spawn(
            "/usr/bin/nsenter", arguments: ["nsenter", "--net=/proc/self/fd/3"] + words,
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            descriptors: [inputFile.number, outputFile.number, outputFile.number, descriptor.number]
                + others.map { $0.descriptor.number })
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        lseek(outputFile.number, 0, SEEK_SET)
        let output = String(decoding: try outputFile.readAll(), as: UTF8.self)
        return (cl_wifexited(status) ? cl_wexitstatus(status) : 128 + cl_wtermsig(status), output)
    }

    /// ``run(_:input:others:)`` of a program that must succeed; its output.
    @discardableResult
    public func output(of words: [String], input: String = "", others: [TestNamespace] = []) throws -> String {
        let result = try run(words, input: input, others: others)
        guard result.status == 0 else {
            throw TestFailure("`\(words.joined(separator: " "))`: exit code \(result.status)\n\(result.output)")
        }
        return result.output
    }
}
