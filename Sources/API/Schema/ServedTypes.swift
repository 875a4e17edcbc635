// The types of which Swiftlet serves something. Every field of Kubernetes 1.32 is here, served or not.
// The notation is in Table.swift, the rule behind the marks at `Schema`.

let servedTypes = """
    Pod: apiVersion string, kind string, metadata ObjectMeta, spec PodSpec, status any ~
    Service: apiVersion string, kind string, metadata ObjectMeta, spec ServiceSpec, status any ~
    ObjectMeta: name string, namespace string, labels {string}, annotations {string}, creationTimestamp time ~,
     deletionGracePeriodSeconds int64 ~, deletionTimestamp time ~, finalizers [string] -, generateName string ~,
     generation int64 ~, managedFields [any] ~, ownerReferences [OwnerReference/uid] ~, resourceVersion string ~,
     selfLink string ~, uid string ~
    PodSpec: containers [Container/name], initContainers [Container/name], volumes [Volume/name],
     activeDeadlineSeconds int64, dnsConfig PodDNSConfig, dnsPolicy string, hostAliases [HostAlias/ip], hostIPC bool,
     hostNetwork bool, hostPID bool, hostname string, nodeName string, restartPolicy string,
     securityContext PodSecurityContext, serviceAccountName string, serviceAccount string, setHostnameAsFQDN bool,
     shareProcessNamespace bool, subdomain string, terminationGracePeriodSeconds int64, enableServiceLinks bool ~,
     tolerations [Toleration] ~, preemptionPolicy string ~, automountServiceAccountToken bool =false,
     hostUsers bool =true, os PodOS, priority int32 =0, schedulerName string =default-scheduler, affinity Affinity -,
     ephemeralContainers [EphemeralContainer/name] -, imagePullSecrets [LocalObjectReference/name] -,
     nodeSelector {string} -, overhead {quantity} -, priorityClassName string -, readinessGates [PodReadinessGate] -,
     resourceClaims [PodResourceClaim/name] -, resources ResourceRequirements -, runtimeClassName string -,
     schedulingGates [PodSchedulingGate/name] -,
     topologySpreadConstraints [TopologySpreadConstraint/topologyKey+whenUnsatisfiable] -
    PodOS: name string =linux
    PodDNSConfig: nameservers [string], options [PodDNSConfigOption], searches [string]
    PodDNSConfigOption: name string, value string
    HostAlias: hostnames [string], ip string
    PodSecurityContext: fsGroup int64, fsGroupChangePolicy string, runAsGroup int64, runAsNonRoot bool,
     runAsUser int64, seccompProfile SeccompProfile, supplementalGroups [int64], supplementalGroupsPolicy string,
     sysctls [Sysctl], appArmorProfile AppArmorProfile, seLinuxChangePolicy string -, seLinuxOptions SELinuxOptions -,
     windowsOptions WindowsSecurityContextOptions -
    SeccompProfile: localhostProfile string, type string
    AppArmorProfile: localhostProfile string -, type string =Unconfined
    Sysctl: name string, value string
    Container: args [string], command [string], env [EnvVar/name], image string, imagePullPolicy string,
     lifecycle Lifecycle, name string, ports [ContainerPort/containerPort+protocol], resources ResourceRequirements,
     restartPolicy string, securityContext SecurityContext, stdin bool, stdinOnce bool, terminationMessagePath string,
     terminationMessagePolicy string, tty bool, volumeMounts [VolumeMount/mountPath], workingDir string,
     envFrom [EnvFromSource] -, livenessProbe Probe -, readinessProbe Probe -, resizePolicy [ContainerResizePolicy] -,
     startupProbe Probe -, volumeDevices [VolumeDevice/devicePath] -
    EnvVar: name string, value string, valueFrom EnvVarSource
    EnvVarSource: fieldRef ObjectFieldSelector, configMapKeyRef ConfigMapKeySelector -,
     resourceFieldRef ResourceFieldSelector -, secretKeyRef SecretKeySelector -
    ObjectFieldSelector: apiVersion string, fieldPath string
    ContainerPort: containerPort int32, hostIP string, hostPort int32, name string, protocol string
    ResourceRequirements: limits {quantity}, requests {quantity}, claims [ResourceClaim/name] -
    VolumeMount: mountPath string, mountPropagation string, name string, readOnly bool, subPath string,
     recursiveReadOnly string =Disabled/Enabled|IfPossible, subPathExpr string -
    Lifecycle: postStart LifecycleHandler, preStop LifecycleHandler
    LifecycleHandler: exec ExecAction, httpGet HTTPGetAction -, sleep SleepAction -, tcpSocket TCPSocketAction -
    ExecAction: command [string]
    SecurityContext: allowPrivilegeEscalation bool, capabilities Capabilities, privileged bool, procMount string,
     readOnlyRootFilesystem bool, runAsGroup int64, runAsNonRoot bool, runAsUser int64, seccompProfile SeccompProfile,
     appArmorProfile AppArmorProfile, seLinuxOptions SELinuxOptions -, windowsOptions WindowsSecurityContextOptions -
    Capabilities: add [string], drop [string]
    Volume: name string, emptyDir EmptyDirVolumeSource, hostPath HostPathVolumeSource,
     awsElasticBlockStore AWSElasticBlockStoreVolumeSource -, azureDisk AzureDiskVolumeSource -,
     azureFile AzureFileVolumeSource -, cephfs CephFSVolumeSource -, cinder CinderVolumeSource -,
     configMap ConfigMapVolumeSource -, csi CSIVolumeSource -, downwardAPI DownwardAPIVolumeSource -,
     ephemeral EphemeralVolumeSource -, fc FCVolumeSource -, flexVolume FlexVolumeSource -,
     flocker FlockerVolumeSource -, gcePersistentDisk GCEPersistentDiskVolumeSource -, gitRepo GitRepoVolumeSource -,
     glusterfs GlusterfsVolumeSource -, image ImageVolumeSource -, iscsi ISCSIVolumeSource -, nfs NFSVolumeSource -,
     persistentVolumeClaim PersistentVolumeClaimVolumeSource -,
     photonPersistentDisk PhotonPersistentDiskVolumeSource -, portworxVolume PortworxVolumeSource -,
     projected ProjectedVolumeSource -, quobyte QuobyteVolumeSource -, rbd RBDVolumeSource -,
     scaleIO ScaleIOVolumeSource -, secret SecretVolumeSource -, storageos StorageOSVolumeSource -,
     vsphereVolume VsphereVirtualDiskVolumeSource -
    EmptyDirVolumeSource: medium string =Memory/HugePages*, sizeLimit quantity
    HostPathVolumeSource: path string, type string
    ServiceSpec: clusterIP string, clusterIPs [string], ports [ServicePort/port+protocol], selector {string},
     type string =ClusterIP|NodePort/ExternalName|LoadBalancer, externalTrafficPolicy string =Cluster/Local,
     internalTrafficPolicy string =Cluster/Local, ipFamilies [string] =IPv4/IPv6,
     ipFamilyPolicy string =SingleStack|PreferDualStack/RequireDualStack, publishNotReadyAddresses bool =false,
     sessionAffinity string =None/ClientIP, allocateLoadBalancerNodePorts bool -, externalIPs [string] -,
     externalName string -, healthCheckNodePort int32 -, loadBalancerClass string -, loadBalancerIP string -,
     loadBalancerSourceRanges [string] -, sessionAffinityConfig SessionAffinityConfig -, trafficDistribution string -
    ServicePort: appProtocol string ~, name string, nodePort int32, port int32, protocol string =TCP|UDP/SCTP,
     targetPort intOrString

    """
