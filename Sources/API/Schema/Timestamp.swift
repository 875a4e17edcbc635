// Times as Kubernetes writes them (RFC 3339, UTC), without Foundation.

/// An instant: seconds since 1970-01-01T00:00:00Z, and nanoseconds within the second.
public struct Timestamp: Sendable, Hashable, Comparable {
    public var seconds: Int64
    /// 0..<1,000,000,000
    public var nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// Go's zero time, 0001-01-01T00:00:00Z: JSON's null.
    public static let zero = Timestamp(seconds: -62_135_596_800)

    /// The years 1 to 9999, which RFC 3339 can say.
    var isPrintable: Bool { (Timestamp.zero.seconds...253_402_300_799).contains(seconds) }

    /// `2024-05-06T07:08:09Z`, as `metav1.Time` is written: fractions are cut off.
    public var text: String { date + "Z" }

    /// `2024-05-06T07:08:09.123456Z`, as `metav1.MicroTime` is written.
    public var microText: String { "\(date).\(padded(Int64(nanoseconds) / 1000, 6))Z" }

    /// `2024-05-06T07:08:09`
    private var date: String {
        let (day, second) = seconds.floorDivided(by: 86_400)
        // Days to date in the proleptic Gregorian calendar: howardhinnant.github.io/date_algorithms.html#civil_from_days
        let (era, dayOfEra) = (day + 719_468).floorDivided(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153  // Months from March.
        let dayOfMonth = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
            + "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
    }

    private func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Timestamp {
    /// Reads RFC 3339 as Go's time.Parse does: `2024-05-06T07:08:09Z`, with a fraction of any length and an offset
    /// such as `+02:00`. nil for everything else.
    public init?(_ text: String) {
        var scan = DigitScan(bytes: Array(text.utf8))
        guard text.utf8.count <= 64,
            let year = scan.number(4), scan.skip("-"), let month = scan.number(2), scan.skip("-"),
            let day = scan.number(2), scan.skip("T"), let hour = scan.number(2), scan.skip(":"),
            let minute = scan.number(2), scan.skip(":"), let second = scan.number(2),
            (1...12).contains(month), day >= 1, day <= Self.days(month, year), hour < 24, minute < 60, second < 60,
            let nanoseconds = scan.fraction(), let offset = scan.offset(), scan.isAtEnd
        else { return nil }
        // https://howardhinnant.github.io/date_algorithms.html#days_from_civil
        let shiftedYear = year - (month <= 2 ? 1 : 0)
        let (era, yearOfEra) = shiftedYear.floorDivided(by: 400)
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        self.init(
            seconds: days * 86_400 + hour * 3600 + minute * 60 + second - offset, nanoseconds: Int32(nanoseconds))
    }

    private static func days(_ month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

private struct DigitScan {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func digit() -> Int64? {
        guard position < bytes.count, (0x30...0x39).contains(bytes[position]) else { return nil }
        position += 1
        return Int64(bytes[position - 1] - 0x30)
    }

    mutating func number(_ count: Int) -> Int64? {
        var number: Int64 = 0
        for _ in 0..<count {
            guard let digit = digit() else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    /// The fraction of a second, if there is one, in nanoseconds.
    mutating func fraction() -> Int64? {
        guard skip(".") else { return 0 }
        guard var nanoseconds = digit().map({ $0 * 100_000_000 }) else { return nil }
        var unit: Int64 = 10_000_000
        while let digit = digit() {
            nanoseconds += digit * unit
            unit /= 10
        }
        return nanoseconds
    }

    /// The offset from UTC in seconds.
    mutating func offset() -> Int64? {
        if skip("Z") { return 0 }
        let isWest = skip("-")
        guard isWest || skip("+"), let hours = number(2), skip(":"), let minutes = number(2), hours < 24, minutes < 60
        else { return nil }
        return (hours * 3600 + minutes * 60) * (isWest ? -1 : 1)
    }
}

extension Int64 {
    /// Quotient and remainder of a division that rounds down.
    fileprivate func floorDivided(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
