import Testing

@testable import Resources

@Suite("Quantities") struct QuantityTests {
    @Test(
        "amounts are read, in thousandths, and written as Kubernetes writes them",
        arguments: [
            ("0", 0, "0"), ("1", 1000, "1"), ("+1", 1000, "1"), ("-1", -1000, "-1"), ("100m", 100, "100m"),
            ("0.5", 500, "500m"),
            (".5", 500, "500m"), ("5.", 5000, "5"), ("1500m", 1500, "1500m"), ("2000m", 2000, "2"),
            ("1k", 1_000_000, "1k"),
            ("1000", 1_000_000, "1k"), ("1.5Gi", 1_610_612_736_000, "1536Mi"), ("1024Mi", 1_073_741_824_000, "1Gi"),
            ("64Mi", 67_108_864_000, "64Mi"), ("1Ki", 1_024_000, "1Ki"), ("0.5Ki", 512_000, "512"),
            ("1e3", 1_000_000, "1e3"),
            ("1E3", 1_000_000, "1e3"), ("12e-3", 12, "12e-3"), ("1.5e3", 1_500_000, "1500"),
            ("1M", 1_000_000_000, "1M"),
            ("1u", 1, "1m"), ("1n", 1, "1m"), ("1001u", 2, "2m"), ("0.0001", 1, "1m"),
            ("0.00000000000000000000001", 1, "1m"),
            ("5P", 5_000_000_000_000_000_000, "5P"), ("0Mi", 0, "0"),
            ("9007199254740993", 9_007_199_254_740_993_000, "9007199254740993"),
            ("1.0000000000000000000000Ki", 1_024_000, "1Ki"),
        ] as [(String, Int64, String)])
    func reads(text: String, milliValue: Int64, canonical: String) throws {
        let quantity = try #require(Quantity(text))
        #expect(quantity.milliValue == milliValue)
        #expect(quantity.canonical == canonical)
        #expect(Quantity(quantity.canonical) == quantity)
    }

    @Test(
        "what is beyond the range stays at its end",
        arguments: ["8Ei", "100E", "1e30", "99999999999999999999999999999999999999999"])
    func saturates(text: String) throws {
        let quantity = try #require(Quantity(text))
        #expect(quantity.milliValue == .max)
        #expect(quantity.canonical == text)
        #expect(Quantity("-" + text)?.milliValue == -.max)
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", " 1", "1 ", "m", "1mi", "1MI", "1Mb", "1.2.3", "1e", "1e1.5", "1e99999", "--1", "0x10", "1_000", "١",
            "Ki", ".", "-", "1e+-2",
        ])
    func refuses(text: String) {
        #expect(Quantity(text) == nil)
    }

    @Test("amounts compare by how much they are, and round up to whole units")
    func compare() throws {
        #expect(Quantity("1") == Quantity("1000m"))
        #expect(Quantity("1Gi")?.hashValue == Quantity("1024Mi")?.hashValue)
        #expect(try #require(Quantity("1G")) < #require(Quantity("1Gi")))
        #expect(Quantity("1001m")?.value == 2)
        #expect(Quantity("-1500m")?.value == -1)
        #expect(Quantity(3).milliValue == 3000)
        #expect(Quantity(.max).milliValue == .max)
    }
}

@Suite("Names") struct NameTests {
    @Test(
        "labels and subdomains",
        arguments: [
            ("a", true, true, true), ("a-1", true, true, true), ("1a", true, false, true), ("a.b", false, false, true),
            ("", false, false, false), ("-a", false, false, false), ("a-", false, false, false),
            ("A", false, false, false),
            ("a_b", false, false, false), ("a..b", false, false, false), ("a.-b", false, false, false),
            ("ä", false, false, false),
            (String(repeating: "a", count: 63), true, true, true),
            (String(repeating: "a", count: 64), false, false, true),
            (String(repeating: "a", count: 254), false, false, false), ("a\n", false, false, false),
        ])
    func dns(name: String, label: Bool, label1035: Bool, subdomain: Bool) {
        #expect(NameRules.dns1123Label(name).isEmpty == label)
        #expect(NameRules.dns1035Label(name).isEmpty == label1035)
        #expect(NameRules.dns1123Subdomain(name).isEmpty == subdomain)
    }

    @Test("the messages are Kubernetes' own, letter for letter")
    func messages() {
        #expect(
            NameRules.dns1123Label("A_B") == [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ])
        #expect(
            NameRules.qualifiedName("a b") == [
                "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ])
        #expect(NameRules.dns1123Label(String(repeating: "a", count: 64)) == ["must be no more than 63 characters"])
    }

    @Test(
        "qualified names",
        arguments: [
            ("a", true), ("A.b_c-1", true), ("example.com/a", true), ("", false), ("/a", false),
            ("example.com/", false), ("a/b/c", false),
            ("Example.com/a", false), ("-a", false), ("a.", false), (String(repeating: "a", count: 64), false),
            ("ok/" + String(repeating: "a", count: 63), true),
        ])
    func qualified(name: String, valid: Bool) {
        #expect(NameRules.qualifiedName(name).isEmpty == valid)
    }

    @Test(
        "label values",
        arguments: [
            ("", true), ("a_B.1", true), ("a b", false), ("-a", false), (String(repeating: "a", count: 64), false),
        ])
    func labelValues(value: String, valid: Bool) {
        #expect(NameRules.labelValue(value).isEmpty == valid)
    }

    @Test(
        "port names",
        arguments: [
            ("http", true), ("h2-c", true), ("80", false), ("", false), ("a--b", false), ("-a", false), ("HTTP", false),
            ("abcdefghijklmnop", false),
        ])
    func portNames(name: String, valid: Bool) {
        #expect(NameRules.portName(name).isEmpty == valid)
    }

    @Test(
        "environment variables and sysctls",
        arguments: [
            ("A", true), ("my.var-1", true), ("a b", true), ("", false), ("a=b", false), ("ä", false), ("a\tb", false),
        ])
    func environment(name: String, valid: Bool) {
        #expect(NameRules.environmentVariable(name).isEmpty == valid)
    }

    @Test(
        "sysctls",
        arguments: [
            ("net.ipv4.tcp_syncookies", true), ("net/ipv4/conf/eth0.1/forwarding", true), ("a..b", false), ("", false),
            ("A", false), ("a.b-", false),
        ])
    func sysctls(name: String, valid: Bool) {
        #expect(NameRules.sysctl(name).isEmpty == valid)
    }

    @Test("sysctls with slashes are the ones with dots")
    func dottedSysctls() {
        #expect(
            PodSecurityContext.Sysctl(name: "net/ipv4/conf/eth0.1/forwarding", value: "").dotted
                == "net.ipv4.conf.eth0/1.forwarding")
        #expect(
            PodSecurityContext.Sysctl(name: "net.ipv4.conf.eth0/1.forwarding", value: "").dotted
                == "net.ipv4.conf.eth0/1.forwarding")
    }
}

@Suite("Variables are expanded as Kubernetes does") struct ExpansionTests {
    // The cases of k8s.io/kubernetes/third_party/forked/golang/expansion.
    @Test(
        "$(NAME)",
        arguments: [
            ("$(VAR_A)", "A"), ("___$(VAR_B)___", "___B___"), ("___$(VAR_C)", "___C"), ("$(VAR_A)-$(VAR_A)", "A-A"),
            ("$(VAR_A)-1", "A-1"), ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"), ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
            ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"), ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"), ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
            ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
            ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"), ("$(VAR_REF)", "$(VAR_A)"),
            ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
            ("foo$(VAR_EMPTY)bar", "foobar"), ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
            ("f00__(VAR_A)__", "f00__(VAR_A)__"),
            ("$?_boo_$!", "$?_boo_$!"), ("$VAR_A", "$VAR_A"), ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"), ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"), ("$$$$$$$(VAR_A)", "$$$A"),
            ("$VAR_A)", "$VAR_A)"), ("${VAR_A}", "${VAR_A}"), ("$(VAR_B)_______$(A", "B_______$(A"),
            ("$(VAR_C)_______$(", "C_______$("),
            ("$(VAR_A)foobarzab$", "Afoobarzab$"), ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
            ("--$($($($($--", "--$($($($($--"),
            ("$($($($($--foo$(", "$($($($($--foo$("), ("foo0--$($($($(", "foo0--$($($($("),
            ("$(foo$$var)", "$(foo$$var)"), ("", ""),
            ("$é$(VAR_A)", "$éA"),
        ])
    func expands(text: String, expected: String) {
        let values = ["VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""]
        #expect(expandVariables(in: text) { values[$0] } == expected)
    }
}

@Suite("Quality of service") struct QOSTests {
    @Test(
        "the class is the kubelet's",
        arguments: [
            ([(nil, nil)], .bestEffort), ([("", ""), ("", "")], .bestEffort), ([("", "100m/1Gi")], .guaranteed),
            ([("100m/1Gi", "100m/1Gi")], .guaranteed), ([("50m/1Gi", "100m/1Gi")], .burstable),
            ([("", "100m/")], .burstable),
            ([("100m/", "")], .burstable), ([("", "100m/1Gi"), ("", "")], .burstable), ([("0/0", "0/0")], .bestEffort),
            ([("", "1/1Gi"), ("1000m/1024Mi", "1/1Gi")], .guaranteed),
        ] as [([(String?, String?)], QOSClass)])
    func qosClass(containers: [(String?, String?)], expected: QOSClass) throws {
        func amounts(_ text: String?) -> String {
            let parts = (text ?? "").split(separator: "/", omittingEmptySubsequences: false)
            let pairs = zip(["cpu", "memory"], parts).filter { !$1.isEmpty }.map { "\"\($0)\":\"\($1)\"" }
            return "{" + pairs.joined(separator: ",") + "}"
        }
        let list = containers.enumerated().map { index, amount in
            #"{"name":"c\#(index)","image":"i","resources":{"requests":\#(amounts(amount.0)),"limits":\#(amounts(amount.1))}}"#
        }
        #expect(try pod(spec: #"{"containers":[\#(list.joined(separator: ","))]}"#).spec.qosClass == expected)
    }

    @Test("an init container counts too")
    func initContainers() throws {
        let limited = #""resources":{"limits":{"cpu":"1","memory":"1Gi"}}"#
        let pod = try pod(
            spec: #"{"initContainers":[{"name":"i","image":"i"}],"containers":[{"name":"c","image":"i",\#(limited)}]}"#)
        #expect(pod.spec.qosClass == .burstable)
    }
}
