import CLinux
import Linux
import Resources

/// What a container mounts of a volume.
struct OpenedVolume: ~Copyable {
    let mount: DetachedMount
    /// False for a file, a socket or a device.
    let isDirectory: Bool

    consuming func release() -> DetachedMount { mount }
}

/// Makes a pod's volumes and opens what its containers mount of them (Kubernetes, "Volumes").
struct Volumes {
    let paths: PodPaths
    let fsGroup: Int64?

    /// Makes the volume where it is missing, and checks it.
    func prepare(_ volume: Volume) throws(PodError) {
        do {
            switch volume.source {
            case .emptyDir(let memory, let limit):
                if memory {
                    try prepareMemory(paths.memoryVolume(volume.name), limit: limit)
                } else {
                    try prepareEmptyDirectory(paths.volume(volume.name))
                }
            case .hostPath(let path, let type): try prepareHostPath(path, type)
            }
        } catch let error as PodError {
            throw PodError(error.reason, "volume \"\(volume.name)\": \(error.message)")
        } catch {
            throw PodError(.internalError, "volume \"\(volume.name)\": \(error)")
        }
    }

    /// A detached mount of what `mount` names of `volume`, and whether it is a directory or a file.
    func open(_ mount: VolumeMount, of volume: Volume) throws(PodError) -> OpenedVolume {
        let path: String
        var isHostPath = false
        switch volume.source {
        case .emptyDir(let memory, _): path = memory ? paths.memoryVolume(volume.name) : paths.volume(volume.name)
        case .hostPath(let hostPath, _):
            path = hostPath
            isHostPath = true
        }
        do {
            let root = try OwnedDescriptor(opening: path, flags: pathOnly)
            if let subPath = mount.subPath, !subPath.isEmpty {
                let target = try openOrMakeDirectory(subPath, in: root)
                return try detach(target, mount, recursive: isHostPath, subject: "\(path)/\(subPath)")
            }
            return try detach(root, mount, recursive: isHostPath, subject: path)
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.internalError, "volume \"\(mount.name)\": \(error)")
        }
    }

    // MARK: - Making

    private func prepareEmptyDirectory(_ path: String) throws(SystemError) {
        if fileExists(path) { return }
        try makeDirectories(parentDirectory(of: path))
        try check(mkdir(path, 0o700), "mkdir", path)
        try setOwnership(path)
    }

    private func prepareMemory(_ path: String, limit: Int64?) throws(SystemError) {
        try makeDirectories(path)
        if try isMountPoint(path) { return }
        var options: [(key: String, value: String?)] = [("mode", "0777")]
        if let limit { options.append(("size", String(limit))) }
        let mount = try DetachedMount(type: "tmpfs", options: options)
        try mount.set([.noSetUserID, .noDevices], propagation: .private)
        try mount.attach(at: path)
        try setOwnership(path)
    }

    /// Everybody may write (as the kubelet makes it); with fsGroup the group owns it and what is made in it.
    private func setOwnership(_ path: String) throws(SystemError) {
        var mode: mode_t = 0o777
        if let fsGroup {
            try check(chown(path, uid_t.max, gid_t(truncatingIfNeeded: fsGroup)), "chown", path)
            mode |= 0o2000
        }
        try check(chmod(path, mode), "chmod", path)
    }

    private func prepareHostPath(_ path: String, _ type: Volume.HostPathType) throws {
        switch type {
        case .unset, .directoryOrCreate:
            if !fileExists(path) { try makeDirectories(path) }
        case .fileOrCreate:
            if !fileExists(path) {
                _ = try OwnedDescriptor(opening: path, flags: O_WRONLY | O_CREAT, mode: 0o644)
            }
        case .directory, .file, .socket, .charDevice, .blockDevice: break
        }
        let expected: (kind: mode_t, name: String)? =
            switch type {
            case .unset: nil
            case .directoryOrCreate, .directory: (S_IFDIR, "directory")
            case .fileOrCreate, .file: (S_IFREG, "file")
            case .socket: (S_IFSOCK, "socket")
            case .charDevice: (S_IFCHR, "character device")
            case .blockDevice: (S_IFBLK, "block device")
            }
        guard let expected else { return }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == expected.kind else {
            throw PodError(.invalid, "hostPath type check failed: \(path) is not a \(expected.name)")
        }
    }

    // MARK: - Opening

    /// Opens `path` inside the volume, never outside of it whatever links containers have put there; missing
    /// directories are made.
    private func openOrMakeDirectory(_ path: String, in root: borrowing OwnedDescriptor) throws -> OwnedDescriptor {
        let number = cl_openat2(root.number, path, UInt64(CL_O_PATH), 0, Resolve.beneath.rawValue)
        if number >= 0 { return OwnedDescriptor(owning: number) }
        if errno == EXDEV { throw PodError(.invalid, "subPath \"\(path)\" leads out of its volume") }
        if errno != ENOENT { throw SystemError("openat2", path) }
        // As open as the volume itself, whoever the container runs as (kubelet, SafeMakeDir).
        var status = stat()
        try check(fstat(root.number, &status), "fstat", path)
        let parts = path.split(separator: "/").filter { $0 != "." }
        return try makeDirectory(parts[...], in: root, mode: status.st_mode & 0o7777)
    }

    private func makeDirectory(
        _ parts: ArraySlice<Substring>, in directory: borrowing OwnedDescriptor, mode: mode_t
    ) throws(SystemError) -> OwnedDescriptor {
        guard let name = parts.first.map(String.init) else { return try directory.duplicate() }
        let made = mkdirat(directory.number, name, 0o755) == 0
        if !made && errno != EEXIST { throw SystemError("mkdirat", name) }
        let next = try OwnedDescriptor(
            opening: name, in: directory, flags: O_RDONLY | O_DIRECTORY, resolve: [.beneath, .noSymlinks])
        if made { try check(fchmod(next.number, mode), "fchmod", name) }
        return try makeDirectory(parts.dropFirst(), in: next, mode: mode)
    }

    private func detach(
        _ target: borrowing OwnedDescriptor, _ mount: VolumeMount, recursive: Bool, subject: String
    ) throws -> OpenedVolume {
        var status = stat()
        try check(fstat(target.number, &status), "fstat", subject)
        let detached = try DetachedMount(cloning: target, recursive: recursive, subject: subject)
        switch mount.mountPropagation {
        case .none: try detached.set(propagation: .private, recursive: recursive)
        case .hostToContainer: try detached.set(propagation: .slave, recursive: recursive)
        case .bidirectional:
            guard try isShared(target) else {
                throw PodError(
                    .invalid,
                    "mountPropagation Bidirectional: \(subject) is not on a shared mount; try: mount --make-shared")
            }
        }
        if mount.readOnly { try detached.set(.readOnly, recursive: recursive) }
        return OpenedVolume(mount: detached, isDirectory: status.st_mode & S_IFMT == S_IFDIR)
    }

    /// Whether the mount that the open file is on propagates its changes (proc_pid_mountinfo(5), `shared:`).
    private func isShared(_ target: borrowing OwnedDescriptor) throws(SystemError) -> Bool {
        let info = try readText("/proc/self/fdinfo/\(target.number)")
        guard let line = info.split(separator: "\n").first(where: { $0.hasPrefix("mnt_id:") }),
            let id = line.split(whereSeparator: { $0 == "\t" || $0 == " " }).last
        else { return false }
        for mount in try readText("/proc/self/mountinfo").split(separator: "\n") {
            let fields = mount.split(separator: " ")
            guard fields.first == id else { continue }
            return fields.prefix { $0 != "-" }.contains { $0.hasPrefix("shared:") }
        }
        return false
    }

    private func isMountPoint(_ path: String) throws(SystemError) -> Bool {
        var here = stat()
        var above = stat()
        try check(lstat(path, &here), "lstat", path)
        try check(lstat(parentDirectory(of: path), &above), "lstat", path)
        return here.st_dev != above.st_dev
    }
}

/// O_PATH as open(2) takes it.
private let pathOnly = Int32(CL_O_PATH)
