import Linux

/// The open directory of one cgroup in one hierarchy. Everything in it is reached by name from its descriptor.
struct CgroupDirectory: ~Copyable {
    let descriptor: OwnedDescriptor
    /// The path for messages, mount point included.
    let name: String

    init(_ descriptor: consuming OwnedDescriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    consuming func intoDescriptor() -> OwnedDescriptor { descriptor }

    /// One component below this directory, or nil if it does not exist. O_NOFOLLOW and one component at a time: there is
    /// no path that could lead elsewhere.
    func child(_ component: String) throws(CgroupError) -> CgroupDirectory? {
        let number = openat(descriptor.number, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if number < 0, errno == ENOENT { return nil }
        return CgroupDirectory(
            OwnedDescriptor(owning: try system(number, "open", "\(name)/\(component)")), name: "\(name)/\(component)")
    }

    /// Makes the child if it is missing. True if this call made it.
    func makeChild(_ component: String) throws(CgroupError) -> Bool {
        if mkdirat(descriptor.number, component, 0o755) == 0 { return true }
        if errno == EEXIST { return false }
        throw .system(SystemError("mkdir", "\(name)/\(component)"))
    }

    /// Removes the child. False if it was not there.
    func removeChild(_ component: String) throws(SystemError) -> Bool {
        if unlinkat(descriptor.number, component, AT_REMOVEDIR) == 0 { return true }
        if errno == ENOENT { return false }
        throw SystemError("rmdir", "\(name)/\(component)")
    }

    /// The names of the child cgroups.
    func children() throws(CgroupError) -> [String] {
        // A cgroup's link count is 2 and one for each child: mostly there is no need to read some forty names.
        var status = stat()
        if fstat(descriptor.number, &status) == 0, status.st_nlink == 2 { return [] }
        // fdopendir takes the descriptor over and moves its offset: give it one of its own.
        let own = try system(
            openat(descriptor.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", name)
        guard let stream = fdopendir(own) else {
            let error = SystemError("fdopendir", name)
            close(own)
            throw .system(error)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                // A cgroup removed while it is read ends with ENOENT or ENODEV: it has no children then.
                if errno != 0, errno != ENOENT, errno != ENODEV { throw .system(SystemError("readdir", name)) }
                return names
            }
            guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let child = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if child != ".", child != ".." { names.append(child) }
        }
    }

    /// True if a control file of this name exists.
    func has(_ file: String) -> Bool { faccessat(descriptor.number, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0 }

    /// A control file opened for reading or writing; the caller owns it.
    func open(_ file: String, _ flags: Int32) throws(CgroupError) -> OwnedDescriptor {
        OwnedDescriptor(
            owning: try system(
                openat(descriptor.number, file, flags | O_NOFOLLOW | O_CLOEXEC), "open", "\(name)/\(file)"))
    }

    /// The whole text of a control file.
    func read(_ file: String) throws(CgroupError) -> String {
        let opened = try open(file, O_RDONLY)
        var text: [UInt8] = []
        var count = 1
        while count > 0 {
            let got = withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { buffer in
                let got = Glibc.read(opened.number, buffer.baseAddress, buffer.count)
                if got > 0 { text.append(contentsOf: buffer.prefix(got)) }
                return got
            }
            if got < 0, errno == EINTR { continue }
            count = try system(got, "read", "\(name)/\(file)")
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The text of a control file, or nil if the file does not exist.
    func readIfPresent(_ file: String) throws(CgroupError) -> String? {
        do {
            return try read(file)
        } catch .system(let error) where error.errno == ENOENT || error.errno == ENODEV {
            return nil
        }
    }

    /// Writes a control file in one write(2), as the kernel wants it.
    func write(_ file: String, _ value: String) throws(CgroupError) { try write(file, lines: [value]) }

    /// Opens a control file once and makes a write(2) of each of `lines`.
    func write(_ file: String, lines: [String]) throws(CgroupError) {
        let opened = try open(file, O_WRONLY)
        for var line in lines {
            let (written, length) = line.withUTF8 { (Glibc.write(opened.number, $0.baseAddress, $0.count), $0.count) }
            try system(written, "write \"\(line)\" to", "\(name)/\(file)")
            // No control file takes a part of a value.
            if written != length {
                throw .system(SystemError("write \"\(line)\" to", "\(name)/\(file)", errno: EIO))
            }
        }
    }

    /// A control file of one number. `max` and values beyond Int64 read as `Int64.max`.
    func readNumber(_ file: String) throws(CgroupError) -> Int64 {
        let text = try read(file)
        guard let number = Self.number(text) else { throw .malformed(file: "\(name)/\(file)") }
        return number
    }

    /// The number of a line such as `12345\n` or `max\n`.
    static func number(_ text: some StringProtocol) -> Int64? {
        let digits = String(text.filter { !$0.isWhitespace })
        if digits == "max" { return .max }
        if let number = Int64(digits) { return number }
        return UInt64(digits) == nil ? nil : .max
    }

    /// The value of `key` in a file of `key value` lines, such as memory.stat.
    static func value(of key: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == key { return UInt64(fields[1]) }
        }
        return nil
    }
}

/// Turns -1 into a thrown ``CgroupError``.
@discardableResult
func system<Number: SignedInteger>(
    _ result: Number, _ call: @autoclosure () -> String, _ subject: @autoclosure () -> String
) throws(CgroupError) -> Number {
    if result < 0 {
        let number = errno
        throw .system(SystemError(call(), subject(), errno: number))
    }
    return result
}
