// PodEngine
