// Sets of intervals: the kernel has an element where each begins, and one where the gap after it begins.

extension SetElement {
    /// What a set with ``NamedSet/Flags/interval`` has of `networks`, which are addresses with or without prefix length:
    /// where each begins and ends. One that lies in another is left out, as the kernel refuses intervals that overlap.
    public static func intervals(of networks: [Literal], comment: String? = nil) -> [SetElement] {
        var result: [SetElement] = []
        var end: [UInt8]?
        var isFull = false
        let ordered = networks.sorted {
            if $0.bytes != $1.bytes { return $0.bytes.lexicographicallyPrecedes($1.bytes) }
            return $0.leadingBits < $1.leadingBits
        }
        for network in ordered {
            // Networks overlap only where one holds the other, and the one that does comes first.
            if isFull || end.map({ network.bytes.lexicographicallyPrecedes($0) }) ?? false { continue }
            result.append(SetElement(key: network.bytes, comment: comment))
            end = network.firstAddressAfter
            guard let end else {
                isFull = true
                continue
            }
            result.append(SetElement(key: end, isIntervalEnd: true))
        }
        return result
    }
}

extension Literal {
    /// How many leading bits count.
    fileprivate var leadingBits: Int { prefixLength ?? bytes.count * 8 }

    /// nil where the network reaches to the last address there is.
    fileprivate var firstAddressAfter: [UInt8]? {
        var result = bytes
        let length = leadingBits
        guard length > 0 else { return nil }
        var index = (length - 1) / 8
        let step = UInt8(1) << UInt8(7 - (length - 1) % 8)
        var (sum, isCarried) = result[index].addingReportingOverflow(step)
        result[index] = sum
        while isCarried {
            guard index > 0 else { return nil }
            index -= 1
            (sum, isCarried) = result[index].addingReportingOverflow(1)
            result[index] = sum
        }
        return result
    }
}

/// An interval as the two elements that make it. One without an end reaches to the last value there is.
struct Interval: Hashable {
    var start: SetElement
    var end: SetElement?

    var elements: [SetElement] { [start] + (end.map { [$0] } ?? []) }

    /// The intervals of `elements`, in ascending order. The end without a beginning that nft puts at zero is dropped.
    static func all(in elements: [SetElement]) -> [Interval] {
        // Where one interval ends and the next begins, the end comes first.
        let sorted = elements.sorted {
            $0.key == $1.key
                ? $0.isIntervalEnd && !$1.isIntervalEnd : $0.key.lexicographicallyPrecedes($1.key)
        }
        var result: [Interval] = []
        for element in sorted {
            if !element.isIntervalEnd {
                result.append(Interval(start: element, end: nil))
            } else if let last = result.indices.last, result[last].end == nil {
                result[last].end = element
            }
        }
        return result
    }
}

extension Interval {
    /// As nft prints it: an address, a network, or the first and the last value.
    func text(in set: NamedSet) -> String {
        let type = set.key.components[0]
        let first = Literal(type: type, bytes: start.key)
        let last = Literal(type: type, bytes: lastKey)
        var shown = first.text
        if first.bytes != last.bytes {
            shown = networkLength(type).map { "\(first.text)/\($0)" } ?? "\(first.text)-\(last.text)"
        }
        // What follows the key is that of any element.
        return shown + Text.element(start, in: set).dropFirst(first.text.count)
    }

    private var lastKey: [UInt8] {
        guard var bytes = end?.key else { return start.key.map { _ in 0xff } }
        for index in bytes.indices.reversed() {
            let (difference, isBorrowed) = bytes[index].subtractingReportingOverflow(1)
            bytes[index] = difference
            if !isBorrowed { break }
        }
        return bytes
    }

    /// How many leading bits all of the interval's addresses share, if it holds every address that shares them.
    private func networkLength(_ type: DataType) -> Int? {
        guard type == .ipv4Address || type == .ipv6Address else { return nil }
        let different = zip(start.key, lastKey).map { $0 ^ $1 }
        let length = different.firstIndex { $0 != 0 }.map { $0 * 8 + different[$0].leadingZeroBitCount } ?? 0
        let host = prefixMask(length, byteCount: different.count).map { ~$0 }
        let isWhole = different == host && !zip(start.key, host).contains { $0 & $1 != 0 }
        return isWhole ? length : nil
    }
}
