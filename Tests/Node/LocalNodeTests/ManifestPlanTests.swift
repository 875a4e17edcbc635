import Testing

@testable import LocalNode

@Suite("What follows from the manifest directory")
struct ManifestPlanTests {
    private func present(_ pod: DesiredPod) -> PresentPod {
        PresentPod(uid: pod.uid, name: pod.name, source: pod.source)
    }

    @Test("is nothing when all wanted pods are there")
    func settled() {
        let pods = [desired("a", in: "/m/a.yaml"), desired("b", in: "/m/a.yaml")]
        #expect(ManifestPlan(desired: pods, present: pods.map(present)) == ManifestPlan(desired: [], present: []))
    }

    @Test("is to run what is new and to remove what no file asks for, but never a pod of 'pod run'")
    func difference() {
        let (old, new) = (desired("old", in: "/m/old.yaml"), desired("new", in: "/m/new.yaml"))
        let mine = PresentPod(uid: "1234", name: "default/mine", source: nil)
        let plan = ManifestPlan(desired: [new], present: [present(old), mine])
        #expect(plan.remove == [old.uid])
        #expect(plan.run == [new])
    }

    @Test("is to remove a changed pod first and to run its successor once it is gone")
    func replacement() {
        let (old, new) = (desired("web", in: "/m/a.yaml"), desired("web", in: "/m/a.yaml", image: "web:2"))
        let first = ManifestPlan(desired: [new], present: [present(old)])
        #expect(first.remove == [old.uid])
        #expect(first.run.isEmpty && first.conflicts.isEmpty)
        let second = ManifestPlan(desired: [new], present: [])
        #expect(second.run == [new])
    }

    @Test("leaves the pods of a file alone that cannot be read")
    func unread() {
        let pod = desired("web", in: "/m/a.yaml")
        #expect(ManifestPlan(desired: [], present: [present(pod)], unread: ["/m/a.yaml"]).remove.isEmpty)
        #expect(ManifestPlan(desired: [], present: [present(pod)], unread: ["/m/b.yaml"]).remove == [pod.uid])
    }

    @Test("is one pod where two files want one of the same name: the one that runs, else the first")
    func duplicates() {
        let (a, b) = (desired("web", in: "/m/a.yaml"), desired("web", in: "/m/b.yaml"))
        let fresh = ManifestPlan(desired: [a, b], present: [])
        #expect(fresh.run == [a])
        #expect(fresh.conflicts == ["/m/b.yaml: pod default/web stands in /m/a.yaml already"])
        let running = ManifestPlan(desired: [a, b], present: [present(b)])
        #expect(running.run.isEmpty && running.remove.isEmpty)
        #expect(running.conflicts == ["/m/a.yaml: pod default/web stands in /m/b.yaml already"])
    }

    @Test("does not touch a pod of 'pod run' that has the name")
    func nameTaken() {
        let plan = ManifestPlan(
            desired: [desired("web", in: "/m/a.yaml")],
            present: [PresentPod(uid: "1234", name: "default/web", source: nil)])
        #expect(plan.run.isEmpty && plan.remove.isEmpty)
        #expect(plan.conflicts == ["/m/a.yaml: pod default/web runs already, started by 'swiftlet pod run'"])
    }

    @Test("knows pods by node, file, name and content")
    func identity() {
        let pod = desired("web", in: "/m/a.yaml")
        #expect(pod.uid == desired("web", in: "/m/a.yaml").uid)
        #expect(pod.uid.utf8.count == 32)
        let others = [
            desired("api", in: "/m/a.yaml"), desired("web", in: "/m/b.yaml"),
            desired("web", in: "/m/a.yaml", image: "x"),
            DesiredPod(pod: pod.pod, tree: pod.tree, source: pod.source, nodeName: "other"),
        ]
        #expect(Set(others.map(\.uid) + [pod.uid]).count == 5)
    }
}
