import JSONTree
import Netlink
import Testing

@testable import CNI

/// A result with everything that any version can say.
private func fullResult() throws -> CNIResult {
    var result = CNIResult()
    var host = CNIResult.Interface(name: "veth1", mac: "02:00:00:00:00:01")
    host.mtu = 1450
    var pod = CNIResult.Interface(name: "eth0", mac: "0a:58:0a:01:02:03", mtu: 1450, sandbox: "/run/netns/a")
    pod.socketPath = "/run/vhost.sock"
    pod.pciID = "0000:00:1f.6"
    result.interfaces = [host, pod]
    result.ips = [
        .init(try #require(InterfaceAddress("10.1.2.3/16")), gateway: IPAddress("10.1.0.1"), interface: 1),
        .init(try #require(InterfaceAddress("fd00::3/64"))),
    ]
    var route = CNIResult.Route(to: try #require(InterfaceAddress("0.0.0.0/0")), gateway: IPAddress("10.1.0.1"))
    (route.mtu, route.advertisedMSS, route.priority, route.table, route.scope) = (1400, 1360, 7, 100, 253)
    result.routes = [route]
    result.dns.nameservers = ["10.1.0.1"]
    result.dns.domain = "example.org"
    result.dns.search = ["a.example.org", "example.org"]
    result.dns.options = ["ndots:2"]
    return result
}

private let oldResult = """
    {"cniVersion":"0.4.0","interfaces":[{"name":"veth1","mac":"02:00:00:00:00:01"},{"name":"eth0",\
    "mac":"0a:58:0a:01:02:03","sandbox":"/run/netns/a"}],"ips":[{"version":"4","interface":1,"address":"10.1.2.3/16",\
    "gateway":"10.1.0.1"},{"version":"6","address":"fd00::3/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],\
    "dns":{"nameservers":["10.1.0.1"],"domain":"example.org","search":["a.example.org","example.org"],\
    "options":["ndots:2"]}}
    """

private let middleResult = """
    {"cniVersion":"1.0.0","interfaces":[{"name":"veth1","mac":"02:00:00:00:00:01"},{"name":"eth0",\
    "mac":"0a:58:0a:01:02:03","sandbox":"/run/netns/a"}],"ips":[{"interface":1,"address":"10.1.2.3/16",\
    "gateway":"10.1.0.1"},{"address":"fd00::3/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],\
    "dns":{"nameservers":["10.1.0.1"],"domain":"example.org","search":["a.example.org","example.org"],\
    "options":["ndots:2"]}}
    """

private let newResult = """
    {"cniVersion":"1.1.0","interfaces":[{"name":"veth1","mac":"02:00:00:00:00:01","mtu":1450},{"name":"eth0",\
    "mac":"0a:58:0a:01:02:03","mtu":1450,"sandbox":"/run/netns/a","socketPath":"/run/vhost.sock",\
    "pciID":"0000:00:1f.6"}],"ips":[{"interface":1,"address":"10.1.2.3/16","gateway":"10.1.0.1"},\
    {"address":"fd00::3/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"advmss":1360,"priority":7,\
    "table":100,"scope":253}],"dns":{"nameservers":["10.1.0.1"],"domain":"example.org",\
    "search":["a.example.org","example.org"],"options":["ndots:2"]}}
    """

@Suite struct CNIResultTests {
    @Test(
        "Each version writes a result in its own shape and leaves out what it has no words for",
        arguments: [(CNIVersion.v040, oldResult), (.v100, middleResult), (.v110, newResult)])
    func shapes(version: CNIVersion, golden: String) throws {
        #expect(try fullResult().document(version).text() == golden)
    }

    @Test(
        "The newest version loses nothing; what older ones cannot say is gone after them",
        arguments: CNIVersion.allCases)
    func conversion(version: CNIVersion) throws {
        let full = try fullResult()
        let read = try CNIResult(full.document(version), version: version)
        if version == .v110 { #expect(read == full) }
        // Once through a version, nothing changes any more, whatever version it is written in afterwards.
        #expect(try CNIResult(read.document(.v110), version: .v110) == read)
        #expect(read.document(version).text() == full.document(version).text())
        #expect(read.ips == full.ips && read.dns == full.dns)
    }

    @Test("What is null or empty is as good as absent, as Go writes it")
    func nulls() throws {
        let value = try JSONValue.parse(
            """
            {"cniVersion":"1.0.0","interfaces":null,"ips":[{"address":"10.1.2.3/16","gateway":null,"interface":null}],
             "routes":[{"dst":"10.0.0.0/8","gw":""}],"dns":{}}
            """)
        let result = try CNIResult(value, version: .v100)
        #expect(result.interfaces.isEmpty && result.ips[0].gateway == nil && result.routes[0].gateway == nil)
        #expect(
            result.document(.v100).text()
                == #"{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/16"}],"routes":[{"dst":"10.0.0.0/8"}]}"#)
    }

    @Test(
        "A result that cannot be believed is refused with its place",
        arguments: [
            (#"{"ips":[{"address":"10.1.2.3"}]}"#, "ips[0].address: Invalid value: \"10.1.2.3\""),
            (#"{"ips":[{"address":"10.1.2.3/33"}]}"#, "ips[0].address: Invalid value"),
            (#"{"ips":[{}]}"#, "ips[0].address: Required value"),
            (#"{"ips":[{"address":"10.1.2.3/8","interface":0}]}"#, "ips[0].interface: Invalid value: 0"),
            (#"{"ips":{}}"#, "ips: expected a list, got an object"),
            (#"{"interfaces":[{"mac":"x"}]}"#, "interfaces[0].name: Required value"),
            (#"{"interfaces":[{"name":"a","mtu":-1}]}"#, "interfaces[0].mtu: Invalid value: -1"),
            (#"{"routes":[{"dst":"default"}]}"#, "routes[0].dst: Invalid value: \"default\""),
            (#"{"routes":[{"dst":"10.0.0.0/8","scope":256}]}"#, "routes[0].scope: Invalid value: 256"),
            (#"{"dns":{"nameservers":[1]}}"#, "dns.nameservers[0]: expected a string, got an integer"),
            ("[]", "expected an object, got a list"),
        ])
    func malformed(text: String, complaint: String) throws {
        let value = try JSONValue.parse(text)
        let error = #expect(throws: FieldError.self) { try CNIResult(value, version: .v110) }
        #expect(error?.description.hasPrefix(complaint) == true, "\(String(describing: error))")
    }

    @Test("A container's addresses are those of interfaces inside of it, in the plugins' order")
    func containerAddresses() throws {
        var result = try fullResult()
        #expect(result.containerAddresses.map(\.description) == ["10.1.2.3", "fd00::3"])
        result.ips.append(.init(try #require(InterfaceAddress("10.1.0.1/16")), interface: 0))
        #expect(result.containerAddresses.map(\.description) == ["10.1.2.3", "fd00::3"])
    }

    @Test("An error object says code, message and details, and is read back")
    func errors() throws {
        let error = CNIError(.invalidConfiguration, "invalid subnet", details: "10.0.0.0/40")
        let golden = #"{"cniVersion":"1.0.0","code":7,"msg":"invalid subnet","details":"10.0.0.0/40"}"#
        #expect(error.document(.v100).text() == golden)
        #expect(CNIError(try JSONValue.parse(golden)) == error)
        #expect("\(error)" == "invalid subnet: 10.0.0.0/40 (code 7)")
        #expect(CNIError(try JSONValue.parse(#"{"code":999,"msg":"own"}"#))?.code.rawValue == 999)
        #expect(CNIError(try JSONValue.parse(#"{"msg":"no code"}"#)) == nil)
    }
}
