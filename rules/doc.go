// Package rules is the rule language: rules files in, a Set that matches events out.
//
// A Set is made once by Compile, in stages that are packages of their own: the files
// are read into lists, macros and rules (collect.go), lists are put in their place
// (expand.go), conditions are parsed (rules/syntax), get their meaning (rules/check)
// and become matchers (rules/plan). Live holds the Set in use and swaps it.
package rules
