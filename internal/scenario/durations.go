package scenario

import (
	"math"
	"slices"
	"sync"
	"time"
)

// durations remembers how long jobs of each model take, from submit to end.
type durations struct {
	mu     sync.Mutex
	models map[string][]time.Duration // the latest, oldest first
}

const remembered = 64 // durations a model; enough for a law, few enough to follow a change

func newDurations() *durations { return &durations{models: make(map[string][]time.Duration)} }

func (d *durations) learn(model string, took time.Duration) {
	if took <= 0 || took > 24*time.Hour {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := append(d.models[model], took)
	d.models[model] = known[max(0, len(known)-remembered):]
}

func (d *durations) median(model string) (time.Duration, bool) {
	d.mu.Lock()
	known := slices.Sorted(slices.Values(d.models[model]))
	d.mu.Unlock()
	if len(known) == 0 {
		return 0, false
	}
	return known[len(known)/2], true
}

// Learn tells how long a job of the model took, from submit to end, in an earlier run.
func (c *Client) Learn(model string, took time.Duration) { c.durations.learn(model, took) }

// Expected is how long a job of the model typically takes: the median of those known.
func (c *Client) Expected(model string) (time.Duration, bool) { return c.durations.median(model) }

// A law says when a job is likely to end: the logarithm of its duration is taken to be normal, because generation
// times are skewed and the queue before them makes them more so.
type law struct{ mu, sigma float64 } // of the natural logarithm of seconds

// unknown is the law of a model nobody has seen: from pictures in seconds to films in minutes [SEEN].
var unknown = law{mu: math.Log(12), sigma: 1.2}

// law fits what is known of the model, leaning on unknown for as long as that is little.
func (d *durations) law(model string) law {
	const weight = 0.5 // of unknown, in jobs seen
	const least = 0.1  // sigma of the most regular model: there is a queue before it
	d.mu.Lock()
	defer d.mu.Unlock()
	n, sum, squares := weight, weight*unknown.mu, weight*sq(unknown.sigma)
	for _, took := range d.models[model] {
		n, sum = n+1, sum+math.Log(took.Seconds())
	}
	mu := sum / n
	for _, took := range d.models[model] {
		squares += sq(math.Log(took.Seconds()) - mu)
	}
	return law{mu: mu, sigma: max(least, math.Sqrt(squares/n))}
}

// ended is the probability that a job has ended at age b when it had not at age a.
func (l law) ended(a, b time.Duration) float64 {
	if b <= a || b <= 0 {
		return 0
	}
	alive := func(age time.Duration) float64 {
		if age <= 0 {
			return 1
		}
		return math.Erfc((math.Log(age.Seconds())-l.mu)/(l.sigma*math.Sqrt2)) / 2
	}
	then := alive(a)
	if then < 1e-4 {
		// It has outlived the law, so the law does not tell. What has taken long takes long: another fifth of
		// its age, more or less.
		return 1 - math.Pow(a.Seconds()/b.Seconds(), 5)
	}
	return 1 - alive(b)/then
}

func sq(x float64) float64 { return x * x }
