// Package arch holds the shape of the repository as tests: which package may
// import which, what every package and component comes with, and what no package
// does. Start with the table of layers in layers_test.go: a package that is not in
// it does not pass.
package arch
