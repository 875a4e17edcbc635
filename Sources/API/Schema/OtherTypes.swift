// The types of which Swiftlet serves nothing yet. They are here so that what is inside of them is checked all the same,
// and a misspelt field is told from one that is not served. Same notation as in ServedTypes.swift; the marks stand at
// the fields that lead here.

let otherTypes = """
    AWSElasticBlockStoreVolumeSource: fsType string, partition int32, readOnly bool, volumeID string
    Affinity: nodeAffinity NodeAffinity, podAffinity PodAffinity, podAntiAffinity PodAntiAffinity
    AzureDiskVolumeSource: cachingMode string, diskName string, diskURI string, fsType string, kind string,
     readOnly bool
    AzureFileVolumeSource: readOnly bool, secretName string, shareName string
    CSIVolumeSource: driver string, fsType string, nodePublishSecretRef LocalObjectReference, readOnly bool,
     volumeAttributes {string}
    CephFSVolumeSource: monitors [string], path string, readOnly bool, secretFile string,
     secretRef LocalObjectReference, user string
    CinderVolumeSource: fsType string, readOnly bool, secretRef LocalObjectReference, volumeID string
    ClientIPConfig: timeoutSeconds int32
    ClusterTrustBundleProjection: labelSelector LabelSelector, name string, optional bool, path string,
     signerName string
    ConfigMapEnvSource: name string, optional bool
    ConfigMapKeySelector: key string, name string, optional bool
    ConfigMapProjection: items [KeyToPath], name string, optional bool
    ConfigMapVolumeSource: defaultMode int32, items [KeyToPath], name string, optional bool
    ContainerResizePolicy: resourceName string, restartPolicy string
    DownwardAPIProjection: items [DownwardAPIVolumeFile]
    DownwardAPIVolumeFile: fieldRef ObjectFieldSelector, mode int32, path string, resourceFieldRef ResourceFieldSelector
    DownwardAPIVolumeSource: defaultMode int32, items [DownwardAPIVolumeFile]
    EnvFromSource: configMapRef ConfigMapEnvSource, prefix string, secretRef SecretEnvSource
    EphemeralContainer: args [string], command [string], env [EnvVar/name], envFrom [EnvFromSource], image string,
     imagePullPolicy string, lifecycle Lifecycle, livenessProbe Probe, name string,
     ports [ContainerPort/containerPort+protocol], readinessProbe Probe, resizePolicy [ContainerResizePolicy],
     resources ResourceRequirements, restartPolicy string, securityContext SecurityContext, startupProbe Probe,
     stdin bool, stdinOnce bool, targetContainerName string, terminationMessagePath string,
     terminationMessagePolicy string, tty bool, volumeDevices [VolumeDevice/devicePath],
     volumeMounts [VolumeMount/mountPath], workingDir string
    EphemeralVolumeSource: volumeClaimTemplate PersistentVolumeClaimTemplate
    FCVolumeSource: fsType string, lun int32, readOnly bool, targetWWNs [string], wwids [string]
    FlexVolumeSource: driver string, fsType string, options {string}, readOnly bool, secretRef LocalObjectReference
    FlockerVolumeSource: datasetName string, datasetUUID string
    GCEPersistentDiskVolumeSource: fsType string, partition int32, pdName string, readOnly bool
    GRPCAction: port int32, service string
    GitRepoVolumeSource: directory string, repository string, revision string
    GlusterfsVolumeSource: endpoints string, path string, readOnly bool
    HTTPGetAction: host string, httpHeaders [HTTPHeader], path string, port intOrString, scheme string
    HTTPHeader: name string, value string
    ISCSIVolumeSource: chapAuthDiscovery bool, chapAuthSession bool, fsType string, initiatorName string, iqn string,
     iscsiInterface string, lun int32, portals [string], readOnly bool, secretRef LocalObjectReference,
     targetPortal string
    ImageVolumeSource: pullPolicy string, reference string
    KeyToPath: key string, mode int32, path string
    LabelSelector: matchExpressions [LabelSelectorRequirement], matchLabels {string}
    LabelSelectorRequirement: key string, operator string, values [string]
    LocalObjectReference: name string
    NFSVolumeSource: path string, readOnly bool, server string
    NodeAffinity: preferredDuringSchedulingIgnoredDuringExecution [PreferredSchedulingTerm],
     requiredDuringSchedulingIgnoredDuringExecution NodeSelector
    NodeSelector: nodeSelectorTerms [NodeSelectorTerm]
    NodeSelectorRequirement: key string, operator string, values [string]
    NodeSelectorTerm: matchExpressions [NodeSelectorRequirement], matchFields [NodeSelectorRequirement]
    OwnerReference: apiVersion string, blockOwnerDeletion bool, controller bool, kind string, name string, uid string
    PersistentVolumeClaimSpec: accessModes [string], dataSource TypedLocalObjectReference,
     dataSourceRef TypedObjectReference, resources VolumeResourceRequirements, selector LabelSelector,
     storageClassName string, volumeAttributesClassName string, volumeMode string, volumeName string
    PersistentVolumeClaimTemplate: metadata ObjectMeta, spec PersistentVolumeClaimSpec
    PersistentVolumeClaimVolumeSource: claimName string, readOnly bool
    PhotonPersistentDiskVolumeSource: fsType string, pdID string
    PodAffinity: preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm],
     requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm]
    PodAffinityTerm: labelSelector LabelSelector, matchLabelKeys [string], mismatchLabelKeys [string],
     namespaceSelector LabelSelector, namespaces [string], topologyKey string
    PodAntiAffinity: preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm],
     requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm]
    PodReadinessGate: conditionType string
    PodResourceClaim: name string, resourceClaimName string, resourceClaimTemplateName string
    PodSchedulingGate: name string
    PortworxVolumeSource: fsType string, readOnly bool, volumeID string
    PreferredSchedulingTerm: preference NodeSelectorTerm, weight int32
    Probe: exec ExecAction, failureThreshold int32, grpc GRPCAction, httpGet HTTPGetAction, initialDelaySeconds int32,
     periodSeconds int32, successThreshold int32, tcpSocket TCPSocketAction, terminationGracePeriodSeconds int64,
     timeoutSeconds int32
    ProjectedVolumeSource: defaultMode int32, sources [VolumeProjection]
    QuobyteVolumeSource: group string, readOnly bool, registry string, tenant string, user string, volume string
    RBDVolumeSource: fsType string, image string, keyring string, monitors [string], pool string, readOnly bool,
     secretRef LocalObjectReference, user string
    ResourceClaim: name string, request string
    ResourceFieldSelector: containerName string, divisor quantity, resource string
    SELinuxOptions: level string, role string, type string, user string
    ScaleIOVolumeSource: fsType string, gateway string, protectionDomain string, readOnly bool,
     secretRef LocalObjectReference, sslEnabled bool, storageMode string, storagePool string, system string,
     volumeName string
    SecretEnvSource: name string, optional bool
    SecretKeySelector: key string, name string, optional bool
    SecretProjection: items [KeyToPath], name string, optional bool
    SecretVolumeSource: defaultMode int32, items [KeyToPath], optional bool, secretName string
    ServiceAccountTokenProjection: audience string, expirationSeconds int64, path string
    SessionAffinityConfig: clientIP ClientIPConfig
    SleepAction: seconds int64
    StorageOSVolumeSource: fsType string, readOnly bool, secretRef LocalObjectReference, volumeName string,
     volumeNamespace string
    TCPSocketAction: host string, port intOrString
    Toleration: effect string, key string, operator string, tolerationSeconds int64, value string
    TopologySpreadConstraint: labelSelector LabelSelector, matchLabelKeys [string], maxSkew int32, minDomains int32,
     nodeAffinityPolicy string, nodeTaintsPolicy string, topologyKey string, whenUnsatisfiable string
    TypedLocalObjectReference: apiGroup string, kind string, name string
    TypedObjectReference: apiGroup string, kind string, name string, namespace string
    VolumeDevice: devicePath string, name string
    VolumeProjection: clusterTrustBundle ClusterTrustBundleProjection, configMap ConfigMapProjection,
     downwardAPI DownwardAPIProjection, secret SecretProjection, serviceAccountToken ServiceAccountTokenProjection
    VolumeResourceRequirements: limits {quantity}, requests {quantity}
    VsphereVirtualDiskVolumeSource: fsType string, storagePolicyID string, storagePolicyName string, volumePath string
    WeightedPodAffinityTerm: podAffinityTerm PodAffinityTerm, weight int32
    WindowsSecurityContextOptions: gmsaCredentialSpec string, gmsaCredentialSpecName string, hostProcess bool,
     runAsUserName string

    """
