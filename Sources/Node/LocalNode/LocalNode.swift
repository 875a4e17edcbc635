// LocalNode: what makes a host a node, without a cluster: the agent that owns the pod engine, follows a directory of
// manifests, gives Services their addresses and keeps the proxy's rules at what the pods are; and what its commands read
// from the disk when no agent runs.
