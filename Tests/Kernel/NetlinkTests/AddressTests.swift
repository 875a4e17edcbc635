import Netlink
import Testing

@Suite struct AddressTests {
    @Test(
        "IPv4 text is read and written alike",
        arguments: ["0.0.0.0", "10.0.0.1", "127.0.0.1", "255.255.255.255", "169.254.1.1"])
    func ipv4RoundTrip(text: String) throws {
        let address = try #require(IPv4Address(text))
        #expect(address.description == text)
        #expect(IPAddress(bytes: address.bytes) == .v4(address))
    }

    @Test(
        "What is not exactly four decimal bytes is no IPv4 address",
        arguments: [
            "", "10", "10.0.0", "10.0.0.1.2", "10.0.0.256", "010.0.0.1", "10.0.0.01", "0x7f.0.0.1", "10.0.0.1 ",
            " 10.0.0.1",
            "10..0.1", "-1.0.0.0", "+1.0.0.0", "10.0.0.1/8", "1e1.0.0.0", "10.0.0.1\u{0}", "١.0.0.0",
        ])
    func ipv4Refused(text: String) { #expect(IPv4Address(text) == nil) }

    @Test(
        "IPv6 text is written as RFC 5952 wants it",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("fe80:0000::00ab", "fe80::ab"),
            ("::ffff:10.0.0.1", "::ffff:a00:1"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ])
    func ipv6(text: String, canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
        #expect(IPAddress(bytes: address.bytes) == .v6(address))
    }

    @Test(
        "Malformed IPv6 text is refused",
        arguments: [
            "", ":", ":::", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::",
            "1:2:3:4:5:6:7:8::",
            "::1%eth0", "::10.0.0", "::10.0.0.1:1", "1:2:3:4:5:6:7:10.0.0.1", "::1/64", "::1 ",
        ])
    func ipv6Refused(text: String) { #expect(IPv6Address(text) == nil) }

    @Test(
        "A network is read only if its length is in range and its host bits are zero",
        arguments: [
            ("10.0.0.0/8", true), ("0.0.0.0/0", true), ("10.1.2.3/32", true), ("fd00::/64", true), ("::/0", true),
            ("10.1.0.0/8", false), ("10.0.0.0/33", false), ("10.0.0.0", false), ("10.0.0.0/", false),
            ("10.0.0.0/08", false),
            ("10.0.0.0/-1", false), ("10.0.0.0/8/8", false), ("fd00::1/64", false), ("::/129", false), ("/8", false),
        ])
    func cidr(text: String, isValid: Bool) {
        #expect((CIDR(text) != nil) == isValid)
        if let cidr = CIDR(text) { #expect(cidr.description == text) }
    }

    @Test("A network knows what lies in it and what overlaps it")
    func containment() throws {
        let pods = try #require(CIDR("10.88.0.0/16"))
        #expect(pods.contains(try #require(IPAddress("10.88.255.255"))))
        #expect(!pods.contains(try #require(IPAddress("10.89.0.0"))))
        #expect(!pods.contains(try #require(IPAddress("fd00::1"))))
        #expect(pods.overlaps(try #require(CIDR("10.0.0.0/8"))))
        #expect(pods.overlaps(try #require(CIDR("10.88.3.0/24"))))
        #expect(!pods.overlaps(try #require(CIDR("10.87.0.0/16"))))
        #expect(CIDR.everyIPv4.contains(try #require(IPAddress("255.255.255.255"))))
        let v6 = try #require(CIDR("fd00:1:2:3:4::/80"))
        #expect(v6.contains(try #require(IPAddress("fd00:1:2:3:4:ffff::"))))
        #expect(!v6.contains(try #require(IPAddress("fd00:1:2:3:5::"))))
        #expect(!CIDR.everyIPv6.contains(try #require(IPAddress("10.0.0.1"))))
    }

    @Test("An Ethernet address is six hexadecimal bytes")
    func mac() throws {
        let mac = try #require(MACAddress("0A:58:0a:58:00:05"))
        #expect(mac.description == "0a:58:0a:58:00:05")
        #expect(mac == MACAddress(0x0a58_0a58_0005))
        #expect(MACAddress(bytes: mac.bytes) == mac)
        for text in [
            "", "0a:58:0a:58:00", "0a:58:0a:58:00:05:06", "a:58:0a:58:00:05", "0a-58-0a-58-00-05", "0g:58:0a:58:00:05",
        ] {
            #expect(MACAddress(text) == nil, "\(text)")
        }
    }
}
