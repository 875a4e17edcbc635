// ContainerRuntime
