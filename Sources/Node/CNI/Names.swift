// What the specification allows as names ("Parameters").

/// Rules for the words that a runtime passes to a plugin: some of them become file names.
enum CNINames {
    /// A letter or digit, then letters, digits, `_`, `.` and `-`. Container ids and network names are so.
    static func isIdentifier(_ text: String) -> Bool {
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
    }

    /// 1 to 15 bytes, neither `.` nor `..`, without `/`, `:` and white space (the kernel's own rule).
    static func isInterface(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a }
    }

    /// A plugin's `type` is the name of a file in a directory, and nothing that leads out of it.
    static func isPlugin(_ text: String) -> Bool {
        !text.isEmpty && text != "." && text != ".." && !text.utf8.contains(0x2f) && !text.utf8.contains(0)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
}
