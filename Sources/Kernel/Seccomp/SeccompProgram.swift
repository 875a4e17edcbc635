import CSeccomp
import Linux

/// A compiled profile.
public struct SeccompProgram: Sendable, Hashable {
    /// `struct sock_filter` after `struct sock_filter`, as seccomp(2) takes them with SECCOMP_SET_MODE_FILTER.
    public let bytes: [UInt8]
    /// System calls of the profile that the installed libseccomp does not know; their rules are not in the program.
    public let unknownNames: [String]
    /// How long the program is; the kernel takes 4096.
    public var instructionCount: Int { bytes.count / 8 }

    /// Puts the filter on the calling thread, for good, and on what it starts. Without CAP_SYS_ADMIN this needs
    /// no_new_privs to be set (prctl(2)).
    public func loadIntoCallingThread() throws(SystemError) {
        let result = bytes.withUnsafeBytes { cseccomp_load($0.baseAddress, $0.count) }
        try check(result, "seccomp")
    }
}

extension SeccompProfile {
    /// Compiles the rules that hold for a container with `capabilities` (such as `CAP_SYS_ADMIN`) on this machine and
    /// kernel. Takes milliseconds: see ``SeccompCompiler``, which remembers.
    ///
    /// Where the profile denies by an error number, a call that is newer than all calls of the profile fails with ENOSYS
    /// instead, as with runc: programs know what to do with a call that the kernel does not have, not with EPERM.
    public func compile(capabilities: Set<String> = []) throws(SeccompError) -> SeccompProgram {
        try checkRanges()
        let filter = try SeccompFilter(defaultAction: defaultAction)
        try filter.useBinaryTree()
        let native = Self.nativeArchitecture
        let used = [native] + (architectures.isEmpty ? subarchitectures[native] ?? [] : architectures)
        for architecture in used { try filter.add(architecture: architecture) }

        let host = Host(capabilities: capabilities, kernel: KernelVersion.running())
        var unknown: [String] = []
        // A rule that does what would happen anyway is refused by libseccomp, and needless.
        for rule in rules where host.satisfies(rule) && rule.action != defaultAction {
            for name in rule.names {
                var known = true
                for arguments in rule.alternatives {
                    known = try filter.add(name, rule.action, arguments) && known
                }
                if !known { unknown.append(name) }
            }
        }
        var bytes = try filter.exported()
        if case .errno(let number) = defaultAction, Int32(number) != ENOSYS {
            bytes = newCallGuard(for: used) + bytes
        }
        let count = bytes.count / 8
        guard count <= 4096 else { throw .tooLong(instructions: count) }
        return SeccompProgram(bytes: bytes, unknownNames: unknown)
    }

    private func checkRanges() throws(SeccompError) {
        for action in [defaultAction] + rules.map(\.action) {
            if case .errno(let number) = action, number > 4095 { throw .errnoOutOfRange(number) }
        }
        for argument in rules.flatMap(\.arguments) where argument.index > 5 {
            throw .argumentOutOfRange(argument.index)
        }
    }

    /// The machine's calling convention under libseccomp's name.
    static var nativeArchitecture: String {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "aarch64"
        #else
            #error("a name is missing for this architecture")
        #endif
    }

    /// Instructions to go before the program: for each convention, a number above the largest that the profile names
    /// (linux/filter.h; classic BPF on `struct seccomp_data`, nr at offset 0, arch at 4).
    private func newCallGuard(for architectures: [String]) -> [UInt8] {
        var code: [sock_filter] = [sock_filter(code: 0x20, jt: 0, jf: 0, k: 4)]  // BPF_LD|BPF_W|BPF_ABS arch
        for name in architectures where name != "x32" {
            let token = seccomp_arch_resolve_name(name)
            let numbers = Set(rules.flatMap(\.names)).map { seccomp_syscall_resolve_name_arch(token, $0) }
            // Negative numbers stand for calls that this convention lacks.
            guard let largest = numbers.filter({ $0 >= 0 }).max() else { continue }
            let denied = SeccompAction.errno(UInt16(ENOSYS)).returnValue
            code.append(sock_filter(code: 0x15, jt: 0, jf: 5, k: token))  // BPF_JMP|BPF_JEQ arch, else the next one
            code.append(sock_filter(code: 0x20, jt: 0, jf: 0, k: 0))  // nr
            // x32 has its numbers from 0x40000000 on, under the same arch; leave them to the program.
            code.append(sock_filter(code: 0x35, jt: 2, jf: 0, k: 0x4000_0000))  // BPF_JMP|BPF_JGE
            code.append(sock_filter(code: 0x25, jt: 0, jf: 1, k: UInt32(largest)))  // BPF_JMP|BPF_JGT
            code.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: denied))  // BPF_RET
            code.append(sock_filter(code: 0x20, jt: 0, jf: 0, k: 4))  // arch again, for the next one
        }
        return code.withUnsafeBytes(Array.init)
    }
}

/// What conditions look at.
private struct Host {
    let capabilities: Set<String>
    let kernel: KernelVersion?

    private static var architecture: String {
        SeccompProfile.nativeArchitecture == "x86_64" ? "amd64" : "arm64"
    }

    func satisfies(_ rule: SeccompProfile.Rule) -> Bool {
        let includes = rule.includes
        let excludes = rule.excludes
        return includes.capabilities.allSatisfy(capabilities.contains)
            && (includes.architectures.isEmpty || includes.architectures.contains(Self.architecture))
            && (includes.minimumKernel.map(isAtLeast) ?? true)
            && !excludes.capabilities.contains(where: capabilities.contains)
            && !excludes.architectures.contains(Self.architecture)
            && !(excludes.minimumKernel.map(isAtLeast) ?? false)
    }

    private func isAtLeast(_ version: KernelVersion) -> Bool { kernel.map { $0 >= version } ?? false }
}

extension SeccompProfile.Rule {
    /// The sets of comparisons to add. libseccomp takes one comparison per argument; several on one argument mean
    /// "or" in these profiles, and then every comparison of the rule stands alone.
    fileprivate var alternatives: [[SeccompProfile.Argument]] {
        let indexes = arguments.map(\.index)
        return Set(indexes).count == indexes.count ? [arguments] : arguments.map { [$0] }
    }
}
