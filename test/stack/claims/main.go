// Claims reads what "go test -json" writes and shows the lines of what the tests saw,
// as they come, the whole output of a test that fails, and the reason of one that is
// skipped. It exits with 1 if anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// event is a line of "go test -json"; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

func main() {
	start := time.Now()
	output := map[string]*strings.Builder{} // by test
	passed, failed, skipped := 0, 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // of the go command itself
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if i := strings.Index(e.Output, "claim: "); i >= 0 {
				fmt.Print(e.Output[i+len("claim: "):])
				continue
			}
			b := output[key]
			if b == nil {
				b = &strings.Builder{}
				output[key] = b
			}
			b.WriteString(e.Output)
			continue
		case "fail", "build-fail":
			// A package fails with its tests, or without any.
			if e.Test != "" || failed == 0 {
				failed++
			}
			if b := output[key]; b != nil {
				fmt.Print(b)
			}
		case "skip":
			if e.Test != "" {
				skipped++
				if b := output[key]; b != nil {
					fmt.Print(b)
				}
			}
		case "pass":
			if e.Test != "" && !strings.Contains(e.Test, "/") {
				passed++
			}
		default:
			continue
		}
		delete(output, key)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "read test output:", err)
		failed++
	}
	fmt.Printf("%d tests passed, %d skipped, %d failed, in %v\n", passed, skipped, failed, time.Since(start).Round(time.Second))
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}
