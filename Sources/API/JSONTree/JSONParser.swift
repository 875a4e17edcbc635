// Bytes to tree: one pass, no look-back, strings made straight from the bytes.

/// Why bytes are no JSON, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, without the place.
    public let message: String
    /// The offending byte, from 0.
    public let offset: Int
    /// Line and column (in bytes) of the offending byte, from 1.
    public let line: Int
    public let column: Int

    public var description: String { "line \(line), column \(column): \(message)" }
}

extension JSONValue {
    /// How deep arrays and objects may nest. Parsing, comparing and freeing a tree recurse; 512 levels fit the smallest
    /// thread's stack, and no object of Kubernetes comes near (it allows 10,000 itself).
    public static let maximumDepth = 512

    /// Reads one JSON text (RFC 8259, UTF-8).
    ///
    /// Refused, with the place: whatever the grammar refuses, invalid UTF-8, lone surrogates, a key that comes twice in
    /// an object, nesting beyond `maximumDepth`, anything but white space after the value.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSONValue in try parse(buffer) }
    }

    public static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8))
    }

    public static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) -> JSONValue {
        var parser = JSONParser(bytes)
        return try parser.document()
    }

    /// Reads one JSON text in which keys may come twice: the last value counts, in the place of the first.
    ///
    /// - Returns: the value, and where keys came again, in the order of the text: each place once, and of a flood the
    ///   first 1000.
    public static func parseAllowingDuplicates(
        _ bytes: [UInt8]
    ) throws(JSONError) -> (value: JSONValue, duplicates: [JSONDuplicate]) {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> (JSONValue, [JSONDuplicate]) in
            var parser = JSONParser(buffer, allowsDuplicates: true)
            let value = try parser.document()
            var seen: Set<JSONPath> = []
            return (value, parser.duplicates.filter { seen.insert($0.path).inserted })
        }
    }
}

/// A key that came again in its object.
public struct JSONDuplicate: Sendable, Hashable {
    /// Every member in it is a `field`.
    public let path: JSONPath
    /// Where in the text it came again: the key's first byte, from 0.
    public let offset: Int
}

private struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depth = 0
    /// Where the parser is, kept only where duplicates are allowed.
    private var steps: [JSONPath.Step] = []
    private let allowsDuplicates: Bool
    private(set) var duplicates: [JSONDuplicate] = []

    init(_ bytes: UnsafeBufferPointer<UInt8>, allowsDuplicates: Bool = false) {
        self.bytes = bytes
        self.allowsDuplicates = allowsDuplicates
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw unexpected("the end") }
        return value
    }

    // MARK: Values

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        switch peek() {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw unexpected("a value")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count else { throw unexpected("a value") }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] { throw unexpected("a value") }
        position += count
        return value
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        try enter()
        var elements: [JSONValue] = []
        skipSpace()
        if peek() == UInt8(ascii: "]") {
            leave()
            return .array(elements)
        }
        while true {
            if allowsDuplicates { steps.append(.index(elements.count)) }
            elements.append(try value())
            if allowsDuplicates { steps.removeLast() }
            skipSpace()
            switch peek() {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                leave()
                return .array(elements)
            default: throw unexpected("\",\" or \"]\"")
            }
        }
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        try enter()
        var entries: [JSONObject.Entry] = []
        entries.reserveCapacity(4)  // Most have three or more members; growing one by one costs a tenth of the time.
        var places: [JSONKey: Int]?
        skipSpace()
        if peek() == UInt8(ascii: "}") {
            leave()
            return .object(JSONObject(unchecked: entries))
        }
        while true {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
            let start = position
            let key = try string()
            let place = place(of: key, entries, &places)
            guard place == nil || allowsDuplicates else { throw error("duplicate key \"\(key)\"", at: start) }
            skipSpace()
            guard peek() == UInt8(ascii: ":") else { throw unexpected("\":\"") }
            position += 1
            if allowsDuplicates { steps.append(.field(key)) }
            if let place {
                if duplicates.count < 1000 {
                    duplicates.append(JSONDuplicate(path: JSONPath(steps), offset: start))
                }
                entries[place].value = try value()
            } else {
                entries.append(JSONObject.Entry(key: key, value: try value()))
            }
            if allowsDuplicates { steps.removeLast() }
            skipSpace()
            switch peek() {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                leave()
                return .object(JSONObject(unchecked: entries))
            default: throw unexpected("\",\" or \"}\"")
            }
        }
    }

    /// Where the key is already. Few keys are compared one by one; many are hashed, so that a hostile object costs
    /// linear time.
    @inline(__always)
    private func place(of key: String, _ entries: [JSONObject.Entry], _ places: inout [JSONKey: Int]?) -> Int? {
        if entries.count >= 24 { return placeAmongMany(key, entries, &places) }
        for index in entries.indices where sameBytes(entries[index].key, key) { return index }
        return nil
    }

    /// To be asked for every key once there are many: a new key is noted as the next entry.
    @inline(never)
    private func placeAmongMany(
        _ key: String, _ entries: [JSONObject.Entry], _ places: inout [JSONKey: Int]?
    ) -> Int? {
        var known =
            places
            ?? Dictionary(entries.enumerated().map { (JSONKey($0.element.key), $0.offset) }) { first, _ in first }
        places = nil  // So that the dictionary is changed in place.
        defer { places = known }
        let key = JSONKey(key)
        if let place = known[key] { return place }
        known[key] = entries.count
        return nil
    }

    private mutating func enter() throws(JSONError) {
        guard depth < JSONValue.maximumDepth else {
            throw error("nested deeper than \(JSONValue.maximumDepth) levels", at: position)
        }
        depth += 1
        position += 1
    }

    private mutating func leave() {
        depth -= 1
        position += 1
    }

    // MARK: Numbers

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        let negative = peek() == UInt8(ascii: "-")
        if negative { position += 1 }
        var magnitude: Int64 = 0  // Kept negative: its range is one larger there.
        var fits = true
        let digits = position
        while let digit = digit() {
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, borrow) = product.subtractingReportingOverflow(Int64(digit))
            if overflow || borrow { fits = false }
            magnitude = sum
            position += 1
        }
        guard position > digits else { throw unexpected("a digit") }
        if bytes[digits] == UInt8(ascii: "0"), position - digits > 1 {
            throw error("a number must not start with 0", at: digits)
        }
        var whole = true
        if peek() == UInt8(ascii: ".") {
            whole = false
            position += 1
            try someDigits()
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            whole = false
            position += 1
            if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { position += 1 }
            try someDigits()
        }
        if whole, fits {
            if negative, magnitude != 0 { return .integer(magnitude) }
            if !negative, magnitude != .min { return .integer(-magnitude) }
        }
        return .number(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private func digit() -> UInt8? {
        guard position < bytes.count else { return nil }
        let digit = bytes[position] &- UInt8(ascii: "0")
        return digit < 10 ? digit : nil
    }

    private mutating func someDigits() throws(JSONError) {
        guard digit() != nil else { throw unexpected("a digit") }
        while digit() != nil { position += 1 }
    }

    // MARK: Strings

    /// Reads the string whose opening quote is at `position`.
    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        var seen: UInt8 = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let content = UnsafeBufferPointer(rebasing: bytes[start..<position])
                let text = seen < 0x80 ? Self.ascii(content) : try text(content, from: start)
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            if byte < 0x20 { throw control() }
            seen |= byte
            position += 1
        }
        throw error("unterminated string", at: start - 1)
    }

    /// Quicker than the generic initializers of String, and most strings are ASCII.
    private static func ascii(_ content: UnsafeBufferPointer<UInt8>) -> String {
        String(unsafeUninitializedCapacity: content.count) { storage in
            _ = storage.update(fromContentsOf: content)
            return content.count
        }
    }

    /// Goes on with a string at its first backslash.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var content = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw invalidUTF8(from: start) }
                position += 1
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case ..<0x20: throw control()
            default:
                content.append(byte)
                position += 1
            }
        }
        throw error("unterminated string", at: start - 1)
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        let start = position
        guard position + 1 < bytes.count else { throw error("unterminated string", at: start) }
        position += 2
        switch bytes[start + 1] {
        case UInt8(ascii: "\""): content.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): content.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): content.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try codePoint(from: start)) else {
                throw error("lone surrogate in a \\u escape", at: start)
            }
            content.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: throw error("unknown escape in a string", at: start)
        }
    }

    /// The code point of a `\u` escape, or of two that make a surrogate pair; a lone surrogate as it is.
    private mutating func codePoint(from start: Int) throws(JSONError) -> UInt32 {
        let first = try fourHexDigits(start)
        guard (0xD800..<0xDC00).contains(first), position + 1 < bytes.count,
            bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
        else { return first }
        position += 2
        let second = try fourHexDigits(position - 2)
        guard (0xDC00..<0xE000).contains(second) else { return first }
        return 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }

    private mutating func fourHexDigits(_ start: Int) throws(JSONError) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw error("\\u needs four hexadecimal digits", at: start)
            }
            number = number << 4 | UInt32(digit)
            position += 1
        }
        return number
    }

    private func text(_ content: UnsafeBufferPointer<UInt8>, from start: Int) throws(JSONError) -> String {
        guard let text = String(validating: content, as: UTF8.self) else { throw invalidUTF8(from: start) }
        return text
    }

    // MARK: Errors

    private func control() -> JSONError {
        error("control character in a string: it must be escaped", at: position)
    }

    /// Finds the first byte of the string that is no UTF-8; `position` is at its closing quote.
    private func invalidUTF8(from start: Int) -> JSONError {
        var decoder = UTF8.ForwardParser()
        var rest = bytes[start..<position].makeIterator()
        var offset = start
        while case .valid(let scalar) = decoder.parseScalar(from: &rest) { offset += scalar.count }
        return error("invalid UTF-8", at: min(offset, position))
    }

    private func unexpected(_ expected: String) -> JSONError {
        guard position < bytes.count else {
            return error("expected \(expected), but the text ends", at: bytes.count)
        }
        let byte = bytes[position]
        let found =
            (0x21..<0x7F).contains(byte)
            ? "\"\(Character(Unicode.Scalar(byte)))\"" : "the byte 0x" + String(byte, radix: 16, uppercase: true)
        return error("expected \(expected), found \(found)", at: position)
    }

    private func error(_ message: String, at offset: Int) -> JSONError {
        var line = 1
        var lineStart = 0
        for index in 0..<min(offset, bytes.count) where bytes[index] == 0x0A {
            line += 1
            lineStart = index + 1
        }
        return JSONError(message: message, offset: offset, line: line, column: offset - lineStart + 1)
    }

    // MARK: Bytes

    /// The byte at the position; 0, which is never part of JSON, at the end.
    @inline(__always)
    private func peek() -> UInt8 {
        position < bytes.count ? bytes[position] : 0
    }

    @inline(__always)
    private mutating func skipSpace() {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }
}
