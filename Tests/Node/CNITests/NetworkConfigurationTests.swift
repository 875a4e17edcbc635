import JSONTree
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import CNI
@testable import PodNetwork

@Suite struct NetworkConfigurationTests {
    private let list = """
        {"cniVersion":"1.0.0","name":"dbnet","disableCheck":true,"plugins":[
          {"type":"bridge","bridge":"cni0","keyA":["some","data"],"ipam":{"type":"host-local"},
           "capabilities":{"mac":true,"ips":false}},
          {"type":"portmap","capabilities":{"portMappings":true}}]}
        """

    @Test("A list is read as it is; plugins take the capabilities that are true")
    func reading() throws {
        let network = try NetworkConfiguration(Array(list.utf8))
        #expect(network.name == "dbnet" && network.version == .v100 && network.disableCheck && !network.disableGC)
        #expect(network.plugins.map(\.type) == ["bridge", "portmap"])
        #expect(network.plugins.map(\.capabilities) == [["mac"], ["portMappings"]])
        #expect(network.has("mac") && !network.has("ips"))
    }

    @Test(
        "A plugin is sent its own configuration, the network's name and version, what it takes of the runtime's, and the result before"
    )
    func derivation() throws {
        let network = try NetworkConfiguration(Array(list.utf8))
        let runtime: JSONObject = ["mac": "00:11:22:33:44:66", "portMappings": [], "ips": ["10.0.0.9"]]
        let request = network.plugins[0].request(
            network: network.name, version: network.version, runtime: runtime, previous: ["cniVersion": "1.0.0"])
        #expect(
            JSONValue.object(request)
                == (try JSONValue.parse(
                    """
                    {"cniVersion":"1.0.0","name":"dbnet","type":"bridge","bridge":"cni0","keyA":["some","data"],
                     "ipam":{"type":"host-local"},"runtimeConfig":{"mac":"00:11:22:33:44:66"},
                     "prevResult":{"cniVersion":"1.0.0"}}
                    """)))
        let other = network.plugins[1].request(network: network.name, version: network.version)
        #expect(JSONValue.object(other).text() == #"{"type":"portmap","cniVersion":"1.0.0","name":"dbnet"}"#)
    }

    @Test("A file with one plugin is a list of one, and sends it none of a list's own keys")
    func singlePlugin() throws {
        let text = #"{"cniVersion":"0.4.0","name":"one","type":"ptp","disableCheck":"true","mtu":1400}"#
        let network = try NetworkConfiguration(Array(text.utf8))
        #expect(network.plugins.map(\.type) == ["ptp"] && network.disableCheck)
        let request = network.plugins[0].request(network: "one", version: .v040)
        #expect(JSONValue.object(request) == ["cniVersion": "0.4.0", "name": "one", "type": "ptp", "mtu": 1400])
    }

    @Test("Of the versions that a file offers the latest that is spoken here counts")
    func versions() throws {
        func version(_ members: String) throws -> CNIVersion {
            try NetworkConfiguration(Array(#"{"name":"n","plugins":[{"type":"a"}],\#(members)}"#.utf8)).version
        }
        #expect(try version(#""cniVersion":"0.3.1""#) == .v031)
        #expect(try version(#""cniVersion":"0.4.0","cniVersions":["1.0.0","9.9.9"]"#) == .v100)
        #expect(try version(#""cniVersion":"9.0.0","cniVersions":["0.4.0"]"#) == .v040)
    }

    @Test(
        "A file that cannot be used is refused with a code of the specification and a clear line",
        arguments: [
            ("{", 6, "not JSON: line 1, column 2"),
            ("[]", 7, "expected an object, got a list"),
            (#"{"cniVersion":"1.0.0","plugins":[{"type":"a"}]}"#, 7, "name: Required value"),
            (#"{"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"a"}]}"#, 7, "name: Invalid value: \"../x\""),
            (#"{"name":"n","plugins":[{"type":"a"}]}"#, 1, "cniVersion is none, which means 0.1.0"),
            (
                #"{"cniVersion":"2.0.0","name":"n","plugins":[{"type":"a"}]}"#, 1,
                "cniVersion is 2.0.0; need one of 0.3.0"
            ),
            (#"{"cniVersion":1,"name":"n","plugins":[{"type":"a"}]}"#, 7, "cniVersion: expected a string"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#, 7, "plugins: Required value"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[{}]}"#, 7, "plugins[0].type: Required value"),
            (#"{"cniVersion":"1.0.0","name":"n"}"#, 7, "type: Required value"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../../bin/sh"}]}"#, 7, "plugins[0].type: Invalid"),
            (
                #"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a","capabilities":{"ips":1}}]}"#, 7,
                "plugins[0].capabilities.ips: expected a boolean"
            ),
        ])
    func malformed(text: String, code: Int64, complaint: String) throws {
        let error = #expect(throws: CNIError.self) { try NetworkConfiguration(Array(text.utf8)) }
        #expect(error?.code.rawValue == code)
        #expect(error?.description.contains(complaint) == true, "\(String(describing: error))")
    }

    @Test("The lexically first file of a directory is the network; a first one that is wrong is not passed over")
    func directory() throws {
        try withTemporaryDirectory { directory in
            func write(_ name: String, _ text: String) throws {
                try writeFileAtomically("\(directory)/\(name)", Array(text.utf8))
            }
            func network(_ name: String) -> String {
                #"{"cniVersion":"1.0.0","name":"\#(name)","plugins":[{"type":"a"}]}"#
            }
            var error = #expect(throws: ChainError.self) { try NetworkConfiguration.load(from: "\(directory)/absent") }
            #expect(
                "\(try #require(error))" == "no network configuration (.conflist, .conf, .json) in \(directory)/absent")
            try write("00-readme.txt", "hello")
            try write(".01-hidden.conflist", network("hidden"))
            #expect(throws: ChainError.self) { try NetworkConfiguration.load(from: directory) }
            try write("20-b.conflist", network("b"))
            try write("10-a.json", network("a"))
            #expect(try NetworkConfiguration.load(from: directory).name == "a")
            try write("05-broken.conf", "{")
            error = #expect(throws: ChainError.self) { try NetworkConfiguration.load(from: directory) }
            #expect(error?.description.hasPrefix("\(directory)/05-broken.conf: not JSON") == true)
        }
    }

    @Test("What a runtime knows is written under the names of the conventions")
    func conventions() throws {
        var runtime = RuntimeConfiguration()
        #expect(runtime.document.isEmpty && runtime.needed.isEmpty)
        runtime.hostPorts = [
            HostPort(port: 8080, containerPort: 80),
            HostPort(hostIP: IPAddress("127.0.0.1"), port: 53, transport: .udp, containerPort: 5353),
        ]
        runtime.ingressBandwidth = 10_000_000
        runtime.addresses = [
            .init(try #require(IPAddress("10.0.0.9"))), .init(try #require(IPAddress("fd00::9")), prefixLength: 64),
        ]
        runtime.mac = MACAddress("0a:00:00:00:00:01")
        runtime.dns.nameservers = ["10.0.0.1"]
        #expect(
            JSONValue.object(runtime.document)
                == (try JSONValue.parse(
                    """
                    {"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
                      {"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"127.0.0.1"}],
                     "bandwidth":{"ingressRate":10000000,"ingressBurst":1048576},
                     "ips":["10.0.0.9","fd00::9/64"],"mac":"0a:00:00:00:00:01",
                     "dns":{"servers":["10.0.0.1"],"searches":[],"options":[]}}
                    """)))
        #expect(runtime.needed == ["portMappings", "bandwidth", "ips", "mac"])
    }

    @Test(
        "Base64 as RFC 4648 has it, both ways",
        arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")])
    func base64(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test("What is no base64 is refused", arguments: ["Zg", "Zg=", "Z===", "Zm9v!", "====", "Zg==Zg=="])
    func badBase64(text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
