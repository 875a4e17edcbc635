// Where in a text a value stands: asked only when there is something to complain about, so parsing need not remember
// it.

extension JSONPath {
    /// The line (from 1) in the JSON text `bytes` where this path leads: where the member's key stands, or the element;
    /// of what contains it, where the path leads further than the text. `bytes` must be JSON, as the parser accepts it.
    public func line(in bytes: [UInt8]) -> Int {
        return 1 + bytes[..<offset(in: bytes)].count { $0 == UInt8(ascii: "\n") }
    }

    /// The same as ``line(in:)`` as an offset in bytes, from 0.
    public func offset(in bytes: [UInt8]) -> Int {
        var locator = JSONLocator(bytes: bytes)
        return min(locator.offset(of: steps[...]), bytes.count)
    }
}

private struct JSONLocator {
    let bytes: [UInt8]
    var position = 0

    mutating func offset(of steps: ArraySlice<JSONPath.Step>) -> Int {
        skipSpace()
        var found = position
        for step in steps {
            guard let next = enter(step) else { return found }
            found = next
        }
        return found
    }

    /// Goes to the value that `step` leads to from the one at the position. Gives where its key, or itself, starts.
    private mutating func enter(_ step: JSONPath.Step) -> Int? {
        switch (step, peek()) {
        case (.field(let key), UInt8(ascii: "{")), (.key(let key), UInt8(ascii: "{")): member(key)
        case (.index(let index), UInt8(ascii: "[")): element(index)
        default: nil
        }
    }

    private mutating func member(_ wanted: String) -> Int? {
        position += 1
        while true {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { return nil }
            let start = position
            skipValue()
            let key = try? JSONValue.parse(Array(bytes[start..<position])).stringValue
            skipSpace()
            position += 1  // The colon.
            skipSpace()
            if let key, sameBytes(key, wanted) { return start }
            skipValue()
            skipSpace()
            guard peek() == UInt8(ascii: ",") else { return nil }
            position += 1
        }
    }

    private mutating func element(_ index: Int) -> Int? {
        position += 1
        skipSpace()
        if peek() == UInt8(ascii: "]") { return nil }
        for _ in 0..<index {
            skipValue()
            skipSpace()
            guard peek() == UInt8(ascii: ",") else { return nil }
            position += 1
            skipSpace()
        }
        return position
    }

    private mutating func skipValue() {
        var depth = 0
        repeat {
            switch peek() {
            case UInt8(ascii: "\""): skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: skipWord()
            }
        } while depth > 0 && position < bytes.count
    }

    private mutating func skipString() {
        position += 1
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        position += 1
    }

    /// Skips a number or a word; at least one byte.
    private mutating func skipWord() {
        position += 1
        while position < bytes.count, !Array(",:]} \n\r\t".utf8).contains(bytes[position]) { position += 1 }
    }

    private func peek() -> UInt8 { position < bytes.count ? bytes[position] : 0 }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
    }
}
