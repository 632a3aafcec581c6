package e2e

import (
	"testing"
	"testing/synctest"
	"time"

	"dailies/internal/sandbox"
)

const lostBatch = `version: 1
batch: lost
defaults: {model: imagen4-ultra}
items:
  - {id: "n-${n}", prompt: "number ${n}", matrix: {n: [1, 2, 3, 4, 5, 6]}}
  - {id: twin, prompt: the same, repeat: 3}
`

// TestLostAmongOthers: the answers to submits are lost, of models that take no seed, and the listing does what it can
// to hide their jobs: it lags, strangers push them off its first page, one of those looks like ours from before, and
// texts are shown as assets. Every job is found, and nothing is paid for twice.
func TestLostAmongOthers(t *testing.T) {
	items := readItems(t, lostBatch)
	for name, rules := range map[string][]sandbox.Rule{
		"plainly":           nil,
		"the listing lags":  {{Fault: "listing-lag", For: 50 * time.Second}},
		"pushed off a page": {{Fault: "listing-strangers", Every: 2, Times: 6, Count: 250}},
		"a stranger's from before looks like ours": {{Fault: "listing-strangers", Times: 6, Count: 1, Alike: true, Before: 3 * time.Minute}},
		"texts as assets":                          {{Fault: "prompt-as-asset"}},
		"all of it": {{Fault: "listing-lag", For: 20 * time.Second}, {Fault: "listing-strangers", Every: 3, Times: 3, Count: 250},
			{Fault: "listing-strangers", Times: 4, Count: 1, Alike: true, Before: 3 * time.Minute}, {Fault: "prompt-as-asset", Every: 2}},
	} {
		for _, loses := range []int{1, 2, 3} { // every so manieth answer
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, items, &sandbox.Faults{Rules: rules})
				s.loses = loses
				for _, problem := range s.finish(t) {
					t.Errorf("%s, every %d. answer lost: %s", name, loses, problem)
				}
				if n := len(s.api.Book()); n != len(items) {
					t.Errorf("%s, every %d. answer lost: %d bought for %d items", name, loses, n, len(items))
				}
			})
		}
	}
}
