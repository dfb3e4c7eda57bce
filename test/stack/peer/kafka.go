//go:build linux

package peer

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// kafkaPartitions is how many partitions a topic has: enough to share out among a few
// consumers of a group.
const kafkaPartitions = 8

// Kafka runs a Kafka broker in this process, which keeps everything in memory, with
// eight partitions for each topic, and returns its addresses.
func Kafka(tb testing.TB, topics ...string) []string {
	tb.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(kafkaPartitions, topics...))
	if err != nil {
		tb.Fatalf("start Kafka broker: %v", err)
	}
	tb.Cleanup(c.Close)
	return c.ListenAddrs()
}
