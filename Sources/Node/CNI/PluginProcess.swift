import Glibc
import Linux

/// One run of a plugin's program: its input on standard input, its answer from standard output.
struct PluginProcess {
    /// How it ended and what it said.
    struct Ending {
        /// As wait(2) has it.
        var status: Int32 = 0
        var output: [UInt8] = []
        /// The first of what it wrote to standard error.
        var errors: [UInt8] = []
        var timedOut = false
        /// It wrote more than any answer is long.
        var outputTooLong = false
    }

    /// No answer is longer; who writes more has gone astray.
    static let outputLimit = 4 << 20
    /// As much of standard error as a message can hold.
    static let errorLimit = 4096

    let path: String
    let environment: [String]
    let input: [UInt8]
    /// After so many seconds it is killed, with all that it started in its session.
    let seconds: Int

    /// Runs it to its end; blocks. The program inherits the caller's namespaces, working directory and limits, and no
    /// descriptor but its three.
    func run() throws(SystemError) -> Ending {
        let stdin = try sealedMemoryFile(named: "cni", input)
        try check(lseek(stdin.number, 0, SEEK_SET), "lseek")
        let output = try Pipe()
        let errors = try Pipe()
        let pid = try start([stdin.number, output.writing.number, errors.writing.number])
        let process: ProcessDescriptor
        do {
            process = try ProcessDescriptor(pid: pid)
        } catch {
            kill(pid, SIGKILL)
            _ = reap(pid)
            throw error
        }
        var ending = Ending()
        follow(process, [output.reading.number, errors.reading.number], &ending)
        // Not yet reaped, so the number still means this program and what it started.
        if ending.timedOut || ending.outputTooLong { kill(-pid, SIGKILL) }
        ending.status = reap(pid)
        return ending
    }

    /// An installer may be writing the program at this moment (ETXTBSY), and will have done so in the next.
    private func start(_ descriptors: [Int32]) throws(SystemError) -> pid_t {
        let deadline = Self.now() + 1
        while true {
            do {
                return try spawn(
                    path, arguments: [path], environment: environment, descriptors: descriptors, newSession: true)
            } catch {
                guard error.errno == ETXTBSY, Self.now() < deadline else { throw error }
                poll(nil, 0, 10)
            }
        }
    }

    /// Takes what the program says until it has ended: who else holds its standard output is not waited for.
    private func follow(_ process: borrowing ProcessDescriptor, _ streams: [Int32], _ ending: inout Ending) {
        let deadline = Self.now() + Double(seconds)
        var pollers = (streams + [process.descriptor.number]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while true {
            let left = deadline - Self.now()
            guard left > 0 else {
                ending.timedOut = true
                return
            }
            if poll(&pollers, nfds_t(pollers.count), Int32(left * 1000) + 1) < 0 { continue }
            // Asked before reading: what an ended program wrote is in the pipes by now.
            let ended = pollers[2].revents != 0
            for index in streams.indices where ended || pollers[index].revents != 0 {
                if pollers[index].fd >= 0, !drain(streams[index], index, &ending) { pollers[index].fd = -1 }
            }
            if ended || ending.outputTooLong { return }
        }
    }

    /// Takes what a pipe has. False at its end.
    private func drain(_ descriptor: Int32, _ index: Int, _ ending: inout Ending) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                return errno == EAGAIN
            }
            if count == 0 { return false }
            if index == 0 {
                ending.output += buffer[..<count]
                if ending.output.count > Self.outputLimit {
                    ending.outputTooLong = true
                    return false
                }
            } else {
                ending.errors += buffer[..<min(count, Self.errorLimit - ending.errors.count)]
            }
        }
    }

    private func reap(_ pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status
    }

    /// CLOCK_MONOTONIC in seconds.
    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// Both ends of a pipe. The reading end does not block.
private struct Pipe: ~Copyable {
    let reading: OwnedDescriptor
    let writing: OwnedDescriptor

    init() throws(SystemError) {
        let ends = try Self.make()
        reading = OwnedDescriptor(owning: ends[0])
        writing = OwnedDescriptor(owning: ends[1])
    }

    private static func make() throws(SystemError) -> [Int32] {
        var ends: [Int32] = [-1, -1]
        try check(pipe(&ends), "pipe")
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return ends
    }
}
