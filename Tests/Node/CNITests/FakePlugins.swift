import JSONTree
import Linux
import TestSupport

@testable import CNI

/// A directory of plugins that are shell scripts: they write down how they were called, and do what the test says.
final class FakePlugins {
    let directory: String
    private var log: String { "\(directory)/log" }
    var records: String { "\(directory)/data" }
    var pluginDirectory: String { "\(directory)/bin" }

    init() throws {
        directory = try makeTemporaryDirectory()
        try makeDirectories("\(directory)/bin")
        try makeDirectories("\(directory)/log")
    }

    deinit { try? removeTree(directory) }

    /// Makes the plugin `type`. Per command a piece of shell whose output is the answer; VERSION is answered by itself, all
    /// others with nothing.
    func make(_ type: String, supports: String = #""0.4.0","1.0.0","1.1.0""#, _ commands: [String: String] = [:]) throws
    {
        let cases = commands.map { "\($0.key)) \($0.value) ;;" }.joined(separator: "\n")
        let script = """
            #!/bin/bash
            cd '\(log)'
            cat >"$CNI_COMMAND.\(type).input"
            env | grep '^CNI_' | sort >"$CNI_COMMAND.\(type).environment"
            echo "$CNI_COMMAND \(type)${CNI_CONTAINERID:+ $CNI_CONTAINERID}" >>calls
            case $CNI_COMMAND in
            \(cases)
            VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":[\(supports)]}' ;;
            esac
            """
        try writeFileAtomically("\(directory)/bin/\(type)", Array(script.utf8), mode: 0o755)
    }

    /// An ADD that answers with one interface and one address.
    static func answer(_ address: String, version: String = "1.0.0", more: String = "") -> String {
        #"echo '{"cniVersion":"\#(version)","interfaces":[{"name":"eth0","sandbox":"/ns"}],"#
            + #""ips":[{"address":"\#(address)","interface":0}]\#(more)}'"#
    }

    /// `COMMAND type container`, in order, without VERSION; and forgets them.
    func calls() throws -> [String] {
        guard fileExists("\(log)/calls") else { return [] }
        let lines = try readText("\(log)/calls").split(separator: "\n").map(String.init)
        unlink("\(log)/calls")
        return lines.filter { !$0.hasPrefix("VERSION") }
    }

    /// What the latest such call had on standard input.
    func input(_ command: String, _ type: String) throws -> JSONValue {
        try JSONValue.parse(try readFile("\(log)/\(command).\(type).input"))
    }

    func environment(_ command: String, _ type: String) throws -> [String] {
        try readText("\(log)/\(command).\(type).environment").split(separator: "\n").map(String.init)
    }

    func configuration(_ types: String..., version: String = "1.0.0", more: String = "") throws -> NetworkConfiguration
    {
        let plugins = types.map { #"{"type":"\#($0)","capabilities":{"mac":true}}"# }.joined(separator: ",")
        let text = #"{"cniVersion":"\#(version)","name":"net"\#(more),"plugins":[\#(plugins)]}"#
        return try NetworkConfiguration(Array(text.utf8))
    }

    func chain(_ configuration: NetworkConfiguration, seconds: Int = 20) throws -> PluginChain {
        try PluginChain(
            configuration, pluginDirectories: ["\(directory)/absent", pluginDirectory], directory: records,
            seconds: seconds)
    }

    /// The files of attachments on record.
    func recorded() throws -> [String] {
        fileExists("\(records)/results") ? try listDirectory("\(records)/results") : []
    }
}
