import JSONTree
import Linux
import Seccomp

/// What is wrong with a profile, and where: `syscalls[3].args[0].op: unknown operator "SCMP_CMP_XX"`.
struct SeccompProfileError: Error, Hashable, CustomStringConvertible {
    let path: String
    let message: String

    var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

// Profiles as files: the format of Docker and containers/common, of which the linux.seccomp of the OCI's runtime-spec is a
// part. A field that this reader does not know is an error: a profile must not be weaker than its author meant it.
extension SeccompProfile {
    init(json: JSONValue) throws(SeccompProfileError) {
        let fields = try Fields(
            json, path: "",
            allowed: [
                "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls", "flags",
                "comment", "$schema",
            ])
        let errno = try fields.errorNumber("defaultErrnoRet", name: "defaultErrno")
        let defaultAction = try fields.action("defaultAction", errno: errno)
        // TSYNC says nothing: the program is put on a process of one thread.
        for flag in try fields.strings("flags") where flag != "SECCOMP_FILTER_FLAG_TSYNC" {
            throw SeccompProfileError(path: "flags", message: "\"\(flag)\" is not supported")
        }
        let architectures = try fields.strings("architectures").map { Self.libraryName($0) }
        var subarchitectures: [String: [String]] = [:]
        for (index, element) in try fields.array("archMap").enumerated() {
            let entry = try Fields(element, path: "archMap[\(index)]", allowed: ["architecture", "subArchitectures"])
            subarchitectures[Self.libraryName(try entry.string("architecture"))] =
                try entry.strings("subArchitectures").map { Self.libraryName($0) }
        }
        if !architectures.isEmpty, !subarchitectures.isEmpty {
            throw SeccompProfileError(path: "archMap", message: "cannot stand beside \"architectures\"")
        }
        var rules: [Rule] = []
        for (index, element) in try fields.array("syscalls").enumerated() {
            rules.append(try Rule(json: element, path: "syscalls[\(index)]"))
        }
        self.init(
            defaultAction: defaultAction, architectures: architectures, subarchitectures: subarchitectures,
            rules: rules)
    }

    /// `SCMP_ARCH_X86_64` is `x86_64` to libseccomp.
    private static func libraryName(_ name: String) -> String {
        name.hasPrefix("SCMP_ARCH_") ? name.dropFirst(10).lowercased() : name
    }
}

extension SeccompProfile.Rule {
    fileprivate init(json: JSONValue, path: String) throws(SeccompProfileError) {
        let fields = try Fields(
            json, path: path,
            allowed: ["names", "name", "action", "errnoRet", "errno", "args", "includes", "excludes", "comment"])
        let errno = try fields.errorNumber("errnoRet", name: "errno")
        let names = try fields.strings("names") + (fields["name"] == nil ? [] : [try fields.string("name")])
        guard !names.isEmpty else { throw SeccompProfileError(path: "\(path).names", message: "missing") }
        var arguments: [SeccompProfile.Argument] = []
        for (index, element) in try fields.array("args").enumerated() {
            arguments.append(try SeccompProfile.Argument(json: element, path: "\(path).args[\(index)]"))
        }
        self.init(
            names, try fields.action("action", errno: errno), arguments: arguments,
            includes: try fields.condition("includes"), excludes: try fields.condition("excludes"))
    }
}

extension SeccompProfile.Argument {
    fileprivate init(json: JSONValue, path: String) throws(SeccompProfileError) {
        let fields = try Fields(json, path: path, allowed: ["index", "value", "valueTwo", "op"])
        let operators: [String: Comparison] = [
            "SCMP_CMP_NE": .notEqual, "SCMP_CMP_LT": .less, "SCMP_CMP_LE": .lessOrEqual, "SCMP_CMP_EQ": .equal,
            "SCMP_CMP_GE": .greaterOrEqual, "SCMP_CMP_GT": .greater, "SCMP_CMP_MASKED_EQ": .maskedEqual,
        ]
        let name = try fields.string("op")
        guard let comparison = operators[name] else {
            throw SeccompProfileError(path: "\(path).op", message: "unknown operator \"\(name)\"")
        }
        let index = try fields.number("index") ?? 0
        guard index <= 5 else { throw SeccompProfileError(path: "\(path).index", message: "must be 0 to 5") }
        self.init(
            UInt32(index), comparison, try fields.number("value") ?? 0, valueTwo: try fields.number("valueTwo") ?? 0)
    }
}

/// The members of one object of a profile.
private struct Fields {
    private let object: JSONObject
    let path: String

    init(_ value: JSONValue, path: String, allowed: Set<String>) throws(SeccompProfileError) {
        guard let object = value.objectValue else {
            throw SeccompProfileError(path: path, message: "must be an object, not \(value.kindName)")
        }
        if let unknown = object.keys.first(where: { !allowed.contains($0) }) {
            throw SeccompProfileError(path: path, message: "unknown field \"\(unknown)\"")
        }
        self.object = object
        self.path = path
    }

    /// A member that is neither missing nor null.
    subscript(key: String) -> JSONValue? {
        // `nil` could also mean JSON's null here.
        guard let value = object[key], !value.isNull else { return Optional.none }
        return value
    }

    private func failure(_ key: String, _ message: String) -> SeccompProfileError {
        SeccompProfileError(path: path.isEmpty ? key : "\(path).\(key)", message: message)
    }

    func string(_ key: String) throws(SeccompProfileError) -> String {
        guard let value = self[key] else { throw failure(key, "missing") }
        guard let text = value.stringValue else { throw failure(key, "must be a string, not \(value.kindName)") }
        return text
    }

    func array(_ key: String) throws(SeccompProfileError) -> [JSONValue] {
        guard let value = self[key] else { return [] }
        guard let elements = value.arrayValue else { throw failure(key, "must be a list, not \(value.kindName)") }
        return elements
    }

    func strings(_ key: String) throws(SeccompProfileError) -> [String] {
        let texts = try array(key).map(\.stringValue)
        guard !texts.contains(nil) else { throw failure(key, "must be a list of strings") }
        return texts.compactMap { $0 }
    }

    /// A number of 0…2^64-1.
    func number(_ key: String) throws(SeccompProfileError) -> UInt64? {
        guard let value = self[key] else { return nil }
        if let number = value.integerValue.flatMap(UInt64.init(exactly:)) { return number }
        // Beyond Int64 the tree keeps a number as it was written.
        if case .number(let text) = value, let number = UInt64(text) { return number }
        throw failure(key, "must be a whole number of 0 to 2^64-1")
    }

    /// An error number, or, as containers/common writes it in a field of its own, the error's name.
    func errorNumber(_ key: String, name: String) throws(SeccompProfileError) -> UInt16? {
        if let number = try number(key) {
            guard number <= 4095 else { throw failure(key, "must be 0 to 4095") }
            return UInt16(number)
        }
        guard self[name] != nil else { return nil }
        let text = try string(name)
        let names = ["EPERM": EPERM, "EACCES": EACCES, "ENOSYS": ENOSYS, "EINVAL": EINVAL, "ENOTSUP": ENOTSUP]
        if let number = UInt16(text), number <= 4095 { return number }
        guard let number = names[text] else { throw failure(name, "unknown error \"\(text)\"") }
        return UInt16(number)
    }

    func action(_ key: String, errno: UInt16?) throws(SeccompProfileError) -> SeccompAction {
        let name = try string(key)
        switch name {
        case "SCMP_ACT_ALLOW": return .allow
        case "SCMP_ACT_LOG": return .log
        case "SCMP_ACT_TRAP": return .trap
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return .killThread
        case "SCMP_ACT_KILL_PROCESS": return .killProcess
        case "SCMP_ACT_ERRNO": return .errno(errno ?? UInt16(EPERM))
        case "SCMP_ACT_TRACE": return .trace(errno ?? UInt16(EPERM))
        case "SCMP_ACT_NOTIFY": throw failure(key, "SCMP_ACT_NOTIFY is not supported")
        default: throw failure(key, "unknown action \"\(name)\"")
        }
    }

    func condition(_ key: String) throws(SeccompProfileError) -> SeccompProfile.Condition {
        guard let value = self[key] else { return SeccompProfile.Condition() }
        let fields = try Fields(
            value, path: path.isEmpty ? key : "\(path).\(key)", allowed: ["caps", "arches", "minKernel"])
        var condition = SeccompProfile.Condition(
            capabilities: try fields.strings("caps"), architectures: try fields.strings("arches"))
        if fields["minKernel"] != nil {
            let text = try fields.string("minKernel")
            guard let version = KernelVersion(text) else {
                throw fields.failure("minKernel", "\"\(text)\" is not a kernel version such as 4.8")
            }
            condition.minimumKernel = version
        }
        return condition
    }
}
