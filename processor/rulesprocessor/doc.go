// Package rulesprocessor shows log records that any receiver read to the rules: alerts
// are added to what passes, take its place, or are noted on the records that matched.
//
// The way of a record: processor.go walks over a batch, source.go says what kind of
// source a record is from, record.go gives rules access to it and finds the document in
// its body. Start with factory.go.
package rulesprocessor

//go:generate mdatagen metadata.yaml
