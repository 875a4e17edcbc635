// Localhost profiles: files in Docker's format.
import JSONTree
import Seccomp
import Testing

@testable import PodEngine

struct SeccompProfileJSONTests {
    private func profile(_ text: String) throws -> SeccompProfile { try SeccompProfile(json: JSONValue.parse(text)) }

    @Test func aDockerProfileIsRead() throws {
        let read = try profile(
            """
            {
              "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
              "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}],
              "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}},
                {"name": "clone", "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                 "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["personality"], "action": "SCMP_ACT_TRAP",
                 "args": [{"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"}]},
                {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"}
              ]
            }
            """)
        let expected = SeccompProfile(
            defaultAction: .errno(13), subarchitectures: ["x86_64": ["x86", "x32"], "riscv64": []],
            rules: [
                .init(["read", "write"], .allow),
                .init(
                    ["clone"], .allow, arguments: [.init(0, .maskedEqual, 0x7e02_0000)],
                    excludes: .init(capabilities: ["CAP_SYS_ADMIN"], architectures: ["s390", "s390x"])),
                .init(["ptrace"], .allow, includes: .init(minimumKernel: KernelVersion(4, 8))),
                .init(["clone3"], .errno(38)),
                .init(["personality"], .trap, arguments: [.init(1, .equal, .max)]),
                .init(["bpf"], .errno(38)),
            ])
        #expect(read == expected)
    }

    @Test func aRuntimeSpecProfileIsRead() throws {
        let read = try profile(
            """
            {"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_TSYNC"]}
            """)
        #expect(read == SeccompProfile(defaultAction: .log, architectures: ["x86_64"]))
    }

    @Test(arguments: [
        ("[]", "must be an object"),
        ("{}", "defaultAction: missing"),
        (#"{"defaultAction": 1}"#, "defaultAction: must be a string"),
        (#"{"defaultAction": "ALLOW"}"#, #"defaultAction: unknown action "ALLOW""#),
        (#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "defaultAction: SCMP_ACT_NOTIFY is not supported"),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#, #"unknown field "listenerPath""#),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#, "flags: "),
        (#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#, "defaultErrnoRet: must be 0 to 4095"),
        (#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}"#, "defaultErrnoRet: must be a whole number"),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["a"], "archMap": [{"architecture": "b"}]}"#,
            "archMap: cannot stand beside"
        ),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG"}]}"#,
            "syscalls[0].names: missing"
        ),
        (#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}"#, "syscalls: must be a list"),
        (
            #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "arg": []}]}"#,
            #"syscalls[0]: unknown field "arg""#
        ),
        (
            #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"op":"X"}]}]}"#,
            #"syscalls[0].args[0].op: unknown operator "X""#
        ),
        (
            #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":"#
                + #"[{"op":"SCMP_CMP_EQ","index":6}]}]}"#,
            "syscalls[0].args[0].index: must be 0 to 5"
        ),
        (
            #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","includes":"#
                + #"{"minKernel":"x"}}]}"#,
            "syscalls[0].includes.minKernel: "
        ),
    ])
    func whatIsWrongIsNamedWithItsPlace(text: String, message: String) throws {
        let error = try #require(throws: SeccompProfileError.self) { try profile(text) }
        #expect(error.description.hasPrefix(message), "\(error)")
    }
}
