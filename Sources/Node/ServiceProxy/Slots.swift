// How a frontend's endpoints are laid out in slots. A connection draws a slot at random; the slot says the endpoint.
//
// A slot keeps its endpoint as long as it can. When an endpoint goes, its slots are given to others instead of being
// taken away: the number of slots, and with it the frontend's verdict, changes rarely (changing a verdict map costs the
// kernel time in proportion to the map, changing a data map does not).

/// Pure functions from endpoints to slots.
enum Slots {
    /// The number of slots for `count` endpoints: `count` itself up to 16, then rounded up by at most an eighth, so
    /// that a node needs few chains whatever its Services look like.
    static func number(for count: Int) -> Int {
        guard count > 16 else { return max(count, 0) }
        // 17…32 in steps of 2, 33…64 in steps of 4, and so on: eight steps for each doubling.
        let step = 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount - 4)
        return (count + step - 1) / step * step
    }

    /// Lays `backends`, sorted and without duplicates, out in slots. Every one gets as many slots as every other, or
    /// one more; `previous` keeps what it can. The number of slots grows as needed and halves as soon as it can; short
    /// of that it stays, unless `exactly` asks for the number that a fresh start would choose.
    static func assign(_ backends: [Backend], previous: [Backend], exactly: Bool = false) -> [Backend] {
        if backends.isEmpty { return [] }
        let wanted = number(for: backends.count)
        let keepsNumber = !exactly && previous.count >= wanted && backends.count * 2 > previous.count
        let count = keepsNumber ? previous.count : wanted
        if previous.isEmpty { return (0..<count).map { backends[$0 % backends.count] } }

        var held: [Backend: Int] = [:]
        for backend in previous.prefix(count) { held[backend, default: 0] += 1 }
        var quota = quotas(backends, held: held, slots: count)
        // Keep what is within its quota, then fill the rest in order.
        var result: [Backend?] = previous.prefix(count).map { backend in
            guard let left = quota[backend], left > 0 else { return nil }
            quota[backend] = left - 1
            return backend
        }
        result += Array(repeating: nil, count: count - result.count)
        var missing = backends.flatMap { Array(repeating: $0, count: quota[$0] ?? 0) }[...]
        return result.compactMap { $0 ?? missing.popFirst() }
    }

    /// How many slots each backend is to have. Those that hold most already get the slots that are left over.
    private static func quotas(_ backends: [Backend], held: [Backend: Int], slots: Int) -> [Backend: Int] {
        let share = slots / backends.count
        let extra = slots % backends.count
        let richestFirst = backends.enumerated().sorted { left, right in
            let (first, second) = (held[left.element] ?? 0, held[right.element] ?? 0)
            return first != second ? first > second : left.offset < right.offset
        }
        var result: [Backend: Int] = [:]
        for (rank, entry) in richestFirst.enumerated() { result[entry.element] = share + (rank < extra ? 1 : 0) }
        return result
    }
}
