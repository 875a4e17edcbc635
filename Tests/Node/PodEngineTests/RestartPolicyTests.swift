import Resources
import Testing

@testable import PodEngine

/// Kubernetes' rules for running ended containers again.
@Suite struct RestartPolicyTests {
    static let start = Moment(nanoseconds: 1_000_000_000_000)

    func ended(_ role: ContainerRole, exitCode: Int32, backOff: Int64 = 0, restartedAt: Moment? = nil)
        -> ContainerRecord
    {
        var container = ContainerRecord(name: "c", role: role)
        container.state = .terminated(
            Termination(exitCode: exitCode, reason: "Error", startedAt: Self.start, finishedAt: Self.start + 5))
        container.backOff = backOff
        container.lastRestart = restartedAt
        return container
    }

    @Test(arguments: [
        (ContainerRole.app, PodSpec.RestartPolicy.always, Int32(0), true), (.app, .always, 1, true),
        (.app, .onFailure, 0, false), (.app, .onFailure, 3, true), (.app, .never, 3, false),
        (.initialization, .always, 0, false), (.initialization, .always, 1, true), (.initialization, .never, 1, false),
        (.sidecar, .never, 0, true), (.sidecar, .onFailure, 0, true),
    ])
    func policyAndExitCodeDecide(role: ContainerRole, policy: PodSpec.RestartPolicy, exitCode: Int32, restarts: Bool) {
        let decision = ended(role, exitCode: exitCode).restartDecision(policy: policy, now: Self.start + 5)
        #expect(decision == (restarts ? .now : .never))
    }

    @Test func firstRestartComesAtOnceAndLaterOnesAfterTenSecondsDoubledUpToFiveMinutes() {
        var container = ended(.app, exitCode: 1)
        var now = Self.start + 5
        var delays: [Int64] = []
        for _ in 0..<8 {
            switch container.restartDecision(policy: .always, now: now) {
            case .now: delays.append(0)
            case .after(let moment):
                delays.append((moment.nanoseconds - now.nanoseconds) / 1_000_000_000)
                #expect(container.restartDecision(policy: .always, now: moment) == .now)
                now = moment
            case .never: Issue.record("an always-restarting container stays down")
            }
            container.noteRestart(at: now)
            container.state = .terminated(
                Termination(exitCode: 1, reason: "Error", startedAt: now, finishedAt: now))
        }
        #expect(delays == [0, 10, 20, 40, 80, 160, 300, 300])
        #expect(container.restartCount == 8)
        #expect(container.attempt == 8)
    }

    @Test func backOffIsForgottenAfterARunOfTenMinutes() {
        let container = ended(.app, exitCode: 1, backOff: 300, restartedAt: Self.start + -700)
        #expect(container.restartDecision(policy: .always, now: Self.start + 5) == .now)
    }

    @Test func aContainerThatWaitsInBackOffKeepsItsDecision() {
        var container = ended(.app, exitCode: 1, backOff: 10, restartedAt: Self.start)
        container.lastTermination = container.state.termination
        container.state = .waiting(reason: "CrashLoopBackOff", message: "")
        #expect(container.restartDecision(policy: .always, now: Self.start + 6) == .after(Self.start + 15))
    }
}

/// What is written to disk is what is read back.
@Suite struct RecordTests {
    @Test func aContainerRecordSurvivesTheDisk() throws {
        var container = ContainerRecord(name: "web", role: .sidecar)
        container.attempt = 4
        container.attempted = true
        container.restartCount = 4
        container.backOff = 80
        container.lastRestart = Moment(nanoseconds: 123_456_789_012_345_678)
        container.lastTermination = Termination(
            exitCode: 137, signal: 9, reason: "OOMKilled", message: "bye \"x\"\n", startedAt: Moment(nanoseconds: 1),
            finishedAt: Moment(nanoseconds: 2))
        for state: ContainerState in [
            .running(startedAt: Moment(nanoseconds: 7)), .waiting(reason: "ErrImagePull", message: "no such host"),
            .terminated(
                Termination(
                    exitCode: 0, reason: "Completed", startedAt: Moment(nanoseconds: 1),
                    finishedAt: Moment(nanoseconds: 3))),
        ] {
            container.state = state
            let text = container.tree.encoded()
            #expect(ContainerRecord(tree: try .parse(text)) == container)
        }
    }

    @Test func aPodRecordSurvivesTheDiskAndMatchesContainersByName() throws {
        var spec = PodSpec(containers: [Container(name: "a", image: "x"), Container(name: "b", image: "x")])
        spec.initContainers = [Container(name: "i", image: "x")]
        let pod = Pod(metadata: ObjectMeta(name: "p"), spec: spec)
        var record = PodRecord(pod: pod, createdAt: Moment(nanoseconds: 5))
        record.wish = .stopped
        record.grace = 3
        record.addresses = ["10.42.0.7"]
        record.containers[2].restartCount = 2
        let read = PodRecord(pod: pod, tree: try .parse(record.tree.encoded()))
        #expect(read == record)
    }

    @Test func aUIDThatCouldLeaveItsDirectoryIsRefused() {
        for text in ["", "..", "a/b", "A", String(repeating: "a", count: 65)] { #expect(PodUID(text) == nil) }
        #expect(PodUID("0ab-9") != nil)
        let random = PodUID().text
        #expect(random.count == 36 && PodUID(random) != nil && random != PodUID().text)
    }

    @Test func momentsAreWrittenAsKubernetesWritesThem() {
        #expect(Moment(nanoseconds: 1_763_700_000_999_000_000).rfc3339 == "2025-11-21T04:40:00Z")
    }
}
