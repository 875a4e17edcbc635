import CPodinit
import Glibc
import Linux

/// Builds a plan: one blob and the descriptors it names. The format is that of `podinit_protocol.h`.
struct PlanEncoder {
    private(set) var bytes: [UInt8] = []
    private(set) var descriptors: [Int32] = []
    private var positions: [Int32: UInt32] = [:]

    /// Starts with room for the fixed part, which ``finish(_:kind:)`` fills in.
    init<Fixed>(fixed: Fixed.Type) {
        bytes.reserveCapacity(4096)
        bytes = [UInt8](repeating: 0, count: MemoryLayout<Fixed>.size)
    }

    /// Adds a string; one with a NUL inside cannot be said to the kernel and is refused as `what`.
    mutating func string(_ text: String, _ what: String) throws(LaunchError) -> pi_string {
        let offset = bytes.count
        bytes.append(contentsOf: text.utf8)
        let length = bytes.count - offset
        if bytes[offset...].contains(0) { throw LaunchError(step: .plan, subject: "NUL in \(what)", errno: EINVAL) }
        bytes.append(0)
        return pi_string(offset: UInt32(offset), length: UInt32(length))
    }

    mutating func strings(_ texts: [String], _ what: String) throws(LaunchError) -> pi_list {
        var elements: [pi_string] = []
        elements.reserveCapacity(texts.count)
        for text in texts { elements.append(try string(text, what)) }
        return list(elements)
    }

    /// Adds an array of plain C values.
    mutating func list<Element: BitwiseCopyable>(_ elements: [Element]) -> pi_list {
        align()
        let offset = bytes.count
        elements.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return pi_list(offset: UInt32(offset), count: UInt32(elements.count))
    }

    /// The index by which the plan names a descriptor.
    mutating func descriptor(_ number: Int32?) -> UInt32 {
        guard let number else { return UInt32.max }
        if let position = positions[number] { return position }
        let position = UInt32(descriptors.count)
        descriptors.append(number)
        positions[number] = position
        return position
    }

    mutating func descriptorList(_ numbers: [Int32]) -> pi_list {
        var indexes: [UInt32] = []
        for number in numbers { indexes.append(descriptor(number)) }
        return list(indexes)
    }

    /// The plan as a sealed memory file, followed by its descriptors.
    consuming func finish<Fixed: BitwiseCopyable>(_ fixed: Fixed) throws(LaunchError) -> EncodedPlan {
        withUnsafeBytes(of: fixed) { source in bytes.replaceSubrange(0..<source.count, with: source) }
        if bytes.count > Int(PI_PLAN_MAX) {
            throw LaunchError(step: .plan, subject: "arguments and environment", errno: E2BIG)
        }
        if descriptors.count >= Int(PI_DESCRIPTORS_MAX) {
            throw LaunchError(step: .plan, subject: "mounts", errno: E2BIG)
        }
        do {
            return EncodedPlan(memory: try sealedMemoryFile(named: "plan", bytes), descriptors: descriptors)
        } catch {
            throw LaunchError(error)
        }
    }

    /// The header of a plan of `kind` (PI_SANDBOX, PI_START, PI_EXEC), to be made last: it knows the size.
    func header(_ kind: pi_type) -> pi_plan_header {
        pi_plan_header(
            magic: UInt32(PI_PLAN_MAGIC), version: UInt16(PI_VERSION), kind: UInt16(kind.rawValue),
            size: UInt32(bytes.count), zero: 0)
    }

    private mutating func align() {
        let rest = bytes.count % 8
        if rest != 0 { bytes.append(contentsOf: [UInt8](repeating: 0, count: 8 - rest)) }
    }
}

/// A plan ready to be sent.
struct EncodedPlan: ~Copyable {
    let memory: OwnedDescriptor
    /// Borrowed.
    let descriptors: [Int32]
}

/// A name in the fixed field that messages and plans have for it.
func encodeName(_ name: String, into field: inout some BitwiseCopyable) throws(LaunchError) {
    let utf8 = Array(name.utf8)
    let room = MemoryLayout.size(ofValue: field)
    if utf8.isEmpty || utf8.count >= room || utf8.contains(0) {
        throw LaunchError(step: .plan, subject: "name \"\(name)\" of the container", errno: EINVAL)
    }
    withUnsafeMutableBytes(of: &field) { $0.copyBytes(from: utf8) }
}

func decodeName(_ field: some BitwiseCopyable) -> String {
    withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
