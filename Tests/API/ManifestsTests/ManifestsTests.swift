import Glibc
import JSONTree
import Resources
import Testing

@testable import Manifests

/// What is wrong, one line each.
private func faults(_ text: String, _ file: String = "f.yaml") -> [String] {
    do {
        _ = try Manifests.parse(Array(text.utf8), fileName: file)
        return []
    } catch {
        return error.errors.map(\.description)
    }
}

private let web = """
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
      labels: {app: web}
    spec:
      containers:
      - name: nginx
        image: nginx:1.27
        ports:
        - {name: http, containerPort: 80}
        volumeMounts:
        - {name: html, mountPath: /usr/share/nginx/html, readOnly: on}
      - name: writer
        image: busybox
        command: [sh, -c, "while :; do date > /html/index.html; sleep 1; done"]
        volumeMounts:
        - {name: html, mountPath: /html}
      volumes:
      - name: html
        emptyDir: {}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec:
      type: NodePort
      selector: {app: web}
      ports:
      - {port: 80, targetPort: http, nodePort: 30080}
    """

@Suite("Manifests are read") struct ManifestsTests {
    @Test("a file of a Pod and its Service")
    func podAndService() throws {
        let manifests = try Manifests.parse(Array(web.utf8), fileName: "web.yaml")
        #expect(manifests.map(\.object.kind) == ["Pod", "Service"])
        #expect(
            manifests.map(\.source) == [
                ManifestSource(file: "web.yaml", document: 0, line: 1),
                ManifestSource(file: "web.yaml", document: 1, line: 23),
            ])
        guard case .pod(let pod) = manifests[0].object, case .service(let service) = manifests[1].object else {
            Issue.record("wrong kinds")
            return
        }
        #expect(pod.spec.containers.map(\.name) == ["nginx", "writer"])
        #expect(pod.spec.containers[0].volumeMounts[0].readOnly)
        #expect(pod.spec.volumes == [Volume(name: "html", source: .emptyDir(memory: false, sizeLimit: nil))])
        #expect(service.spec.ports[0].nodePort == 30080)
        #expect(service.selects(labels: pod.metadata.labels, namespace: pod.metadata.namespace))
        #expect(try Pod(tree: manifests[0].object.tree) == pod)
        #expect(try Service(tree: manifests[1].object.tree) == service)
    }

    @Test("the same in JSON, and in YAML that starts with a brace")
    func json() throws {
        let text =
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#
        for (text, file) in [
            (text, "a.json"), (text, "a.yaml"), (text, "-"), (text.replacing("\"", with: ""), "a.yaml"),
        ] {
            // Without quotes "a:b" needs its space to be YAML.
            let text = text.contains("\"") ? text : text.replacing(":", with: ": ")
            #expect(try Manifests.parse(Array(text.utf8), fileName: file).map(\.object.metadata.name) == ["a"])
        }
    }

    @Test("lists hold objects")
    func lists() throws {
        let item =
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#
        let bare = #"{"metadata":{"name":"b"},"spec":{"containers":[{"name":"c","image":"i"}]}}"#
        func names(_ text: String) throws -> [String] {
            try Manifests.parse(Array(text.utf8), fileName: "l.json").map(\.object.metadata.name)
        }
        #expect(try names(#"{"apiVersion":"v1","kind":"List","items":[\#(item)]}"#) == ["a"])
        #expect(
            try names(#"{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[\#(item),\#(bare)]}"#) == ["a", "b"])
        #expect(try names(#"{"apiVersion":"v1","kind":"List","items":[]}"#) == [])
        #expect(faults(#"{"apiVersion":"v1","kind":"List"}"#, "l.json") == ["l.json:1: items: Required value"])
        #expect(
            faults(#"{"apiVersion":"v1","kind":"List","items":{}}"#, "l.json") == [
                "l.json:1: items: expected a list, got an object"
            ])
        #expect(
            faults(#"{"apiVersion":"v1","kind":"List","items":[\#(bare)]}"#, "l.json") == [
                "l.json:1: items[0].apiVersion: Required value"
            ])
    }

    @Test("what kubectl get -o yaml prints is read")
    func fromCluster() throws {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata:
              annotations:
                kubectl.kubernetes.io/last-applied-configuration: |
                  {"apiVersion":"v1"}
              creationTimestamp: "2026-11-21T03:00:00Z"
              generateName: web-
              name: web-x2x4z
              namespace: default
              ownerReferences:
              - {apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: 0d1b2c3d, controller: true}
              resourceVersion: "12345"
              uid: 0d1b2c3d-1111-2222-3333-444455556666
            spec:
              containers:
              - image: nginx:1.27
                imagePullPolicy: IfNotPresent
                name: nginx
                resources: {}
                terminationMessagePath: /dev/termination-log
                terminationMessagePolicy: File
              dnsPolicy: ClusterFirst
              enableServiceLinks: true
              nodeName: node-1
              preemptionPolicy: PreemptLowerPriority
              priority: 0
              restartPolicy: Always
              schedulerName: default-scheduler
              securityContext: {}
              serviceAccount: default
              serviceAccountName: default
              terminationGracePeriodSeconds: 30
              tolerations:
              - {effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}
            status:
              phase: Running
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web, creationTimestamp: null}
            spec:
              clusterIP: 10.43.0.7
              clusterIPs: [10.43.0.7]
              internalTrafficPolicy: Cluster
              ipFamilies: [IPv4]
              ipFamilyPolicy: SingleStack
              ports: [{port: 80, protocol: TCP, targetPort: 80}]
              selector: {app: web}
              sessionAffinity: None
              type: ClusterIP
            status: {loadBalancer: {}}
            """
        #expect(
            try Manifests.parse(Array(text.utf8), fileName: "x").map(\.object.metadata.name) == ["web-x2x4z", "web"])
    }
}

@Suite("Bad manifests are refused with file, line and path") struct BadManifestTests {
    @Test(
        "documents that are no objects of ours",
        arguments: [
            ("- a\n", "f.yaml:1: expected an object, got a list"),
            ("\n\nhello\n", "f.yaml:3: expected an object, got a string"),
            ("kind: Pod\n", "f.yaml:1: apiVersion: Required value"),
            ("apiVersion: v1\n", "f.yaml:1: kind: Required value"),
            ("apiVersion: 1\nkind: Pod\n", "f.yaml:1: apiVersion: expected a string, got an integer"),
            (
                "apiVersion: apps/v1\nkind: Deployment\n",
                #"f.yaml:2: kind: kind "Deployment" is not served by a node without control plane; it runs v1 Pod and Service"#
            ),
            ("apiVersion: v2\nkind: Pod\n", #"f.yaml:2: kind: kind "Pod" has no version "v2": its apiVersion is v1"#),
            ("a: [1\n", "f.yaml:1: did not find expected ',' or ']' while parsing a flow sequence"),
            (
                "a:\n\tb: 1\n",
                "f.yaml:2: found character that cannot start any token while scanning for the next token; tabs cannot indent"
                    + " YAML, use spaces"
            ), ("a: 1\nb: 2\na: 3\n", #"f.yaml:3: a: duplicate key "a", first at line 1"#),
            ("{\"a\":1,", "f.yaml:1: did not find expected node content while parsing a flow node"),
        ])
    func documents(text: String, expected: String) {
        #expect(faults(text) == [expected])
    }

    @Test("JSON is refused in JSON's words")
    func json() {
        #expect(faults("{\"a\":1,\n\"a\":2}", "f.json") == [#"f.json:2: duplicate key "a""#])
        #expect(faults("{\"a\":1,\n}", "f.json") == [#"f.json:2: expected a key in quotes, found "}""#])
        let text =
            "{\n\"apiVersion\": \"v1\",\n\"kind\": \"Pod\",\n\"metadata\": {\"name\": \"a\", \"x\\\"\": {}},\n\"spec\": {\n\"containers\": [\n{\"name\": \"c\"},\n{\"name\": \"d\",\n\"image\": 5}]}}"
        #expect(
            faults(text, "f.json") == [
                #"f.json:4: metadata.x": unknown field"#, "f.json:7: spec.containers[0].image: Required value",
                "f.json:9: spec.containers[1].image: expected a string, got an integer (5); write it in quotes",
            ])
    }

    @Test("everything wrong with a file is told, in the order of its lines")
    func everything() {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata:
              name: Web_1
              labels:
                app: a b
            spec:
              restartPolicy: Sometimes
              image: foo
              containers:
              - name: nginx
                imagePullPolcy: Always
                ports: {containerPort: 80}
                livenessProbe:
                  httpGet: {path: /, port: 80}
                env:
                - name: A
                  value: 1
                volumeMounts:
                - {name: cfg, mountPath: /c}
                - {name: nope, mountPath: /c}
              - image: x
                name: nginx
              volumes:
              - name: cfg
                configMap: {name: cfg}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: 1a}
            spec:
              type: LoadBalancer
              ports: [{port: 0}]
            """
        let found = faults(text).map { $0.split(separator: ": ", maxSplits: 3).prefix(3).joined(separator: ": ") }
        #expect(
            found == [
                "f.yaml:4: metadata.name: Invalid value", "f.yaml:5: metadata.labels: Invalid value",
                "f.yaml:8: spec.restartPolicy: Unsupported value",
                "f.yaml:9: spec.image: unknown field; it belongs in containers[] or initContainers[]",
                "f.yaml:11: spec.containers[0].image: Required value",
                #"f.yaml:12: spec.containers[0].imagePullPolcy: unknown field; did you mean "imagePullPolicy"?"#,
                "f.yaml:13: spec.containers[0].ports: expected a list, got an object",
                "f.yaml:14: spec.containers[0].livenessProbe: is valid in Kubernetes but not served by Swiftlet yet; remove it to run this here",
                "f.yaml:18: spec.containers[0].env[0].value: expected a string, got an integer (1); write it in quotes",
                "f.yaml:21: spec.containers[0].volumeMounts[1].name: Not found",
                "f.yaml:21: spec.containers[0].volumeMounts[1].mountPath: Invalid value",
                "f.yaml:23: spec.containers[1].name: Duplicate value",
                "f.yaml:26: spec.volumes[0].configMap: is valid in Kubernetes but not served by Swiftlet yet; remove it to run this here",
                "f.yaml:30: metadata.name: Invalid value",
                #"f.yaml:32: spec.type: "LoadBalancer" is valid in Kubernetes but not served by Swiftlet yet; served"#,
                "f.yaml:33: spec.ports[0].port: Invalid value",
            ])
    }

    @Test("two objects of one name in a file are refused")
    func sameName() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"
        #expect(faults(pod + "---\n" + pod) == ["f.yaml:6: metadata.name: Pod default/a is there already, at line 1"])
        #expect(faults(pod + "---\n" + pod.replacing("name: a", with: "name: a, namespace: b")) == [])
    }

    @Test("lines are found through merged mappings and aliases")
    func merged() {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata: {name: a}
            spec:
              containers:
              - &base
                name: c
                image: i
                tty: maybe
              - <<: *base
                name: d
            """
        let message = "expected a boolean (true or false), got a string"
        #expect(
            faults(text) == [
                "f.yaml:9: spec.containers[0].tty: \(message)", "f.yaml:9: spec.containers[1].tty: \(message)",
            ])
    }

    @Test("a file that is too large, missing or no file")
    func files() throws {
        #expect(faults(String(repeating: " ", count: Manifests.maximumSize + 1)) == ["f.yaml: larger than 3 MiB"])
        for (path, message) in [
            ("/nonexistent/x.yaml", "No such file or directory"), ("/tmp", "not a regular file"),
            ("/dev/zero", "not a regular file"),
        ] {
            do {
                _ = try Manifests.load(path)
                Issue.record("read \(path)")
            } catch {
                #expect(error.description == "\(path): \(message)")
            }
        }
    }

    @Test("a file is read from the disk")
    func load() throws {
        var template = Array("/tmp/swiftlet-manifests-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            close(descriptor)
            unlink(path)
        }
        let bytes = Array(web.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        #expect(try Manifests.load(path).map(\.source.file) == [path, path])
    }

    @Test(
        "a directory's manifests are known by their names",
        arguments: [
            ("a.yaml", true), ("a.yml", true), ("a.json", true), (".a.yaml", false), ("a.yaml~", false),
            ("a.txt", false), ("yaml", false),
        ])
    func names(name: String, isManifest: Bool) {
        #expect(Manifests.isManifestName(name) == isManifest)
    }

    @Test("no mutation of a manifest crashes")
    func mutations() {
        let seed = Array(web.utf8)
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<3_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(Array("&*{}[]:-!|>'\"#%@<\n ".utf8).randomElement(using: &random) ?? 0, at: index)
                default: bytes.removeSubrange(index..<min(index + 20, bytes.count))
                }
            }
            do {
                _ = try Manifests.parse(bytes, fileName: "m.yaml")
            } catch {
                refused += 1
                #expect(!error.errors.isEmpty)
            }
        }
        #expect(refused > 0)
    }
}
