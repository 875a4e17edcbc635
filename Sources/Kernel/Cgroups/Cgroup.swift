import Linux

/// One cgroup: the same path in every hierarchy of the system. A value; it may not exist yet.
public struct Cgroup: Sendable, CustomStringConvertible {
    public let system: CgroupSystem
    /// From the hierarchies' mount points, such as `/kubepods/burstable/pod1/web`. Never the root itself.
    public let path: String
    let components: [String]

    /// - Throws: ``CgroupError/invalidPath(_:)`` for the root, and for components that are empty, `.`, `..`, too long, or
    ///   could be mistaken for a control file of version 2 (`cgroup.…`).
    public init(system: CgroupSystem, path: String) throws(CgroupError) {
        let components = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard path.hasPrefix("/"), !components.isEmpty else { throw .invalidPath(path) }
        for name in components {
            guard (1...255).contains(name.utf8.count), name != ".", name != "..", !name.utf8.contains(0),
                !name.utf8.contains(UInt8(ascii: "\n")), !name.hasPrefix("cgroup.")
            else { throw .invalidPath(path) }
        }
        self.system = system
        self.path = path
        self.components = components
    }

    /// The cgroup `name` below this one.
    public func child(_ name: String) throws(CgroupError) -> Cgroup {
        try Cgroup(system: system, path: "\(path)/\(name)")
    }

    public var description: String { path }

    /// True if the cgroup is there in every hierarchy.
    public func exists() throws(CgroupError) -> Bool {
        for hierarchy in system.hierarchies where try directory(in: hierarchy) == nil { return false }
        return true
    }

    /// Makes the cgroup and those above it in every hierarchy, with the controllers enabled (version 2) and processors and
    /// memory nodes inherited (version 1 cpuset). What is there already stays as it is. On failure, everything that this
    /// call made is removed again.
    public func create() throws(CgroupError) {
        var made: [(hierarchy: Hierarchy, depth: Int)] = []
        do {
            for hierarchy in system.hierarchies {
                try create(in: hierarchy) { depth in made.append((hierarchy, depth)) }
            }
        } catch {
            for (hierarchy, depth) in made.reversed() {
                // What cannot be taken back is left: the first error is the one to tell.
                if let parent = try? directory(in: hierarchy, depth: depth) {
                    _ = try? parent.removeChild(components[depth])
                }
            }
            throw error
        }
    }

    private func create(in hierarchy: Hierarchy, made: (Int) -> Void) throws(CgroupError) {
        // Mostly the parent is there and as it should be: then one level is all there is to do.
        let last = components.count - 1
        if let parent = try directory(in: hierarchy, depth: last), try isReady(parent, in: hierarchy) {
            if try parent.makeChild(components[last]) { made(last) }
            return try prepareChild(components[last], of: parent, in: hierarchy)
        }
        var parent = try directory(in: hierarchy, depth: 0)
        for (depth, component) in components.enumerated() {
            guard let above = parent.take() else { break }
            if hierarchy.version == .v2 { try enableControllers(in: above) }
            if try above.makeChild(component) { made(depth) }
            try prepareChild(component, of: above, in: hierarchy)
            parent = try above.child(component)
        }
    }

    /// Whether a cgroup made in `parent` gets all that the hierarchy has to give. Enables what only `parent` has to enable.
    private func isReady(
        _ parent: borrowing CgroupDirectory, in hierarchy: Hierarchy
    ) throws(CgroupError) -> Bool {
        switch hierarchy.version {
        case .v1:
            guard hierarchy.controllers.contains(.cpuset) else { return true }
            return try !parent.read("cpuset.cpus").allSatisfy(\.isWhitespace)
        case .v2:
            let offered = try parent.read("cgroup.controllers").split(whereSeparator: \.isWhitespace)
            let arrived = Set(offered.compactMap { Controller(rawValue: String($0)) })
            guard hierarchy.controllers.isSubset(of: arrived) else { return false }
            try enableControllers(in: parent)
            return true
        }
    }

    private func prepareChild(
        _ component: String, of parent: borrowing CgroupDirectory, in hierarchy: Hierarchy
    ) throws(CgroupError) {
        guard hierarchy.version == .v1, hierarchy.controllers.contains(.cpuset) else { return }
        guard let child = try parent.child(component) else {
            throw .system(SystemError("open", "\(parent.name)/\(component)", errno: ENOENT))
        }
        try CpusetController.inherit(from: parent, to: child)
    }

    /// Hands the controllers that this room uses on to the cgroups below `directory` (cgroup-v2.rst, "Enabling and
    /// Disabling"), one by one: the kernel refuses a whole line for one controller.
    private func enableControllers(in directory: borrowing CgroupDirectory) throws(CgroupError) {
        let offered = Set(try directory.read("cgroup.controllers").split(whereSeparator: \.isWhitespace))
        let enabled = Set(try directory.read("cgroup.subtree_control").split(whereSeparator: \.isWhitespace))
        for controller in [Controller.cpu, .memory, .pids, .cpuset] {
            let name = Substring(controller.rawValue)
            if offered.contains(name), !enabled.contains(name) {
                try directory.write("cgroup.subtree_control", "+\(name)")
            }
        }
    }

    /// Descriptors through which a process enters the cgroup, in all hierarchies.
    public func processDescriptors() throws(CgroupError) -> CgroupEntrance {
        var numbers: [Int32] = []
        do {
            for hierarchy in system.hierarchies {
                numbers.append(try open("cgroup.procs", O_WRONLY, in: hierarchy).release())
            }
            let alone = system.mode == .unified
            return CgroupEntrance(owning: numbers, directory: alone ? try directoryDescriptor()?.release() : nil)
        } catch {
            for number in numbers { close(number) }
            throw error
        }
    }

    /// The cgroup's directory in the version 2 hierarchy, for clone3(2) with CLONE_INTO_CGROUP; nil without version 2. The
    /// new process is in this one hierarchy then; the others still have to be entered.
    public func directoryDescriptor() throws(CgroupError) -> OwnedDescriptor? {
        guard let unified = system.unified else { return nil }
        return try existing(in: unified).intoDescriptor()
    }

    /// Moves the process `pid` with all its threads into the cgroup; 0 is the caller.
    public func add(_ pid: pid_t) throws(CgroupError) {
        for hierarchy in system.hierarchies { try existing(in: hierarchy).write("cgroup.procs", "\(pid)") }
    }

    /// Sets limits. On failure those set before stay set.
    ///
    /// - Throws: ``CgroupError/controllerMissing(_:cgroup:)`` for a limit that no hierarchy can enforce.
    public func apply(_ resources: CgroupResources) throws(CgroupError) {
        if resources.cpuShares != nil || resources.cpuQuota != nil || resources.cpuPeriod != nil {
            let place = try place(of: .cpu, witness: (v1: "cpu.shares", v2: "cpu.weight"))
            try CPUController.apply(resources, to: place.directory, place.hierarchy.version)
        }
        if resources.cpus != nil || resources.memoryNodes != nil {
            let place = try place(of: .cpuset, witness: (v1: "cpuset.cpus", v2: "cpuset.cpus"))
            try CpusetController.apply(resources, to: place.directory)
        }
        if resources.memoryLimit != nil || resources.swapLimit != nil || resources.killTogetherWhenOutOfMemory != nil {
            let place = try place(
                of: .memory, witness: (v1: "memory.limit_in_bytes", v2: "memory.max"))
            try MemoryController.apply(resources, to: place.directory, place.hierarchy.version, cgroup: path)
        }
        if resources.pidsMax != nil {
            let place = try place(of: .pids, witness: (v1: "pids.max", v2: "pids.max"))
            try PidsController.apply(resources, to: place.directory)
        }
        if let rules = resources.devices {
            if let legacy = system.hierarchy(of: .devices) {
                try DevicesController.apply(rules, to: try existing(in: legacy))
            } else if let unified = system.unified {
                try DevicesController.attach(rules, to: try existing(in: unified))
            } else {
                throw .controllerMissing(.devices, cgroup: path)
            }
        }
    }

    /// The cgroup's directory in the hierarchy of `controller`. A file of the controller must be there too: with version
    /// 2 a controller may end somewhere above.
    private func place(
        of controller: Controller, witness: (v1: String, v2: String)
    ) throws(CgroupError) -> Place {
        guard let hierarchy = system.hierarchy(of: controller) else {
            throw .controllerMissing(controller, cgroup: path)
        }
        let directory = try existing(in: hierarchy)
        guard directory.has(hierarchy.version == .v1 ? witness.v1 : witness.v2) else {
            throw .controllerMissing(controller, cgroup: path)
        }
        return Place(hierarchy: hierarchy, directory: directory)
    }
}

/// A cgroup's directory and the hierarchy it is in.
struct Place: ~Copyable {
    let hierarchy: Hierarchy
    let directory: CgroupDirectory
}

extension Cgroup {
    /// Opens a path below the root of a hierarchy, in one step: no symbolic link, no way out, no other mount.
    private func open(below path: String, _ flags: Int32, in hierarchy: Hierarchy) throws(CgroupError)
        -> OwnedDescriptor
    {
        do {
            return try OwnedDescriptor(
                opening: path, in: hierarchy.root.directory.descriptor, flags: flags,
                resolve: [.beneath, .noSymlinks, .sameMount])
        } catch {
            throw .system(SystemError("open", "\(hierarchy.mountPoint)/\(path)", errno: error.errno))
        }
    }

    /// A control file of the cgroup.
    func open(_ file: String, _ flags: Int32, in hierarchy: Hierarchy) throws(CgroupError) -> OwnedDescriptor {
        try open(below: "\(path.dropFirst())/\(file)", flags, in: hierarchy)
    }

    /// The directory of the cgroup's first `depth` components (all by default), or nil if it does not exist.
    func directory(in hierarchy: Hierarchy, depth: Int? = nil) throws(CgroupError) -> CgroupDirectory? {
        let depth = depth ?? components.count
        let below = depth == 0 ? "." : components.prefix(depth).joined(separator: "/")
        do {
            return CgroupDirectory(
                try open(below: below, O_RDONLY | O_DIRECTORY, in: hierarchy), name: "\(hierarchy.mountPoint)/\(below)")
        } catch .system(let error) where error.errno == ENOENT {
            return nil
        }
    }

    /// The cgroup's directory; ENOENT if it does not exist.
    func existing(in hierarchy: Hierarchy) throws(CgroupError) -> CgroupDirectory {
        guard let directory = try directory(in: hierarchy) else {
            throw .system(SystemError("open", hierarchy.mountPoint + path, errno: ENOENT))
        }
        return directory
    }
}

/// Open `cgroup.procs` files, one per hierarchy. A process that writes `0` to each of them is in the cgroup with all its
/// threads and future children. Closed when the last reference goes.
public final class CgroupEntrance: Sendable {
    /// The descriptors, valid as long as this object lives.
    public let numbers: [Int32]
    /// Where version 2 is all there is: the cgroup's directory, in which clone3(2) with CLONE_INTO_CGROUP makes a process
    /// without the wait that moving one costs. Valid as long as this object lives.
    public let directory: Int32?

    init(owning numbers: [Int32], directory: Int32?) {
        self.numbers = numbers
        self.directory = directory
    }

    deinit {
        for number in numbers { close(number) }
        if let directory { close(directory) }
    }
}
