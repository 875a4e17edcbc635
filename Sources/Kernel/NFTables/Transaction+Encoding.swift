// A transaction as the batch of netlink messages that the kernel takes.
import CNFTables

/// The messages of a transaction and which operation each belongs to.
struct Batch: ~Copyable {
    var buffer = MessageBuffer()
    /// The operation of the message with sequence number `first + index`; nil for the batch's begin and end.
    private(set) var operations: [Int?] = []
    let first: UInt32
    private var nextSetID: UInt32 = 1

    /// Elements go into messages of at most this many bytes: attribute lengths are 16 bits.
    private static let elementBytes = 60_000

    /// Encodes `transaction` with sequence numbers from `sequence` on. The kernel refuses the batch with ERESTART if
    /// `generation` is given and not its own.
    init(_ transaction: borrowing Transaction, sequence: UInt32, generation: UInt32?) throws(EncodingError) {
        first = sequence
        let begin = header(UInt16(NFNL_MSG_BATCH_BEGIN), operation: nil)
        if let generation { mnl_attr_put_u32(begin, UInt16(NFNL_BATCH_GENID.rawValue), generation.bigEndian) }
        buffer.finish(begin)
        for (index, operation) in transaction.operations.enumerated() {
            // The buffer has room for names as long as the kernel takes (NFT_NAME_MAXLEN), not for any.
            guard operation.names.allSatisfy({ (1..<256).contains($0.utf8.count) }) else {
                throw EncodingError("\(operation): a name must have 1 to 255 bytes")
            }
            try encode(operation, index)
        }
        buffer.finish(header(UInt16(NFNL_MSG_BATCH_END), operation: nil))
    }

    /// The header of a message of the batch itself.
    private mutating func header(_ type: UInt16, operation: Int?) -> UnsafeMutablePointer<nlmsghdr> {
        let sequence = first &+ UInt32(operations.count)
        operations.append(operation)
        let header =
            type == UInt16(NFNL_MSG_BATCH_BEGIN)
            ? nftnl_batch_begin(buffer.next(), sequence) : nftnl_batch_end(buffer.next(), sequence)
        return header.unsafelyUnwrappedAfterBuild
    }

    /// The header of a message about an object.
    private mutating func header(
        _ type: some RawRepresentable<UInt32>, _ family: Family, _ flags: Int32, _ operation: Int
    ) -> UnsafeMutablePointer<nlmsghdr> {
        let sequence = first &+ UInt32(operations.count)
        operations.append(operation)
        return nftnl_nlmsg_build_hdr(
            buffer.next(), UInt16(type.rawValue), UInt16(family.rawValue), UInt16(flags), sequence
        ).unsafelyUnwrappedAfterBuild
    }

    private mutating func encode(_ operation: Transaction.Operation, _ index: Int) throws(EncodingError) {
        switch operation {
        case .addTable(let name, let comment):
            table(name, comment: comment, NFT_MSG_NEWTABLE, NLM_F_CREATE, index)
        case .deleteTable(let name): table(name, comment: nil, NFT_MSG_DELTABLE, 0, index)
        case .addChain(let table, let chain): self.chain(table, chain, index)
        case .deleteChain(let table, let name): self.chain(table, deleting: name, index)
        case .flushChain(let table, let chain):
            let header = header(NFT_MSG_DELRULE, table.family, 0, index)
            mnl_attr_put_strz(header, UInt16(NFTA_RULE_TABLE.rawValue), table.name)
            mnl_attr_put_strz(header, UInt16(NFTA_RULE_CHAIN.rawValue), chain)
            buffer.finish(header)
        case .addSet(let table, let set): self.set(table, set, index)
        case .deleteSet(let table, let name):
            let header = header(NFT_MSG_DELSET, table.family, 0, index)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_TABLE.rawValue), table.name)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_NAME.rawValue), name)
            buffer.finish(header)
        case .flushSet(let table, let name):
            let header = header(NFT_MSG_DELSETELEM, table.family, 0, index)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_ELEM_LIST_TABLE.rawValue), table.name)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_ELEM_LIST_SET.rawValue), name)
            buffer.finish(header)
        case .addElements(let table, let set, let list):
            try elements(table, set, list, NFT_MSG_NEWSETELEM, NLM_F_CREATE, index)
        case .deleteElements(let table, let set, let list):
            try elements(table, set, list, NFT_MSG_DELSETELEM, 0, index)
        case .appendRule(let table, let chain, let rule): try self.rule(table, chain, rule, index)
        case .deleteRule(let table, let chain, let handle):
            let header = header(NFT_MSG_DELRULE, table.family, 0, index)
            mnl_attr_put_strz(header, UInt16(NFTA_RULE_TABLE.rawValue), table.name)
            mnl_attr_put_strz(header, UInt16(NFTA_RULE_CHAIN.rawValue), chain)
            mnl_attr_put_u64(header, UInt16(NFTA_RULE_HANDLE.rawValue), handle.bigEndian)
            buffer.finish(header)
        }
    }

    private mutating func table(
        _ name: TableName, comment: String?, _ type: nf_tables_msg_types, _ flags: Int32, _ index: Int
    ) {
        let header = header(type, name.family, flags, index)
        let object = nftnl_table_alloc()
        defer { nftnl_table_free(object) }
        nftnl_table_set_str(object, UInt16(NFTNL_TABLE_NAME.rawValue), name.name)
        let userData = UserData.comment(comment)
        if !userData.isEmpty {
            nftnl_table_set_data(
                object, UInt16(NFTNL_TABLE_USERDATA.rawValue), userData, UInt32(userData.count))
        }
        nftnl_table_nlmsg_build_payload(header, object)
        buffer.finish(header)
    }

    private mutating func chain(_ table: TableName, _ chain: Chain, _ index: Int) {
        let header = header(NFT_MSG_NEWCHAIN, table.family, NLM_F_CREATE, index)
        let object = nftnl_chain_alloc()
        defer { nftnl_chain_free(object) }
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue), table.name)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue), chain.name)
        if let hook = chain.hook {
            nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue), hook.kind.rawValue)
            nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue), hook.hook.rawValue)
            nftnl_chain_set_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue), hook.priority)
            nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_POLICY.rawValue), hook.policy.rawValue)
        }
        let userData = UserData.comment(chain.comment)
        if !userData.isEmpty {
            nftnl_chain_set_data(
                object, UInt16(NFTNL_CHAIN_USERDATA.rawValue), userData, UInt32(userData.count))
        }
        nftnl_chain_nlmsg_build_payload(header, object)
        buffer.finish(header)
    }

    private mutating func chain(_ table: TableName, deleting name: String, _ index: Int) {
        let header = header(NFT_MSG_DELCHAIN, table.family, 0, index)
        mnl_attr_put_strz(header, UInt16(NFTA_CHAIN_TABLE.rawValue), table.name)
        mnl_attr_put_strz(header, UInt16(NFTA_CHAIN_NAME.rawValue), name)
        buffer.finish(header)
    }

    private mutating func set(_ table: TableName, _ set: NamedSet, _ index: Int) {
        let header = header(NFT_MSG_NEWSET, table.family, NLM_F_CREATE, index)
        let object = nftnl_set_alloc()
        defer { nftnl_set_free(object) }
        func number(_ key: nftnl_set_attr, _ value: UInt32) {
            nftnl_set_set_u32(object, UInt16(key.rawValue), value)
        }
        nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), set.name)
        number(NFTNL_SET_FLAGS, set.flags.rawValue | (set.value == nil ? 0 : UInt32(NFT_SET_MAP.rawValue)))
        number(NFTNL_SET_KEY_TYPE, set.key.number)
        number(NFTNL_SET_KEY_LEN, UInt32(set.key.byteCount))
        // Names the set within the batch; the kernel insists on one.
        number(NFTNL_SET_ID, nextSetID)
        nextSetID += 1
        switch set.value {
        case .verdict:
            number(NFTNL_SET_DATA_TYPE, UInt32(NFT_DATA_VERDICT.rawValue))
            number(NFTNL_SET_DATA_LEN, 0)
        case .data(let type):
            number(NFTNL_SET_DATA_TYPE, type.number)
            number(NFTNL_SET_DATA_LEN, UInt32(type.byteCount))
        case nil: break
        }
        if let size = set.size { number(NFTNL_SET_DESC_SIZE, size) }
        let userData = set.userData
        nftnl_set_set_data(object, UInt16(NFTNL_SET_USERDATA.rawValue), userData, UInt32(userData.count))
        nftnl_set_nlmsg_build_payload(header, object)
        buffer.finish(header)
    }

    private mutating func rule(
        _ table: TableName, _ chain: String, _ rule: Rule, _ index: Int
    ) throws(EncodingError) {
        let object = nftnl_rule_alloc()
        defer { nftnl_rule_free(object) }
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_TABLE.rawValue), table.name)
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
        let userData = UserData.comment(rule.comment)
        if !userData.isEmpty {
            nftnl_rule_set_data(object, UInt16(NFTNL_RULE_USERDATA.rawValue), userData, UInt32(userData.count))
        }
        let instructions = try Lowering.lower(rule.statements, family: table.family)
        // NFT_RULE_MAXEXPRS
        guard instructions.count <= 128 else { throw EncodingError("a rule of more than 128 expressions") }
        for instruction in instructions {
            nftnl_rule_add_expr(object, try instruction.makeExpression())
        }
        let header = header(NFT_MSG_NEWRULE, table.family, NLM_F_CREATE | NLM_F_APPEND, index)
        nftnl_rule_nlmsg_build_payload(header, object)
        buffer.finish(header)
    }

    /// Elements are written attribute by attribute: a hundred thousand of them are common, objects for each are not
    /// worth it.
    private mutating func elements(
        _ table: TableName, _ set: String, _ list: [SetElement], _ type: nf_tables_msg_types, _ flags: Int32,
        _ index: Int
    ) throws(EncodingError) {
        let isAddition = type == NFT_MSG_NEWSETELEM
        var rest = list[...]
        while !rest.isEmpty {
            let header = header(type, table.family, flags, index)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_ELEM_LIST_TABLE.rawValue), table.name)
            mnl_attr_put_strz(header, UInt16(NFTA_SET_ELEM_LIST_SET.rawValue), set)
            let listNest = mnl_attr_nest_start(header, UInt16(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue))
            let start = header.pointee.nlmsg_len
            while let element = rest.first, header.pointee.nlmsg_len - start < Self.elementBytes {
                try Self.put(element, withValue: isAddition, into: header)
                rest.removeFirst()
            }
            mnl_attr_nest_end(header, listNest)
            buffer.finish(header)
        }
    }

    private static func put(
        _ element: SetElement, withValue: Bool, into header: UnsafeMutablePointer<nlmsghdr>
    ) throws(EncodingError) {
        guard element.key.count <= 64 else { throw EncodingError("an element's key of \(element.key.count) bytes") }
        let nest = mnl_attr_nest_start(header, UInt16(NFTA_LIST_ELEM.rawValue))
        if element.isIntervalEnd {
            let flag = UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue)
            mnl_attr_put_u32(header, UInt16(NFTA_SET_ELEM_FLAGS.rawValue), flag.bigEndian)
        }
        let key = mnl_attr_nest_start(header, UInt16(NFTA_SET_ELEM_KEY.rawValue))
        mnl_attr_put(header, UInt16(NFTA_DATA_VALUE.rawValue), element.key.count, element.key)
        mnl_attr_nest_end(header, key)
        if withValue { try put(valueOf: element, into: header) }
        mnl_attr_nest_end(header, nest)
    }

    private static func put(
        valueOf element: SetElement, into header: UnsafeMutablePointer<nlmsghdr>
    ) throws(EncodingError) {
        switch element.value {
        case .data(let bytes):
            guard bytes.count <= 64 else { throw EncodingError("an element's value of \(bytes.count) bytes") }
            let data = mnl_attr_nest_start(header, UInt16(NFTA_SET_ELEM_DATA.rawValue))
            mnl_attr_put(header, UInt16(NFTA_DATA_VALUE.rawValue), bytes.count, bytes)
            mnl_attr_nest_end(header, data)
        case .verdict(let verdict):
            let data = mnl_attr_nest_start(header, UInt16(NFTA_SET_ELEM_DATA.rawValue))
            let nest = mnl_attr_nest_start(header, UInt16(NFTA_DATA_VERDICT.rawValue))
            let code = UInt32(bitPattern: verdict.code)
            mnl_attr_put_u32(header, UInt16(NFTA_VERDICT_CODE.rawValue), code.bigEndian)
            if let chain = verdict.chain { mnl_attr_put_strz(header, UInt16(NFTA_VERDICT_CHAIN.rawValue), chain) }
            mnl_attr_nest_end(header, nest)
            mnl_attr_nest_end(header, data)
        case nil: break
        }
        guard let comment = element.comment else { return }
        let length = comment.utf8.count
        guard length <= 253 else { throw EncodingError("an element's comment of \(length) bytes") }
        // One entry of user data: its type (NFTNL_UDATA_SET_ELEM_COMMENT, 0), its length, the text and a zero byte.
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { entry in
            entry[0] = 0
            entry[1] = UInt8(length + 1)
            var next = 2
            for byte in comment.utf8 {
                entry[next] = byte
                next += 1
            }
            entry[next] = 0
            mnl_attr_put(header, UInt16(NFTA_SET_ELEM_USERDATA.rawValue), next + 1, entry.baseAddress)
        }
    }
}

extension Transaction.Operation {
    /// The names that the operation puts into its message, besides those in rules.
    fileprivate var names: [String] {
        switch self {
        case .addTable(let table, _), .deleteTable(let table): [table.name]
        case .addChain(let table, let chain): [table.name, chain.name]
        case .flushChain(let table, let name), .deleteChain(let table, let name), .flushSet(let table, let name),
            .deleteSet(let table, let name), .addElements(let table, let name, _),
            .deleteElements(let table, let name, _), .appendRule(let table, let name, _),
            .deleteRule(let table, let name, _):
            [table.name, name]
        case .addSet(let table, let set): [table.name, set.name]
        }
    }
}

extension Optional {
    /// libnftnl's header builders return the buffer they were given, which is never null.
    fileprivate var unsafelyUnwrappedAfterBuild: Wrapped {
        guard let self else { preconditionFailure("a header builder of libnftnl returned no header") }
        return self
    }
}
