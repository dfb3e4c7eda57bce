package check

// Nearest returns the word of words that was probably meant by word, or nothing: the
// first of those that are nearest.
func Nearest(word string, words []string) string {
	const longest = 64
	if len(word) > longest {
		return ""
	}
	best, most := "", len(word)/4+2
	for _, w := range words {
		if len(w) > longest {
			continue
		}
		if d := distance(word, w, most); d < most {
			best, most = w, d
		}
	}
	return best
}

// distance returns how many insertions, deletions, substitutions and swaps of
// neighbours lie between a and b, or most if there are no fewer. Neither is longer
// than 64 bytes.
func distance(a, b string, most int) int {
	if d := len(a) - len(b); d >= most || -d >= most {
		return most
	}
	var rows [3][65]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= most {
			return most
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most)
}
