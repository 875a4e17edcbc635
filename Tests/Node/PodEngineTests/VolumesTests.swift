import Glibc
import Linux
import Resources
import TestSupport
import Testing

@testable import PodEngine

@Suite struct VolumesTests {
    /// The kubelet's SafeMakeDir gives what it makes for a subPath the volume's own mode.
    @Test func aSubPathThatIsMadeIsAsOpenAsItsVolume() throws {
        try withTemporaryDirectory { directory in
            let configuration = PodEngineConfiguration(
                dataDirectory: "\(directory)/data", runDirectory: "\(directory)/run", logDirectory: "\(directory)/logs",
                nodeName: "n")
            let paths = PodPaths(configuration, uid: PodUID(), namespace: "default", name: "p")
            let volumes = Volumes(paths: paths, fsGroup: 4321)
            let volume = Volume(name: "v", source: .emptyDir(memory: false, sizeLimit: nil))
            try volumes.prepare(volume)
            var mount = VolumeMount(name: "v", mountPath: "/v")
            mount.subPath = "a/b"
            _ = try volumes.open(mount, of: volume)
            for path in ["a", "a/b"] {
                var status = stat()
                try check(lstat("\(paths.volume("v"))/\(path)", &status), "lstat", path)
                #expect(status.st_mode & 0o7777 == 0o2777)
                #expect(status.st_gid == 4321)
            }
            mount.subPath = "out"
            try check(symlink("/etc", "\(paths.volume("v"))/out"), "symlink", "out")
            #expect(throws: PodError.self) { _ = try volumes.open(mount, of: volume) }
        }
    }

    @Test func onlyTheLogsOfTheLastRunsAreKept() {
        let names = [
            "0.log", "0.log.20260101-000000", "1.log", "5.log", "6.log", "6.log.20260101-000001", "x.log", "1.txt",
        ]
        #expect(LogTail.files(of: names, beforeLast: 5, of: 4).isEmpty)
        #expect(LogTail.files(of: names, beforeLast: 5, of: 6) == ["0.log", "0.log.20260101-000000", "1.log"])
    }
}
