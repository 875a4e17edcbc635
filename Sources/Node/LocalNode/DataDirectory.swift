// The data directory's format number, so that no older program misreads what a newer one wrote.
import Linux

public enum DataDirectory {
    /// The format that this release reads and writes.
    public static let format = 1

    /// Makes the directory where it is missing and checks its `version` file; one of a newer format is refused.
    public static func open(_ path: String) throws(NodeError) {
        do {
            try makeDirectories(path, mode: 0o755)
            let file = "\(path)/version"
            guard fileExists(file) else {
                try writeFileAtomically(file, Array("\(format)\n".utf8), durable: true)
                return
            }
            try check(try readText(file, limit: 4096), file)
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("data directory \(path): \(error)")
        }
    }

    /// The same for commands that only read: an absent directory or file is fine.
    public static func checkReadable(_ path: String) throws(NodeError) {
        let file = "\(path)/version"
        guard let text = try? readText(file, limit: 4096) else { return }
        try check(text, file)
    }

    private static func check(_ text: String, _ file: String) throws(NodeError) {
        let digits = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        guard let number = Int(digits), number > 0 else {
            throw NodeError("\(file): not a format number: \"\(digits)\"")
        }
        guard number <= format else {
            throw NodeError(
                "\(file): the data directory has format \(number), this release of swiftlet knows up to \(format): "
                    + "use a newer swiftlet")
        }
    }
}
