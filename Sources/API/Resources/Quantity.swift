/// An amount such as `500m`, `1.5Gi` or `2` (Kubernetes API reference, Quantity).
///
/// Amounts are equal and ordered by how much they are, however they are written.
public struct Quantity: Sendable {
    /// The amount as written.
    public let text: String
    /// In thousandths, rounded up; at the ends of the range where the amount is beyond it.
    public let milliValue: Int64
    /// In whole units, rounded up.
    public var value: Int64 { milliValue / 1000 + (milliValue % 1000 > 0 ? 1 : 0) }

    /// For values made by the parser.
    public init(text: String, milliValue: Int64) { (self.text, self.milliValue) = (text, milliValue) }
}

extension Quantity: Hashable, Comparable, CustomStringConvertible {
    public static func == (left: Quantity, right: Quantity) -> Bool { left.milliValue == right.milliValue }
    public static func < (left: Quantity, right: Quantity) -> Bool { left.milliValue < right.milliValue }
    public func hash(into hasher: inout Hasher) { hasher.combine(milliValue) }
    public var description: String { canonical }
}

extension Quantity {
    /// Reads an amount: a decimal number with a suffix `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei` or an exponent `e3`.
    /// nil for anything else.
    public init?(_ text: String) {
        guard let parts = QuantityParts(text) else { return nil }
        self.init(text: text, milliValue: parts.milliValue)
    }

    /// A whole amount.
    public init(_ value: Int64) {
        let (milli, overflow) = value.multipliedReportingOverflow(by: 1000)
        self.init(text: String(value), milliValue: overflow ? (value < 0 ? .min : .max) : milli)
    }

    /// The amount as Kubernetes writes it: no fraction, the largest suffix that needs none, of the same family
    /// (decimal, binary, exponent) as it was written in. `1024Mi` is `1Gi`, `0.5` is `500m`.
    public var canonical: String {
        if milliValue == .max || milliValue == .min { return text }
        switch QuantityParts(text)?.family ?? .decimal {
        case .binary where abs(value) >= 1024: return Quantity.binary(value)
        case .exponent: return Quantity.exponent(milliValue)
        default: return Quantity.decimal(milliValue)
        }
    }

    private static func binary(_ value: Int64) -> String {
        var number = value
        var power = 0
        while number != 0, number % 1024 == 0, power < QuantityParts.binarySuffixes.count - 1 {
            number /= 1024
            power += 1
        }
        return "\(number)\(QuantityParts.binarySuffixes[power])"
    }

    private static func decimal(_ milliValue: Int64) -> String {
        let suffixes = ["m", "", "k", "M", "G", "T", "P", "E"]
        var number = milliValue
        var power = 0
        while number != 0, number % 1000 == 0, power < suffixes.count - 1 {
            number /= 1000
            power += 1
        }
        return number == 0 ? "0" : "\(number)\(suffixes[power])"
    }

    private static func exponent(_ milliValue: Int64) -> String {
        var number = milliValue
        var power = -3
        while number != 0, number % 1000 == 0 {
            number /= 1000
            power += 3
        }
        return number == 0 ? "0" : power == 0 ? "\(number)" : "\(number)e\(power)"
    }
}

/// An amount taken apart.
struct QuantityParts {
    enum Family { case decimal, binary, exponent }

    static let binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    private static let decimalSuffixes: [String: Int] = [
        "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
    ]

    let family: Family
    let milliValue: Int64

    init?(_ text: String) {
        var rest = Substring(text)
        let negative = rest.first == "-"
        if negative || rest.first == "+" { rest.removeFirst() }
        let whole = rest.prefix { "0"..."9" ~= $0 }
        rest = rest.dropFirst(whole.count)
        var fraction: Substring = ""
        if rest.first == "." {
            rest.removeFirst()
            fraction = rest.prefix { "0"..."9" ~= $0 }
            rest = rest.dropFirst(fraction.count)
        }
        guard !whole.isEmpty || !fraction.isEmpty, text.utf8.count <= 128 else { return nil }
        let suffix = String(rest)
        let digits = (whole + fraction).utf8.map { UInt64($0 - UInt8(ascii: "0")) }
        let magnitude: UInt64
        if let power = Self.binarySuffixes.dropFirst().firstIndex(of: suffix) {
            family = .binary
            magnitude = Self.thousandths(digits, tenPower: -fraction.utf8.count, factor: 1 << (10 * UInt64(power)))
        } else if let power = Self.decimalSuffixes[suffix] {
            family = .decimal
            magnitude = Self.thousandths(digits, tenPower: power - fraction.utf8.count, factor: 1)
        } else if suffix.first == "e" || suffix.first == "E", let power = Self.exponent(suffix.dropFirst()) {
            family = .exponent
            magnitude = Self.thousandths(digits, tenPower: power - fraction.utf8.count, factor: 1)
        } else {
            return nil
        }
        let bounded = Int64(min(magnitude, UInt64(Int64.max)))
        milliValue = negative ? -bounded : bounded
    }

    private static func exponent(_ text: Substring) -> Int? {
        let digits = text.drop { $0 == "-" || $0 == "+" }
        guard text.count - digits.count <= 1, !digits.isEmpty, digits.utf8.count <= 4 else { return nil }
        return digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }

    /// `digits` × 10^`tenPower` × `factor` × 1000, rounded up, or UInt64.max where it is more.
    private static func thousandths(_ digits: [UInt64], tenPower: Int, factor: UInt64) -> UInt64 {
        var number: UInt128 = 0
        var dropped = 0  // Digits beyond the 19th: more than any amount in range has, they only round up.
        var remainder = false
        for digit in digits {
            if number >= 1_000_000_000_000_000_000 {
                dropped += 1
                remainder = remainder || digit != 0
            } else {
                number = number * 10 + UInt128(digit)
            }
        }
        guard number > 0 || remainder else { return 0 }
        var power = tenPower + dropped + 3
        let (scaled, overflow) = number.multipliedReportingOverflow(by: UInt128(factor))
        guard !overflow else { return .max }
        number = scaled
        while power > 0 {
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            guard !overflow else { return .max }
            number = product
            power -= 1
        }
        while power < 0, number > 0 || remainder {
            remainder = remainder || number % 10 != 0
            number /= 10
            power += 1
            if number == 0 { break }
        }
        if remainder { number += 1 }
        return number > UInt128(UInt64.max) ? .max : UInt64(number)
    }
}
