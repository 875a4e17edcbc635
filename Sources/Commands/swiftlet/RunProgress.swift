// What is pulled for a pod, as the agent tells it: one line that is written over on a terminal, else a line for each image
// and layer. On standard error, so that standard output has only what became of the pods.
import JSONTree
import Linux

final class RunProgress {
    private struct Layer {
        var phase = ""
        var done: Int64 = 0
        var total: Int64 = 0
    }

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var image = ""
    private var layers: [Int64: Layer] = [:]
    private var count: Int64 = 0
    private var shown = false
    private var lastShown = ContinuousClock.now - .seconds(1)

    func take(_ message: JSONValue) {
        let name = message["image"]?.stringValue ?? ""
        if name != image {
            clear()
            image = name
            layers = [:]
            if !isTerminal { write("pulling \(name)\n", to: STDERR_FILENO) }
        }
        guard let index = message["index"]?.integerValue, let phase = message["phase"]?.stringValue else { return }
        count = message["count"]?.integerValue ?? 0
        let before = layers[index]?.phase
        layers[index] = Layer(
            phase: phase, done: message["done"]?.integerValue ?? 0, total: message["total"]?.integerValue ?? 0)
        if isTerminal {
            show()
        } else if before != phase, phase == "done" || phase == "present" {
            write(
                "\(name): layer \(index + 1)/\(count) \(phase == "done" ? "unpacked" : "is here")\n", to: STDERR_FILENO)
        }
    }

    /// Takes the line off the terminal.
    func clear() {
        if shown { write("\r\u{1b}[K", to: STDERR_FILENO) }
        shown = false
    }

    private func show() {
        // More than ten times a second nobody can see.
        guard ContinuousClock.now - lastShown > .milliseconds(100) else { return }
        lastShown = ContinuousClock.now
        let complete = layers.values.count { $0.phase == "done" || $0.phase == "present" }
        let active = layers.values.filter { $0.phase == "downloading" || $0.phase == "unpacking" }
        let (done, total) = active.reduce((Int64(0), Int64(0))) { ($0.0 + $1.done, $0.1 + $1.total) }
        let width = 24
        let filled = total > 0 ? Int(Int64(width) * min(done, total) / total) : 0
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: width - filled)
        let line = "\(image) [\(bar)] \(done >> 20)/\(total >> 20) MiB, layer \(min(complete + 1, Int(count)))/\(count)"
        write("\r\u{1b}[K" + String(line.prefix(columns())), to: STDERR_FILENO)
        shown = true
    }

    private func columns() -> Int {
        var size = winsize()
        guard cl_ioctl_winsize_get(STDERR_FILENO, &size) == 0, size.ws_col > 1 else { return 79 }
        return Int(size.ws_col) - 1
    }
}
