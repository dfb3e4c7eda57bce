// Package document reads JSON documents into memory that is reused, and finds
// values in them by path.
package document

// Document is one parsed JSON value. Its memory is reused by the next Parse. A
// Document and everything reachable from it belong to one goroutine.
type Document struct{}
