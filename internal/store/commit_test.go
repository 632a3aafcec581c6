package store

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// joined waits until so many are in the group.
func (c *commits) joined(name string, members int) {
	for {
		c.mu.Lock()
		g := c.groups[name]
		there := g != nil && g.members == members
		c.mu.Unlock()
		if there {
			return
		}
		runtime.Gosched()
	}
}

// Whoever comes while the work is being done is not served by it, but by the next, all together.
func TestCommitsCoverWhatCameBefore(t *testing.T) {
	var c commits
	var written, durable, works atomic.Int64
	began, release := make(chan struct{}), make(chan struct{})
	work := func() error {
		seen := written.Load() // what a sync that begins now makes durable
		if works.Add(1) == 1 {
			close(began)
			<-release
		}
		durable.Store(seen)
		return nil
	}
	write := func() {
		mine := written.Add(1)
		if err := c.join("items", work); err != nil {
			t.Error(err)
		}
		if durable.Load() < mine {
			t.Errorf("returned before its own was durable: %d of %d", durable.Load(), mine)
		}
	}
	var wg sync.WaitGroup
	wg.Go(write)
	<-began
	for range 100 {
		wg.Go(write)
	}
	c.joined("items", 101)
	close(release)
	wg.Wait()
	if n := works.Load(); n != 2 {
		t.Errorf("the work was done %d times", n)
	}
	if len(c.groups) != 0 {
		t.Errorf("%d groups are left", len(c.groups))
	}
}

// Folders do not wait for each other; an error is that of all who shared the work and of nobody else.
func TestCommitsByName(t *testing.T) {
	var c commits
	full := errors.New("disk full")
	aBegan, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.join("a", func() error { close(aBegan); <-release; return nil }); err != nil {
			t.Errorf("a: %v", err)
		}
	})
	<-aBegan
	failing := func() error { return full }
	if err := c.join("b", failing); err != full {
		t.Errorf("b: %v", err)
	}
	for range 5 {
		wg.Go(func() {
			if err := c.join("a", failing); err != full {
				t.Errorf("a, the next time: %v", err)
			}
		})
	}
	c.joined("a", 6)
	close(release)
	wg.Wait()
}
