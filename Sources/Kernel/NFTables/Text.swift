// Tables as nft prints them (nft 1.0.6, `nft list table`): the same text, to the byte, for what this module can
// express.

extension Table {
    /// The text that `nft list table` prints, with a newline at the end.
    public var text: String {
        var output = "table \(name.family.name) \(name.name) {\n"
        if isDormant { output += "\tflags dormant\n" }
        if let comment { output += "\tcomment \"\(comment)\"\n" }
        let blocks =
            sets.filter { !$0.flags.contains(.anonymous) }.map { Text.set($0) }
            + chains.map { Text.chain($0, in: self) }
        if (comment != nil || isDormant) && !blocks.isEmpty { output += "\n" }
        output += blocks.joined(separator: "\n")
        return output + "}\n"
    }
}

/// The parts of that text.
enum Text {
    static func set(_ set: NamedSet) -> String {
        var output = "\t\(set.value == nil ? "set" : "map") \(set.name) {\n"
        output += "\t\t\(declaration(set))\n"
        if let size = set.size { output += "\t\tsize \(size)\n" }
        let flags: [(NamedSet.Flags, String)] = [
            (.constant, "constant"), (.dynamic, "dynamic"), (.interval, "interval"), (.timeout, "timeout"),
        ]
        let names = flags.filter { set.flags.contains($0.0) }.map(\.1)
        if !names.isEmpty { output += "\t\tflags \(names.joined(separator: ","))\n" }
        if let comment = set.comment { output += "\t\tcomment \"\(comment)\"\n" }
        let elements = self.elements(of: set)
        if !elements.isEmpty {
            let perLine = elementsPerLine(set.key)
            output += "\t\telements = { "
            for (index, element) in elements.enumerated() {
                if index > 0 { output += index % perLine == 0 ? ",\n\t\t\t     " : ", " }
                output += element
            }
            output += " }\n"
        }
        return output + "\t}\n"
    }

    /// How nft breaks lines: two addresses, five numbers, one of anything else.
    private static func elementsPerLine(_ key: ElementType) -> Int {
        guard key.components.count == 1 else { return 1 }
        switch key.components[0] {
        case .ipv4Address: return 2
        case .ipv6Address, .interfaceName: return 1
        default: return 5
        }
    }

    private static func declaration(_ set: NamedSet) -> String {
        func words(_ type: ElementType, _ asTypeof: Bool) -> String {
            if asTypeof, let expressions = type.expressions {
                return expressions.map { expression($0) }.joined(separator: " . ")
            }
            return type.components.map { $0.name ?? "integer" }.joined(separator: " . ")
        }
        let asTypeof = set.key.expressions != nil
        var output = (asTypeof ? "typeof " : "type ") + words(set.key, asTypeof)
        switch set.value {
        case .verdict: output += " : verdict"
        case .data(let type): output += " : " + words(type, asTypeof)
        case nil: break
        }
        return output
    }

    fileprivate static func elements(of set: NamedSet) -> [String] {
        if set.flags.contains(.interval), set.key.components.count == 1, !set.key.components[0].isHostByteOrder {
            return Interval.all(in: set.elements).map { $0.text(in: set) }
        }
        return set.elements.sorted { isOrdered($0.key, $1.key, set.key) }.map { element($0, in: set) }
    }

    /// nft compares numbers; of a concatenation the number that its unpadded bytes are to a little-endian machine.
    static func isOrdered(_ left: [UInt8], _ right: [UInt8], _ type: ElementType) -> Bool {
        let isConcatenation = type.components.count > 1
        if isConcatenation || type.components[0].isHostByteOrder {
            // Padding is zero on both sides and decides nothing.
            return left.reversed().lexicographicallyPrecedes(right.reversed())
        }
        return left.lexicographicallyPrecedes(right)
    }

    static func element(_ element: SetElement, in set: NamedSet) -> String {
        var output = value(element.key, set.key)
        if let comment = element.comment { output += " comment \"\(comment)\"" }
        switch (element.value, set.value) {
        case (.data(let bytes), .data(let type)): output += " : " + value(bytes, type)
        case (.verdict(let verdict), _): output += " : " + self.verdict(verdict)
        default: break
        }
        return output
    }

    /// The bytes of a key or of a map's data.
    static func value(_ bytes: [UInt8], _ type: ElementType) -> String {
        if type.components.count == 1 { return Literal(type: type.components[0], bytes: bytes).text }
        var parts: [String] = []
        var offset = 0
        for component in type.components {
            let end = min(offset + component.byteCount, bytes.count)
            parts.append(Literal(type: component, bytes: Array(bytes[min(offset, end)..<end])).text)
            offset += paddedByteCount(component.byteCount)
        }
        return parts.joined(separator: " . ")
    }

    static func chain(_ chain: Chain, in table: Table) -> String {
        var output = "\tchain \(chain.name) {\n"
        if let comment = chain.comment { output += "\t\tcomment \"\(comment)\"\n" }
        if let hook = chain.hook {
            output += "\t\ttype \(hook.kind.rawValue) hook \(hook.hook.name) "
            output += "priority \(priority(hook, table.name.family)); "
            output += "policy \(hook.policy == .accept ? "accept" : "drop");\n"
        }
        for rule in chain.rules { output += "\t\t\(self.rule(rule, in: table))\n" }
        return output + "\t}\n"
    }

    /// Standard priorities by name, also with an offset of at most ten.
    private static func priority(_ hook: BaseChain, _ family: Family) -> String {
        if family == .bridge { return hook.priority == BaseChain.bridgeFilterPriority ? "filter" : "\(hook.priority)" }
        let names: [(Int32, String, BaseChain.Hook?)] = [
            (BaseChain.rawPriority, "raw", nil), (BaseChain.manglePriority, "mangle", nil),
            (BaseChain.destinationNATPriority, "dstnat", .prerouting), (BaseChain.filterPriority, "filter", nil),
            (BaseChain.securityPriority, "security", nil), (BaseChain.sourceNATPriority, "srcnat", .postrouting),
        ]
        for (number, name, onlyHook) in names where onlyHook == nil || onlyHook == hook.hook {
            let offset = hook.priority - number
            if offset == 0 { return name }
            if abs(offset) <= 10 { return "\(name) \(offset > 0 ? "+" : "-") \(abs(offset))" }
        }
        return "\(hook.priority)"
    }

    static func rule(_ rule: Rule, in table: Table) -> String {
        let family = table.name.family
        var words: [String] = []
        var knowsTCP = false
        for statement in rule.statements {
            // Tables of one family leave out what a reset asks for, those of both do not.
            if case .reject(.tcpReset) = statement, family == .inet, !knowsTCP { words.append("meta l4proto tcp") }
            if statement.asksForTCP { knowsTCP = true }
            words.append(inlined(statement, table) ?? self.statement(statement, family: family))
        }
        if let comment = rule.comment { words.append("comment \"\(comment)\"") }
        return words.joined(separator: " ")
    }
}

extension Text {
    /// A lookup in an anonymous set, which nft prints where it is used.
    private static func inlined(_ statement: Statement, _ table: Table) -> String? {
        guard case .lookup(let key, let name, let negated) = statement, let set = table[set: name],
            set.flags.contains(.anonymous)
        else { return nil }
        return "\(expression(key)) \(negated ? "!= " : ""){ \(elements(of: set).joined(separator: ", ")) }"
    }
}
