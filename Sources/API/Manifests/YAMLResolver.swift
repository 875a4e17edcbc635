// What a plain YAML scalar means, as Kubernetes reads it: sigs.k8s.io/yaml follows YAML 1.1 through go-yaml v2, where
// `yes` and `on` are booleans and 0644 is octal.

import JSONTree

enum YAMLResolver {
    private static let words: [String: JSONValue] = {
        var words: [String: JSONValue] = [:]
        for word in ["~", "null", "Null", "NULL"] { words[word] = .null }
        for word in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] { words[word] = true }
        for word in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] { words[word] = false }
        return words
    }()

    /// The value of a scalar with this tag; nil where the text is none of the tag's kind, or the tag is not known.
    static func value(_ text: String, plain: Bool, tag: String?) -> JSONValue? {
        let resolved = resolve(text)
        switch tag {
        case nil: return plain ? resolved : .string(text)
        case "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp": return .string(text)
        case "tag:yaml.org,2002:null": return resolved.flatMap { $0.isNull ? $0 : nil }
        case "tag:yaml.org,2002:bool": return resolved.flatMap { $0.boolValue == nil ? nil : $0 }
        case "tag:yaml.org,2002:int": return resolved.flatMap { $0.integerValue == nil ? nil : $0 }
        case "tag:yaml.org,2002:float": return resolved.flatMap { $0.doubleValue == nil ? nil : $0 }
        default: return nil
        }
    }

    /// The value of a plain scalar; nil for infinities and NaN, which JSON cannot say.
    static func resolve(_ text: String) -> JSONValue? {
        guard let first = text.utf8.first else { return .null }
        if let word = words[text] { return word }
        let isNumberLike = (0x30...0x39).contains(first) || "+-.".utf8.contains(first)
        guard isNumberLike else { return .string(text) }
        if isNotFinite(text) { return nil }
        return integer(text) ?? float(text) ?? .string(text)
    }

    private static func isNotFinite(_ text: String) -> Bool {
        let unsigned = text.first == "+" || text.first == "-" ? text.dropFirst() : text[...]
        return [".inf", ".Inf", ".INF"].contains(unsigned) || [".nan", ".NaN", ".NAN"].contains(text)
    }

    /// Go's ParseInt with base 0: decimal, 0x, 0o, 0b, and octal after a plain 0. Underscores between digits are
    /// skipped.
    private static func integer(_ text: String) -> JSONValue? {
        var digits = text.replacing("_", with: "")
        let negative = digits.first == "-"
        if negative || digits.first == "+" { digits.removeFirst() }
        let lowered = digits.lowercased()
        let radix: Int
        switch true {
        case lowered.hasPrefix("0x"): (radix, digits) = (16, String(digits.dropFirst(2)))
        case lowered.hasPrefix("0o"): (radix, digits) = (8, String(digits.dropFirst(2)))
        case lowered.hasPrefix("0b"): (radix, digits) = (2, String(digits.dropFirst(2)))
        case lowered.hasPrefix("0") && lowered.utf8.count > 1: (radix, digits) = (8, String(digits.dropFirst()))
        default: radix = 10
        }
        guard let first = digits.first, first.isHexDigit, first.isASCII else { return nil }
        if let number = Int64((negative ? "-" : "") + digits, radix: radix) { return .integer(number) }
        return negative ? nil : UInt64(digits, radix: radix).map { JSONValue($0) }
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; a whole number without digits after the point is an
    /// integer.
    private static func float(_ text: String) -> JSONValue? {
        let plain = text.replacing("_", with: "")
        var rest = plain.utf8[...]
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let whole = rest.prefix { (0x30...0x39).contains($0) }.count
        rest = rest.dropFirst(whole)
        var fraction = 0
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(fraction)
        }
        guard whole + fraction > 0 else { return nil }
        if let mark = rest.first, mark | 0x20 == UInt8(ascii: "e") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard !rest.isEmpty, rest.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            rest = rest.dropFirst(rest.count)
        }
        guard rest.isEmpty, let number = Double(plain), number.isFinite else { return nil }
        if Int64(exactly: number) == nil, let written = try? JSONValue.parse(plain) { return written }
        return JSONValue(number)
    }
}
