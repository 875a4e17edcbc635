// Reading tables from the kernel.
import CNFTables
import Glibc
import Linux

extension NFTablesSocket {
    /// The names of all tables of this network namespace, those of others too.
    public mutating func tableNames() throws(NFTablesError) -> [TableName] {
        try steadily { (socket) throws(NFTablesError) in try socket.tables().map(\.name) }
    }

    /// The table `name` with all it holds, and the generation that shows it so; nil where there is no such table. With
    /// `elements` false the sets are empty: their elements are not read.
    ///
    /// Reads again while others change tables, twenty times at most (``NFTablesError/unsteady``).
    public mutating func snapshot(
        of name: TableName, elements: Bool = true
    ) throws(NFTablesError) -> (table: Table?, generation: UInt32) {
        try steadily { (socket) throws(NFTablesError) in
            let generation = try socket.generation()
            let table = try socket.read(name, elements: elements)
            guard try socket.generation() == generation else { throw .unsteady }
            return (table, generation)
        }
    }

    /// The table `name` with all it holds; nil where there is no such table.
    public mutating func table(_ name: TableName) throws(NFTablesError) -> Table? { try snapshot(of: name).table }

    private mutating func steadily<Result>(
        _ body: (inout NFTablesSocket) throws(NFTablesError) -> Result
    ) throws(NFTablesError) -> Result {
        var attempts = 0
        while true {
            do throws(NFTablesError) {
                return try body(&self)
            } catch {
                attempts += 1
                // ENOENT: what was there when its name was read is gone.
                var isTransient = error == .unsteady || error == .unknownOutcome
                if case .refused(_, ENOENT, _) = error { isTransient = true }
                guard isTransient, attempts < 20 else { throw error }
            }
        }
    }

    private mutating func tables() throws(NFTablesError) -> [Table] {
        var result: [Table] = []
        try request(UInt16(NFT_MSG_GETTABLE.rawValue), nil, flags: NLM_F_DUMP) { message in
            let object = nftnl_table_alloc()
            defer { nftnl_table_free(object) }
            guard nftnl_table_nlmsg_parse(message.header, object) >= 0,
                let name = nftnl_table_get_str(object, UInt16(NFTNL_TABLE_NAME.rawValue)),
                let family = Family(
                    rawValue: UInt8(
                        truncatingIfNeeded: nftnl_table_get_u32(object, UInt16(NFTNL_TABLE_FAMILY.rawValue))))
            else { return }
            var length: UInt32 = 0
            let data = nftnl_table_get_data(object, UInt16(NFTNL_TABLE_USERDATA.rawValue), &length)
            var table = Table(
                TableName(family, String(cString: name)), comment: UserData.comment(in: bytes(data, length)))
            let flags = nftnl_table_get_u32(object, UInt16(NFTNL_TABLE_FLAGS.rawValue))
            table.isDormant = flags & UInt32(NFT_TABLE_F_DORMANT.rawValue) != 0
            result.append(table)
        }
        return result
    }

    private mutating func read(_ name: TableName, elements: Bool) throws(NFTablesError) -> Table? {
        guard var table = try tables().first(where: { $0.name == name }) else { return nil }
        table.chains = try chains(of: name)
        table.sets = try sets(of: name)
        if elements {
            for index in table.sets.indices {
                table.sets[index].elements = try self.elements(of: table.sets[index].name, in: name)
            }
        }
        var rules: [String: [Rule]] = [:]
        let slots = Dictionary(
            table.sets.map { ($0.name, slotCount($0.key.byteCount)) }, uniquingKeysWith: { first, _ in first })
        try readRules(of: name, keySlots: slots, into: &rules)
        for index in table.chains.indices { table.chains[index].rules = rules[table.chains[index].name] ?? [] }
        return table
    }

    private mutating func chains(of table: TableName) throws(NFTablesError) -> [Chain] {
        var result: [Chain] = []
        try request(UInt16(NFT_MSG_GETCHAIN.rawValue), table.family, flags: NLM_F_DUMP) { message in
            let object = nftnl_chain_alloc()
            defer { nftnl_chain_free(object) }
            guard nftnl_chain_nlmsg_parse(message.header, object) >= 0,
                let owner = nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue)),
                String(cString: owner) == table.name,
                let name = nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue))
            else { return }
            var chain = Chain(String(cString: name))
            if nftnl_chain_is_set(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue)),
                let type = nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue)),
                let kind = BaseChain.Kind(rawValue: String(cString: type)),
                let hook = BaseChain.Hook(
                    rawValue: nftnl_chain_get_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue))),
                let policy = BaseChain.Policy(
                    rawValue: nftnl_chain_get_u32(object, UInt16(NFTNL_CHAIN_POLICY.rawValue)))
            {
                let priority = nftnl_chain_get_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue))
                chain.hook = BaseChain(kind, hook, priority: priority, policy: policy)
            }
            var length: UInt32 = 0
            let data = nftnl_chain_get_data(object, UInt16(NFTNL_CHAIN_USERDATA.rawValue), &length)
            chain.comment = UserData.comment(in: bytes(data, length))
            result.append(chain)
        }
        return result
    }

    private mutating func sets(of table: TableName) throws(NFTablesError) -> [NamedSet] {
        var result: [NamedSet] = []
        var foreign: String?
        try request(
            UInt16(NFT_MSG_GETSET.rawValue), table.family, flags: NLM_F_DUMP,
            attributes: { mnl_attr_put_strz($0, UInt16(NFTA_SET_TABLE.rawValue), table.name) }
        ) { message in
            let object = nftnl_set_alloc()
            defer { nftnl_set_free(object) }
            guard nftnl_set_nlmsg_parse(message.header, object) >= 0,
                let owner = nftnl_set_get_str(object, UInt16(NFTNL_SET_TABLE.rawValue)),
                String(cString: owner) == table.name,
                let name = nftnl_set_get_str(object, UInt16(NFTNL_SET_NAME.rawValue))
            else { return }
            if let set = Self.set(object, name: String(cString: name)) {
                result.append(set)
            } else {
                foreign = String(cString: name)
            }
        }
        if let foreign {
            throw .invalid(EncodingError("\(table) has a set of a type that is not understood here: \(foreign)"))
        }
        return result
    }

    private static func set(_ object: OpaquePointer?, name: String) -> NamedSet? {
        func number(_ key: nftnl_set_attr) -> UInt32 { nftnl_set_get_u32(object, UInt16(key.rawValue)) }
        var length: UInt32 = 0
        let data = nftnl_set_get_data(object, UInt16(NFTNL_SET_USERDATA.rawValue), &length)
        let userData = bytes(data, length)
        guard
            let key = NamedSet.elementType(
                number: number(NFTNL_SET_KEY_TYPE), userData: userData,
                typeofEntry: Int(NFTNL_UDATA_SET_KEY_TYPEOF.rawValue))
        else { return nil }
        var flags = number(NFTNL_SET_FLAGS)
        var value: NamedSet.Value?
        if flags & UInt32(NFT_SET_MAP.rawValue) != 0 {
            flags &= ~UInt32(NFT_SET_MAP.rawValue)
            let type = number(NFTNL_SET_DATA_TYPE)
            if type == UInt32(NFT_DATA_VERDICT.rawValue) {
                value = .verdict
            } else if let data = NamedSet.elementType(
                number: type, userData: userData, typeofEntry: Int(NFTNL_UDATA_SET_DATA_TYPEOF.rawValue))
            {
                value = .data(data)
            } else {
                return nil
            }
        }
        let hasSize = nftnl_set_is_set(object, UInt16(NFTNL_SET_DESC_SIZE.rawValue))
        return NamedSet(
            name, key: key, value: value, flags: NamedSet.Flags(rawValue: flags),
            size: hasSize ? number(NFTNL_SET_DESC_SIZE) : nil,
            comment: UserData.comment(in: userData, type: Int(NFTNL_UDATA_SET_COMMENT.rawValue)))
    }

    private mutating func elements(of set: String, in table: TableName) throws(NFTablesError) -> [SetElement] {
        var result: [SetElement] = []
        try request(
            UInt16(NFT_MSG_GETSETELEM.rawValue), table.family, flags: NLM_F_DUMP,
            attributes: {
                mnl_attr_put_strz($0, UInt16(NFTA_SET_ELEM_LIST_TABLE.rawValue), table.name)
                mnl_attr_put_strz($0, UInt16(NFTA_SET_ELEM_LIST_SET.rawValue), set)
            }
        ) { message in
            guard let list = message.attribute(UInt16(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)) else { return }
            for attribute in list.nested {
                if let element = SetElement(attributes: attribute.nested) { result.append(element) }
            }
        }
        return result
    }

    private mutating func readRules(
        of table: TableName, keySlots: [String: Int], into result: inout [String: [Rule]]
    ) throws(NFTablesError) {
        var rules: [String: [Rule]] = [:]
        try request(
            UInt16(NFT_MSG_GETRULE.rawValue), table.family, flags: NLM_F_DUMP,
            attributes: { mnl_attr_put_strz($0, UInt16(NFTA_RULE_TABLE.rawValue), table.name) }
        ) { message in
            let object = nftnl_rule_alloc()
            defer { nftnl_rule_free(object) }
            guard nftnl_rule_nlmsg_parse(message.header, object) >= 0,
                let owner = nftnl_rule_get_str(object, UInt16(NFTNL_RULE_TABLE.rawValue)),
                String(cString: owner) == table.name,
                let chain = nftnl_rule_get_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue))
            else { return }
            var instructions: [Instruction] = []
            let iterator = nftnl_expr_iter_create(object)
            defer { nftnl_expr_iter_destroy(iterator) }
            while let expression = nftnl_expr_iter_next(iterator) { instructions.append(Instruction(expression)) }
            var length: UInt32 = 0
            let data = nftnl_rule_get_data(object, UInt16(NFTNL_RULE_USERDATA.rawValue), &length)
            let statements = Raising.raise(instructions, family: table.family) { keySlots[$0] }
            rules[String(cString: chain), default: []].append(
                Rule(
                    statements, comment: UserData.comment(in: bytes(data, length)),
                    handle: nftnl_rule_get_u64(object, UInt16(NFTNL_RULE_HANDLE.rawValue))))
        }
        result = rules
    }
}

private func bytes(_ start: UnsafeRawPointer?, _ count: UInt32) -> [UInt8] {
    guard let start, count > 0 else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(count)))
}

extension SetElement {
    /// An element of a dump; nil without a key, as catch-all elements are.
    fileprivate init?(attributes: AttributeList) {
        var key: [UInt8]?
        self.init(key: [])
        for attribute in attributes {
            switch Int32(attribute.type) {
            case Int32(NFTA_SET_ELEM_KEY.rawValue): key = attribute.nested.first { $0.type == 1 }?.array
            case Int32(NFTA_SET_ELEM_DATA.rawValue): value = SetElement.Value(attribute.nested)
            case Int32(NFTA_SET_ELEM_FLAGS.rawValue):
                isIntervalEnd = (attribute.number ?? 0) & UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue) != 0
            case Int32(NFTA_SET_ELEM_USERDATA.rawValue): comment = UserData.comment(in: attribute.array)
            default: break
            }
        }
        guard let key else { return nil }
        self.key = key
    }
}

extension SetElement.Value {
    fileprivate init?(_ attributes: AttributeList) {
        for attribute in attributes {
            if Int32(attribute.type) == Int32(NFTA_DATA_VALUE.rawValue) {
                self = .data(attribute.array)
                return
            }
            guard Int32(attribute.type) == Int32(NFTA_DATA_VERDICT.rawValue) else { continue }
            var code: Int32?
            var chain: String?
            for part in attribute.nested {
                if Int32(part.type) == Int32(NFTA_VERDICT_CODE.rawValue) {
                    code = part.number.map { Int32(bitPattern: $0) }
                } else if Int32(part.type) == Int32(NFTA_VERDICT_CHAIN.rawValue) {
                    chain = part.string
                }
            }
            guard let code, let verdict = Verdict(code: code, chain: chain) else { return nil }
            self = .verdict(verdict)
            return
        }
        return nil
    }
}
