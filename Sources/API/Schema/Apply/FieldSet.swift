// Sets of places, as trees (structured-merge-diff `fieldpath.Set`).

/// Places in an object. A place can be in the set without what is below it, and the other way round.
public struct FieldSet: Sendable, Hashable {
    /// One step, whether it leads to a place of the set, and what is below.
    struct Node: Sendable, Hashable {
        let element: PathElement
        var isMember: Bool
        var children: FieldSet

        init(_ element: PathElement, isMember: Bool, children: FieldSet = FieldSet()) {
            self.element = element
            self.isMember = isMember
            self.children = children
        }

        var isEmpty: Bool { !isMember && children.isEmpty }
    }

    /// In order; none twice, none empty.
    private(set) var nodes: [Node]

    public init() { nodes = [] }

    /// A set of these paths; an empty path is in no set.
    public init(_ paths: some Sequence<FieldPath>) {
        self.init()
        for path in paths { insert(path.elements[...]) }
    }

    /// A set of these nodes, in any order. Of nodes with the same element, all that they say counts.
    init(unsorted: [Node]) {
        // What is stored is in order already.
        if unsorted.indices.dropFirst().allSatisfy({ unsorted[$0 - 1].element < unsorted[$0].element }),
            !unsorted.contains(where: \.isEmpty)
        {
            nodes = unsorted
            return
        }
        var nodes: [Node] = []
        nodes.reserveCapacity(unsorted.count)
        for node in unsorted.sorted(by: { $0.element < $1.element }) where !node.isEmpty {
            if let last = nodes.last, last.element == node.element {
                nodes[nodes.count - 1] = Node(
                    node.element, isMember: last.isMember || node.isMember, children: last.children.union(node.children)
                )
            } else {
                nodes.append(node)
            }
        }
        self.nodes = nodes
    }

    /// For nodes that are in order, none twice.
    private init(sorted: [Node]) { nodes = sorted }

    public var isEmpty: Bool { nodes.isEmpty }

    /// Whether the place is in the set.
    public func contains(_ path: FieldPath) -> Bool {
        var set = self
        for (index, element) in path.elements.enumerated() {
            guard let node = set[element] else { return false }
            if index == path.elements.count - 1 { return node.isMember }
            set = node.children
        }
        return false
    }

    /// The places in order, outer ones first.
    public var paths: [FieldPath] {
        var paths: [FieldPath] = []
        collect([], &paths)
        return paths
    }

    private func collect(_ prefix: [PathElement], _ paths: inout [FieldPath]) {
        for node in nodes {
            let here = prefix + [node.element]
            if node.isMember { paths.append(FieldPath(here)) }
            node.children.collect(here, &paths)
        }
    }

    /// What the set says of one step.
    subscript(element: PathElement) -> Node? {
        var (low, high) = (0, nodes.count)
        while low < high {
            let middle = (low + high) / 2
            let order = PathElement.compare(nodes[middle].element, element)
            if order == 0 { return nodes[middle] }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    private mutating func insert(_ elements: ArraySlice<PathElement>) {
        guard let first = elements.first else { return }
        let place = nodes.firstIndex { $0.element >= first } ?? nodes.count
        if place == nodes.count || nodes[place].element != first {
            nodes.insert(Node(first, isMember: false), at: place)
        }
        if elements.count == 1 {
            nodes[place].isMember = true
        } else {
            nodes[place].children.insert(elements.dropFirst())
        }
    }
}

extension FieldSet {
    /// Every place of either.
    public func union(_ other: FieldSet) -> FieldSet {
        if other.isEmpty { return self }
        if isEmpty { return other }
        return merge(other) { left, right in
            guard let left else { return right }
            guard let right else { return left }
            return Node(
                left.element, isMember: left.isMember || right.isMember, children: left.children.union(right.children))
        }
    }

    /// Every place of both.
    public func intersection(_ other: FieldSet) -> FieldSet {
        merge(other) { left, right in
            guard let left, let right else { return nil }
            return Node(
                left.element, isMember: left.isMember && right.isMember,
                children: left.children.intersection(right.children))
        }
    }

    /// Every place of this set that is not in the other.
    public func subtracting(_ other: FieldSet) -> FieldSet {
        if other.isEmpty { return self }
        return merge(other) { left, right in
            guard let left, let right else { return left }
            return Node(
                left.element, isMember: left.isMember && !right.isMember,
                children: left.children.subtracting(right.children))
        }
    }

    /// Every place of this set that neither is in the other nor below a place of the other.
    public func subtractingRecursively(_ other: FieldSet) -> FieldSet {
        if other.isEmpty { return self }
        return merge(other) { left, right in
            guard let left, let right else { return left }
            if right.isMember { return nil }
            return Node(
                left.element, isMember: left.isMember, children: left.children.subtractingRecursively(right.children))
        }
    }

    /// Walks both in order; `combine` gives what becomes of a step, nil or an empty node for nothing.
    private func merge(_ other: FieldSet, _ combine: (Node?, Node?) -> Node?) -> FieldSet {
        var result: [Node] = []
        var (mine, theirs) = (0, 0)
        func add(_ node: Node?) { if let node, !node.isEmpty { result.append(node) } }
        while mine < nodes.count || theirs < other.nodes.count {
            let order =
                mine == nodes.count
                ? 1
                : theirs == other.nodes.count
                    ? -1 : PathElement.compare(nodes[mine].element, other.nodes[theirs].element)
            add(combine(order <= 0 ? nodes[mine] : nil, order >= 0 ? other.nodes[theirs] : nil))
            if order <= 0 { mine += 1 }
            if order >= 0 { theirs += 1 }
        }
        return FieldSet(sorted: result)
    }
}
