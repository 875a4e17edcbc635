// Written by scripts/schema/generate from published packages: change the script, not this file.
// The notation is in TableReader.swift.

let tableWorkloads: StaticString = """
    @apps.v1 apps/v1
    kind ControllerRevision: metadata 1 meta.v1.ObjectMeta, data 2 rawExtension, revision 3 int64 !
    kind DaemonSet: metadata 1 meta.v1.ObjectMeta, spec 2 DaemonSetSpec, status 3 DaemonSetStatus
    DaemonSetCondition: type 1 string !, status 2 string !, lastTransitionTime 3 time, reason 4 string,
     message 5 string
    DaemonSetSpec: selector 1 meta.v1.LabelSelector ! ?, template 2 core.v1.PodTemplateSpec !,
     updateStrategy 3 DaemonSetUpdateStrategy, minReadySeconds 4 int32, revisionHistoryLimit 6 int32 ?
    DaemonSetStatus: currentNumberScheduled 1 int32 !, numberMisscheduled 2 int32 !, desiredNumberScheduled 3 int32 !,
     numberReady 4 int32 !, observedGeneration 5 int64, updatedNumberScheduled 6 int32, numberAvailable 7 int32,
     numberUnavailable 8 int32, collisionCount 9 int32 ?, conditions 10 [DaemonSetCondition/type] merge
    DaemonSetUpdateStrategy: type 1 string, rollingUpdate 2 RollingUpdateDaemonSet ?
    kind Deployment: metadata 1 meta.v1.ObjectMeta, spec 2 DeploymentSpec, status 3 DeploymentStatus
    DeploymentCondition: type 1 string !, status 2 string !, reason 4 string, message 5 string, lastUpdateTime 6 time,
     lastTransitionTime 7 time
    DeploymentSpec: replicas 1 int32 ?, selector 2 meta.v1.LabelSelector ! ?, template 3 core.v1.PodTemplateSpec !,
     strategy 4 DeploymentStrategy retainKeys, minReadySeconds 5 int32, revisionHistoryLimit 6 int32 ?, paused 7 bool,
     progressDeadlineSeconds 9 int32 ?
    DeploymentStatus: observedGeneration 1 int64, replicas 2 int32, updatedReplicas 3 int32,
     availableReplicas 4 int32, unavailableReplicas 5 int32, conditions 6 [DeploymentCondition/type] merge,
     readyReplicas 7 int32, collisionCount 8 int32 ?
    DeploymentStrategy: type 1 string, rollingUpdate 2 RollingUpdateDeployment ?
    kind ReplicaSet: metadata 1 meta.v1.ObjectMeta, spec 2 ReplicaSetSpec, status 3 ReplicaSetStatus
    ReplicaSetCondition: type 1 string !, status 2 string !, lastTransitionTime 3 time, reason 4 string,
     message 5 string
    ReplicaSetSpec: replicas 1 int32 ?, selector 2 meta.v1.LabelSelector ! ?, template 3 core.v1.PodTemplateSpec,
     minReadySeconds 4 int32
    ReplicaSetStatus: replicas 1 int32 !, fullyLabeledReplicas 2 int32, observedGeneration 3 int64,
     readyReplicas 4 int32, availableReplicas 5 int32, conditions 6 [ReplicaSetCondition/type] merge
    RollingUpdateDaemonSet: maxUnavailable 1 intOrString, maxSurge 2 intOrString
    RollingUpdateDeployment: maxUnavailable 1 intOrString, maxSurge 2 intOrString
    RollingUpdateStatefulSetStrategy: partition 1 int32 ?, maxUnavailable 2 intOrString
    kind StatefulSet: metadata 1 meta.v1.ObjectMeta, spec 2 StatefulSetSpec, status 3 StatefulSetStatus
    StatefulSetCondition: type 1 string !, status 2 string !, lastTransitionTime 3 time, reason 4 string,
     message 5 string
    StatefulSetOrdinals: start 1 int32 =
    StatefulSetPersistentVolumeClaimRetentionPolicy: whenDeleted 1 string, whenScaled 2 string
    StatefulSetSpec: replicas 1 int32 ?, selector 2 meta.v1.LabelSelector ! ?, template 3 core.v1.PodTemplateSpec !,
     volumeClaimTemplates 4 [core.v1.PersistentVolumeClaim], serviceName 5 string !, podManagementPolicy 6 string,
     updateStrategy 7 StatefulSetUpdateStrategy, revisionHistoryLimit 8 int32 ?, minReadySeconds 9 int32,
     persistentVolumeClaimRetentionPolicy 10 StatefulSetPersistentVolumeClaimRetentionPolicy ?,
     ordinals 11 StatefulSetOrdinals ?
    StatefulSetStatus: observedGeneration 1 int64, replicas 2 int32 !, readyReplicas 3 int32, currentReplicas 4 int32,
     updatedReplicas 5 int32, currentRevision 6 string, updateRevision 7 string, collisionCount 9 int32 ?,
     conditions 10 [StatefulSetCondition/type] merge, availableReplicas 11 int32 =
    StatefulSetUpdateStrategy: type 1 string, rollingUpdate 2 RollingUpdateStatefulSetStrategy ?
    @batch.v1 batch/v1
    kind CronJob: metadata 1 meta.v1.ObjectMeta, spec 2 CronJobSpec, status 3 CronJobStatus
    CronJobSpec: schedule 1 string !, startingDeadlineSeconds 2 int64 ?, concurrencyPolicy 3 string, suspend 4 bool ?,
     jobTemplate 5 JobTemplateSpec !, successfulJobsHistoryLimit 6 int32 ?, failedJobsHistoryLimit 7 int32 ?,
     timeZone 8 string ?
    CronJobStatus: active 1 [core.v1.ObjectReference], lastScheduleTime 4 time, lastSuccessfulTime 5 time
    kind Job: metadata 1 meta.v1.ObjectMeta, spec 2 JobSpec, status 3 JobStatus
    JobCondition: type 1 string !, status 2 string !, lastProbeTime 3 time, lastTransitionTime 4 time,
     reason 5 string, message 6 string
    JobSpec: parallelism 1 int32 ?, completions 2 int32 ?, activeDeadlineSeconds 3 int64 ?,
     selector 4 meta.v1.LabelSelector ?, manualSelector 5 bool ?, template 6 core.v1.PodTemplateSpec !,
     backoffLimit 7 int32 ?, ttlSecondsAfterFinished 8 int32 ?, completionMode 9 string ?, suspend 10 bool ?,
     podFailurePolicy 11 PodFailurePolicy ?, backoffLimitPerIndex 12 int32 ?, maxFailedIndexes 13 int32 ?,
     podReplacementPolicy 14 string ?, managedBy 15 string ?, successPolicy 16 SuccessPolicy ?
    JobStatus: conditions 1 [JobCondition] merge=type, startTime 2 time, completionTime 3 time, active 4 int32,
     succeeded 5 int32, failed 6 int32, completedIndexes 7 string,
     uncountedTerminatedPods 8 UncountedTerminatedPods ?, ready 9 int32 ?, failedIndexes 10 string ?,
     terminating 11 int32 ?
    JobTemplateSpec: metadata 1 meta.v1.ObjectMeta, spec 2 JobSpec
    PodFailurePolicy: rules 1 [PodFailurePolicyRule] !
    PodFailurePolicyOnExitCodesRequirement: containerName 1 string ?, operator 2 string !, values 3 [int32]set !
    PodFailurePolicyOnPodConditionsPattern: type 1 string !, status 2 string !
    PodFailurePolicyRule: action 1 string !, onExitCodes 2 PodFailurePolicyOnExitCodesRequirement ?,
     onPodConditions 3 [PodFailurePolicyOnPodConditionsPattern]
    SuccessPolicy: rules 1 [SuccessPolicyRule] !
    SuccessPolicyRule: succeededIndexes 1 string ?, succeededCount 2 int32 ?
    UncountedTerminatedPods: succeeded 1 [string]set, failed 2 [string]set
    @autoscaling.v1 autoscaling/v1
    CrossVersionObjectReference atomic: kind 1 string !, name 2 string !, apiVersion 3 string
    kind HorizontalPodAutoscaler: metadata 1 meta.v1.ObjectMeta, spec 2 HorizontalPodAutoscalerSpec,
     status 3 HorizontalPodAutoscalerStatus
    HorizontalPodAutoscalerSpec: scaleTargetRef 1 CrossVersionObjectReference !, minReplicas 2 int32 ?,
     maxReplicas 3 int32 !, targetCPUUtilizationPercentage 4 int32 ?
    HorizontalPodAutoscalerStatus: observedGeneration 1 int64 ?, lastScaleTime 2 time, currentReplicas 3 int32 !,
     desiredReplicas 4 int32 !, currentCPUUtilizationPercentage 5 int32 ?
    kind Scale: metadata 1 meta.v1.ObjectMeta, spec 2 ScaleSpec, status 3 ScaleStatus
    ScaleSpec: replicas 1 int32
    ScaleStatus: replicas 1 int32 !, selector 2 string
    @autoscaling.v2 autoscaling/v2
    ContainerResourceMetricSource: name 1 string !, target 2 MetricTarget !, container 3 string !
    ContainerResourceMetricStatus: name 1 string !, current 2 MetricValueStatus !, container 3 string !
    CrossVersionObjectReference: kind 1 string !, name 2 string !, apiVersion 3 string
    ExternalMetricSource: metric 1 MetricIdentifier !, target 2 MetricTarget !
    ExternalMetricStatus: metric 1 MetricIdentifier !, current 2 MetricValueStatus !
    HPAScalingPolicy: type 1 string !, value 2 int32 !, periodSeconds 3 int32 !
    HPAScalingRules: selectPolicy 1 string ?, policies 2 [HPAScalingPolicy], stabilizationWindowSeconds 3 int32 ?
    kind HorizontalPodAutoscaler: metadata 1 meta.v1.ObjectMeta, spec 2 HorizontalPodAutoscalerSpec,
     status 3 HorizontalPodAutoscalerStatus
    HorizontalPodAutoscalerBehavior: scaleUp 1 HPAScalingRules ?, scaleDown 2 HPAScalingRules ?
    HorizontalPodAutoscalerCondition: type 1 string !, status 2 string !, lastTransitionTime 3 time, reason 4 string,
     message 5 string
    HorizontalPodAutoscalerSpec: scaleTargetRef 1 CrossVersionObjectReference !, minReplicas 2 int32 ?,
     maxReplicas 3 int32 !, metrics 4 [MetricSpec], behavior 5 HorizontalPodAutoscalerBehavior ?
    HorizontalPodAutoscalerStatus: observedGeneration 1 int64 ?, lastScaleTime 2 time, currentReplicas 3 int32,
     desiredReplicas 4 int32 !, currentMetrics 5 [MetricStatus] empty,
     conditions 6 [HorizontalPodAutoscalerCondition/type] merge
    MetricIdentifier: name 1 string !, selector 2 meta.v1.LabelSelector ?
    MetricSpec: type 1 string !, object 2 ObjectMetricSource ?, pods 3 PodsMetricSource ?,
     resource 4 ResourceMetricSource ?, external 5 ExternalMetricSource ?,
     containerResource 7 ContainerResourceMetricSource ?
    MetricStatus: type 1 string !, object 2 ObjectMetricStatus ?, pods 3 PodsMetricStatus ?,
     resource 4 ResourceMetricStatus ?, external 5 ExternalMetricStatus ?,
     containerResource 7 ContainerResourceMetricStatus ?
    MetricTarget: type 1 string !, value 2 quantity, averageValue 3 quantity, averageUtilization 4 int32 ?
    MetricValueStatus: value 1 quantity, averageValue 2 quantity, averageUtilization 3 int32 ?
    ObjectMetricSource: describedObject 1 CrossVersionObjectReference !, target 2 MetricTarget !,
     metric 3 MetricIdentifier !
    ObjectMetricStatus: metric 1 MetricIdentifier !, current 2 MetricValueStatus !,
     describedObject 3 CrossVersionObjectReference !
    PodsMetricSource: metric 1 MetricIdentifier !, target 2 MetricTarget !
    PodsMetricStatus: metric 1 MetricIdentifier !, current 2 MetricValueStatus !
    ResourceMetricSource: name 1 string !, target 2 MetricTarget !
    ResourceMetricStatus: name 1 string !, current 2 MetricValueStatus !
    @policy.v1 policy/v1
    kind Eviction: metadata 1 meta.v1.ObjectMeta, deleteOptions 2 meta.v1.DeleteOptions ?
    kind PodDisruptionBudget: metadata 1 meta.v1.ObjectMeta, spec 2 PodDisruptionBudgetSpec,
     status 3 PodDisruptionBudgetStatus
    PodDisruptionBudgetSpec: minAvailable 1 intOrString, selector 2 meta.v1.LabelSelector replace ?,
     maxUnavailable 3 intOrString, unhealthyPodEvictionPolicy 4 string ?
    PodDisruptionBudgetStatus: observedGeneration 1 int64, disruptedPods 2 {time}, disruptionsAllowed 3 int32 !,
     currentHealthy 4 int32 !, desiredHealthy 5 int32 !, expectedPods 6 int32 !,
     conditions 7 [meta.v1.Condition/type] merge
    @scheduling.v1 scheduling.k8s.io/v1
    kind PriorityClass: metadata 1 meta.v1.ObjectMeta, value 2 int32 !, globalDefault 3 bool, description 4 string,
     preemptionPolicy 5 string ?
    @node.v1 node.k8s.io/v1
    Overhead: podFixed 1 {quantity}
    kind RuntimeClass: metadata 1 meta.v1.ObjectMeta, handler 2 string !, overhead 3 Overhead ?,
     scheduling 4 Scheduling ?
    Scheduling: nodeSelector 1 {string}atomic, tolerations 2 [core.v1.Toleration]

    """
