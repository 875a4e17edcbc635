// Written by scripts/schema/generate from published packages: change the script, not this file.
// The notation is in TableReader.swift.

let tableGroups: StaticString = """
    @networking.v1 networking.k8s.io/v1
    HTTPIngressPath: path 1 string, backend 2 IngressBackend !, pathType 3 string ! ?
    HTTPIngressRuleValue: paths 1 [HTTPIngressPath] !
    IPBlock: cidr 1 string !, except 2 [string]
    kind Ingress: metadata 1 meta.v1.ObjectMeta, spec 2 IngressSpec, status 3 IngressStatus
    IngressBackend: resource 3 core.v1.TypedLocalObjectReference ?, service 4 IngressServiceBackend ?
    kind IngressClass: metadata 1 meta.v1.ObjectMeta, spec 2 IngressClassSpec
    IngressClassParametersReference: apiGroup 1 string ?, kind 2 string !, name 3 string !, scope 4 string ?,
     namespace 5 string ?
    IngressClassSpec: controller 1 string, parameters 2 IngressClassParametersReference ?
    IngressLoadBalancerIngress: ip 1 string, hostname 2 string, ports 4 [IngressPortStatus]
    IngressLoadBalancerStatus: ingress 1 [IngressLoadBalancerIngress]
    IngressPortStatus: port 1 int32 !, protocol 2 string !, error 3 string ?
    IngressRule: host 1 string, +IngressRuleValue 2
    IngressRuleValue: http 1 HTTPIngressRuleValue ?
    IngressServiceBackend: name 1 string !, port 2 ServiceBackendPort
    IngressSpec: defaultBackend 1 IngressBackend ?, tls 2 [IngressTLS], rules 3 [IngressRule],
     ingressClassName 4 string ?
    IngressStatus: loadBalancer 1 IngressLoadBalancerStatus
    IngressTLS: hosts 1 [string], secretName 2 string
    kind NetworkPolicy: metadata 1 meta.v1.ObjectMeta, spec 2 NetworkPolicySpec
    NetworkPolicyEgressRule: ports 1 [NetworkPolicyPort], to 2 [NetworkPolicyPeer]
    NetworkPolicyIngressRule: ports 1 [NetworkPolicyPort], from 2 [NetworkPolicyPeer]
    NetworkPolicyPeer: podSelector 1 meta.v1.LabelSelector ?, namespaceSelector 2 meta.v1.LabelSelector ?,
     ipBlock 3 IPBlock ?
    NetworkPolicyPort: protocol 1 string ?, port 2 intOrString, endPort 3 int32 ?
    NetworkPolicySpec: podSelector 1 meta.v1.LabelSelector !, ingress 2 [NetworkPolicyIngressRule],
     egress 3 [NetworkPolicyEgressRule], policyTypes 4 [string]
    ServiceBackendPort atomic: name 1 string, number 2 int32
    @discovery.v1 discovery.k8s.io/v1
    Endpoint: addresses 1 [string]set !, conditions 2 EndpointConditions, hostname 3 string ?,
     targetRef 4 core.v1.ObjectReference ?, deprecatedTopology 5 {string}, nodeName 6 string ?, zone 7 string ?,
     hints 8 EndpointHints ?
    EndpointConditions: ready 1 bool ?, serving 2 bool ?, terminating 3 bool ?
    EndpointHints: forZones 1 [ForZone]
    EndpointPort atomic: name 1 string ?, protocol 2 string ?, port 3 int32 ?, appProtocol 4 string ?
    kind EndpointSlice: metadata 1 meta.v1.ObjectMeta, endpoints 2 [Endpoint] !, ports 3 [EndpointPort] empty,
     addressType 4 string !
    ForZone: name 1 string !
    @events.v1 events.k8s.io/v1
    kind Event: metadata 1 meta.v1.ObjectMeta, eventTime 2 microTime !, series 3 EventSeries ?,
     reportingController 4 string, reportingInstance 5 string, action 6 string, reason 7 string,
     regarding 8 core.v1.ObjectReference, related 9 core.v1.ObjectReference ?, note 10 string, type 11 string,
     deprecatedSource 12 core.v1.EventSource, deprecatedFirstTimestamp 13 time, deprecatedLastTimestamp 14 time,
     deprecatedCount 15 int32
    EventSeries: count 1 int32 !, lastObservedTime 2 microTime !
    @coordination.v1 coordination.k8s.io/v1
    kind Lease: metadata 1 meta.v1.ObjectMeta, spec 2 LeaseSpec
    LeaseSpec: holderIdentity 1 string ?, leaseDurationSeconds 2 int32 ?, acquireTime 3 microTime,
     renewTime 4 microTime, leaseTransitions 5 int32 ?, strategy 6 string ?, preferredHolder 7 string ?
    @storage.v1 storage.k8s.io/v1
    kind CSIDriver: metadata 1 meta.v1.ObjectMeta, spec 2 CSIDriverSpec !
    CSIDriverSpec: attachRequired 1 bool ?, podInfoOnMount 2 bool ?, volumeLifecycleModes 3 [string]set,
     storageCapacity 4 bool ?, fsGroupPolicy 5 string ?, tokenRequests 6 [TokenRequest], requiresRepublish 7 bool ?,
     seLinuxMount 8 bool ?
    kind CSINode: metadata 1 meta.v1.ObjectMeta, spec 2 CSINodeSpec !
    CSINodeDriver: name 1 string !, nodeID 2 string !, topologyKeys 3 [string] empty,
     allocatable 4 VolumeNodeResources ?
    CSINodeSpec: drivers 1 [CSINodeDriver/name] ! merge
    kind StorageClass: metadata 1 meta.v1.ObjectMeta, provisioner 2 string !, parameters 3 {string},
     reclaimPolicy 4 string ?, mountOptions 5 [string], allowVolumeExpansion 6 bool ?, volumeBindingMode 7 string ?,
     allowedTopologies 8 [core.v1.TopologySelectorTerm]
    TokenRequest: audience 1 string !, expirationSeconds 2 int64 ?
    kind VolumeAttachment: metadata 1 meta.v1.ObjectMeta, spec 2 VolumeAttachmentSpec !,
     status 3 VolumeAttachmentStatus
    VolumeAttachmentSource: persistentVolumeName 1 string ?, inlineVolumeSpec 2 core.v1.PersistentVolumeSpec ?
    VolumeAttachmentSpec: attacher 1 string !, source 2 VolumeAttachmentSource !, nodeName 3 string !
    VolumeAttachmentStatus: attached 1 bool !, attachmentMetadata 2 {string}, attachError 3 VolumeError ?,
     detachError 4 VolumeError ?
    VolumeError: time 1 time, message 2 string
    VolumeNodeResources: count 1 int32 ?
    @rbac.v1 rbac.authorization.k8s.io/v1
    AggregationRule: clusterRoleSelectors 1 [meta.v1.LabelSelector]
    kind ClusterRole: metadata 1 meta.v1.ObjectMeta, rules 2 [PolicyRule] empty, aggregationRule 3 AggregationRule ?
    kind ClusterRoleBinding: metadata 1 meta.v1.ObjectMeta, subjects 2 [Subject], roleRef 3 RoleRef !
    PolicyRule: verbs 1 [string] !, apiGroups 2 [string], resources 3 [string], resourceNames 4 [string],
     nonResourceURLs 5 [string]
    kind Role: metadata 1 meta.v1.ObjectMeta, rules 2 [PolicyRule] empty
    kind RoleBinding: metadata 1 meta.v1.ObjectMeta, subjects 2 [Subject], roleRef 3 RoleRef !
    RoleRef atomic: apiGroup 1 string !, kind 2 string !, name 3 string !
    Subject atomic: kind 1 string !, apiGroup 2 string, name 3 string !, namespace 4 string
    @certificates.v1 certificates.k8s.io/v1
    kind CertificateSigningRequest: metadata 1 meta.v1.ObjectMeta, spec 2 CertificateSigningRequestSpec !,
     status 3 CertificateSigningRequestStatus
    CertificateSigningRequestCondition: type 1 string !, reason 2 string, message 3 string, lastUpdateTime 4 time,
     lastTransitionTime 5 time, status 6 string !
    CertificateSigningRequestSpec: request 1 bytes !, username 2 string, uid 3 string, groups 4 [string],
     usages 5 [string], extra 6 {<string>}, signerName 7 string !, expirationSeconds 8 int32 ?
    CertificateSigningRequestStatus: conditions 1 [CertificateSigningRequestCondition/type], certificate 2 bytes
    @authentication.v1 authentication.k8s.io/v1
    BoundObjectReference: kind 1 string, apiVersion 2 string, name 3 string, uid 4 string
    kind SelfSubjectReview: metadata 1 meta.v1.ObjectMeta, status 2 SelfSubjectReviewStatus
    SelfSubjectReviewStatus: userInfo 1 UserInfo
    kind TokenRequest: metadata 1 meta.v1.ObjectMeta, spec 2 TokenRequestSpec !, status 3 TokenRequestStatus
    TokenRequestSpec: audiences 1 [string] !, boundObjectRef 3 BoundObjectReference ?, expirationSeconds 4 int64 ?
    TokenRequestStatus: token 1 string !, expirationTimestamp 2 time !
    kind TokenReview: metadata 1 meta.v1.ObjectMeta, spec 2 TokenReviewSpec !, status 3 TokenReviewStatus
    TokenReviewSpec: token 1 string, audiences 2 [string]
    TokenReviewStatus: authenticated 1 bool, user 2 UserInfo, error 3 string, audiences 4 [string]
    UserInfo: username 1 string, uid 2 string, groups 3 [string], extra 4 {<string>}
    @authorization.v1 authorization.k8s.io/v1
    FieldSelectorAttributes: rawSelector 1 string, requirements 2 [meta.v1.FieldSelectorRequirement]
    LabelSelectorAttributes: rawSelector 1 string, requirements 2 [meta.v1.LabelSelectorRequirement]
    kind LocalSubjectAccessReview: metadata 1 meta.v1.ObjectMeta, spec 2 SubjectAccessReviewSpec !,
     status 3 SubjectAccessReviewStatus
    NonResourceAttributes: path 1 string, verb 2 string
    NonResourceRule: verbs 1 [string] !, nonResourceURLs 2 [string]
    ResourceAttributes: namespace 1 string, verb 2 string, group 3 string, version 4 string, resource 5 string,
     subresource 6 string, name 7 string, fieldSelector 8 FieldSelectorAttributes ?,
     labelSelector 9 LabelSelectorAttributes ?
    ResourceRule: verbs 1 [string] !, apiGroups 2 [string], resources 3 [string], resourceNames 4 [string]
    kind SelfSubjectAccessReview: metadata 1 meta.v1.ObjectMeta, spec 2 SelfSubjectAccessReviewSpec !,
     status 3 SubjectAccessReviewStatus
    SelfSubjectAccessReviewSpec: resourceAttributes 1 ResourceAttributes ?,
     nonResourceAttributes 2 NonResourceAttributes ?
    kind SelfSubjectRulesReview: metadata 1 meta.v1.ObjectMeta, spec 2 SelfSubjectRulesReviewSpec !,
     status 3 SubjectRulesReviewStatus
    SelfSubjectRulesReviewSpec: namespace 1 string
    kind SubjectAccessReview: metadata 1 meta.v1.ObjectMeta, spec 2 SubjectAccessReviewSpec !,
     status 3 SubjectAccessReviewStatus
    SubjectAccessReviewSpec: resourceAttributes 1 ResourceAttributes ?,
     nonResourceAttributes 2 NonResourceAttributes ?, user 3 string, groups 4 [string], extra 5 {<string>},
     uid 6 string
    SubjectAccessReviewStatus: allowed 1 bool !, reason 2 string, evaluationError 3 string, denied 4 bool
    SubjectRulesReviewStatus: resourceRules 1 [ResourceRule] !, nonResourceRules 2 [NonResourceRule] !,
     incomplete 3 bool !, evaluationError 4 string
    @apiextensions.v1 apiextensions.k8s.io/v1
    CustomResourceColumnDefinition: name 1 string !, type 2 string !, format 3 string, description 4 string,
     priority 5 int32, jsonPath 6 string !
    CustomResourceConversion: strategy 1 string !, webhook 2 WebhookConversion ?
    kind CustomResourceDefinition: metadata 1 meta.v1.ObjectMeta, spec 2 CustomResourceDefinitionSpec !,
     status 3 CustomResourceDefinitionStatus
    CustomResourceDefinitionCondition: type 1 string !, status 2 string !, lastTransitionTime 3 time, reason 4 string,
     message 5 string
    CustomResourceDefinitionNames: plural 1 string !, singular 2 string, shortNames 3 [string], kind 4 string !,
     listKind 5 string, categories 6 [string]
    CustomResourceDefinitionSpec: group 1 string !, names 3 CustomResourceDefinitionNames !, scope 4 string !,
     versions 7 [CustomResourceDefinitionVersion] !, conversion 9 CustomResourceConversion ?,
     preserveUnknownFields 10 bool
    CustomResourceDefinitionStatus: conditions 1 [CustomResourceDefinitionCondition/type],
     acceptedNames 2 CustomResourceDefinitionNames, storedVersions 3 [string]
    CustomResourceDefinitionVersion: name 1 string !, served 2 bool !, storage 3 bool !,
     schema 4 CustomResourceValidation ?, subresources 5 CustomResourceSubresources ?,
     additionalPrinterColumns 6 [CustomResourceColumnDefinition], deprecated 7 bool, deprecationWarning 8 string ?,
     selectableFields 9 [SelectableField]
    CustomResourceSubresourceScale: specReplicasPath 1 string !, statusReplicasPath 2 string !,
     labelSelectorPath 3 string ?
    CustomResourceSubresourceStatus:
    CustomResourceSubresources: status 1 CustomResourceSubresourceStatus ?, scale 2 CustomResourceSubresourceScale ?
    CustomResourceValidation: openAPIV3Schema 1 JSONSchemaProps ?
    ExternalDocumentation: description 1 string, url 2 string
    JSONSchemaProps: id 1 string, $schema 2 string, $ref 3 string ?, description 4 string, type 5 string,
     format 6 string, title 7 string, default 8 json, maximum 9 double ?, exclusiveMaximum 10 bool,
     minimum 11 double ?, exclusiveMinimum 12 bool, maxLength 13 int64 ?, minLength 14 int64 ?, pattern 15 string,
     maxItems 16 int64 ?, minItems 17 int64 ?, uniqueItems 18 bool, multipleOf 19 double ?, enum 20 [json],
     maxProperties 21 int64 ?, minProperties 22 int64 ?, required 23 [string], items 24 JSONSchemaProps|list ?,
     allOf 25 [JSONSchemaProps], oneOf 26 [JSONSchemaProps], anyOf 27 [JSONSchemaProps], not 28 JSONSchemaProps ?,
     properties 29 {JSONSchemaProps}, additionalProperties 30 JSONSchemaProps|bool ?,
     patternProperties 31 {JSONSchemaProps}, dependencies 32 {JSONSchemaProps|strings},
     additionalItems 33 JSONSchemaProps|bool ?, definitions 34 {JSONSchemaProps},
     externalDocs 35 ExternalDocumentation ?, example 36 json, nullable 37 bool,
     x-kubernetes-preserve-unknown-fields 38 bool ?, x-kubernetes-embedded-resource 39 bool,
     x-kubernetes-int-or-string 40 bool, x-kubernetes-list-map-keys 41 [string], x-kubernetes-list-type 42 string ?,
     x-kubernetes-map-type 43 string ?, x-kubernetes-validations 44 [ValidationRule/rule] merge
    SelectableField: jsonPath 1 string !
    ServiceReference: namespace 1 string !, name 2 string !, path 3 string ?, port 4 int32 ?
    ValidationRule: rule 1 string !, message 2 string, messageExpression 3 string, reason 4 string ?,
     fieldPath 5 string, optionalOldSelf 6 bool ?
    WebhookClientConfig: service 1 ServiceReference ?, caBundle 2 bytes, url 3 string ?
    WebhookConversion: clientConfig 2 WebhookClientConfig ?, conversionReviewVersions 3 [string] !

    """
