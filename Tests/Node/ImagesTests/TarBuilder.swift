// Tar archives byte by byte, also such as no honest program would write.

struct TarEntry {
    var name: String
    var type: Character = "0"
    var content: [UInt8] = []
    var link = ""
    var mode = 0o644
    var uid = 0
    var gid = 0
    var mtime = 1_700_000_000
    var device = (0, 0)
    /// Records of a pax header before the entry.
    var pax: [(String, [UInt8])] = []

    static func file(_ name: String, _ content: String, mode: Int = 0o644) -> TarEntry {
        TarEntry(name: name, content: Array(content.utf8), mode: mode)
    }
    static func directory(_ name: String, mode: Int = 0o755) -> TarEntry { TarEntry(name: name, type: "5", mode: mode) }
    static func symlink(_ name: String, to target: String) -> TarEntry {
        TarEntry(name: name, type: "2", link: target, mode: 0o777)
    }
    static func hardlink(_ name: String, to target: String) -> TarEntry {
        TarEntry(name: name, type: "1", link: target)
    }
}

/// The archive, with its end.
func tar(_ entries: [TarEntry]) -> [UInt8] {
    var bytes: [UInt8] = []
    for entry in entries {
        if !entry.pax.isEmpty {
            var records: [UInt8] = []
            for (key, value) in entry.pax { records += paxRecord(key, value) }
            bytes += header(TarEntry(name: "pax", type: "x", content: records)) + padded(records)
        }
        bytes += header(entry) + padded(entry.content)
    }
    return bytes + [UInt8](repeating: 0, count: 1024)
}

private func paxRecord(_ key: String, _ value: [UInt8]) -> [UInt8] {
    let body = [UInt8](" \(key)=".utf8) + value + [10]
    var length = body.count
    while String(length).utf8.count + body.count != length { length = String(length).utf8.count + body.count }
    return [UInt8](String(length).utf8) + body
}

private func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
}

private func header(_ entry: TarEntry) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int, _ size: Int) {
        for (index, byte) in text.utf8.prefix(size).enumerated() { block[offset + index] = byte }
    }
    func octal(_ value: Int, at offset: Int, _ size: Int) {
        let digits = String(value, radix: 8)
        put(String(repeating: "0", count: max(0, size - 1 - digits.utf8.count)) + digits, at: offset, size - 1)
    }
    put(entry.name, at: 0, 100)
    octal(entry.mode, at: 100, 8)
    octal(entry.uid, at: 108, 8)
    octal(entry.gid, at: 116, 8)
    octal(entry.content.count, at: 124, 12)
    octal(entry.mtime, at: 136, 12)
    put("        ", at: 148, 8)
    put(String(entry.type), at: 156, 1)
    put(entry.link, at: 157, 100)
    put("ustar", at: 257, 6)
    put("00", at: 263, 2)
    octal(entry.device.0, at: 329, 8)
    octal(entry.device.1, at: 337, 8)
    let sum = block.reduce(0) { $0 + Int($1) }
    octal(sum, at: 148, 7)
    block[155] = 32
    return block
}
