import CPodinit
import Glibc
import Linux

extension SandboxPlan {
    func encoded() throws(LaunchError) -> EncodedPlan {
        try checkSysctls()
        var encoder = PlanEncoder(fixed: pi_sandbox_plan.self)
        var fixed = pi_sandbox_plan()
        var flags: UInt32 = 0
        if newNetwork { flags |= PI_NEW_NETWORK.rawValue }
        if newIPC { flags |= PI_NEW_IPC.rawValue }
        if newUTS { flags |= PI_NEW_UTS.rawValue }
        if sharedPID { flags |= PI_SHARED_PID.rawValue }
        if let oomScoreAdjustment {
            flags |= PI_SET_OOM_SCORE.rawValue
            fixed.oom_score_adj = oomScoreAdjustment
        }
        fixed.flags = flags
        fixed.exits = encoder.descriptor(exitsDirectory)
        fixed.hostname = try encoder.string(hostname ?? "", "host name")
        fixed.domainname = try encoder.string(domainname ?? "", "domain name")
        fixed.cgroups = encoder.descriptorList(cgroupProcesses)
        var parameters: [pi_sysctl] = []
        for sysctl in sysctls {
            parameters.append(
                pi_sysctl(
                    path: try encoder.string(sysctl.path, "sysctl"), value: try encoder.string(sysctl.value, "sysctl")))
        }
        fixed.sysctls = encoder.list(parameters)
        fixed.header = encoder.header(PI_SANDBOX)
        return try encoder.finish(fixed)
    }
}

extension ProcessPlan {
    func fixed(in encoder: inout PlanEncoder) throws(LaunchError) -> pi_process {
        var fixed = pi_process()
        fixed.flags =
            (noNewPrivileges ? PI_NO_NEW_PRIVILEGES.rawValue : 0) | (terminal != nil ? PI_TERMINAL.rawValue : 0)
            | (oomScoreAdjustment != nil ? PI_PROCESS_OOM_SCORE.rawValue : 0)
        fixed.uid = user.uid
        fixed.gid = user.gid
        fixed.umask = umask
        fixed.oom_score_adj = oomScoreAdjustment ?? 0
        fixed.rows = terminal?.rows ?? 0
        fixed.columns = terminal?.columns ?? 0
        fixed.arguments = try encoder.strings(arguments, "arguments")
        fixed.environment = try encoder.strings(environment, "environment")
        fixed.directory = try encoder.string(workingDirectory, "working directory")
        fixed.groups = encoder.list(user.additionalGroups)
        fixed.rlimits = encoder.list(
            resourceLimits.map {
                pi_rlimit(resource: UInt32(bitPattern: $0.resource), zero: 0, soft: $0.soft, hard: $0.hard)
            })
        fixed.seccomp = encoder.list(seccompProgram ?? [])
        fixed.cgroups = encoder.descriptorList(cgroupProcesses)
        fixed.bounding = capabilities.bounding.rawValue
        fixed.permitted = capabilities.permitted.rawValue
        fixed.effective = capabilities.effective.rawValue
        fixed.inheritable = capabilities.inheritable.rawValue
        fixed.ambient = capabilities.ambient.rawValue
        fixed.standard = (UInt32.max, UInt32.max, UInt32.max)
        fixed.cgroup = encoder.descriptor(cgroupDirectory)
        return fixed
    }
}

extension ContainerPlan {
    func encoded() throws(LaunchError) -> EncodedPlan {
        var encoder = PlanEncoder(fixed: pi_container_plan.self)
        var fixed = pi_container_plan()
        try encodeName(name, into: &fixed.name)
        fixed.attempt = attempt
        fixed.flags =
            (pidNamespace == .own ? PI_NEW_PID.rawValue : 0) | (newCgroupNamespace ? PI_NEW_CGROUP.rawValue : 0)
            | (readOnlyRoot ? PI_READ_ONLY_ROOT.rawValue : 0) | (writableSystem ? PI_WRITABLE_SYSTEM.rawValue : 0)
        switch cgroupView {
        case .unified:
            fixed.flags |= PI_CGROUP_UNIFIED.rawValue
            fixed.controllers = encoder.list([pi_string]())
        case .hierarchies(let names):
            fixed.controllers = try encoder.strings(names.map { $0.isEmpty ? "unified" : $0 }, "controllers")
        }
        fixed.root = encoder.descriptor(root)
        fixed.shared_memory = encoder.descriptor(sharedMemory)
        fixed.shared_memory_size = sharedMemorySize
        fixed.log = encoder.descriptor(log?.directory)
        fixed.log_files = log?.maximumFiles ?? 0
        fixed.log_size = log?.maximumSize ?? 0
        var mounts: [pi_mount] = []
        for mount in self.mounts {
            mounts.append(
                pi_mount(
                    mount: encoder.descriptor(mount.descriptor),
                    kind: mount.kind == .file ? PI_FILE.rawValue : PI_DIRECTORY.rawValue,
                    target: try encoder.string(mount.target, "mount target")))
        }
        fixed.mounts = encoder.list(mounts)
        var devices: [pi_device] = []
        for device in self.devices {
            devices.append(
                pi_device(
                    path: try encoder.string(device.path, "device"), type: device.isBlock ? S_IFBLK : S_IFCHR,
                    mode: device.mode, major: device.major, minor: device.minor, uid: device.uid, gid: device.gid))
        }
        fixed.devices = encoder.list(devices)
        fixed.masked = try encoder.strings(maskedPaths, "masked paths")
        fixed.read_only = try encoder.strings(readOnlyPaths, "read-only paths")
        fixed.process = try process.fixed(in: &encoder)
        fixed.process.standard.0 = encoder.descriptor(standardInput)
        fixed.header = encoder.header(PI_START)
        return try encoder.finish(fixed)
    }
}

extension ExecPlan {
    func encoded(in container: String) throws(LaunchError) -> EncodedPlan {
        var encoder = PlanEncoder(fixed: pi_exec_plan.self)
        var fixed = pi_exec_plan()
        try encodeName(container, into: &fixed.name)
        fixed.process = try process.fixed(in: &encoder)
        fixed.process.standard = (
            encoder.descriptor(standardInput), encoder.descriptor(standardOutput), encoder.descriptor(standardError)
        )
        fixed.header = encoder.header(PI_EXEC)
        return try encoder.finish(fixed)
    }
}
