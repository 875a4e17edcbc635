// What a person probably meant by a field that does not exist.

extension ObjectType {
    /// A hint that follows "unknown field": the field of the type that is spelt like `name`, or where `name` belongs.
    func hint(for name: String) -> String {
        if let similar = closest(to: name, among: fields.map(\.name)) { return "; did you mean \"\(similar)\"?" }
        // Most often a line is indented one step too little: the field belongs to an object further in.
        let served = ServedFields.node
        let places = fields.filter { field in
            guard served.service(of: field, in: self) == .served, let inner = field.kind.objectType,
                let meant = inner.field(name)
            else { return false }
            return served.service(of: meant, in: inner) == .served
        }.map(\.place)
        return places.isEmpty ? "" : "; it belongs in \(places.sorted().joined(separator: " or "))"
    }
}

/// The candidate nearest to `word`: the same but for case, or within one change for every three letters.
func closest(to word: String, among candidates: some Sequence<String>) -> String? {
    let lowered = word.lowercased()
    let bound = max(1, word.count / 3)
    guard word.utf8.count <= 64 else { return nil }
    return
        candidates
        .map { (name: $0, distance: editDistance(lowered, $0.lowercased())) }
        .filter { $0.distance <= bound }
        .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?
        .name
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour to make one word the other.
func editDistance(_ one: String, _ other: String) -> Int {
    let one = Array(one.utf8)
    let other = Array(other.utf8)
    var beforeLast: [Int] = []
    var last = Array(0...other.count)
    for row in one.indices {
        var current = [row + 1]
        for column in other.indices {
            let replaced = last[column] + (one[row] == other[column] ? 0 : 1)
            var best = min(replaced, last[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, one[row] == other[column - 1], one[row - 1] == other[column] {
                best = min(best, beforeLast[column - 1] + 1)
            }
            current.append(best)
        }
        beforeLast = last
        last = current
    }
    return last[other.count]
}

extension Field {
    /// `securityContext`, `containers[]`
    fileprivate var place: String {
        if case .list = kind { "\(name)[]" } else { name }
    }
}
