// How a pull or an import is shown: bars on a terminal, plain lines otherwise. On standard error, so that standard output
// has only the result.
import Images
import Linux
import OCI
import Synchronization

final class ProgressRenderer: Sendable {
    private struct Layer {
        var phase = PullProgress.Phase.waiting
        var done: Int64 = 0
        var total: Int64 = 0
    }

    private struct State {
        var layers: [Int: Layer] = [:]
        var count = 0
        /// Lines on the terminal that are ours and will be drawn over.
        var drawn = 0
        var lastDrawn: ContinuousClock.Instant?
    }

    private let title: String
    private let isTerminal: Bool
    private let isQuiet: Bool
    private let state = Mutex(State())

    /// - Parameter title: the image, or the file.
    init(title: String, isQuiet: Bool = false) {
        self.title = title
        self.isQuiet = isQuiet
        isTerminal = isatty(STDERR_FILENO) == 1
    }

    /// Takes an event, from any thread.
    func take(_ event: PullProgress) {
        if isQuiet { return }
        state.withLock { state in
            let before = state.layers[event.index]
            state.count = event.count
            state.layers[event.index] = Layer(phase: event.phase, done: event.done, total: event.total)
            if isTerminal {
                // A person sees no more than ten pictures a second.
                if let last = state.lastDrawn, .now - last < .milliseconds(100) { return }
                draw(&state)
            } else if before?.phase != event.phase, let line = Self.line(event) {
                write("\(title): \(line)\n", to: STDERR_FILENO)
            }
        }
    }

    /// Takes the bars off the terminal.
    func finish() {
        state.withLock { state in
            if state.drawn > 0 { write(Self.erasure(state.drawn), to: STDERR_FILENO) }
            state.drawn = 0
        }
    }

    private static func line(_ event: PullProgress) -> String? {
        let name = "layer \(event.index + 1)/\(event.count) \(event.layer.short)"
        switch event.phase {
        case .waiting: return "\(name): another process works on it"
        case .downloading: return "\(name): downloading \(humanBytes(event.total))"
        case .unpacking: return "\(name): unpacking"
        case .done: return "\(name): done"
        case .present: return "\(name): already here"
        }
    }

    /// Up to the first of our lines, and all that follows it gone.
    private static func erasure(_ lines: Int) -> String { "\r\u{1b}[\(lines)A\u{1b}[J" }

    private func draw(_ state: inout State) {
        var window = winsize()
        let known = cl_ioctl_winsize_get(STDERR_FILENO, &window) == 0
        let columns = known && window.ws_col > 20 ? Int(window.ws_col) - 1 : 79
        let complete = state.layers.values.count { $0.phase == .done || $0.phase == .present }
        var lines = ["\(title): \(complete) of \(state.count) layers"]
        for (index, layer) in state.layers.sorted(by: { $0.key < $1.key }) {
            guard let line = bar(index, layer, width: max(10, columns - 54)) else { continue }
            lines.append(line)
        }
        var text = state.drawn > 0 ? Self.erasure(state.drawn) : ""
        for line in lines { text += line.prefix(columns) + "\n" }
        write(text, to: STDERR_FILENO)
        state.drawn = lines.count
        state.lastDrawn = .now
    }

    private func bar(_ index: Int, _ layer: Layer, width: Int) -> String? {
        let verb: String
        switch layer.phase {
        case .done, .present: return nil
        case .waiting: verb = "waiting    "
        case .downloading: verb = "downloading"
        case .unpacking: verb = "unpacking  "
        }
        let share = layer.total > 0 ? Double(layer.done) / Double(layer.total) : 0
        let filled = min(width, Int(Double(width) * share))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        return
            "  \(index + 1 < 10 ? " " : "")\(index + 1) \(verb) [\(bar)] \(humanBytes(layer.done)) of \(humanBytes(layer.total))"
    }
}
