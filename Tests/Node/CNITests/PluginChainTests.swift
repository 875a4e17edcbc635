import JSONTree
import Linux
import TestSupport
import Testing

@testable import CNI

/// The runtime's side, with plugins that do what each test says.
@Suite struct PluginChainTests {
    let plugins: FakePlugins

    init() throws { plugins = try FakePlugins() }

    private func add(_ chain: PluginChain, _ id: String = "c1") throws -> CNIResult {
        // The namespace is a file like any other to these plugins.
        try chain.add(
            containerID: id, networkNamespacePath: plugins.directory, interface: "eth0",
            runtimeConfig: ["mac": "0a:00:00:00:00:01", "ips": ["10.0.0.9"]],
            arguments: [CNIArgument("IgnoreUnknown", "1"), CNIArgument("K8S_POD_NAME", "web")])
    }

    private func addFails(_ chain: PluginChain, _ complaint: String) throws {
        let error = #expect(throws: ChainError.self) { try add(chain) }
        #expect(error?.description.contains(complaint) == true, "\(String(describing: error))")
        #expect(try plugins.recorded() == [], "a failed ADD must leave no record")
    }

    @Test("ADD passes each plugin's result on to the next, and the last one's is the network's")
    func addition() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24", more: #","own":{"kept":1}"#)])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24")])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        let result = try add(chain)
        #expect(result.containerAddresses.map(\.description) == ["10.0.0.6"])
        #expect(try plugins.calls() == ["ADD one c1", "ADD two c1"])
        let first = try plugins.input("ADD", "one")
        #expect(first["prevResult"] == nil && first["name"] == "net" && first["cniVersion"] == "1.0.0")
        #expect(first["runtimeConfig"] == ["mac": "0a:00:00:00:00:01"], "only what the plugin has a capability for")
        #expect(first["capabilities"] == nil)
        // As it was written, with members that nobody here knows.
        #expect(try plugins.input("ADD", "two")["prevResult"]?["own"] == ["kept": 1])
        #expect(
            try plugins.environment("ADD", "one") == [
                "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web", "CNI_COMMAND=ADD", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0",
                "CNI_NETNS=\(plugins.directory)",
                "CNI_PATH=\(plugins.directory)/absent:\(plugins.directory)/bin",
            ])
        #expect(try plugins.recorded() == ["net-c1-eth0"])
        #expect(try chain.result(containerID: "c1", interface: "eth0") == result)
    }

    @Test("DEL calls the plugins in reverse with the chain's result, and forgets it; again it is still fine")
    func deletion() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24")])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        _ = try add(chain)
        _ = try plugins.calls()
        try chain.delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.calls() == ["DEL two c1", "DEL one c1"])
        for type in ["one", "two"] {
            let input = try plugins.input("DEL", type)
            #expect(input["prevResult"]?["ips"]?[0]?["address"] == "10.0.0.6/24")
            #expect(input["runtimeConfig"] == ["mac": "0a:00:00:00:00:01"])
            #expect(try plugins.environment("DEL", type).contains("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web"))
        }
        #expect(try plugins.recorded() == [])
        try chain.delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.calls() == ["DEL two c1", "DEL one c1"], "what is not on record is still asked for")
        #expect(try plugins.input("DEL", "one")["prevResult"] == nil)
    }

    @Test("DEL of a container whose namespace is gone has an empty CNI_NETNS")
    func deletionWithoutNamespace() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        let chain = try plugins.chain(try plugins.configuration("one"))
        _ = try chain.add(containerID: "c1", networkNamespacePath: "/gone", interface: "eth0")
        try chain.delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.environment("DEL", "one").contains("CNI_NETNS="))
    }

    @Test("A container is taken down by the configuration that made it, whatever came after")
    func changedConfiguration() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24")])
        _ = try add(try plugins.chain(try plugins.configuration("one")))
        _ = try plugins.calls()
        try plugins.chain(try plugins.configuration("two")).delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.calls() == ["DEL one c1"])
    }

    @Test("When a plugin refuses, its error arrives and every plugin is asked to take back what it has")
    func refusal() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        try plugins.make("two", ["ADD": #"echo '{"code":11,"msg":"later","details":"busy"}'; exit 1"#])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        let error = #expect(throws: ChainError.self) { try add(chain) }
        #expect(error?.pluginError == CNIError(.tryAgainLater, "later", details: "busy"))
        #expect("\(try #require(error))" == "CNI plugin 'two', ADD: later: busy (code 11)")
        #expect(try plugins.calls() == ["ADD one c1", "ADD two c1", "DEL two c1", "DEL one c1"])
        #expect(try plugins.recorded() == [])
    }

    @Test("An attachment that cannot be taken back stays on record, for another try")
    func failedCleanup() throws {
        let stuck = #"echo '{"code":100,"msg":"stuck"}'; exit 1"#
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24"), "DEL": stuck])
        try plugins.make("two", ["ADD": "exit 3", "DEL": stuck])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        #expect(throws: ChainError.self) { try add(chain) }
        #expect(try plugins.recorded() == ["net-c1-eth0"])
        #expect(try chain.result(containerID: "c1", interface: "eth0") == nil)
        try plugins.make("one")
        let error = #expect(throws: ChainError.self) { try chain.delete(containerID: "c1", interface: "eth0") }
        #expect(error?.pluginError?.message == "stuck")
        #expect(try plugins.recorded() == ["net-c1-eth0"])
        try plugins.make("two")
        try chain.delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.recorded() == [])
    }

    @Test("One that refuses a container may refuse to delete it: the others' DEL counts")
    func refusedTwice() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        try plugins.make("two", ["ADD": "exit 3", "DEL": "exit 3"])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        #expect(throws: ChainError.self) { try add(chain) }
        #expect(try plugins.calls() == ["ADD one c1", "ADD two c1", "DEL two c1", "DEL one c1"])
        #expect(try plugins.recorded() == [])
    }

    @Test("A plugin that answers in another version is understood, and the next one gets its own")
    func mixedVersions() throws {
        let old = #"echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.5/24"}]}'"#
        try plugins.make("one", ["ADD": old])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24")])
        _ = try add(try plugins.chain(try plugins.configuration("one", "two")))
        #expect(
            try plugins.input("ADD", "two")["prevResult"]
                == ["cniVersion": "1.0.0", "ips": [["address": "10.0.0.5/24"]]])
    }

    @Test("A plugin that is missing is named, with where it was looked for")
    func missing() throws {
        let error = #expect(throws: ChainError.self) { try plugins.chain(try plugins.configuration("none")) }
        #expect(
            "\(try #require(error))"
                == "CNI plugin 'none' not found in \(plugins.directory)/absent:\(plugins.directory)/bin")
        try plugins.make("one", ["ADD": "exit 0"])
        let chain = try plugins.chain(try plugins.configuration("one"))
        unlink("\(plugins.pluginDirectory)/one")
        try makeDirectories("\(plugins.pluginDirectory)/one")
        #expect(throws: ChainError.self, "a directory is no plugin") { try add(chain) }
    }

    @Test("A plugin that hangs is killed with what it started, and what it had is taken back")
    func hanging() throws {
        try plugins.make("one", ["ADD": "sleep 600 & echo $! >child; wait"])
        let chain = try plugins.chain(try plugins.configuration("one"), seconds: 3)
        try addFails(chain, "CNI plugin 'one', ADD: did not end within 3 s and was killed")
        #expect(try plugins.calls() == ["ADD one c1", "DEL one c1"])
        let child = try #require(pid_t(try readText("\(plugins.directory)/log/child").trimmingWhitespace()))
        // Process 1 reaps it; until then it is a zombie, and no sleep any more.
        let state = (try? readText("/proc/\(child)/status")) ?? "State:\tX"
        #expect(state.contains("State:\tX") || state.contains("State:\tZ"))
    }

    @Test("What a plugin leaves in the background holds nobody up")
    func background() throws {
        try plugins.make("one", ["ADD": "sleep 600 & echo $! >child; " + FakePlugins.answer("10.0.0.5/24")])
        _ = try add(try plugins.chain(try plugins.configuration("one")))
        let child = try #require(pid_t(try readText("\(plugins.directory)/log/child").trimmingWhitespace()))
        #expect(kill(child, SIGKILL) == 0, "it still runs")
    }

    @Test(
        "A plugin that does not answer as it should is told apart from one that refuses",
        arguments: [
            ("echo nonsense", "answered with what is no JSON object: 'nonsense"),
            ("echo '[1]'", "answered with what is no JSON object: '[1]"),
            ("true", "answered with nothing"),
            ("echo boom >&2; exit 3", "exit code 3 without an error object; standard error: boom"),
            ("echo 'panic: x'; exit 2", "exit code 2: 'panic: x"),
            ("kill -SEGV $$", "was killed by signal 11"),
            ("head -c 5000000 /dev/zero", "answered with more than 4194304 bytes"),
            (#"echo '{"cniVersion":"9.0.0"}'"#, "answered in version 9.0.0, not in 1.0.0"),
            (#"echo '{"cniVersion":"1.0.0","ips":[{"address":"x"}]}'"#, "result: ips[0].address: Invalid value"),
        ])
    func garbage(script: String, complaint: String) throws {
        try plugins.make("one", ["ADD": script])
        try addFails(try plugins.chain(try plugins.configuration("one")), complaint)
    }

    @Test("A version that a plugin does not speak is refused before anything is done")
    func unsupportedVersion() throws {
        try plugins.make("old", supports: #""0.3.1","0.4.0""#)
        let error = #expect(throws: ChainError.self) { try plugins.chain(try plugins.configuration("old")) }
        #expect(
            "\(try #require(error))"
                == "CNI plugin 'old' speaks 0.3.1, 0.4.0, the network's configuration only 1.0.0")
        #expect(try plugins.calls() == [])
        let several = try plugins.configuration("old", more: #","cniVersions":["0.4.0","1.1.0"]"#)
        #expect(try plugins.chain(several).version == .v040)
    }

    @Test("A container cannot have the same interface twice, but another one")
    func twice() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        let chain = try plugins.chain(try plugins.configuration("one"))
        _ = try add(chain)
        let error = #expect(throws: ChainError.self) { try add(chain) }
        #expect("\(try #require(error))" == "container c1 has interface eth0 in this network already")
        _ = try chain.add(containerID: "c1", networkNamespacePath: "/ns", interface: "eth1")
        #expect(try plugins.recorded() == ["net-c1-eth0", "net-c1-eth1"])
    }

    @Test(
        "Names that are paths are refused",
        arguments: [("../c", "eth0"), ("", "eth0"), ("c", "a/b"), ("c", "sixteen-bytes-it"), ("c", "..")])
    func names(id: String, interface: String) throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        let chain = try plugins.chain(try plugins.configuration("one"))
        #expect(throws: ChainError.self) {
            try chain.add(containerID: id, networkNamespacePath: "/ns", interface: interface)
        }
        #expect(throws: ChainError.self) { try chain.delete(containerID: id, interface: interface) }
        #expect(try plugins.calls() == [] && plugins.recorded() == [])
    }

    @Test("CHECK passes the result of ADD to every plugin, and is left out where the network says so")
    func checking() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24")])
        let chain = try plugins.chain(try plugins.configuration("one", "two"))
        #expect(throws: ChainError.self) { try chain.check(containerID: "c1", interface: "eth0") }
        _ = try add(chain)
        _ = try plugins.calls()
        try chain.check(containerID: "c1", interface: "eth0")
        #expect(try plugins.calls() == ["CHECK one c1", "CHECK two c1"])
        #expect(try plugins.input("CHECK", "one")["prevResult"]?["ips"]?[0]?["address"] == "10.0.0.6/24")
        try plugins.make("one", ["CHECK": #"echo '{"code":101,"msg":"route gone"}'; exit 1"#])
        let error = #expect(throws: ChainError.self) { try chain.check(containerID: "c1", interface: "eth0") }
        #expect(error?.pluginError?.message == "route gone")
        let silent = try plugins.chain(try plugins.configuration("one", more: #","disableCheck":true"#))
        try silent.delete(containerID: "c1", interface: "eth0")
        _ = try silent.chainWithAddress(plugins)
        _ = try plugins.calls()
        try silent.check(containerID: "c1", interface: "eth0")
        #expect(try plugins.calls() == [])
    }

    @Test(
        "GC deletes what is on record and not valid, and from 1.1.0 on tells every plugin what is; one failure stops nothing"
    )
    func collection() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24", version: "1.1.0")])
        try plugins.make("two", ["ADD": FakePlugins.answer("10.0.0.6/24", version: "1.1.0")])
        let chain = try plugins.chain(try plugins.configuration("one", "two", version: "1.1.0"))
        for id in ["c1", "c2", "c3"] { _ = try add(chain, id) }
        _ = try plugins.calls()
        try plugins.make(
            "two", ["DEL": #"[ $CNI_CONTAINERID != c1 ] || { echo '{"code":100,"msg":"stuck"}'; exit 1; }"#])
        let valid: Set = [Attachment(containerID: "c2", interface: "eth0")]
        let error = #expect(throws: ChainError.self) { try chain.collect(valid: valid) }
        #expect(error?.pluginError?.message == "stuck")
        #expect(
            try plugins.calls()
                == ["DEL two c1", "DEL one c1", "DEL two c3", "DEL one c3", "GC one", "GC two"])
        #expect(try plugins.recorded() == ["net-c1-eth0", "net-c2-eth0"])
        let list: JSONValue = [["containerID": "c2", "ifname": "eth0"]]
        let input = try plugins.input("GC", "one")
        #expect(input["cni.dev/valid-attachments"] == list && input["cni.dev/attachments"] == list)
        #expect(input["prevResult"] == nil)
        #expect(
            try plugins.environment("GC", "one")
                == ["CNI_COMMAND=GC", "CNI_PATH=\(plugins.directory)/absent:\(plugins.directory)/bin"])
        let quiet = try plugins.chain(try plugins.configuration("one", version: "1.1.0", more: #","disableGC":true"#))
        try plugins.make("two")
        try quiet.collect(valid: [])
        #expect(try plugins.calls() == ["DEL two c1", "DEL one c1", "DEL two c2", "DEL one c2"])
    }

    @Test("STATUS asks from 1.1.0 on, and gives the plugin's own code; before that plugins only have to be there")
    func status() throws {
        try plugins.make("one", ["STATUS": #"echo '{"code":51,"msg":"no uplink"}'; exit 1"#])
        let error = #expect(throws: ChainError.self) {
            try plugins.chain(try plugins.configuration("one", version: "1.1.0")).status()
        }
        #expect(error?.pluginError?.code == .unavailableAndLimited)
        _ = try plugins.calls()
        try plugins.chain(try plugins.configuration("one", version: "1.0.0")).status()
        #expect(try plugins.calls() == [])
    }

    @Test("Versions before 0.4.0 know no result on DEL")
    func oldVersions() throws {
        let old = #"echo '{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.5/24"}]}'"#
        try plugins.make("one", supports: #""0.3.1""#, ["ADD": old])
        let chain = try plugins.chain(try plugins.configuration("one", version: "0.3.1"))
        _ = try add(chain)
        try chain.check(containerID: "c1", interface: "eth0")
        try chain.delete(containerID: "c1", interface: "eth0")
        #expect(try plugins.input("DEL", "one")["prevResult"] == nil)
        #expect(try plugins.calls() == ["ADD one c1", "DEL one c1"])
    }

    @Test("Nothing is on record that another reader of libcni's cache would not understand")
    func recordFormat() throws {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        _ = try add(try plugins.chain(try plugins.configuration("one")))
        let value = try JSONValue.parse(try readFile("\(plugins.records)/results/net-c1-eth0"))
        #expect(value["kind"] == "cniCacheV1" && value["containerId"] == "c1" && value["ifName"] == "eth0")
        #expect(value["networkName"] == "net" && value["netns"] == .string(plugins.directory))
        #expect(value["cniArgs"] == [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]])
        #expect(value["capabilityArgs"]?["mac"] == "0a:00:00:00:00:01")
        #expect(value["result"]?["ips"]?[0]?["address"] == "10.0.0.5/24")
        let text = try #require(value["config"]?.stringValue)
        let list = try JSONValue.parse(try #require(Base64.decode(text)))
        #expect(list["plugins"]?[0]?["type"] == "one" && list["cniVersion"] == "1.0.0")
    }
}

extension PluginChain {
    fileprivate func chainWithAddress(_ plugins: FakePlugins) throws -> CNIResult {
        try plugins.make("one", ["ADD": FakePlugins.answer("10.0.0.5/24")])
        return try add(containerID: "c1", networkNamespacePath: "/ns", interface: "eth0")
    }
}
