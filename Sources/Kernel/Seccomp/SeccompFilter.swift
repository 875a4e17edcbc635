import CSeccomp
import Linux

/// A filter under construction in libseccomp (seccomp_init(3)), released with the value.
struct SeccompFilter: ~Copyable {
    private let context: scmp_filter_ctx

    init(defaultAction: SeccompAction) throws(SeccompError) {
        guard let context = seccomp_init(defaultAction.returnValue) else {
            throw .system(SystemError("seccomp_init", errno: EINVAL))
        }
        self.context = context
    }

    /// A binary tree of system calls instead of a list: fewer instructions run per call (seccomp_attr_set(3)).
    func useBinaryTree() throws(SeccompError) {
        try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "seccomp_attr_set")
    }

    deinit { seccomp_release(context) }

    /// Adds a calling convention by libseccomp's name. One that is there is fine.
    func add(architecture: String) throws(SeccompError) {
        let token = seccomp_arch_resolve_name(architecture)
        guard token != 0 else { throw .unknownArchitecture(architecture) }
        let result = seccomp_arch_add(context, token)
        if result != -EEXIST { try check(result, "seccomp_arch_add") }
    }

    /// Adds a rule. False if the library does not know the system call.
    func add(
        _ name: String, _ action: SeccompAction, _ arguments: [SeccompProfile.Argument]
    ) throws(SeccompError) -> Bool {
        let number = seccomp_syscall_resolve_name(name)
        if number == __NR_SCMP_ERROR { return false }
        var comparisons = arguments.map(\.comparisonForLibrary)
        let result = seccomp_rule_add_array(
            context, action.returnValue, number, UInt32(comparisons.count), &comparisons)
        // EDOM: the call exists on none of the filter's processors.
        if result != 0, result != -EDOM { throw .ruleRefused(name: name, errno: -result) }
        return true
    }

    /// The program as the kernel takes it: `struct sock_filter`, eight bytes each.
    func exported() throws(SeccompError) -> [UInt8] {
        do {
            let file = OwnedDescriptor(owning: try Linux.check(cl_memfd_create("seccomp"), "memfd_create", "seccomp"))
            let result = seccomp_export_bpf(context, file.number)
            if result < 0 { throw SystemError("seccomp_export_bpf", errno: -result) }
            try Linux.check(lseek(file.number, 0, SEEK_SET), "lseek", "seccomp")
            return try file.readAll(subject: "seccomp")
        } catch let error as SystemError {
            throw .system(error)
        } catch {
            throw .system(SystemError("seccomp_export_bpf", errno: EINVAL))
        }
    }

    private func check(_ result: Int32, _ call: String) throws(SeccompError) {
        if result < 0 { throw .system(SystemError(call, errno: -result)) }
    }
}

extension SeccompProfile.Argument {
    fileprivate var comparisonForLibrary: scmp_arg_cmp {
        let operation: scmp_compare =
            switch comparison {
            case .notEqual: SCMP_CMP_NE
            case .less: SCMP_CMP_LT
            case .lessOrEqual: SCMP_CMP_LE
            case .equal: SCMP_CMP_EQ
            case .greaterOrEqual: SCMP_CMP_GE
            case .greater: SCMP_CMP_GT
            case .maskedEqual: SCMP_CMP_MASKED_EQ
            }
        return scmp_arg_cmp(arg: index, op: operation, datum_a: value, datum_b: valueTwo)
    }
}
