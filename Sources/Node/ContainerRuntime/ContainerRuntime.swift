// ContainerRuntime: a pod's sandbox and its containers as values, handed to `podinit` (CSupport/podinit), the static
// program that is every pod's pause process. podinit makes the namespaces, starts the containers from flat plans, writes
// their logs and keeps their exit codes; this room encodes the plans, speaks the protocol
// (CSupport/CPodinit/include/podinit_protocol.h) and turns what goes wrong into typed errors. It knows no Kubernetes object.
