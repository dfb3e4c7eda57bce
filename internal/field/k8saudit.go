package field

// k8sauditGroups lists the fields of Kubernetes audit events.
func k8sauditGroups() []group { return nil }
