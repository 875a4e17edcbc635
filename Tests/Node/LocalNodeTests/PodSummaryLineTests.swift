import JSONTree
import Linux
import Testing

@testable import LocalNode

/// 2026-11-21T04:00:00Z
private let now: Int64 = 1_795_233_600

private func pod(_ status: String, spec: String = "{\"containers\":[{\"name\":\"a\"}]}", metadata: String = "") throws
    -> PodSummaryLine
{
    let text =
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"creationTimestamp\":\"2026-11-21T03:58:00Z\"\(metadata)},"
        + "\"spec\":\(spec),\"status\":\(status)}"
    return PodSummaryLine(try JSONValue.parse(text), now: now)
}

@Suite("A pod in one line")
struct PodSummaryLineTests {
    @Test(
        "has the status that kubectl would show",
        arguments: [
            (
                #"{"phase":"Running","containerStatuses":[{"name":"a","ready":true,"state":{"running":{}}}]}"#,
                "Running", 1
            ),
            (#"{"phase":"Pending"}"#, "Pending", 0),
            (
                #"{"phase":"Pending","containerStatuses":[{"name":"a","state":{"waiting":{"reason":"ContainerCreating"}}}]}"#,
                "ContainerCreating", 0
            ),
            (
                #"{"phase":"Pending","containerStatuses":[{"name":"a","state":{"waiting":{"reason":"ErrImagePull"}}}]}"#,
                "ErrImagePull", 0
            ),
            (
                #"{"phase":"Running","containerStatuses":[{"name":"a","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}"#,
                "CrashLoopBackOff", 0
            ),
            (
                #"{"phase":"Succeeded","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]}"#,
                "Completed", 0
            ),
            (
                #"{"phase":"Failed","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}"#,
                "OOMKilled", 0
            ),
            (
                #"{"phase":"Failed","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":3}}}]}"#,
                "ExitCode:3", 0
            ),
            (
                #"{"phase":"Failed","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":143,"signal":15}}}]}"#,
                "Signal:15", 0
            ),
            (
                #"{"phase":"Running","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":128,"reason":"StartError"}}}]}"#,
                "StartError", 0
            ),
            (#"{"phase":"Failed","reason":"DeadlineExceeded"}"#, "DeadlineExceeded", 0),
            (
                #"{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0,"reason":"Completed"}}},{"name":"b","ready":true,"state":{"running":{}}}]}"#,
                "Running", 1
            ),
            (
                #"{"phase":"Running","containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0,"reason":"Completed"}}},{"name":"b","ready":true,"state":{"running":{}}}]}"#,
                "NotReady", 1
            ),
        ])
    func status(_ status: String, _ expected: String, _ ready: Int) throws {
        let line = try pod(status)
        #expect(line.status == expected)
        #expect(line.readyContainers == ready)
    }

    private static let initSpec =
        #"{"containers":[{"name":"a"}],"initContainers":[{"name":"one"},{"name":"two"},{"name":"side","restartPolicy":"Always"}]}"#

    @Test(
        "counts init containers until they are done",
        arguments: [
            (#"[{"name":"one","state":{"running":{}}}]"#, "Init:0/3", 0),
            (
                #"[{"name":"one","state":{"terminated":{"exitCode":0}}},{"name":"two","state":{"waiting":{"reason":"PodInitializing"}}}]"#,
                "Init:1/3", 0
            ),
            (#"[{"name":"one","state":{"terminated":{"exitCode":1,"reason":"Error"}}}]"#, "Init:Error", 0),
            (#"[{"name":"one","state":{"terminated":{"exitCode":2}}}]"#, "Init:ExitCode:2", 0),
            (#"[{"name":"one","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]"#, "Init:CrashLoopBackOff", 0),
            (
                #"[{"name":"one","state":{"terminated":{"exitCode":0}}},{"name":"two","state":{"terminated":{"exitCode":0}}},{"name":"side","started":true,"ready":true,"state":{"running":{}}}]"#,
                "Running", 2
            ),
        ])
    func initContainers(_ statuses: String, _ expected: String, _ ready: Int) throws {
        let line = try pod(
            #"{"phase":"Running","initContainerStatuses":\#(statuses),"containerStatuses":[{"name":"a","ready":true,"state":{"running":{}}}]}"#,
            spec: Self.initSpec)
        #expect(line.status == expected)
        #expect(line.readyContainers == ready)
        #expect(line.totalContainers == 2)
    }

    @Test("is Terminating once its removal was asked for")
    func terminating() throws {
        let deletion = #","deletionTimestamp":"2026-11-21T04:00:30Z""#
        #expect(try pod(#"{"phase":"Running"}"#, metadata: deletion).status == "Terminating")
        #expect(try pod(#"{"phase":"Succeeded"}"#, metadata: deletion).status == "Succeeded")
    }

    @Test("has its age, its restarts and when the last was")
    func restarts() throws {
        let line = try pod(
            #"{"phase":"Running","podIP":"10.42.0.2","containerStatuses":[{"name":"a","ready":true,"restartCount":3,"state":{"running":{}},"lastState":{"terminated":{"finishedAt":"2026-11-21T03:59:10Z"}}}]}"#
        )
        #expect(line.age == 120)
        #expect(line.restartsText == "3 (50s ago)")
        #expect(line.address == "10.42.0.2")
        #expect(try pod(#"{"phase":"Running"}"#).restartsText == "0")
    }

    @Test(
        "tells time as kubectl does",
        arguments: [
            (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"),
            (10799, "179m"),
            (10800, "3h"), (12600, "3h30m"), (28800, "8h"), (172799, "47h"), (172800, "2d"), (180000, "2d2h"),
            (691200, "8d"), (63_072_000, "2y"), (63_158_400, "2y1d"),
        ] as [(Int64, String)])
    func durations(_ seconds: Int64, _ expected: String) {
        #expect(humanDuration(seconds) == expected)
    }

    @Test("reads times as the objects have them")
    func times() {
        #expect(secondsSinceEpoch("2026-11-21T04:00:00Z") == now)
        #expect(secondsSinceEpoch("2026-11-21T04:00:00.123456789Z") == now)
        #expect(secondsSinceEpoch("yesterday") == nil)
        #expect(secondsSinceEpoch("2026-13-21T04:00:00Z") == nil)
    }
}

@Suite("Tables")
struct TextTableTests {
    @Test("are columns with headings; what is empty is shown as none, what moves the cursor not at all")
    func columns() {
        var table = TextTable(["NAME", "STATUS"])
        table.add(["web", ""])
        table.add(["größer-name", "Running\u{1b}[2J"])
        #expect(
            table.text() == """
                NAME          STATUS
                web           <none>
                größer-name   Running?[2J

                """)
        #expect(TextTable(["NAME"]).text() == "NAME\n")
    }

    @Test("of use are the difference of two readings")
    func usage() throws {
        func reading(_ at: Int64, _ cpu: Int64) throws -> JSONValue {
            try JSONValue.parse(
                "{\"pods\":[{\"uid\":\"u\",\"namespace\":\"default\",\"name\":\"web\",\"at\":\(at),"
                    + "\"total\":{\"cpu\":\(cpu),\"memory\":20971520,\"processes\":3},"
                    + "\"containers\":{\"a\":{\"cpu\":\(cpu),\"memory\":1024,\"processes\":2}}}]}")
        }
        let usage = ResourceUsage.between(try reading(0, 0), try reading(2_000_000_000, 500_000_000))
        #expect(usage.map(\.container) == ["", "a"])
        #expect(usage.map(\.cpu) == [0.25, 0.25])
        #expect(
            ResourceUsage.table(usage).split(separator: "\n").last
                == "default     web   a           250m         1024     2")
        #expect(ResourceUsage.between(["pods": []], try reading(1, 1)).first?.cpu == nil)
    }

    @Test(
        "write bytes as quantities",
        arguments: [
            (0, "0"), (10239, "10239"), (10240, "10Ki"), (20 << 20, "20Mi"), (9 << 30, "9216Mi"), (12 << 30, "12Gi"),
        ] as [(Int64, String)])
    func bytes(_ number: Int64, _ expected: String) {
        #expect(humanBytes(number) == expected)
    }
}
