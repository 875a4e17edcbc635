// What a node without control plane serves of v1 Pod and v1 Service. The table of types has every field; this says
// which of them are not acted on.
//
// What serving means, and what happens to the rest:
// - *served*: the field is acted on. Every field that is not named here.
// - *dropped* (`~`): accepted and removed. The API server or a controller fills it in, or it only allows or describes
//   what one node does anyway (`tolerations`, `preemptionPolicy`). So the output of `kubectl get -o yaml` can be run.
//   `~~`: without a look inside, because a newer server may have written fields that this table does not have.
// - *not served* (`-`): an error that names the field, unless its value is empty (`""`, `[]`, `{}`, `null`), which says
//   nothing.
// - *served for some values* (`=A|B/C|D*`): those that the API server fills in as the default, or that change nothing
//   here (`schedulerName: default-scheduler`). C and all that starts with D are valid but not served; without a slash
//   every other value is.

private let servedFields = """
    Pod: status ~~
    Service: status ~~
    ObjectMeta: creationTimestamp ~, deletionGracePeriodSeconds ~, deletionTimestamp ~, finalizers -, generateName ~,
     generation ~, managedFields ~~, ownerReferences ~, resourceVersion ~, selfLink ~, uid ~
    PodSpec: enableServiceLinks ~, tolerations ~, preemptionPolicy ~, automountServiceAccountToken =false,
     hostUsers =true, priority =0, schedulerName =default-scheduler, affinity -, ephemeralContainers -,
     imagePullSecrets -, nodeSelector -, overhead -, priorityClassName -, readinessGates -, resourceClaims -,
     resources -, runtimeClassName -, schedulingGates -, topologySpreadConstraints -
    PodOS: name =linux
    PodSecurityContext: seLinuxChangePolicy -, seLinuxOptions -, windowsOptions -
    AppArmorProfile: localhostProfile -, type =Unconfined
    Container: envFrom -, livenessProbe -, readinessProbe -, resizePolicy -, startupProbe -, volumeDevices -
    EnvVarSource: configMapKeyRef -, resourceFieldRef -, secretKeyRef -
    ResourceRequirements: claims -
    VolumeMount: recursiveReadOnly =Disabled/Enabled|IfPossible, subPathExpr -
    LifecycleHandler: httpGet -, sleep -, tcpSocket -
    SecurityContext: seLinuxOptions -, windowsOptions -
    Volume: awsElasticBlockStore -, azureDisk -, azureFile -, cephfs -, cinder -, configMap -, csi -, downwardAPI -,
     ephemeral -, fc -, flexVolume -, flocker -, gcePersistentDisk -, gitRepo -, glusterfs -, image -, iscsi -, nfs -,
     persistentVolumeClaim -, photonPersistentDisk -, portworxVolume -, projected -, quobyte -, rbd -, scaleIO -,
     secret -, storageos -, vsphereVolume -
    EmptyDirVolumeSource: medium =Memory/HugePages*
    ServiceSpec: type =ClusterIP|NodePort/ExternalName|LoadBalancer, externalTrafficPolicy =Cluster/Local,
     internalTrafficPolicy =Cluster/Local, ipFamilies =IPv4/IPv6,
     ipFamilyPolicy =SingleStack|PreferDualStack/RequireDualStack, publishNotReadyAddresses =false,
     sessionAffinity =None/ClientIP, allocateLoadBalancerNodePorts -, externalIPs -, externalName -,
     healthCheckNodePort -, loadBalancerClass -, loadBalancerIP -, loadBalancerSourceRanges -,
     sessionAffinityConfig -, trafficDistribution -
    ServicePort: protocol =TCP|UDP/SCTP

    """

/// What is done with a field.
enum FieldService: Sendable, Hashable {
    case served
    case dropped
    /// Dropped without a look inside.
    case ignored
    case notServed
    /// Values that are served, and valid ones that are not (`Name*` for all that start so; nil for every other one).
    /// A list is looked at element by element.
    case someValues([String], notServed: [String]?)
}

/// The fields with a mark, by type and name.
struct ServedFields: Sendable {
    static let node = ServedFields(notation: servedFields)

    /// By the type's full name.
    let marks: [String: [String: FieldService]]

    func service(of field: Field, in type: ObjectType) -> FieldService {
        marks[type.name]?[field.name] ?? .served
    }

    /// `Type: field mark, field mark, …`; a type goes on in lines that start with a space. The types are of core/v1, and
    /// ObjectMeta.
    init(notation: String) {
        var marks: [String: [String: FieldService]] = [:]
        var type = ""
        for line in notation.split(separator: "\n") {
            var rest = line
            if line.first != " ", let colon = line.firstIndex(of: ":") {
                type = (line.hasPrefix("ObjectMeta") ? "meta.v1." : "core.v1.") + line[..<colon]
                rest = line[line.index(after: colon)...]
            }
            for entry in rest.split(separator: ",") {
                let words = entry.split(separator: " ")
                if words.count == 2 { marks[type, default: [:]][String(words[0])] = FieldService(mark: words[1]) }
            }
        }
        self.marks = marks
    }
}

extension FieldService {
    init(mark: Substring) {
        switch mark {
        case "-": self = .notServed
        case "~": self = .dropped
        case "~~": self = .ignored
        default:
            let parts = mark.dropFirst().split(separator: "/", maxSplits: 1)
            let lists = parts.map { $0.split(separator: "|").map(String.init) }
            self = .someValues(lists.first ?? [], notServed: lists.count > 1 ? lists[1] : nil)
        }
    }
}
