package pipeline

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// slots is how many jobs may be in flight at the API at once, and who is next. The API teaches the number: it refuses
// a submit past the team's ceiling, for nothing, and may name the ceiling in the refusal. Until the first refusal the
// gate is as wide as the user allows; a refusal sets it to what was proven to fit; after that it probes upwards one
// slot a round, never above a ceiling that was named or asked for.
//
// Next is who has the most before him: items that others wait for, then those whose jobs take longest, so that no long
// job is left for the end with the other slots empty. Few submits are in the air at once: so that this is decided
// late, an intent is written down shortly before its request leaves, and not many are refused when the gate is too wide.
type slots struct {
	expected func(model string) (time.Duration, bool)

	mu       sync.Mutex
	waiting  []*candidate
	inFlight int
	inAir    int // of those in flight, submits not answered yet
	limit    int
	ceiling  int           // never above this; 0 is none known
	credit   int           // submits accepted since the limit last moved
	closed   time.Time     // after a refusal with nothing of ours in flight, others hold the slots: closed until then
	pause    time.Duration // how long the last such closing was
}

// A claim is what decides who is next.
type claim struct {
	model  string
	behind int // items in the longest chain that waits for this one
	place  int // in the manifest
}

// A candidate waits for a slot.
type candidate struct {
	claim
	granted chan struct{} // closed when it has one
}

const (
	slotsInAirLeast = 4
	slotsInAirMost  = 16
	slotsPause      = 2 * time.Second  // first wait when others hold every slot
	slotsPauseTo    = 60 * time.Second // longest
)

// newSlots makes a gate; asked is the user's own cap, 0 for none.
func newSlots(asked int, expected func(model string) (time.Duration, bool)) *slots {
	s := &slots{expected: expected, limit: asked, ceiling: asked}
	if asked == 0 {
		s.limit = math.MaxInt
	}
	return s
}

// acquire waits for a slot and takes it, for a submit: accepted, refused or unsent must follow.
func (s *slots) acquire(ctx context.Context, of claim) error {
	c := &candidate{claim: of, granted: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, c)
	s.serve()
	s.mu.Unlock()
	select {
	case <-c.granted:
	case <-ctx.Done():
	}
	if ctx.Err() == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	} else { // granted as it left
		s.inFlight--
		s.inAir--
		s.serve()
	}
	return context.Cause(ctx)
}

// serve grants what slots there are. The lock is held.
func (s *slots) serve() {
	for len(s.waiting) > 0 && s.inFlight < s.limit && s.inAir < s.mayFly() && !time.Now().Before(s.closed) {
		i := s.next()
		close(s.waiting[i].granted)
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.inFlight++
		s.inAir++
	}
}

// mayFly is how many submits may be in the air: half as many as have landed, within bounds. The lock is held.
func (s *slots) mayFly() int {
	return min(max((s.inFlight-s.inAir)/2, slotsInAirLeast), slotsInAirMost)
}

// next is the candidate with the most before him. The lock is held.
func (s *slots) next() (first int) {
	most, _ := s.expected(s.waiting[0].model)
	for i, c := range s.waiting[1:] {
		f := s.waiting[first]
		takes, _ := s.expected(c.model)
		if cmp.Or(cmp.Compare(c.behind, f.behind), cmp.Compare(takes, most), cmp.Compare(f.place, c.place)) > 0 {
			first, most = i+1, takes
		}
	}
	return first
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
	s.serve()
}

// unsent says that nothing can be learned from the submit a slot was acquired for: it never left, or its answer says
// nothing of slots. The slot is still taken.
func (s *slots) unsent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inAir--
	s.serve()
}

// accepted says that the API took a submit at the present width.
func (s *slots) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inAir--
	s.pause = 0
	s.credit++
	if s.credit >= s.limit && (s.ceiling == 0 || s.limit < s.ceiling) {
		s.limit++
		s.credit = 0
	}
	s.serve()
}

// refused gives back a slot that the API would not grant; named is the ceiling it named, or 0.
func (s *slots) refused(named int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	s.inAir--
	s.credit = 0
	if named > 0 && (s.ceiling == 0 || named < s.ceiling) {
		s.ceiling, s.limit = named, min(s.limit, named)
	}
	s.limit = max(1, min(s.limit, s.inFlight))
	if s.inFlight == 0 {
		s.pause = min(max(2*s.pause, slotsPause), slotsPauseTo)
		s.closed = time.Now().Add(s.pause)
		time.AfterFunc(s.pause, s.reopen)
	}
	s.serve()
}

// reopen looks again after a closing.
func (s *slots) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve()
}
