package manifest

import (
	"fmt"
	"iter"
	"strings"
)

// didYouMean is a hint that names the candidate nearest to a word nobody knows, "" when none is near.
func didYouMean(word string, candidates iter.Seq[string]) string {
	if len(word) > 64 {
		return "" // no slip of the fingers
	}
	best, least := "", 1+max(1, min(3, len(word)/3))
	for c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c), least+1)
		if d < least || d == least && best != "" && c < best {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// maxGuesses bounds the names that unknown ones are compared with; a file of nothing but unknown names gets no hints
// after that.
const maxGuesses = 2_000_000

// near is didYouMean among n names the manifest itself brings, which may be very many.
func (r *reader) near(word string, n int, candidates iter.Seq[string]) string {
	if r.guesses += n; r.guesses > maxGuesses || r.problems.full() {
		return ""
	}
	return didYouMean(word, candidates)
}

// distance counts the letters to insert, delete, replace or swap to make b of a; it gives up at limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur[0] = i + 1
		least := cur[0]
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cur[j+1] = min(cur[j+1], before[j-1]+1)
			}
			least = min(least, cur[j+1])
		}
		if least >= limit {
			return limit
		}
		before, prev, cur = prev, cur, before
	}
	return min(prev[len(b)], limit)
}
