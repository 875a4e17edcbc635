import Glibc
import Linux
import TestSupport
import Testing

@testable import ContainerRuntime

@Suite struct RootFilesystemTests {
    @Test(arguments: [false, true])
    func layersLieOnEachOtherAndTheWritableOneOnTop(byMount: Bool) throws {
        try withTemporaryDirectory { directory in
            // More layers, and longer names, than one option of fsconfig(2) could name together.
            let layers = (0..<40).map { "\(directory)/layer:with,odd\\name-\($0)" }
            for (number, layer) in layers.enumerated() {
                try makeDirectories(layer)
                try writeFileAtomically("\(layer)/own-\(number)", Array("\(number)".utf8))
                try writeFileAtomically("\(layer)/top", Array("\(number)".utf8))
            }
            for name in ["upper", "work"] { try makeDirectories("\(directory)/\(name)") }
            let upper = "\(directory)/upper"
            let work = "\(directory)/work"
            let before = try readText("/proc/self/mountinfo")
            let root =
                byMount
                ? try RootFilesystem.overlayByMount(topDown: layers.reversed(), upper: upper, work: work)
                : try RootFilesystem.overlay(layers: layers, upper: upper, work: work)
            func read(_ name: String) throws -> String {
                let file = try OwnedDescriptor(opening: name, in: root.mount, flags: O_RDONLY)
                return String(decoding: try file.readAll(), as: UTF8.self)
            }
            #expect(try read("top") == "39")
            #expect(try read("own-0") == "0")
            let new = try OwnedDescriptor(
                opening: "new", in: root.mount, flags: O_WRONLY | O_CREAT, mode: 0o644)
            try new.writeAll(Array("x".utf8))
            #expect(try readText("\(upper)/new") == "x")
            // It is nowhere in this namespace.
            #expect(try readText("/proc/self/mountinfo") == before)
        }
    }

    @Test func pathsOfAnyLengthServe() throws {
        try withTemporaryDirectory { directory in
            let deep = directory + repeated("/" + repeated("d", 100), 3)
            for name in ["lower", "upper", "work"] { try makeDirectories("\(deep)/\(name)") }
            try writeFileAtomically("\(deep)/lower/file", Array("deep".utf8))
            let root = try RootFilesystem.overlay(
                layers: ["\(deep)/lower"], upper: "\(deep)/upper", work: "\(deep)/work")
            let file = try OwnedDescriptor(opening: "file", in: root.mount, flags: O_RDONLY)
            #expect(try file.readAll() == Array("deep".utf8))
        }
    }

    @Test func aLayerThatIsOpaqueAsAWholeHidesAllBelowIt() throws {
        try withTemporaryDirectory { directory in
            let layers = ["bottom", "opaque", "top"].map { "\(directory)/\($0)" }
            for layer in layers {
                try makeDirectories(layer)
                try writeFileAtomically("\(layer)/\(lastComponent(of: layer))-file", [])
            }
            try check(setxattr(layers[1], "trusted.overlay.opaque", "y", 1, 0), "setxattr")
            for name in ["upper", "work"] { try makeDirectories("\(directory)/\(name)") }
            let root = try RootFilesystem.overlay(
                layers: layers, upper: "\(directory)/upper", work: "\(directory)/work")
            func isThere(_ name: String) -> Bool {
                (try? OwnedDescriptor(opening: name, in: root.mount, flags: O_RDONLY)) != nil
            }
            #expect(isThere("top-file") && isThere("opaque-file") && !isThere("bottom-file"))
        }
    }

    @Test(arguments: [false, true])
    func aMissingLayerIsNamed(byMount: Bool) throws {
        try withTemporaryDirectory { directory in
            for name in ["lower", "upper", "work"] { try makeDirectories("\(directory)/\(name)") }
            let layers = ["\(directory)/lower", "\(directory)/missing"]
            let (upper, work) = ("\(directory)/upper", "\(directory)/work")
            let error = #expect(throws: SystemError.self) {
                _ =
                    byMount
                    ? try RootFilesystem.overlayByMount(topDown: layers, upper: upper, work: work)
                    : try RootFilesystem.overlay(layers: layers, upper: upper, work: work)
            }
            #expect(error?.errno == ENOENT && error?.subject.contains("missing") == true)
        }
    }
}
