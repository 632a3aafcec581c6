package scenario

import (
	"sync"
	"time"
)

// A clock knows what the API's own clock reads, from the Date of its answers. Each narrows it down: the header is of a
// moment between the request and the answer, and says which second that was. It counts in this machine's monotonic
// time, so that setting the wall clock, here or between two runs, moves nothing.
type clock struct {
	mu       sync.Mutex
	heard    bool
	base     time.Time     // monotonic; the offsets are to its wall clock
	from, to time.Duration // the API's clock is ahead by that much at least, and at most
}

const (
	// dateStep is the resolution of a Date.
	dateStep = time.Second
	// dateDrift is how much the bounds widen with every answer, so that clocks that drift apart are followed.
	dateDrift = time.Millisecond
)

// hear takes in the Date of the answer to a request sent at the given time.
func (c *clock) hear(date, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.heard {
		c.base = now
	}
	from, to := date.Sub(c.wall(now)), date.Add(dateStep).Sub(c.wall(sent))
	if c.heard {
		from, to = max(from, c.from-dateDrift), min(to, c.to+dateDrift)
	}
	if from > to { // a clock was set, or this machine slept: only what was said last counts
		from, to = date.Sub(c.wall(now)), date.Add(dateStep).Sub(c.wall(sent))
	}
	c.heard, c.from, c.to = true, from, to
}

// wall is what the wall clock would read at t if nobody had set it since the first answer.
func (c *clock) wall(t time.Time) time.Time { return c.base.Round(0).Add(t.Sub(c.base)) }

// now is the time by the API's clock: this machine's as far as that is possible.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.heard {
		return now
	}
	return c.wall(now).Add(min(max(0, c.from), c.to))
}

// earliest is the least that the API's clock can read now.
func (c *clock) earliest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.heard {
		return now
	}
	return c.wall(now).Add(c.from)
}

// Clock is the earliest that the API's own clock can read now, as far as its answers have told.
func (c *Client) Clock() time.Time { return c.clock.earliest() }

// now is the time by the API's clock, as far as its answers told.
func (c *Client) now() time.Time { return c.clock.now() }
