package media

import "dailies/pipeline"

// A head is the probe of a format whose facts are at its beginning. It looks at what it has whenever that has
// doubled, and forgets it once the facts are found or were not in the first limit bytes.
type head struct {
	limit int
	read  func([]byte) (pipeline.Facts, bool)
	buf   []byte
	next  int // look again at this size
	done  bool
	found pipeline.Facts
}

func newHead(limit int, read func([]byte) (pipeline.Facts, bool)) *head {
	return &head{limit: limit, read: read, next: min(limit, 4<<10)}
}

func (h *head) Write(p []byte) (int, error) {
	n := len(p)
	for !h.done && len(p) > 0 {
		k := min(h.next-len(h.buf), len(p))
		h.buf = append(h.buf, p[:k]...)
		p = p[k:]
		if len(h.buf) == h.next {
			h.look(h.next == h.limit)
			h.next = min(2*h.next, h.limit)
		}
	}
	return n, nil
}

func (h *head) look(last bool) {
	found, ok := h.read(h.buf)
	if ok {
		h.found = found
	}
	if ok || last {
		h.done, h.buf = true, nil
	}
}

func (h *head) facts() pipeline.Facts {
	if !h.done {
		h.look(false)
	}
	return h.found
}
