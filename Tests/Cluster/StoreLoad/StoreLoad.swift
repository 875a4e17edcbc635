// StoreLoad: puts load on a store. `bench` measures and prints Markdown (scripts/bench store); `hammer` writes until it
// is killed, `fill` until the disk is full (Tests/Cluster/StoreTests).
import Glibc
import Linux
import Store

@main struct StoreLoad {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch (arguments.first, arguments.count) {
        case ("bench", 2): try await Bench(directory: arguments[1]).run()
        case ("hammer", 2): try await hammer(arguments[1])
        case ("fill", 2): try await fill(arguments[1])
        default:
            say("usage: StoreLoad bench|hammer|fill DIRECTORY")
            exit(2)
        }
    }
}

/// Writes a line at once: the reader has all lines that were written before this process was killed.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}
