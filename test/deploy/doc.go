// Package deploy holds the tests of what deploy/ installs: each artefact is rendered or
// built, and executed as far as one machine can.
//
// It is a module of its own, because the types of the Kubernetes API come with more than
// who builds Windhover should have to download. make test-deploy runs it.
package deploy
