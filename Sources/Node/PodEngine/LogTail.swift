import Linux

/// The last lines of a container's log, out of the CRI format (`TIME stdout F text`).
enum LogTail {
    /// Of a container's log files those of runs before the last `kept` up to run number `attempt`: a container that
    /// crashes for ever must not fill the disk.
    static func files(of names: [String], beforeLast kept: Int, of attempt: Int) -> [String] {
        names.filter { name in
            let number = name.prefix { $0 != "." }
            guard let run = Int(number), name.dropFirst(number.count).hasPrefix(".log") else { return false }
            return run <= attempt - kept
        }
    }

    /// At most `lines` lines and `bytes` bytes of text; empty if there is no log.
    static func text(_ path: String, lines: Int, bytes: Int) -> String {
        guard let file = try? OwnedDescriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW) else { return "" }
        // A line's frame takes some 45 bytes: reading four times the text is enough for lines of 15 bytes and more.
        let size = lseek(file.number, 0, SEEK_END)
        lseek(file.number, max(0, size - off_t(bytes * 4 + 16384)), SEEK_SET)
        guard let content = try? file.readAll(limit: bytes * 4 + 65536, subject: path) else { return "" }
        let texts = content.split(separator: UInt8(ascii: "\n")).compactMap { line -> String? in
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 4 else { return nil }
            // P: the line goes on in the next record.
            return String(decoding: parts[3], as: UTF8.self) + (parts[2] == [UInt8(ascii: "P")] ? "" : "\n")
        }
        let text = texts.suffix(lines).joined()
        return text.utf8.count <= bytes ? text : String(decoding: Array(text.utf8).suffix(bytes), as: UTF8.self)
    }
}
