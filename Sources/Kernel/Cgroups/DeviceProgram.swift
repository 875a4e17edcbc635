import Linux

/// A BPF program of type BPF_PROG_TYPE_CGROUP_DEVICE (bpf(2), linux/bpf.h): gets `struct bpf_cgroup_dev_ctx { __u32
/// access_type, major, minor }` and answers 1 to allow, 0 to refuse with EPERM.
struct DeviceProgram: Hashable {
    /// `struct bpf_insn`, eight bytes each.
    private(set) var instructions: [UInt64] = []

    private enum Register: UInt64 {
        case result = 0
        case context = 1
        case type = 2
        case access = 3
        case major = 4
        case minor = 5
    }

    /// A program that allows what one of `rules` allows.
    init(_ rules: [DeviceRule]) {
        // BPF_LDX|BPF_MEM|BPF_W; then BPF_ALU|BPF_AND|BPF_K and BPF_ALU|BPF_RSH|BPF_K take access_type apart.
        append(0x61, .type, source: .context, offset: 0)
        append(0x54, .type, immediate: 0xffff)
        append(0x61, .access, source: .context, offset: 0)
        append(0x74, .access, immediate: 16)
        append(0x61, .major, source: .context, offset: 4)
        append(0x61, .minor, source: .context, offset: 8)
        for rule in rules { append(rule) }
        append(result: 0)
    }

    private mutating func append(_ rule: DeviceRule) {
        var body = DeviceProgram()
        // Jumps over the rest of the rule where it does not fit: BPF_JMP|BPF_JNE|BPF_K, patched once its length is known.
        var jumps: [Int] = []
        func unless(_ register: Register, _ value: UInt32) {
            jumps.append(body.instructions.count)
            body.append(0x55, register, immediate: value)
        }
        switch rule.kind {
        case .block: unless(.type, 1)
        case .character: unless(.type, 2)
        case .all: break
        }
        if rule.access != .all {
            // Everything that is asked for must be allowed: asked & allowed == asked. BPF_ALU|BPF_MOV|BPF_X,
            // BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JNE|BPF_X.
            body.append(0xbc, .context, source: .access)
            body.append(0x54, .context, immediate: rule.access.rawValue)
            jumps.append(body.instructions.count)
            body.append(0x5d, .context, source: .access)
        }
        if let major = rule.major { unless(.major, major) }
        if let minor = rule.minor { unless(.minor, minor) }
        body.append(result: 1)
        for jump in jumps {
            body.instructions[jump] |= UInt64(body.instructions.count - jump - 1) << 16
        }
        instructions += body.instructions
    }

    private init() {}

    /// BPF_ALU64|BPF_MOV|BPF_K r0, and BPF_JMP|BPF_EXIT.
    private mutating func append(result: UInt32) {
        append(0xb7, .result, immediate: result)
        instructions.append(0x95)
    }

    private mutating func append(
        _ code: UInt64, _ destination: Register, source: Register = .result, offset: UInt64 = 0, immediate: UInt32 = 0
    ) {
        instructions.append(
            code | destination.rawValue << 8 | source.rawValue << 12 | offset << 16 | UInt64(immediate) << 32)
    }
}

// bpf(2). The attributes are laid out by hand: Swift sees nothing of the union's nameless members.
extension DeviceProgram {
    private static let cgroupDevice: UInt32 = 6  // BPF_CGROUP_DEVICE
    private static let allowMulti: UInt32 = 2  // BPF_F_ALLOW_MULTI

    /// Loads the program and attaches it to a cgroup of version 2.
    func attach(to cgroup: borrowing OwnedDescriptor) throws(SystemError) {
        let loaded = try load()
        var attributes = [UInt32(cgroup.number), UInt32(loaded.number), Self.cgroupDevice, Self.allowMulti]
        try Self.bpf(8, &attributes, "bpf BPF_PROG_ATTACH")
    }

    private func load() throws(SystemError) -> OwnedDescriptor {
        // License and name are read by the kernel from memory that must not move: arrays pinned for the call.
        let license: [UInt8] = Array("Apache-2.0\0".utf8)
        let result = instructions.withUnsafeBytes { code in
            license.withUnsafeBytes { license in
                var attributes = [UInt32](repeating: 0, count: 18)
                attributes[0] = 15  // BPF_PROG_TYPE_CGROUP_DEVICE
                attributes[1] = UInt32(instructions.count)
                Self.setPointer(code.baseAddress, &attributes, at: 2)
                Self.setPointer(license.baseAddress, &attributes, at: 4)
                attributes[17] = Self.cgroupDevice
                return Result { () throws(SystemError) in
                    try Self.bpf(5, &attributes, "bpf BPF_PROG_LOAD")
                }
            }
        }
        return OwnedDescriptor(owning: Int32(try result.get()))
    }

    /// The ids of the device programs attached to the cgroup itself, at most 64.
    static func attached(to cgroup: borrowing OwnedDescriptor) throws(SystemError) -> [UInt32] {
        var ids = [UInt32](repeating: 0, count: 64)
        let number = UInt32(cgroup.number)
        let result = ids.withUnsafeMutableBytes { room in
            var attributes = [number, cgroupDevice, 0, 0, 0, 0, 64, 0]
            setPointer(UnsafeRawPointer(room.baseAddress), &attributes, at: 4)
            return Result { () throws(SystemError) in
                try bpf(16, &attributes, "bpf BPF_PROG_QUERY")
                return Int(attributes[6])
            }
        }
        return Array(ids.prefix(try result.get()))
    }

    static func detach(_ id: UInt32, from cgroup: borrowing OwnedDescriptor) throws(SystemError) {
        var byID = [id, 0, 0]
        let program = OwnedDescriptor(owning: Int32(try bpf(13, &byID, "bpf BPF_PROG_GET_FD_BY_ID")))
        var attributes = [UInt32(cgroup.number), UInt32(program.number), cgroupDevice, 0]
        try bpf(9, &attributes, "bpf BPF_PROG_DETACH")
    }

    private static func setPointer(_ pointer: UnsafeRawPointer?, _ attributes: inout [UInt32], at index: Int) {
        let address = UInt64(UInt(bitPattern: pointer))
        attributes[index] = UInt32(truncatingIfNeeded: address)
        attributes[index + 1] = UInt32(truncatingIfNeeded: address >> 32)
    }

    @discardableResult
    private static func bpf(_ command: Int, _ attributes: inout [UInt32], _ name: String) throws(SystemError) -> Int {
        let size = attributes.count * 4
        let result = attributes.withUnsafeMutableBytes { room in
            cl_syscall(Int(SYS_bpf), command, Int(bitPattern: room.baseAddress), size, 0, 0, 0)
        }
        return try check(result, name)
    }
}
