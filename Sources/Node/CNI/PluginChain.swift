import Glibc
import JSONTree
import Linux

/// A network's plugins, called one after the other with every command: what a container runtime does, as `libcni` does it
/// for others.
///
/// Calls block for as long as plugins run: call them off the cooperative pool. Different containers may be served at the
/// same time; calls for one container must come one after the other. Plugins run in the caller's namespaces.
public struct PluginChain: Sendable {
    public let configuration: NetworkConfiguration
    /// The version that is spoken: the latest that the configuration offers and every plugin supports.
    public let version: CNIVersion
    private let caller: PluginCaller
    private let records: AttachmentRecords

    /// Asks every plugin for the versions that it speaks (VERSION).
    /// - Parameters:
    ///   - pluginDirectories: where plugins are looked for, in this order.
    ///   - directory: where attachments are recorded, in `results/`; made if it is missing.
    ///   - seconds: how long a plugin may take before it is killed.
    public init(
        _ configuration: NetworkConfiguration, pluginDirectories: [String], directory: String, seconds: Int = 60
    ) throws(ChainError) {
        try self.init(
            configuration, caller: PluginCaller(directories: pluginDirectories, seconds: seconds),
            records: AttachmentRecords(directory))
    }

    init(
        _ configuration: NetworkConfiguration, caller: PluginCaller, records: AttachmentRecords
    ) throws(ChainError) {
        self.configuration = configuration
        self.caller = caller
        self.records = records
        version = try Self.negotiate(configuration, caller)
    }

    /// The chain that an attachment was made by, whatever the configuration says by now.
    init(_ record: AttachmentRecord, caller: PluginCaller, records: AttachmentRecords) {
        configuration = record.configuration
        version = record.version
        self.caller = caller
        self.records = records
    }

    private static func negotiate(
        _ configuration: NetworkConfiguration, _ caller: PluginCaller
    ) throws(ChainError) -> CNIVersion {
        var common = configuration.versions
        var asked: Set<String> = []
        for plugin in configuration.plugins where asked.insert(plugin.type).inserted {
            let answer = try caller.call(
                .version, plugin.type, input: ["cniVersion": .string(configuration.version.rawValue)])
            let supported = answer?["supportedVersions"]?.arrayValue?.compactMap(\.stringValue) ?? []
            common.removeAll { !supported.contains($0.rawValue) }
            guard !common.isEmpty else {
                throw .pluginVersion(plugin.type, offered: configuration.versions, supported: supported)
            }
        }
        return common.last ?? configuration.version
    }

    /// Adds a container to the network. The attachment is on disk before the first plugin is called, and its result before
    /// this returns. When a plugin fails, DEL is called for all of them, and nothing is left on record.
    /// - Parameters:
    ///   - containerID: letters, digits, `_`, `.` and `-`, the first a letter or digit.
    ///   - networkNamespacePath: a file of the container's network namespace.
    ///   - interface: the name that the interface has inside.
    ///   - runtimeConfig: what is known for capabilities, by their names; see ``RuntimeConfiguration``.
    ///   - arguments: `CNI_ARGS`.
    public func add(
        containerID: String, networkNamespacePath: String, interface: String, runtimeConfig: JSONObject = [:],
        arguments: [CNIArgument] = []
    ) throws(ChainError) -> CNIResult {
        try Self.check(containerID, interface, arguments)
        if try record(containerID, interface) != nil {
            throw .attachedAlready(containerID: containerID, interface: interface)
        }
        var record = AttachmentRecord(
            containerID: containerID, interface: interface, networkNamespacePath: networkNamespacePath,
            arguments: arguments, capabilities: runtimeConfig, configuration: configuration, version: version)
        try onDisk { () throws(SystemError) in try records.write(record, durable: true) }
        var done = 0
        do throws(ChainError) {
            let (result, document) = try runAdd(record, done: &done)
            record.result = document
            try onDisk { () throws(SystemError) in try records.write(record, durable: false) }
            return result
        } catch {
            // Where even that fails the record stays, for a later DEL or GC.
            try? delete(record, added: done)
            throw error
        }
    }

    /// `done`: how many plugins have succeeded.
    private func runAdd(
        _ record: AttachmentRecord, done: inout Int
    ) throws(ChainError) -> (CNIResult, JSONValue) {
        var previous: JSONValue?
        var result = CNIResult()
        for plugin in configuration.plugins {
            let input = plugin.request(
                network: configuration.name, version: version, runtime: record.capabilities, previous: previous)
            let answer = try caller.call(
                .add, plugin.type, input: input, attachment: record,
                networkNamespacePath: record.networkNamespacePath)
            guard let answer else {
                throw .unintelligible(plugin: plugin.type, command: CNICommand.add.rawValue, "answered with nothing")
            }
            // From here on there is something to take back, whatever the answer is worth.
            done += 1
            (result, previous) = try understand(answer, from: plugin.type)
        }
        return (result, previous ?? result.document(version))
    }

    /// Reads a plugin's result. It goes on to the next plugin as it was written, unless it is in another version.
    private func understand(_ answer: JSONValue, from type: String) throws(ChainError) -> (CNIResult, JSONValue) {
        let text = answer["cniVersion"]?.stringValue
        guard let written = text.map({ CNIVersion(rawValue: $0) }) ?? version else {
            throw .unintelligible(
                plugin: type, command: CNICommand.add.rawValue, "answered in version \(text ?? ""), not in \(version)")
        }
        do {
            let result = try CNIResult(answer, version: written)
            return (result, text != nil && written == version ? answer : result.document(version))
        } catch {
            throw .unintelligible(plugin: type, command: CNICommand.add.rawValue, "result: \(error)")
        }
    }

    /// Removes a container from the network: DEL in reverse order, under the configuration and with the result of its ADD.
    /// Fine for one that is not attached: the present configuration's plugins are asked all the same.
    ///
    /// A plugin that fails does not keep the others from giving up what they have. The record stays then, so that it can be
    /// tried again.
    public func delete(
        containerID: String, networkNamespacePath: String = "", interface: String, arguments: [CNIArgument] = []
    ) throws(ChainError) {
        try Self.check(containerID, interface, arguments)
        if let record = try record(containerID, interface) {
            return try PluginChain(record, caller: caller, records: records).delete(record)
        }
        try runDelete(
            AttachmentRecord(
                containerID: containerID, interface: interface, networkNamespacePath: networkNamespacePath,
                arguments: arguments, capabilities: [:], configuration: configuration, version: version))
    }

    /// Removes an attachment of this chain. `added`: how many plugins have added it; what those say that come after does not
    /// matter, as a plugin that refuses a container often refuses to delete it too.
    func delete(_ record: AttachmentRecord, added: Int? = nil) throws(ChainError) {
        try runDelete(record, added: added)
        try onDisk { () throws(SystemError) in try records.remove(record) }
    }

    private func runDelete(_ record: AttachmentRecord, added: Int? = nil) throws(ChainError) {
        let path = Self.presentPath(record)
        var failures: [ChainError] = []
        for (index, plugin) in configuration.plugins.enumerated().reversed() {
            let input = plugin.request(
                network: configuration.name, version: version, runtime: record.capabilities,
                previous: version.hasCheck ? record.result : nil)
            do throws(ChainError) {
                _ = try caller.call(
                    .delete, plugin.type, input: input, attachment: record, networkNamespacePath: path)
            } catch {
                if index < added ?? configuration.plugins.count { failures.append(error) }
            }
        }
        try Self.throwAll(failures)
    }

    private static func throwAll(_ failures: [ChainError]) throws(ChainError) {
        if failures.count == 1 { throw failures[0] }
        if !failures.isEmpty { throw .several(failures) }
    }

    /// A path that leads to no namespace any more is not passed on: plugins then release what they can without it.
    private static func presentPath(_ record: AttachmentRecord) -> String {
        var system = statfs()
        // NSFS_MAGIC; PROC_SUPER_MAGIC (linux/magic.h), as kernels before 3.19 have it.
        guard statfs(record.networkNamespacePath, &system) == 0, [0x6e73_6673, 0x9fa0].contains(Int(system.f_type))
        else { return "" }
        return record.networkNamespacePath
    }

    /// Asks the plugins whether an attachment is as ADD left it. Does nothing in versions before 0.4.0, and where the
    /// configuration says `disableCheck`.
    public func check(containerID: String, interface: String) throws(ChainError) {
        guard let record = try record(containerID, interface), let result = record.result else {
            throw .notAttached(containerID: containerID, interface: interface)
        }
        try PluginChain(record, caller: caller, records: records).runCheck(record, result)
    }

    private func runCheck(_ record: AttachmentRecord, _ result: JSONValue) throws(ChainError) {
        guard version.hasCheck, !configuration.disableCheck else { return }
        for plugin in configuration.plugins {
            let input = plugin.request(
                network: configuration.name, version: version, runtime: record.capabilities, previous: result)
            _ = try caller.call(
                .check, plugin.type, input: input, attachment: record,
                networkNamespacePath: record.networkNamespacePath)
        }
    }

    /// What ADD of an attachment gave; nil where there is none.
    public func result(containerID: String, interface: String) throws(ChainError) -> CNIResult? {
        guard let record = try record(containerID, interface), let document = record.result else { return nil }
        do {
            return try CNIResult(document, version: record.version)
        } catch {
            throw .record("result of \(containerID) \(interface): \(error)")
        }
    }

    private func record(_ containerID: String, _ interface: String) throws(ChainError) -> AttachmentRecord? {
        try onDisk { () throws(SystemError) in
            try records.read(network: configuration.name, containerID: containerID, interface: interface)
        }
    }

    /// Takes back what containers of this network have that are not among `valid`: DEL for attachments on record, and from
    /// version 1.1.0 on GC, for what plugins know beyond that. Goes on after a failure; all of them are thrown together.
    public func collect(valid: Set<Attachment>) throws(ChainError) {
        var failures: [ChainError] = []
        for record in try onDisk(records.all).records where record.network == configuration.name {
            if valid.contains(Attachment(record)) { continue }
            do {
                try PluginChain(record, caller: caller, records: records).delete(record)
            } catch {
                failures.append(error)
            }
        }
        failures += collectBeyondRecords(valid: valid)
        try Self.throwAll(failures)
    }

    /// GC, where version and configuration have it.
    func collectBeyondRecords(valid: Set<Attachment>) -> [ChainError] {
        guard version.hasCollection, !configuration.disableGC else { return [] }
        let list = JSONValue.array(
            valid.sorted { ($0.containerID, $0.interface) < ($1.containerID, $1.interface) }.map {
                ["containerID": .string($0.containerID), "ifname": .string($0.interface)]
            })
        var failures: [ChainError] = []
        for plugin in configuration.plugins {
            var input = plugin.request(network: configuration.name, version: version)
            input["cni.dev/valid-attachments"] = list
            // The specification's text had another name for it at first; libcni sends both.
            input["cni.dev/attachments"] = list
            do {
                _ = try caller.call(.collect, plugin.type, input: input)
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    /// Whether the network can take containers: throws a plugin's error, of code 50 or 51 where it says so. Before version
    /// 1.1.0 plugins cannot be asked.
    public func status() throws(ChainError) {
        for plugin in configuration.plugins {
            guard version.hasCollection else {
                _ = try caller.find(plugin.type)
                continue
            }
            let input = plugin.request(network: configuration.name, version: version)
            _ = try caller.call(.status, plugin.type, input: input)
        }
    }

    private static func check(
        _ containerID: String, _ interface: String, _ arguments: [CNIArgument]
    ) throws(ChainError) {
        guard CNINames.isIdentifier(containerID) else {
            throw .invalidAttachment("container id '\(containerID)': need letters, digits, '_', '.' and '-'")
        }
        guard CNINames.isInterface(interface) else {
            throw .invalidAttachment("interface name '\(interface)': need 1 to 15 bytes without '/', ':' and spaces")
        }
        for argument in arguments where (argument.key + argument.value).contains(where: { $0 == ";" || $0 == "\0" }) {
            throw .invalidAttachment("argument '\(argument.key)=\(argument.value)' must not have a ';'")
        }
    }

}

/// Runs `body`, whose failure is the chain's.
func onDisk<Result: ~Copyable>(_ body: () throws(SystemError) -> Result) throws(ChainError) -> Result {
    do {
        return try body()
    } catch {
        throw .system(error)
    }
}

/// One interface of one container.
public struct Attachment: Sendable, Hashable {
    public let containerID: String
    public let interface: String

    public init(containerID: String, interface: String) {
        (self.containerID, self.interface) = (containerID, interface)
    }

    init(_ record: AttachmentRecord) { self.init(containerID: record.containerID, interface: record.interface) }
}
