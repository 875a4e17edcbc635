// How the manifest directory reaches the engine, and the pods the proxy.
import Linux
import Manifests
import PodEngine
import Resources

/// Reads a file's bytes as the manifests of a node with this name.
func manifestLoader(nodeName: String) -> ManifestDirectory.Loader {
    { path, bytes in
        do throws(ManifestErrors) {
            var content = ManifestContent()
            for manifest in try Manifests.parse(bytes, fileName: path) {
                switch manifest.object {
                case .pod(let pod):
                    content.pods.append(
                        DesiredPod(pod: pod, tree: manifest.object.tree, source: path, nodeName: nodeName))
                case .service(let service): content.services.append(SourcedService(service: service, source: path))
                }
            }
            return .success(content)
        } catch {
            return .failure(ManifestProblems(lines: error.errors.map(\.description)))
        }
    }
}

extension NodeAgent {
    /// The engine as the manifest runner sees it.
    func enginePods() -> ManifestRunner.Pods {
        let engine = engine
        return ManifestRunner.Pods(
            present: {
                engine.snapshots().map { pod in
                    var source: String?
                    if case .manifest(let path) = pod.source { source = path }
                    return PresentPod(uid: pod.uid.text, name: "\(pod.namespace)/\(pod.name)", source: source)
                }
            },
            create: { wanted in
                guard let uid = PodUID(wanted.uid) else { throw NodeError("\(wanted.uid) is no uid") }
                try await engine.create(
                    wanted.pod, tree: wanted.tree, uid: uid, source: .manifest(path: wanted.source))
            },
            remove: { text in
                guard let uid = PodUID(text), engine.snapshot(uid) != nil else { return }
                try await engine.remove(uid, grace: nil)
            })
    }

    /// The pods as endpoints of Services.
    static func candidates(_ engine: PodEngine) -> [EndpointCandidate] {
        engine.snapshots().map { pod in
            EndpointCandidate(
                namespace: pod.namespace, name: pod.name, labels: pod.labels,
                address: pod.addresses.first { !$0.contains(":") } ?? "",
                isReady: pod.isReady, ports: pod.pod.spec.containers.flatMap(\.ports))
        }
    }
}
