import JSONTree
import Linux
import PodNetwork
import Testing

@testable import CNI

/// What `swiftlet-cni` says to those who call it wrongly; no kernel is asked.
@Suite struct SwiftletPluginInputTests {
    private static let base = #""cniVersion":"1.0.0","name":"net","type":"swiftlet-cni","subnets":["10.88.0.0/24"]"#

    private func run(
        _ command: String?, _ input: String, _ changes: [String: String?] = [:]
    ) -> (code: Int32, output: String, remarks: String) {
        var environment = [
            "CNI_CONTAINERID": "c1", "CNI_NETNS": "/nowhere/netns", "CNI_IFNAME": "eth0", "CNI_PATH": "/usr/lib/cni",
        ]
        environment["CNI_COMMAND"] = command
        for (key, value) in changes { environment[key] = value }
        let answer = SwiftletPlugin.run(environment: environment) { Array(input.utf8) }
        return (answer.exitCode, String(decoding: answer.output, as: UTF8.self), answer.remarks)
    }

    @Test("Without a command it says what it is, on standard error, and succeeds")
    func about() {
        for command in [nil, ""] {
            let answer = run(command, "")
            #expect(answer.code == 0 && answer.output == "")
            #expect(
                answer.remarks.hasPrefix("CNI swiftlet-cni plugin v0.1.0; supported versions 0.4.0, 1.0.0, 1.1.0\n"))
        }
    }

    @Test(
        "VERSION answers in the version of the question, or the latest",
        arguments: [
            (#"{"cniVersion":"0.4.0"}"#, "0.4.0"), ("", "1.1.0"), (#"{"cniVersion":"9.9.9"}"#, "1.1.0"),
        ])
    func version(input: String, version: String) {
        let answer = run("VERSION", input, ["CNI_CONTAINERID": nil, "CNI_IFNAME": nil, "CNI_NETNS": nil])
        #expect(answer.code == 0)
        #expect(
            answer.output == #"{"cniVersion":"\#(version)","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"# + "\n")
    }

    struct Refusal: Sendable {
        var command = "ADD"
        var input = "{\(SwiftletPluginInputTests.base)}"
        var environment: [String: String?] = [:]
        let code: Int
        let message: String

        init(_ command: String, more: String, _ code: Int, _ message: String) {
            (self.command, self.code, self.message) = (command, code, message)
            input = "{\(SwiftletPluginInputTests.base)\(more)}"
        }
        init(_ command: String, input: String, _ code: Int, _ message: String) {
            (self.command, self.input, self.code, self.message) = (command, input, code, message)
        }
        init(_ command: String, _ environment: [String: String?], _ code: Int, _ message: String) {
            (self.command, self.environment, self.code, self.message) = (command, environment, code, message)
        }
    }

    static let refusals: [Refusal] = [
        Refusal("FROB", [:], 4, "CNI_COMMAND is unknown: 'FROB'"),
        Refusal("ADD", ["CNI_CONTAINERID": nil, "CNI_NETNS": ""], 4, "missing: CNI_CONTAINERID, CNI_NETNS"),
        Refusal("DEL", ["CNI_NETNS": nil, "CNI_IFNAME": nil], 4, "missing: CNI_IFNAME"),
        Refusal("ADD", ["CNI_CONTAINERID": "../c"], 4, "CNI_CONTAINERID is invalid: '../c'"),
        Refusal("ADD", ["CNI_CONTAINERID": String(repeating: "a", count: 113)], 4, "CNI_CONTAINERID is invalid"),
        Refusal("ADD", ["CNI_IFNAME": "a/b"], 4, "CNI_IFNAME is invalid: 'a/b'"),
        Refusal("ADD", ["CNI_IFNAME": "lo"], 4, "CNI_IFNAME is invalid: 'lo'"),
        Refusal("ADD", [:], 4, "CNI_NETNS cannot be opened: open /nowhere/netns: No such file or directory"),
        Refusal("ADD", ["CNI_NETNS": "/etc/passwd"], 4, "CNI_NETNS is no network namespace: /etc/passwd"),
        Refusal("ADD", ["CNI_NETNS": "/proc/self/ns/net"], 4, "CNI_NETNS is the host's own network namespace"),
        Refusal("ADD", input: "{", 6, "cannot decode the network configuration: line 1, column 2"),
        Refusal("ADD", input: "[]", 6, "expected an object, got a list"),
        Refusal("ADD", input: "", 6, "cannot decode the network configuration"),
        Refusal("VERSION", input: "{", 6, "cannot decode the network configuration"),
        Refusal(
            "ADD", input: #"{"name":"net"}"#, 1, "the configuration has none, the plugin supports 0.4.0, 1.0.0, 1.1.0"),
        Refusal("ADD", input: #"{"cniVersion":"0.3.1","name":"net"}"#, 1, "the configuration has 0.3.1"),
        Refusal("GC", [:], 1, "GC came with 1.1.0, the configuration has 1.0.0"),
        Refusal("STATUS", [:], 1, "STATUS came with 1.1.0"),
        Refusal("ADD", input: #"{"cniVersion":"1.0.0"}"#, 7, "name is missing"),
        Refusal("ADD", input: #"{"cniVersion":"1.0.0","name":"a/b"}"#, 7, "name is invalid: 'a/b'"),
        Refusal("ADD", input: #"{"cniVersion":"1.0.0","name":"net"}"#, 7, "subnets: Required value"),
        Refusal(
            "ADD", more: #","ipam":{"type":"host-local"}"#, 2,
            #"unsupported field 'ipam' (swiftlet-cni gives the addresses itself: use 'subnets'): ipam: {"type":"host-local"}"#
        ),
        Refusal("ADD", more: #","subnet":"10.0.0.0/8""#, 2, #"unsupported field 'subnet': subnet: "10.0.0.0/8""#),
        Refusal(
            "ADD", input: #"{"cniVersion":"1.0.0","name":"n","subnets":["10.88.0.1/24"]}"#, 7,
            "subnets[0]: Invalid value"),
        Refusal("ADD", more: #","mtu":100"#, 7, "mtu: Invalid value: 100: must be 576 to 65535"),
        Refusal("ADD", more: #","mode":"macvlan""#, 7, "mode: Unsupported value"),
        Refusal("ADD", more: #","mode":"point-to-point","bridge":"b0""#, 7, "bridge: Invalid value"),
        Refusal("ADD", more: #","dataDir":"relative""#, 7, "dataDir: Invalid value"),
        Refusal("ADD", more: #","runtimeConfig":{"ips":["x"]}"#, 7, "runtimeConfig.ips[0]: Invalid value"),
        Refusal("ADD", more: #","runtimeConfig":{"mac":"x"}"#, 7, "runtimeConfig.mac: Invalid value"),
        Refusal(
            "ADD", more: #","runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":80}]}"#, 7,
            "runtimeConfig.portMappings[0].hostPort: Invalid value: 0"),
        Refusal(
            "ADD", more: #","runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":80,"protocol":"icmp"}]}"#, 7,
            "runtimeConfig.portMappings[0].protocol: Unsupported value"),
        Refusal("ADD", more: #","prevResult":{"cniVersion":"1.0.0"}"#, 7, "must be the first plugin"),
        Refusal("ADD", ["CNI_ARGS": "IgnoreUnknown=1;IP=here"], 7, "CNI_ARGS[IP]: Invalid value"),
        Refusal("ADD", ["CNI_ARGS": "MAC=there"], 7, "CNI_ARGS[MAC]: Invalid value"),
        Refusal("CHECK", [:], 7, "prevResult is missing"),
        Refusal("CHECK", more: #","prevResult":{"ips":[{}]}"#, 7, "prevResult is invalid: ips[0].address"),
        Refusal(
            "GC", input: #"{"cniVersion":"1.1.0","name":"n","subnets":["10.88.0.0/24"]}"#, 7,
            "cni.dev/valid-attachments"),
        Refusal(
            "GC",
            input: #"{"cniVersion":"1.1.0","name":"n","subnets":["10.88.0.0/24"],"cni.dev/valid-attachments":[{}]}"#,
            7, "need containerID and ifname"),
    ]

    @Test(
        "Whatever is wrong is told with the specification's code, on standard output, and nothing else is",
        arguments: refusals)
    func refusal(_ refusal: Refusal) throws {
        let answer = run(refusal.command, refusal.input, refusal.environment)
        #expect(answer.code == 1 && answer.remarks == "")
        let error = try #require(CNIError(try JSONValue.parse(answer.output)))
        #expect(error.code.rawValue == Int64(refusal.code), "\(error)")
        #expect(error.description.contains(refusal.message), "\(error)")
    }

    @Test("A failing standard input is an error of its own")
    func unreadableInput() throws {
        let answer = SwiftletPlugin.run(environment: ["CNI_COMMAND": "ADD"]) { () throws(SystemError) in
            throw SystemError("read", "stdin", errno: EIO)
        }
        #expect(answer.exitCode == 1)
        #expect(CNIError(try JSONValue.parse(answer.output))?.code == .inputOutput)
    }

    @Test("An error is told in the version of the question")
    func errorVersion() throws {
        for version in ["0.4.0", "1.0.0", "1.1.0"] {
            let answer = run("ADD", #"{"cniVersion":"\#(version)","name":"net"}"#)
            #expect(answer.output.hasPrefix(#"{"cniVersion":"\#(version)","code":7,"msg":""#))
        }
    }

    @Test("DEL of a network that never was makes nothing and is fine")
    func deletionOfNothing() {
        let answer = run("DEL", "{\(Self.base),\"dataDir\":\"/nowhere/at-all\"}", ["CNI_NETNS": nil])
        #expect(answer.code == 0 && answer.output == "" && !fileExists("/nowhere"))
    }

    @Test("Networks have tables, aliases and interface names of their own")
    func names() {
        #expect(SwiftletPluginConfiguration.owner(of: "podman-net") == "cni-podman-net")
        #expect(
            SwiftletPluginConfiguration.owner(of: "My.Net") == "cni-"
                + SwiftletPluginConfiguration.owner(of: "My.Net").dropFirst(4))
        #expect(SwiftletPluginConfiguration.owner(of: "My.Net").utf8.count == 17)
        let prefixes = Set((0..<20).map { SwiftletPluginConfiguration.prefix(of: "net\($0)") })
        #expect(prefixes.count == 20 && prefixes.allSatisfy { $0.utf8.count == 4 && $0.hasPrefix("c") })
    }
}
