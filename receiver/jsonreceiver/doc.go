// Package jsonreceiver reports what services tell in JSON: it takes documents from
// files, sockets, standard input and requests, shows them to the rules and hands alerts
// to the next consumer as logs, and losses and rates as metrics. It knows the formats of
// AWS CloudTrail, Okta, GitHub, Google Cloud and Kubernetes audit logs, and takes any
// other document.
//
// The way of an event: internal/feed reads a batch, cuts it into events and passes each
// to internal/pipeline. Start with factory.go.
package jsonreceiver

//go:generate mdatagen metadata.yaml
