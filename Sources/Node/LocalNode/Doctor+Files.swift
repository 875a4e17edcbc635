import Linux

// Where the node keeps what it has, and the program that it needs beside itself.
extension Doctor {
    func directories() -> [DoctorCheck] {
        [writable("data-dir", dataDirectory), space(), writable("run-dir", runDirectory)]
    }

    /// Makes a file in the directory, or where it would be made.
    private func writable(_ name: String, _ path: String) -> DoctorCheck {
        let place = Self.existing(path)
        let probe = "\(place)/.\(ownName)-\(name)"
        let remedy = "choose another --\(name), or make \(place) writable"
        var status = stat()
        guard stat(place, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            return DoctorCheck("files", name, .failed, "\(place) is not a directory", remedy: remedy)
        }
        do {
            _ = try OwnedDescriptor(opening: probe, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            unlink(probe)
        } catch {
            return DoctorCheck("files", name, .failed, "\(error)", remedy: remedy)
        }
        let detail = place == path ? "\(path) is writable" : "\(path) can be made in \(place)"
        return DoctorCheck("files", name, .ok, detail)
    }

    /// Images and writable layers need room, and many small files.
    private func space() -> DoctorCheck {
        let place = Self.existing(dataDirectory)
        var status = statvfs()
        guard statvfs(place, &status) == 0 else {
            return DoctorCheck("files", "space", .warning, "\(SystemError("statvfs", place))")
        }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        let detail = "\(Self.gibibytes(free)) free for \(dataDirectory)"
        let remedy = "free some, or put --data-dir on another file system"
        if free < 256 << 20 { return DoctorCheck("files", "space", .failed, detail, remedy: remedy) }
        if free < 2 << 30 { return DoctorCheck("files", "space", .warning, detail, remedy: remedy) }
        // File systems that make inodes as they need them (btrfs) say 0 of 0.
        if status.f_files > 0, status.f_favail < 50_000 {
            return DoctorCheck(
                "files", "space", .warning, detail + ", but only \(status.f_favail) inodes", remedy: remedy)
        }
        return DoctorCheck("files", "space", .ok, detail)
    }

    private static func gibibytes(_ bytes: UInt64) -> String {
        let tenths = (bytes >> 20) * 10 / 1024
        return "\(tenths / 10).\(tenths % 10) GiB"
    }

    static func podinitOfEnvironment() -> String? {
        getenv("SWIFTLET_PODINIT").flatMap { String(validatingCString: $0) }
    }

    /// In the order in which the runtime looks for it.
    func podinit(named: String? = Self.podinitOfEnvironment()) -> DoctorCheck {
        let remedy = "make -C CSupport/podinit, and put podinit next to swiftlet or into ../libexec/swiftlet"
        if let named {
            return access(named, X_OK) == 0
                ? DoctorCheck("files", "podinit", .ok, named)
                : DoctorCheck(
                    "files", "podinit", .failed, "\(named) (from SWIFTLET_PODINIT) cannot be executed", remedy: remedy)
        }
        var target = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &target, target.count)
        let executable = String(decoding: target.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let directory = parentDirectory(of: executable)
        let places = ["\(directory)/podinit", "\(parentDirectory(of: directory))/libexec/swiftlet/podinit"]
        if let found = places.first(where: { access($0, X_OK) == 0 }) {
            return DoctorCheck("files", "podinit", .ok, found)
        }
        return DoctorCheck(
            "files", "podinit", .failed, "neither \(places.joined(separator: " nor "))", remedy: remedy)
    }

    /// The node follows manifest directories and cgroups' events by inotify.
    func inotify() -> [DoctorCheck] {
        let wanted: [(file: String, least: Int)] = [("max_user_instances", 128), ("max_user_watches", 8192)]
        return wanted.map { file, least in
            let text = (try? readText("/proc/sys/fs/inotify/\(file)")) ?? ""
            let value = Int(text.filter(\.isNumber)) ?? 0
            let enough = value >= least
            return DoctorCheck(
                "files", "inotify \(file)", enough ? .ok : .warning, "\(value)",
                remedy: enough ? nil : "sysctl -w fs.inotify.\(file)=\(least * 8)")
        }
    }
}
