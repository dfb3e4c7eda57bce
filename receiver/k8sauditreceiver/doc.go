// Package k8sauditreceiver reports what happens in a Kubernetes cluster: it takes audit
// events from the API server's webhook and from files, shows them to the rules and
// hands alerts to the next consumer as logs, and losses and rates as metrics.
//
// The way of an event: internal/feed reads a batch, cuts it into events and passes each
// to internal/pipeline. Start with factory.go.
package k8sauditreceiver

//go:generate mdatagen metadata.yaml
