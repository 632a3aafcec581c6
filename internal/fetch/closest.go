package fetch

import (
	"sync"
	"time"

	"dailies/pipeline"
)

// closest remembers the download that began nearest to the end of its link's life.
type closest struct {
	mu    sync.Mutex
	asset string // empty: none yet
	left  time.Duration
}

// note takes in a download that has begun.
func (c *closest) note(a pipeline.Asset) {
	end, known := Expiry(a.URL)
	if !known {
		return
	}
	left := time.Until(end)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asset == "" || left < c.left {
		c.asset, c.left = a.ID, left
	}
}

func (c *closest) get() (asset string, left time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asset, c.left, c.asset != ""
}
