// Package alert turns a match into an Alert and holds alerts in a bounded queue until
// they are exported.
package alert
