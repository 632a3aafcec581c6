// Package progress shows people and programs how a run is getting on: live bars on a terminal, plain lines in a
// log, JSON events on a pipe. It only watches: it is told of [pipeline.Event]s and decides nothing.
//
// It promises that the run never waits for whoever reads (what is written is handed to a goroutine of its own),
// that a log stays short however many items there are, that nothing but the bars moves a cursor and nothing but
// the bars uses colour, and that text from others (prompts, the API's messages) reaches a terminal only as
// [pipeline.Plain] leaves it. It refuses to guess: where nothing is known of how long a model takes, no time is named.
package progress

import (
	"bytes"
	"io"
	"sync"
	"time"

	"dailies/pipeline"
)

// A Mode is one way of showing progress.
type Mode string

const (
	Auto  Mode = "auto"  // Bar on a terminal, Lines elsewhere
	Bar   Mode = "bar"   // a few lines that are drawn over; Lines where Out is no terminal
	Lines Mode = "lines" // what happened, a line each, and a sign of life every 30 s
	JSON  Mode = "json"  // one event a line, see [EventSchema]
	None  Mode = "none"  // failures only
)

// ParseMode reads the value of --progress.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Bar, Lines, JSON, None:
		return m, nil
	}
	return "", pipeline.Errorf(pipeline.CodeUsage, "progress %q is not one of auto, bar, lines, json, none", s)
}

// Options say how and where to show a run. Mode and Out are enough.
type Options struct {
	Mode Mode
	// Out is stderr for bars and lines. JSON events go to stdout, to be piped; the caller then keeps everything
	// else off it.
	Out      io.Writer
	Terminal bool       // Out is a terminal that understands cursor movements
	Width    func() int // its columns, asked at every drawing; nil or 0 means 80
	Height   func() int // its rows, likewise; nil or 0 means 24
	Color    bool       // the caller has honoured NO_COLOR and TERM=dumb
	ASCII    bool       // the locale cannot show more

	Batch     string
	Simulated bool // said on the bars and in the events

	// What time estimates are made of, each optional.
	Expected          func(model string) (time.Duration, bool) // what a model takes from submit to finish
	Concurrency       int                                      // generation slots, 0 when they are found out on the way
	RequestsPerMinute int

	// Result is asked once, by finish, for what the event run_finished says: the run's summary (nil when there is
	// none) and the exit code.
	Result func() (*pipeline.Summary, int)
}

// New begins to show a run. What observe is told of is shown until finish, which must be called once the run is
// over: it leaves the terminal clean and returns when everything is written. Calls of either after that do nothing.
func New(o Options) (observe pipeline.Observer, finish func()) {
	s := &show{out: o.Out, view: newView(o), tally: newTally(o), wake: make(chan struct{}, 1), quit: make(chan struct{})}
	s.writer.Go(s.write)
	return s.observe, s.finish
}

func newView(o Options) view {
	switch {
	case o.Mode == JSON:
		return newEvents(o)
	case o.Mode == None:
		return newLines(o, true)
	case o.Terminal && (o.Mode == Bar || o.Mode == Auto):
		return newBars(o)
	}
	return newLines(o, false)
}

// A view turns what happens into text. Its methods are never called at the same time.
type view interface {
	period() time.Duration // how often tick is wanted, 0 for never
	event(w *bytes.Buffer, e pipeline.Event, t *tally)
	tick(w *bytes.Buffer, now time.Time, t *tally)
	end(w *bytes.Buffer, now time.Time, t *tally)
}

// A show keeps the books of a run, has its view compose text, and writes it from a goroutine of its own, so that a
// terminal stopped with Ctrl-S or a slow pipe holds up nobody.
type show struct {
	out    io.Writer
	wake   chan struct{} // there is text to write
	quit   chan struct{} // no more will come
	writer sync.WaitGroup

	mu    sync.Mutex
	over  bool
	tally *tally
	view  view
	text  bytes.Buffer // composed and not yet written
}

func (s *show) observe(e pipeline.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	s.tally.apply(e)
	s.view.event(&s.text, e, s.tally)
	if s.text.Len() > 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *show) finish() {
	s.mu.Lock()
	over := s.over
	s.over = true
	s.mu.Unlock()
	if over {
		return
	}
	close(s.quit)
	s.writer.Wait()
	s.view.end(&s.text, time.Now(), s.tally)
	s.flush()
}

func (s *show) write() {
	var tick <-chan time.Time
	if p := s.view.period(); p > 0 {
		ticker := time.NewTicker(p)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-s.wake:
		case now := <-tick:
			s.mu.Lock()
			s.view.tick(&s.text, now, s.tally)
			s.mu.Unlock()
		case <-s.quit:
			return
		}
		s.flush()
	}
}

// flush writes what is composed. A reader that has gone is no reason to stop making assets: errors are let be.
func (s *show) flush() {
	s.mu.Lock()
	text := bytes.Clone(s.text.Bytes())
	s.text.Reset()
	s.mu.Unlock()
	if len(text) > 0 {
		_, _ = s.out.Write(text)
	}
}
