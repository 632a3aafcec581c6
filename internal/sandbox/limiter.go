package sandbox

import "time"

// window allows a number of events in any minute: the sliding kind, which gives no second burst at the turn of one.
type window struct {
	times []time.Time // of those allowed, a ring
	next  int
}

// allow counts one event, unless limit of them happened less than a minute ago.
func (w *window) allow(now time.Time, limit int) bool {
	if limit < 0 {
		return true
	}
	if len(w.times) < limit {
		w.times = append(w.times, now)
		return true
	}
	if now.Sub(w.times[w.next]) < time.Minute {
		return false
	}
	w.times[w.next] = now
	w.next = (w.next + 1) % limit
	return true
}
