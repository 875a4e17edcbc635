/// Objects in the order of their keys, in chunks, so that a change moves a chunk's pointers and not all of them, and a
/// copy is one reference: who holds a copy goes on reading it while the original changes.
struct SortedObjects<Object: Sendable>: Sendable {
    private var chunks: [[Cached<Object>]] = []
    private(set) var count = 0

    /// A chunk of this many objects is divided.
    private static var largestChunk: Int { 512 }

    init() {}

    /// From objects that are in the order of their keys.
    init(sorted objects: [Cached<Object>]) {
        let size = Self.largestChunk / 2
        chunks = stride(from: 0, to: objects.count, by: size).map { start in
            Array(objects[start..<min(start + size, objects.count)])
        }
        count = objects.count
    }

    subscript(key: StoreKey) -> Cached<Object>? {
        guard let position = position(of: key), position.isFound else { return nil }
        return chunks[position.chunk][position.index]
    }

    /// Puts `object` in its place; gives what was there.
    mutating func put(_ object: Cached<Object>) -> Cached<Object>? {
        guard let position = position(of: object.key) else {
            chunks = [[object]]
            count = 1
            return nil
        }
        if position.isFound {
            let before = chunks[position.chunk][position.index]
            chunks[position.chunk][position.index] = object
            return before
        }
        chunks[position.chunk].insert(object, at: position.index)
        count += 1
        if chunks[position.chunk].count > Self.largestChunk {
            let whole = chunks[position.chunk]
            chunks[position.chunk] = Array(whole[..<(whole.count / 2)])
            chunks.insert(Array(whole[(whole.count / 2)...]), at: position.chunk + 1)
        }
        return nil
    }

    /// Removes the object of `key`; gives what was there.
    mutating func remove(_ key: StoreKey) -> Cached<Object>? {
        guard let position = position(of: key), position.isFound else { return nil }
        let before = chunks[position.chunk].remove(at: position.index)
        count -= 1
        if chunks[position.chunk].isEmpty { chunks.remove(at: position.chunk) }
        return before
    }

    /// At most `limit` objects from `start` on, in order.
    func objects(from start: StoreKey, limit: Int) -> [Cached<Object>] {
        guard let position = position(of: start) else { return [] }
        var found: [Cached<Object>] = []
        found.reserveCapacity(min(limit, count))
        var index = position.index
        for chunk in chunks[position.chunk...] {
            let end = min(chunk.count, index + limit - found.count)
            if index < end { found.append(contentsOf: chunk[index..<end]) }
            if found.count == limit { break }
            index = 0
        }
        return found
    }

    /// How many keys there are in `range`.
    func count(in range: KeyRange) -> Int {
        guard !range.isEmpty else { return 0 }
        return rank(of: range.end) - rank(of: range.start)
    }

    /// How many keys stand before `key`; all for nil.
    private func rank(of key: StoreKey?) -> Int {
        guard let key, let position = position(of: key) else { return count }
        return chunks[..<position.chunk].reduce(0) { $0 + $1.count } + position.index
    }

    private struct Position {
        var chunk: Int
        var index: Int
        var isFound: Bool
    }

    /// Where `key` is, or would be put; nil when there are no chunks.
    private func position(of key: StoreKey) -> Position? {
        guard !chunks.isEmpty else { return nil }
        // The last chunk that begins at or before the key. No chunk is empty.
        let chunk = max(0, partition(chunks.count) { chunks[$0][0].key <= key } - 1)
        let objects = chunks[chunk]
        let index = partition(objects.count) { objects[$0].key < key }
        return Position(chunk: chunk, index: index, isFound: index < objects.count && objects[index].key == key)
    }
}

/// The first of the numbers 0 ..< `count` for which `isBefore` does not hold; it holds for all before that one.
func partition(_ count: Int, _ isBefore: (Int) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
        let middle = (low + high) / 2
        if isBefore(middle) { low = middle + 1 } else { high = middle }
    }
    return low
}
