package pipeline

import (
	"context"
	"sync"
	"time"
)

// slots is how many jobs may be in flight at the API at once. The API teaches the number: it refuses a submit past
// the team's ceiling, for nothing, and may name the ceiling in the refusal. Until the first refusal every accepted
// submit widens the gate by one, so it doubles a round; a refusal sets it to what was proven to fit; after that it
// probes upwards one slot a round, never above a ceiling that was named or asked for.
type slots struct {
	mu       sync.Mutex
	inFlight int
	limit    int
	ceiling  int           // never above this; 0 is none known
	taught   bool          // a refusal has been seen
	credit   int           // submits accepted since the limit last moved
	closed   time.Time     // after a refusal with nothing of ours in flight, others hold the slots: closed until then
	pause    time.Duration // how long the last such closing was
	changed  chan struct{} // closed and replaced whenever a waiter should look again
}

const (
	slotsAtFirst = 8
	slotsPause   = 2 * time.Second  // first wait when others hold every slot
	slotsPauseTo = 60 * time.Second // longest
)

// newSlots makes a gate; asked is the user's own cap, 0 for none.
func newSlots(asked int) *slots {
	s := &slots{limit: slotsAtFirst, ceiling: asked, changed: make(chan struct{})}
	if asked > 0 {
		s.limit = min(s.limit, asked)
	}
	return s
}

// acquire waits for a slot and takes it.
func (s *slots) acquire(ctx context.Context) error {
	for {
		s.mu.Lock()
		wait := time.Until(s.closed)
		if s.inFlight < s.limit && wait <= 0 && ctx.Err() == nil {
			s.inFlight++
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.mu.Unlock()

		var reopened <-chan time.Time
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			reopened = t.C
		}
		select {
		case <-changed:
		case <-reopened:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// occupy takes a slot without asking: the job is already there, from an earlier run.
func (s *slots) occupy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
}

// release gives a slot back: its job has ended.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.closed = time.Time{}
	s.wake()
}

// accepted says that the API took a submit at the present width.
func (s *slots) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = 0
	s.credit++
	if (!s.taught || s.credit >= s.limit) && (s.ceiling == 0 || s.limit < s.ceiling) {
		s.limit++
		s.credit = 0
		s.wake()
	}
}

// refused gives back a slot that the API would not grant; named is the ceiling it named, or 0.
func (s *slots) refused(named int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.taught, s.credit = true, 0
	if named > 0 && (s.ceiling == 0 || named < s.ceiling) {
		s.ceiling = named
	}
	s.limit = max(1, min(s.limit, s.inFlight))
	if s.inFlight == 0 {
		s.pause = min(max(2*s.pause, slotsPause), slotsPauseTo)
		s.closed = time.Now().Add(s.pause)
	}
	s.wake()
}

// wake has every waiter look again. The lock is held.
func (s *slots) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
