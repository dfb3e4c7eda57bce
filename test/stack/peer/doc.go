// Package peer starts the programs that Windhover works with, for tests: Prometheus,
// Alertmanager, VictoriaLogs, a collector, a Kafka broker, and Windhover itself. They
// are the real programs, on loopback addresses that the kernel chose, with their files
// in the test's own directory.
//
// A function that starts something returns when it answers, fails the test with the
// end of its log if it does not, and has it ended when the test ends. Start reading
// at Process, which all of them are.
package peer
