package store

import "sync"

// commits makes one slow piece of work serve everybody who needs it: whoever comes while it is being done waits for the
// next time, which is for all who came meanwhile. So a hundred records written at once cost two syncs of their folder,
// and each is durable when its own call returns.
type commits struct {
	mu     sync.Mutex
	groups map[string]*group
}

// A group is those who need the work of one name.
type group struct {
	busy    sync.Mutex   // held while the work is being done
	next    func() error // does it once, for all who have joined; nil when nobody has
	members int
}

// join returns when work has been done, from its beginning, after the call was made.
func (c *commits) join(name string, work func() error) error {
	c.mu.Lock()
	g := c.groups[name]
	if g == nil {
		if c.groups == nil {
			c.groups = map[string]*group{}
		}
		g = &group{}
		c.groups[name] = g
	}
	g.members++
	if g.next == nil {
		g.next = sync.OnceValue(func() error {
			g.busy.Lock()
			defer g.busy.Unlock()
			c.mu.Lock()
			g.next = nil // from here on it is too late to join
			c.mu.Unlock()
			return work()
		})
	}
	next := g.next
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if g.members--; g.members == 0 {
			delete(c.groups, name)
		}
	}()
	return next()
}
