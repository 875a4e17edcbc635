import Glibc
import JSONTree
import Linux

/// What is known of one attachment, on disk from before its ADD until after its DEL: `<directory>/results/
/// <network>-<container>-<interface>`, in the format of libcni's own cache (`cniCacheV1`), which its `cnitool` reads too.
struct AttachmentRecord: Sendable {
    let containerID: String
    let interface: String
    /// What the plugins were told, and are told again.
    var networkNamespacePath: String
    var arguments: [CNIArgument]
    var capabilities: JSONObject
    /// The configuration under which it was made, and which takes it down, whatever the directory says by then.
    let configuration: NetworkConfiguration
    let version: CNIVersion
    /// The chain's result as the last plugin wrote it; nil while ADD has not succeeded.
    var result: JSONValue?

    var network: String { configuration.name }

    static func fileName(network: String, containerID: String, interface: String) -> String {
        "\(network)-\(containerID)-\(interface)"
    }

    var fileName: String { Self.fileName(network: network, containerID: containerID, interface: interface) }
}

/// A pair of `CNI_ARGS`.
public struct CNIArgument: Sendable, Hashable {
    public let key: String
    public let value: String
    public init(_ key: String, _ value: String) { (self.key, self.value) = (key, value) }
}

extension AttachmentRecord {
    private static let kind = "cniCacheV1"

    var encoded: [UInt8] {
        // The version that was agreed on, so that whoever reads the configuration alone speaks it too.
        var list = configuration.document
        list["cniVersion"] = .string(version.rawValue)
        list["cniVersions"] = nil
        var object: JSONObject = [
            "kind": .string(Self.kind), "containerId": .string(containerID),
            "config": .string(Base64.encode(list.encoded())), "ifName": .string(interface),
            "networkName": .string(network),
        ]
        if !networkNamespacePath.isEmpty { object["netns"] = .string(networkNamespacePath) }
        if !arguments.isEmpty {
            object["cniArgs"] = .array(arguments.map { [.string($0.key), .string($0.value)] })
        }
        if !capabilities.isEmpty { object["capabilityArgs"] = .object(capabilities) }
        object["result"] = result
        return JSONValue.object(object).encoded() + [UInt8(ascii: "\n")]
    }

    /// nil for what is no record of an attachment.
    init?(encoded: [UInt8]) {
        guard let value = try? JSONValue.parse(encoded), value["kind"]?.stringValue == Self.kind,
            let containerID = value["containerId"]?.stringValue, CNINames.isIdentifier(containerID),
            let interface = value["ifName"]?.stringValue, CNINames.isInterface(interface),
            let bytes = value["config"]?.stringValue.flatMap(Base64.decode),
            let configuration = try? NetworkConfiguration(bytes)
        else { return nil }
        let arguments = (value["cniArgs"]?.arrayValue ?? []).compactMap { pair in
            pair[0]?.stringValue.flatMap { key in pair[1]?.stringValue.map { CNIArgument(key, $0) } }
        }
        self.init(
            containerID: containerID, interface: interface,
            networkNamespacePath: value["netns"]?.stringValue ?? "", arguments: arguments,
            capabilities: value["capabilityArgs"]?.objectValue ?? [:], configuration: configuration,
            version: configuration.version, result: value["result"])
    }
}

/// The records of a directory.
struct AttachmentRecords: Sendable {
    /// `<directory>/results`
    let directory: String

    init(_ directory: String) { self.directory = directory + "/results" }

    /// Survives SIGKILL at any moment. Before ADD it must survive power loss too (`durable`): plugins keep reservations on
    /// disk, which only a DEL takes back.
    func write(_ record: AttachmentRecord, durable: Bool) throws(SystemError) {
        try makeDirectories(directory, mode: 0o700)
        try writeFileAtomically("\(directory)/\(record.fileName)", record.encoded, mode: 0o600, durable: durable)
    }

    /// nil where there is none. A file that is no record fails with EBADMSG.
    func read(network: String, containerID: String, interface: String) throws(SystemError) -> AttachmentRecord? {
        let name = AttachmentRecord.fileName(network: network, containerID: containerID, interface: interface)
        return try read(file: name)
    }

    private func read(file: String) throws(SystemError) -> AttachmentRecord? {
        let path = "\(directory)/\(file)"
        let bytes: [UInt8]
        do {
            bytes = try readFile(path, limit: 16 << 20)
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
        guard let record = AttachmentRecord(encoded: bytes) else {
            throw SystemError("read attachment", path, errno: EBADMSG)
        }
        return record
    }

    /// Every record, and the paths of files that are none. What was being written when its writer died is passed over.
    func all() throws(SystemError) -> (records: [AttachmentRecord], unreadable: [String]) {
        try read { _ in true }
    }

    /// The attachments of one container, in whatever networks.
    func of(_ containerID: String) throws(SystemError) -> [AttachmentRecord] {
        try read { $0.contains("-\(containerID)-") }.records.filter { $0.containerID == containerID }
    }

    private func read(
        where isWanted: (String) -> Bool
    ) throws(SystemError) -> (records: [AttachmentRecord], unreadable: [String]) {
        guard fileExists(directory) else { return ([], []) }
        var records: [AttachmentRecord] = []
        var unreadable: [String] = []
        for file in try listDirectory(directory) where isWanted(file) && !file.contains(".tmp-") {
            do {
                if let record = try read(file: file) { records.append(record) }
            } catch {
                guard error.errno == EBADMSG else { throw error }
                unreadable.append("\(directory)/\(file)")
            }
        }
        return (records, unreadable)
    }

    /// Fine where there is none.
    func remove(_ record: AttachmentRecord) throws(SystemError) {
        let path = "\(directory)/\(record.fileName)"
        if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
    }
}

/// RFC 4648, 4: how Go's JSON writes bytes.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                text.append(index <= group.count ? digits[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// nil for what is not base64 with its padding.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        let text = Array(text.utf8)
        guard text.count % 4 == 0 else { return nil }
        let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard padding <= 2 else { return nil }
        var bits: UInt32 = 0
        for (index, byte) in text.enumerated() {
            let value: Int
            if index >= text.count - padding {
                value = 0
            } else {
                guard let digit = digits.firstIndex(of: byte) else { return nil }
                value = digit
            }
            bits = bits << 6 | UInt32(value)
            if index % 4 == 3 {
                bytes += [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
                bits = 0
            }
        }
        bytes.removeLast(padding)
        return bytes
    }
}
